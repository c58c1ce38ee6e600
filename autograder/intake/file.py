"""A recognised file of an export, between recognition and storing."""

from __future__ import annotations

from dataclasses import dataclass

from .contents import What
from .platforms.place import Place
from .source import Entry


@dataclass(frozen=True)
class File:
    """A recognised file of a known person; the student and an artifact's assignment are determined later.

    A notebook has all ``versions`` of its assignment that it may belong to, until `Earlier` determines one.
    """

    entry: Entry
    place: Place
    what: What
    versions: tuple[str, ...] = ()

    @property
    def assignment(self) -> str:
        return self.versions[0] if self.versions else ""
