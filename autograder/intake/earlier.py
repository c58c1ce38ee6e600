"""The version of an assignment that a hand-in belongs to, where its cells alone don't tell.

What is in the course already stays in its version. The notebooks of one attempt go to one version: where several are
possible, to the one with an earlier hand-in of the learner, else to the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from ..versions import base, order
from .contents import Released
from .file import File
from .folder import MAX_NOTEBOOK
from .platforms.place import Person
from .regular import Refused, read_regular


class Earlier:
    """The versions of what is in submitted/."""

    def __init__(self, submitted: Path, released: Released) -> None:
        self._submitted, self._released = submitted, released

    def settled(self, files: Sequence[File], ids: Mapping[Person, str]) -> list[File]:
        """Return the files, each notebook with one version. ``ids`` are the students who hand in notebooks."""
        attempts: dict[tuple[Person, str, str | None], list[File]] = {}
        for file in files:
            if file.assignment:
                key = file.place.person, base(file.assignment), file.place.attempt
                attempts.setdefault(key, []).append(file)
        version: dict[File, str] = {}
        for (person, _, _), notebooks in attempts.items():
            student = ids[person]
            if found := self._version(student, notebooks):
                version |= dict.fromkeys(notebooks, found)
            else:  # of different versions
                version |= {file: self._version(student, [file]) for file in notebooks}
        return [replace(file, versions=(version[file],)) if file in version else file for file in files]

    def _version(self, student: str, notebooks: list[File]) -> str:
        """Return the version of all these notebooks; "" if no version may be that of all."""
        first = notebooks[0]
        known = self._released.assignments[first.what.notebook]
        family = sorted((name for name in known if base(name) == base(first.assignment)), key=order)
        if len(family) > 1:
            for name in family:
                if all(self._has(student, name, file) for file in notebooks):
                    return name
        possible = [name for name in first.versions if all(name in file.versions for file in notebooks)]
        before = (name for name in possible if any((self._submitted / student / name).glob("*.ipynb")))
        return next(before, possible[0] if possible else "")

    def _has(self, student: str, assignment: str, file: File) -> bool:
        try:
            data = read_regular(self._submitted / student / assignment / file.what.file, MAX_NOTEBOOK)
        except (Refused, FileNotFoundError):
            return False
        return sha256(data).hexdigest() == file.what.sha256
