"""The course's lock: one command at a time changes a course. It says who holds it and since when.

The kernel frees the lock when its process ends in any way. The file that a killed process leaves blocks nobody.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from .text import plain

if sys.platform != "win32":
    import fcntl

FILE = "gradebook.db.lock"
MAX_NOTE = 4096  # characters


class LockError(Exception):
    """The course's lock can't be had; the message says why."""


@dataclass(frozen=True)
class Holder:
    """The holder of a course's lock, as written in the lock's file."""

    user: str
    host: str
    pid: int
    since: str
    command: str

    def __str__(self) -> str:
        return plain(f"{self.user} on {self.host} (process {self.pid}, {self.command}, since {self.since})")


@contextmanager
def locked(root: Path, command: str) -> Iterator[bool]:
    """Hold the lock of the course at ``root``; wait for its holder, with a message on stderr.

    Yields whether the lock excludes all others: False where the disk has no locks, or may not share them with another
    machine, with a message. Raises LockError where this process itself holds the lock, and OSError.
    On Windows, where nothing is graded, there is no lock.
    """
    if sys.platform == "win32":
        yield False
        return
    with _acquired(root / FILE) as (file, alone):
        before = _holder(file)
        if before is not None and before.host != socket.gethostname():
            _say(
                f"{before} has not released its lock. Either it was killed, or locks on this disk don't reach other "
                "machines: if it still runs, stop this command (Ctrl-C), and start it again afterwards."
            )
            alone = False
        try:
            _write(file, command)
            yield alone
        finally:
            with contextlib.suppress(OSError):  # a process that waits for the file finds it deleted and creates another
                os.unlink(root / FILE)


def say_who_works(root: Path) -> None:
    """Say on stderr, without waiting, who is at work on the course: what is not finished is missing in a report."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError), open(root / FILE, encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(
                f"{_holder(file) or 'Somebody'} is at work on this course: what that has not finished is missing here. "
                "Give this command again afterwards."
            )


@contextmanager
def _acquired(path: Path) -> Iterator[tuple[TextIO, bool]]:
    """Return the lock's file, locked, and whether it could be locked."""
    while True:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8", errors="replace") as file:
            with contextlib.suppress(PermissionError):  # another user's file
                os.fchmod(file.fileno(), 0o666)  # every user who may write in the folder may wait for the lock
            could = _flock(file)
            if not could or _is_at(file, path):
                yield file, could
                return


def _flock(file: TextIO) -> bool:
    """Lock the file, after waiting if necessary; returns False where the disk can't lock."""
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            if holder is not None and (holder.host, holder.pid) == (socket.gethostname(), os.getpid()):
                raise LockError("This process is at work on the course already.") from None
            _say(f"{holder or 'Somebody'} is at work on this course: waiting until that is done (Ctrl-C ends this).")
            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        _say(
            f"This disk can't lock files ({error.strerror}): make sure that nobody else works on the course meanwhile."
        )
        return False
    return True


def _is_at(file: TextIO, path: Path) -> bool:
    """Return whether the file still exists: an earlier holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(file: TextIO) -> Holder | None:
    """Return the holder written in the file; None if there is none."""
    file.seek(0)
    try:
        return Holder(**json.loads(file.read(MAX_NOTE)))
    except (ValueError, TypeError):
        return None


def _write(file: TextIO, command: str) -> None:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # in a container, a number without a name
        user = f"user {os.getuid()}"
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    file.seek(0)
    file.truncate()
    json.dump(asdict(Holder(user, socket.gethostname(), os.getpid(), since, command)), file)
    file.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
