"""Atomic writes of the grader's files: whole or not at all, so that an interruption leaves the earlier file."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file and create its folders; a file that already holds ``content`` is untouched. Raises OSError."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that no submission holds what an interrupted run leaves; two processes may write the same page at once.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        error.filename = str(path)  # a full disk names none
        raise
    finally:
        part.unlink(missing_ok=True)
