"""Errors of the disk and of the gradebook, each as one sentence with advice."""

from __future__ import annotations

import errno
import re

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # no submission's own: nothing more can be written
_DISK = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "your share of the disk is used up, make room",
    errno.EROFS: "this disk can only be read, make it writable",
    errno.EACCES: "you may not read or write there, change the permissions",
    errno.EPERM: "you may not do that there, change the permissions",
}
_GRADEBOOK = {
    "database is locked": "another program holds it: close the formgrader and other graders, then run this again",
    "readonly database": "it can't be written: make gradebook.db and its folder writable",
    "unable to open": "it can't be opened: gradebook.db has to be a file that you may read and write, in such a folder",
    "is full": "make room on the disk, then run this again",
    "disk I/O error": "the disk may be full or damaged: correct that, then run this again",
    "not a database": "it is damaged: bring back a copy of gradebook.db. Without a copy, move it and autograded/ away, "
    "then release and grade again; what was graded by hand is lost",
    "no such": "another version of nbgrader made it: copy gradebook.db, then run `nbgrader db upgrade`",
}
_GRADEBOOK["malformed"] = _GRADEBOOK["not a database"]


def of_disk(error: OSError) -> str:
    """Return the file, the system's reason and, where known, advice."""
    path, reason = error.filename2 or error.filename, error.strerror or str(error) or type(error).__name__
    said = f"{path}: {reason}" if path else reason
    hint = _DISK.get(error.errno or 0)
    return f"{said}: {hint}, then run the same command again. Finished work is kept." if hint else said


def of_gradebook(reason: str) -> str | None:
    """Return advice on a gradebook for the database's message; None where none is known."""
    return next((hint for found, hint in _GRADEBOOK.items() if found in reason), None)


def gradebook_sentence(reason: str) -> str:
    """Return the first line of the database's message, without the driver's name, and advice."""
    line = re.sub(r"^\([\w.]+\) ", "", (reason.splitlines() or [""])[0])
    return ": ".join(filter(None, [f"the gradebook can't be used ({line})", of_gradebook(reason)]))
