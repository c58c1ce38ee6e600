"""What a platform's file names say: the owner of a file, and its attempt."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..regular import Refused
from ..source import Entry
from ..times import TO_COME

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Person:
    """A person as a platform names them; ``number`` identifies them there, "" if there is none."""

    name: str
    number: str = ""
    system: str = ""
    login: str = ""

    def __post_init__(self) -> None:
        for field in ("name", "number", "login"):  # normalises the encoding of accents
            object.__setattr__(self, field, unicodedata.normalize("NFKC", getattr(self, field)))

    @property
    def shown(self) -> str:
        return self.login or self.name

    @property
    def told(self) -> set[str]:
        """What the platform itself wrote to identify the person; elsewhere than in ILIAS that is the number alone."""
        return {self.number, self.login if self.system == "ILIAS" else ""} - {""}


@dataclass(frozen=True)
class Place:
    """The owner of a file. ``file`` is its path as the learner made it.

    ``home`` is the folder, or an equivalent of one: two homes are two people. Files with the same ``attempt`` were
    submitted together; with None, only the order shows the attempts. Of two attempts and of two files the one with
    the higher ``order`` is the newer.
    """

    person: Person
    file: tuple[str, ...]
    home: str
    attempt: str | None = ""
    order: int = 0
    time: datetime | None = None
    late: bool = False
    guessed: bool = False  # the time is only that of the archive around the file


@dataclass(frozen=True)
class Readings:
    """The places that a file's name can mean, in their order in it: a learner chose what stands around the numbers."""

    places: tuple[Place, ...]


@dataclass(frozen=True)
class Aside:
    """A file that can be ignored, and why."""

    reason: str


@dataclass(frozen=True)
class Course:
    """The data on a course that parsing a plain folder's names needs."""

    assignments: Collection[str]
    notebook_of: Callable[[str], tuple[str, str] | None]  # file name -> notebook, what else is in the name
    is_known: Callable[[str], bool]  # whether a name is a learner's
    source: str = ""  # the name of the export's own folder


Places = Mapping[
    int, Place | Readings | Aside | Refused
]  # the entries that a platform's grammar reads, by their position
# The names of files or folders at one depth, as a platform gives them: how many folders are around them.
Reader = Callable[[list[Entry], int, Course], Places]


def names_at(depth: int, entries: list[Entry]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield (position, name, path below it) for each file with a name at this depth."""
    for number, entry in enumerate(entries):
        if len(entry.parts) > depth:
            yield number, entry.parts[depth], entry.parts[depth + 1 :]


def local(time: datetime | None) -> datetime | None:
    """Return a platform's time in UTC: an export has the local time of whoever downloads it."""
    try:
        return time.astimezone(UTC) if time else None
    except (ValueError, OverflowError):
        return None


def newest(times: Mapping[str, datetime | None]) -> str:
    """Return the text of the newest time in a platform's name that is not in the future.

    Where a name has several, a learner put the others into a name of their own: none may be older than the platform's,
    nor in the future, where it would not count.
    """
    latest = datetime.now(UTC) + TO_COME
    return max(times, key=lambda text: ((time := times[text] or NEVER) <= latest, time))


def common_start(names: Collection[str]) -> str:
    """Return the common prefix of all names."""
    first, last = min(names), max(names)
    length = 0
    while first[length : length + 1] == last[length : length + 1] != "":
        length += 1
    return first[:length]
