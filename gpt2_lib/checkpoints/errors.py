"""Errors of loading and saving a model, and the system's errors in plain words."""

from __future__ import annotations

import errno
from pathlib import Path

from safetensors import SafetensorError

WORDS = {
    errno.ENOSPC: "the disk is full. Make room, or choose another place",
    errno.EDQUOT: "your quota on this disk is used up. Make room, or choose another place",
    errno.EACCES: "you may not write there. Choose another place",
    errno.EPERM: "you may not write there. Choose another place",
    errno.EROFS: "this disk can only be read. Choose another place",
    errno.ENOTDIR: "a part of the path is a file. Choose another place",
    errno.EEXIST: "a file is in the way. Choose another place",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
}


class CheckpointError(Exception):
    """A model can't be loaded or saved; the message says why and what to do."""


class SaveError(CheckpointError, OSError):
    """A model can't be written to its destination, which is unchanged."""


def not_written(path: Path, error: OSError | SafetensorError) -> SaveError:
    """Return the error to raise when writing ``path`` failed. safetensors wraps the system's errors in its own."""
    number = errno.ENOSPC if "No space left" in str(error) else getattr(error, "errno", 0)
    words = WORDS.get(number, "choose a place that you may write to, with room")
    said = getattr(error, "strerror", None) or str(error)
    return SaveError(f"Can't write {path}: {said}; {words}. The earlier content is unchanged.")
