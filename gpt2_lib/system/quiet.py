"""Silence for what other people's packages say of themselves; their errors are always shown."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def only_errors(*loggers: str) -> Iterator[None]:
    """Let these loggers and those below them log errors alone, in a ``with`` statement."""
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    for logger in found:
        logger.setLevel(max(logger.getEffectiveLevel(), logging.ERROR))
    try:
        yield
    finally:
        for logger, level in zip(found, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep Python's stderr to itself in a ``with`` statement: bars that can't be turned off. An error shows it all."""
    held = io.StringIO()
    try:
        with contextlib.redirect_stderr(held):
            yield
    except BaseException:
        sys.stderr.write(held.getvalue())
        raise


@contextlib.contextmanager
def without_lines(pattern: str) -> Iterator[None]:
    """Leave out the lines that match ``pattern`` of what native code writes to stderr in a ``with`` statement.

    The other lines follow at its end. For libraries written in C++ that log and have no setting for it.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        usual = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(usual, 2)
            os.close(usual)
            held.seek(0)
            kept = [line for line in held if not re.search(pattern, line.decode(errors="replace"))]
            with os.fdopen(os.dup(2), "wb") as stderr:
                stderr.writelines(kept)
