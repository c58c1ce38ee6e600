"""Files that the grader writes: whole or not at all, so that whoever is interrupted leaves the one before."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file and the folders around it; leave it alone if it holds ``content`` already. Raises OSError."""
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
