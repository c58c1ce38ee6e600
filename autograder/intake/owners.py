"""Owners of an export's files: the student, and the assignment of artifacts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from .contents import Released, artifact
from .earlier import Earlier
from .file import File
from .identity import counted
from .platforms.place import Person, Place
from .regular import Refused
from .report import Outcomes
from .roster import Roster
from .source import Entry


class _Near(NamedTuple):
    """Where somebody has a notebook of an assignment."""

    attempt: str | None
    folder: tuple[str, ...]
    assignment: str


class Owners:
    """The students of an export. ``only`` is the assignment that was asked for."""

    def __init__(
        self, roster: Roster, released: Released, only: str | None, outcomes: Outcomes, earlier: Earlier
    ) -> None:
        self._roster, self._released, self._only, self._outcomes = roster, released, only, outcomes
        self._earlier = earlier
        self._ids: dict[Person, str] = {}  # of who hands in notebooks

    def identify(self, people: Collection[Person], assignment: str) -> dict[Person, str]:
        """Return the student ids of people whose notebooks were not taken."""
        ids = self._roster.identify(dict.fromkeys(people, (assignment,)))
        self._ids |= ids
        return ids

    def of(self, places: Collection[tuple[Entry, Place]]) -> dict[str, str]:
        """Return {file name: student}, for files with a known student."""
        return {entry.name: self._ids[place.person] for entry, place in places if place.person in self._ids}

    def shown(self, person: Person) -> str:
        """Return a person's id or, if they have none, the platform's name."""
        return self._ids.get(person, person.name)

    def settled(self, files: list[File]) -> Iterator[tuple[str, str, list[File]]]:
        """Yield (student, assignment, files), sorted; files without an owner are reported."""
        groups = self._grouped(files)
        homes: dict[str, set[str]] = defaultdict(set)
        for (student, _), members in groups.items():
            homes[student] |= {file.place.home for file in members}
        for (student, assignment), members in sorted(groups.items()):
            if len(homes[student]) > 1:
                shown = " and ".join(sorted(homes[student]))
                why = Refused(f"{shown} would become one student, {student}: give them different names, or join them")
                for file in members:
                    self._outcomes.tell(file.entry, why, student, assignment)
            else:
                yield student, assignment, members

    def _grouped(self, files: list[File]) -> dict[tuple[str, str], list[File]]:
        """Return {(student, assignment): files}."""
        of: dict[Person, set[str]] = defaultdict(set)  # the assignments of which somebody hands in notebooks
        for file in files:
            if file.assignment:
                of[file.place.person].add(file.assignment)
        self._ids |= self._roster.identify(of)
        files = self._earlier.settled(files, self._ids)
        theirs: dict[Person, set[_Near]] = {file.place.person: set() for file in files}
        for file in files:
            if file.assignment:
                theirs[file.place.person].add(_Near(file.place.attempt, file.entry.parts[:-1], file.assignment))
        names = counted(theirs)
        groups: dict[tuple[str, str], list[File]] = defaultdict(list)
        for file in files:
            person = file.place.person
            try:
                assignment = file.assignment or self._assignment_of_artifact(file, theirs[person], names)
            except Refused as refused:
                self._outcomes.tell(file.entry, refused)
                continue
            student = self._ids.get(person) or self._roster.known(person, assignment, names)
            groups[student, assignment].append(file)
        return groups

    def _assignment_of_artifact(self, file: File, theirs: set[_Near], names: Counter[str]) -> str:
        """Return the assignment of the notebook beside an artifact, else of an earlier one of the person."""
        place, folder = file.place, file.entry.parts[:-1]
        with_it = [n for n in theirs if n.attempt == place.attempt] or theirs
        beside = [n for n in with_it if n.folder == folder]
        near = {n.assignment for n in beside or with_it}
        if not near:
            near = {a for a in self._released.all if self._has(self._roster.known(place.person, a, names), a)}
        asking = near & self._released.ask_for(artifact(file.what.file, place.person.system, ("-1",), self._released))
        if self._only in near:
            near = {self._only}
        elif asking:
            near = asking
        if not near:
            raise Refused("no notebook of the same person is there: collect that first, or with it")
        if len(near) > 1:
            raise Refused(f'may be of {" or ".join(sorted(near))}: collect it with ARGS="--assignment ..."')
        return near.pop()

    def _has(self, student: str, assignment: str) -> bool:
        return bool(student) and any(file.endswith(".ipynb") for file in self._roster.of(student, assignment))
