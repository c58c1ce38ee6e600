"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make the file beside ``path``, and put it there when it is complete, or not at all.

    After a crash of the machine there is the old file or the new one. It has the rights of any new file. What
    ``write`` raises goes on to the caller.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # two processes may write the same file at once
    try:
        write_through(part, write)
        os.replace(part, path)
        flush_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_through(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make the file ``path``, which is new, and wait until the disk has it."""
    path.touch()
    rights = path.stat().st_mode  # as the umask has them; safetensors makes files that only their owner can read
    write(path)
    path.chmod(rights)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the disk has the names in ``folder``. On Windows folders can't be opened, and nothing is done."""
    if os.name == "nt":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
