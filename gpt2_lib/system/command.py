"""Behaviour that all commands share: quiet exits, output for any terminal, and early checks of their arguments."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from .extras import MissingExtraError

INTERRUPTED, CLOSED = 130, 141  # as a shell says of a command that SIGINT or SIGPIPE ended


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call ``main``, and exit with the status that it returns or raises.

    Ctrl-C ends the command with one word and status 130; a closed output pipe ends it silently with 141; any other
    error of the system, such as a full disk, and a missing package end it with one sentence and 1. A character that
    the terminal can't show is written as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_status(main))


def _status(main: Callable[[], int | None]) -> str | int | None:
    status: str | int | None = None
    try:
        try:
            status = main()
        except SystemExit as end:
            status = end.code
            if isinstance(status, str):
                print(status, file=sys.stderr)
                status = 1
        except KeyboardInterrupt:
            print("\nStopped.", file=sys.stderr)
            status = INTERRUPTED
        except MissingExtraError as error:
            print(error, file=sys.stderr)
            status = 1
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # it is where the command was started without one
                stream.flush()
    except OSError as error:
        if _is_closed_pipe(error):
            status = CLOSED
        else:
            status = 1
            with suppress(OSError):
                print(f"Stopped: {error}.", file=sys.stderr)
        _drop_unwritten()
    return status


def _is_closed_pipe(error: OSError) -> bool:
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def _drop_unwritten() -> None:
    """Redirect streams that can't be written to the null device: Python would try again at its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # a stream without a file descriptor
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def interrupt_quietly() -> None:
    """Show no traceback for a Ctrl-C or a missing package that comes before `run`, while Python still imports."""
    usual = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("\nStopped.", file=sys.stderr)
        elif issubclass(kind, MissingExtraError):
            print(error, file=sys.stderr)
        else:
            usual(kind, error, trace)

    sys.excepthook = show


# Types of arguments, for argparse.


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed; got {text!r}")
    return number


def output_folder(text: str) -> Path:
    """Return a folder in which files can be written; it is created where there is none."""
    folder = Path(text)
    _try_to_write(folder / f".{os.getpid()}.part")
    return folder


def output_file(text: str) -> Path:
    """Return the path of a writable file; its folder is created where missing, an existing file is not touched."""
    path = Path(text)
    if os.path.isdir(path) or not path.name:
        raise argparse.ArgumentTypeError(f"{path} is a folder: name a file in it")
    _try_to_write(path.with_name(f".{path.name}.{os.getpid()}.part"))
    if path.exists() and not path.is_file():  # a device, which would be replaced
        raise argparse.ArgumentTypeError(f"{path} is no ordinary file: name another")
    return path


def _try_to_write(part: Path) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(b"\0")
        part.unlink()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"can't write there: {error}; choose a place you may write to") from error
