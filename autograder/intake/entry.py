"""One file of an export. A stranger chose its name: it is limited here, before anything looks at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from .regular import Refused

MAX_PART = 400  # characters of one file's or folder's name; file systems take 255
MAX_PATH = 1_000  # characters of a path
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
BEGIN, END = 300, 90  # characters that a name keeps where it is cut: who handed it in, and what it is


@dataclass(frozen=True)
class Entry:
    """A file of the export. ``read(limit)`` gives its bytes or raises Refused."""

    name: str
    parts: tuple[str, ...]
    time: datetime | None
    read: Callable[[int], bytes]


def entry_of(name: str, path: Sequence[str], time: datetime | None, read: Callable[[int], bytes]) -> Entry:
    """Return the entry of a file. If its name is too long, it is cut in the middle, and reading raises Refused."""
    parts = _parts(path)
    if max(map(len, parts)) > MAX_PART:
        why = f"has a name of more than {MAX_PART} characters in its path: shorten it, then collect it again"
    elif sum(map(len, parts)) + len(parts) > MAX_PATH:
        why = f"has a path of more than {MAX_PATH:,} characters: put it into fewer folders, then collect it again"
    else:
        return Entry(name, parts, time, read)
    cut = _cut(parts)
    return Entry("/".join(cut), cut, time, refusing(why))


def _parts(path: Sequence[str]) -> tuple[str, ...]:
    """Return a path without empty and "." parts. An absolute one keeps its first, which is empty."""
    return tuple(name for n, name in enumerate(path) if name != "." and (name or n == 0)) or ("",)


def _cut(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path with shorter names, and without the folders above the file that are too many."""
    *folders, file = (part if len(part) <= MAX_PART else f"{part[:BEGIN]}...{part[-END:]}" for part in parts)
    kept, left = [], MAX_PATH - len(file)
    for folder in folders:
        left -= len(folder) + 1
        if left < 0:
            break
        kept.append(folder)
    return (*kept, file)


def refusing(why: str) -> Callable[[int], bytes]:
    """Return a ``read`` that refuses."""

    def read(limit: int) -> bytes:
        raise Refused(why)

    return read
