"""Reading of untrusted regular files: links are not followed, devices and pipes not opened, sizes limited."""

from __future__ import annotations

import errno
import functools
import operator
import os
import stat
from collections.abc import Iterator
from pathlib import Path

# Windows has only the last one, and Unix all others.
OPEN_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")


class Refused(Exception):
    """A file is refused; the message is the reason. ``suspicious``: no ordinary program makes such a file."""

    def __init__(self, reason: str, suspicious: bool = False) -> None:
        super().__init__(reason)
        self.suspicious = suspicious


class TooLarge(Refused):
    """A file is refused for its size."""


def read_regular(path: str | Path, limit: int, dir_fd: int | None = None) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes. Raises Refused, and FileNotFoundError."""
    try:
        before = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        _assert_regular(before)  # before opening: opening a device can have effects
        flags = functools.reduce(operator.or_, (getattr(os, name, 0) for name in OPEN_FLAGS), os.O_RDONLY)
        with os.fdopen(os.open(path, flags, dir_fd=dir_fd), "rb") as file:
            _assert_regular(os.fstat(file.fileno()))  # again: it may have been replaced in between
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("is a link; links are never followed", suspicious=True) from error
        raise Refused(f"can't be read: {error.strerror}") from error
    if len(data) > limit:
        raise TooLarge(f"is larger than {limit // 1_000_000} MB")
    return data


def open_folder(path: str | Path, dir_fd: int | None = None) -> int:
    """Return the descriptor of a folder that is no link. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)


def _assert_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next(name for is_kind, name in _kinds() if is_kind(found.st_mode))
        raise Refused(f"is {kind}, not a file", suspicious=kind != "a folder")
    if found.st_nlink > 1:
        raise Refused(
            "is a hard link: the same file has another name elsewhere. If that is all right, copy it and put the "
            "copy in its place",
            suspicious=True,
        )


def _kinds() -> Iterator[tuple]:
    yield stat.S_ISLNK, "a link"
    yield stat.S_ISDIR, "a folder"
    yield stat.S_ISFIFO, "a pipe"
    yield stat.S_ISSOCK, "a socket"
    yield lambda mode: True, "a device"
