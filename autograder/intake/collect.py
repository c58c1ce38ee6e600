"""Submissions as a learning platform exports them, brought to ``submitted/<student>/<assignment>/``.

Whose a file is, `platforms` tells; what it is, `contents`; which of several counts, `attempts`. Every file of the
export is in the report and in ``submitted/collected.csv``: taken, set aside or refused, and why. What is replaced moves
to ``submitted/.replaced/``, where neither nbgrader nor grading looks.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ..text import plain
from .attempts import HandIn, attempts_of, attempts_there, chosen
from .contents import MAX_NAME, Released, What, artifact, assignment_of, recognise
from .folder import MAX_EXTRA, MAX_NOTEBOOK, MAX_REASONS, REASONS, Refused, read_regular
from .names import copy_mark, is_junk, notebook_of
from .platforms import understood
from .platforms.moodle import without_group
from .platforms.place import Aside, Course, Person, Place
from .roster import Roster, Row, read_table, write, write_table
from .source import CollectError, Entry, Source, is_archive, opened
from .times import TIME_FORMAT

TAKEN, ASIDE, REFUSED = "taken", "set aside", "refused"
COLUMNS: tuple[str, ...] = ("export", "file", "kind", "student", "assignment", "what")
TO_COME = timedelta(days=1)  # clocks and time zones may be that wrong


@dataclass(frozen=True)
class Collected:
    """What became of one file of the export. Without a match, student and assignment are ""."""

    entry: str
    kind: str
    outcome: str
    student: str = ""
    assignment: str = ""

    @property
    def taken(self) -> bool:
        return self.kind == TAKEN


@dataclass(frozen=True)
class Report:
    """What became of an export: ``platform`` is whose names its files have, ``people`` how many handed in."""

    platform: str
    people: int
    files: list[Collected]
    nothing: tuple[str, ...] = ()  # who handed in no notebook that could be taken


@dataclass(frozen=True)
class _File:
    """A file whose person is known, and what it is; the student and the assignment of an artifact come later."""

    entry: Entry
    place: Place
    what: What
    assignment: str = ""


class _Near(NamedTuple):
    """Where somebody has a notebook of an assignment."""

    attempt: str | None
    folder: tuple[str, ...]
    assignment: str


def collect(root: Path, source: Path, assignment: str | None = None, platform: str | None = None) -> Report:
    """Bring what is handed in in ``source``, a zip or a folder, into ``root``/submitted/ (of one assignment, or all).

    ``platform``, one of `platforms.NAMES`, says whose export it is. Again with the same source it changes nothing.
    Raises CollectError.
    """
    released = Released.of(root)
    if assignment is not None and assignment not in released.all:
        raise CollectError(f"There is no assignment {assignment!r} in release/ or notebooks/.")
    with opened(root, source) as export:
        roster = Roster(root / "submitted")
        return _Collecting(root, export, released, roster, assignment).go(source.name, platform)


@dataclass(frozen=True)
class _Step:
    """A file that counts, on its way to its place."""

    student: str
    assignment: str
    hand_in: HandIn
    attempt: str


class _Collecting:
    """One export on its way into the course."""

    def __init__(self, root: Path, export: Source, released: Released, roster: Roster, only: str | None) -> None:
        self._submitted, self._export, self._released = root / "submitted", export, released
        self._roster, self._only = roster, only
        self._now = datetime.now(UTC)
        self._ids: dict[Person, str] = {}  # of who hands in notebooks
        self._reasons: dict[tuple[str, str], list[str]] = defaultdict(list)  # student, assignment -> for their page
        self.report: list[Collected] = []

    def go(self, name: str, platform: str | None) -> Report:
        entries = list(self._usable())
        course = Course(self._released.all, lambda f: notebook_of(f, self._released.assignments), self._roster.is_known)
        shown, places = understood(entries, course, platform)
        placed, found = [], []
        for number, entry in enumerate(entries):
            place = places.get(number, Refused(f"is not named as {shown} names files: collect it apart, with --from"))
            if isinstance(place, Place):
                placed.append((entry, place))
                found += self._unpacked(entry, place)
            else:
                self._tell(entry, place)
        files = list(self._recognised(found, shown))
        plans = [(*settled[:2], self._plan(*settled)) for settled in self._settled(files)]
        self._roster.save()  # before the files: whoever has one keeps the id, even if this is interrupted
        for plan in plans:
            self._store(*plan)
        placed = dict((*placed, *found))
        self._tell_learners(placed, files)
        for (student, where), lines in self._reasons.items():
            text = "\n".join(lines).encode("utf-8", "replace")[:MAX_REASONS]
            _write_if_new(self._submitted / student / where / REASONS, text)
        self._roster.save()
        self._name_all(placed)
        self._save_report(name)
        people = {place.person for place in placed.values() if not is_junk(place.file)}
        taken = {file.place.person for file in files if file.what.notebook}
        nothing = tuple(sorted({person.name for person in people - taken}))
        return Report(shown, len(people), sorted(self.report, key=lambda c: c.entry), nothing)

    def _tell(self, entry: Entry, why: Aside | Refused, student: str = "", assignment: str = "") -> None:
        kind = ASIDE if isinstance(why, Aside) else REFUSED
        text = why.reason if isinstance(why, Aside) else str(why)
        self.report.append(Collected(entry.name, kind, text, student, assignment))

    # Whose, and what

    def _usable(self) -> Iterator[Entry]:
        for entry in self._export.entries:
            if leads_out(entry.parts):
                self._tell(entry, Refused("its name leads out of the export"))
            else:
                yield entry

    def _unpacked(self, entry: Entry, place: Place) -> Iterator[tuple[Entry, Place]]:
        """The file, or those in it if it is an archive."""
        if not is_archive(place.file[-1]):
            yield entry, place
            return
        try:
            inside = self._export.inside(entry)
        except Refused as refused:
            self._tell(entry, refused)
            return
        self._tell(entry, Aside("opened: what is in it is listed as well"))
        for inner in inside:
            if leads_out(inner.parts):
                self._tell(inner, Refused("its name leads out of the archive"))
            elif is_archive(inner.parts[-1]):
                self._tell(inner, Refused("is an archive within an archive: unpack it, and collect the folder"))
            else:
                parts = (*entry.parts[:-1], *inner.parts)
                yield replace(inner, parts=parts), replace(place, file=inner.parts, time=place.time or entry.time)

    def _recognised(self, found: list[tuple[Entry, Place]], platform: str) -> Iterator[_File]:
        for entry, place in found:
            if is_junk(place.file):
                self._tell(entry, Aside("left behind by a program"))
                continue
            try:
                what = recognise(entry, place, self._released)
                if isinstance(what, What) and what.notebook:
                    where = assignment_of(what.notebook, place, entry, self._released, self._only)
                    what = where if isinstance(where, Aside) else _File(entry, place, what, where)
            except (Refused, FileNotFoundError) as refused:
                self._tell(entry, refused if isinstance(refused, Refused) else Refused("went away meanwhile"))
                continue
            if isinstance(what, Aside):
                self._tell(entry, what)
            else:
                yield what if isinstance(what, _File) else _File(entry, place, what)

    def _settled(self, files: list[_File]) -> Iterator[tuple[str, str, list[_File]]]:
        """(student, assignment, files): whose folder each file goes to."""
        of: dict[Person, set[str]] = defaultdict(set)  # the assignments of which somebody hands in notebooks
        theirs: dict[Person, set[_Near]] = {file.place.person: set() for file in files}
        for file in files:
            if file.assignment:
                of[file.place.person].add(file.assignment)
                theirs[file.place.person].add(_Near(file.place.attempt, file.entry.parts[:-1], file.assignment))
        self._ids |= self._roster.identify(of)
        names = Counter(person.name for person in theirs)
        groups: dict[tuple[str, str], list[_File]] = defaultdict(list)
        for file in files:
            person = file.place.person
            try:
                assignment = file.assignment or self._assignment_of_artifact(file, theirs[person], names)
            except Refused as refused:
                self._tell(file.entry, refused)
                continue
            student = self._ids.get(person) or self._roster.known(person, assignment, names)
            groups[student, assignment].append(file)
        homes: dict[str, set[str]] = defaultdict(set)
        for (student, _), members in groups.items():
            homes[student] |= {file.place.home for file in members}
        for (student, assignment), members in sorted(groups.items()):
            if len(homes[student]) > 1:
                shown = " and ".join(sorted(homes[student]))
                why = Refused(f"{shown} would become one student, {student}: give them different names, or join them")
                for file in members:
                    self._tell(file.entry, why, student, assignment)
            else:
                yield student, assignment, members

    def _assignment_of_artifact(self, file: _File, theirs: set[_Near], names: Counter[str]) -> str:
        """That of the notebook beside it, or else of one that the same person has handed in before."""
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
            raise Refused(f"may be of {' or '.join(sorted(near))}: collect it with --assignment")
        return near.pop()

    def _has(self, student: str, assignment: str) -> bool:
        return bool(student) and any(file.endswith(".ipynb") for file in self._roster.of(student, assignment))

    # Into the course

    def _plan(self, student: str, assignment: str, files: list[_File]) -> list[_Step]:
        """What is to be taken; the rest is told. Everybody gets their lines in students.csv."""
        marks: dict[str | None, set[str]] = defaultdict(set)  # attempt -> the marks of its notebooks
        for file in files:
            if file.what.notebook:
                marks[file.place.attempt].add(copy_mark(file.place.file[-1]))
        attempts, lost = attempts_of([self._hand_in(file, marks[file.place.attempt] - {""}) for file in files])
        for hand_in, winner in lost.items():
            why = f"{winner.entry.name!r} was taken in its place"
            if hand_in.file.endswith(".ipynb"):
                why += "" if hand_in.blank or winner.blank else "; both hold answers: is it the right one?"
                told = f"{plain(hand_in.place.file[-1])}: {plain(winner.place.file[-1])!r} was taken in its place"
                self._reasons[student, assignment].append(told)
            self._tell(hand_in.entry, Aside(why), student, assignment)
        counts = chosen(attempts_there(self._rows(student, assignment).values()), attempts)
        steps = []
        for attempt in attempts:
            for name, hand_in in attempt.files.items():
                assert hand_in is not None
                if counts.get(name, (None, None))[1] is hand_in:
                    self._roster.enter(student, hand_in.place.person, assignment, name)
                    steps.append(_Step(student, assignment, hand_in, attempt.key))
                else:
                    self._tell(hand_in.entry, Aside(_why_not(hand_in, counts.get(name))), student, assignment)
        return steps

    def _rows(self, student: str, assignment: str) -> dict[str, Row]:
        """The lines of the files that are there."""
        folder = self._submitted / student / assignment
        return {file: row for file, row in self._roster.of(student, assignment).items() if (folder / file).exists()}

    def _store(self, student: str, assignment: str, steps: list[_Step]) -> None:
        folder = self._submitted / student / assignment
        (folder / REASONS).unlink(missing_ok=True)
        self._roster.remove(student, assignment, REASONS)
        for step in steps:
            self._take(step)
        rows = self._rows(student, assignment)
        counts = chosen(attempts_there(rows.values()), [])
        for name in rows.keys() - counts.keys():  # of an attempt of which no notebook counts any more
            _set_aside(self._submitted, folder / name)
            (folder / name).unlink()
        for name in self._roster.of(student, assignment).keys() - counts.keys():
            self._roster.remove(student, assignment, name)
        times = [row["time"] for file, row in rows.items() if file.endswith(".ipynb")]
        if latest := max(times, default=""):
            _write_if_new(folder / "timestamp.txt", latest.encode())

    def _hand_in(self, file: _File, marks: set[str]) -> HandIn:
        place, time = file.place, file.place.time or file.entry.time
        name = file.what.file
        if not file.what.notebook:
            name = artifact(name, place.person.system, marks, self._released)
        believed = None if time and time > self._now + TO_COME else time
        return HandIn(file.entry, place, name, believed, file.what.blank)

    def _take(self, step: _Step) -> None:
        student, assignment, hand_in = step.student, step.assignment, step.hand_in
        path = self._submitted / student / assignment / hand_in.file
        try:
            data = hand_in.entry.read(MAX_NOTEBOOK if hand_in.file.endswith(".ipynb") else MAX_EXTRA)
            before = _there(path)
            told = [TAKEN if before != data else "there already"]
            if before not in (None, data):
                told.append(f"the one before is {_set_aside(self._submitted, path)}")
            if before != data:
                write(path, data)
        except (Refused, FileNotFoundError, ValueError) as reason:  # a name that no file can have
            self._tell(hand_in.entry, Refused(str(reason)), student, assignment)
            return
        row = self._roster.of(student, assignment)[hand_in.file]
        row["attempt"] = step.attempt
        if before != data or not row["entry"]:  # some platforms stamp what is unchanged with the time of the download
            time = hand_in.time.strftime(TIME_FORMAT) if hand_in.time else ""
            row |= {"entry": hand_in.entry.name, "time": time}
        if not hand_in.exact:
            told.append(f"as {hand_in.file}")
        if not hand_in.file.endswith(".ipynb") and not self._released.ask_for(hand_in.file):
            told.append("no notebook names a file called so")
        if without_group(hand_in.place.person.name):
            told.append(f"for a group: {hand_in.place.person.name}")
        if hand_in.place.late:
            told.append("late, says Canvas")
        said = hand_in.place.time or hand_in.entry.time
        if said and hand_in.time is None:
            told.append(f"its time is still to come ({said:%Y-%m-%d}) and does not count")
        self.report.append(Collected(hand_in.entry.name, TAKEN, "; ".join(told), student, assignment))

    def _tell_learners(self, found: dict[Entry, Place], files: list[_File]) -> None:
        """Whoever handed in no notebook in an export of one assignment gets a folder with the reasons, for a page."""
        assignments = {self._only} if self._only else {file.assignment for file in files if file.assignment}
        if len(assignments) != 1:
            return
        (assignment,) = assignments
        reasons: dict[Person, list[str]] = {}
        said = {told.entry: told.outcome for told in self.report if not told.taken}
        for entry, place in found.items():
            if entry.name in said and not is_junk(place.file):
                reasons.setdefault(place.person, []).append(f"{plain(place.file[-1])}: {plain(said[entry.name])}")
        empty = reasons.keys() - {file.place.person for file in files if file.what.notebook}
        for person, student in self._roster.identify(dict.fromkeys(empty, (assignment,))).items():
            self._ids[person] = student
            if not any((self._submitted / student / assignment).glob("*.ipynb")):
                self._roster.enter(student, person, assignment, REASONS)
                self._reasons[student, assignment] = reasons[person]

    def _name_all(self, placed: dict[Entry, Place]) -> None:
        """Whose a file is stands in the report, whatever became of it."""
        whose = {entry.name: self._ids[place.person] for entry, place in placed.items() if place.person in self._ids}
        self.report = [c if c.student else replace(c, student=whose.get(c.entry, "")) for c in self.report]

    def _save_report(self, export: str) -> None:
        """In the place of what was said of this export before."""
        path = self._submitted / "collected.csv"
        others = [row for row in read_table(path, COLUMNS) if row["export"] != export]
        rows: list[Row] = [
            dict(zip(COLUMNS, (export, c.entry, c.kind, c.student, c.assignment, c.outcome), strict=True))
            for c in sorted(self.report, key=lambda c: c.entry)
        ]
        write_table(path, COLUMNS, [*others, *rows])


def table(report: Report) -> str:
    """One line a file: whose it is, what became of it, what it was called; then the sums."""
    rows = [(plain(c.student or "?"), c.assignment or "?", c) for c in report.files]
    width = max((len(f"{student}  {assignment}") for student, assignment, _ in rows), default=0)
    lines = [
        f"{f'{student}  {assignment}':<{width}}  {plain(said(c))}  <- {plain(c.entry)}"
        for student, assignment, c in rows
    ]
    kinds = Counter(c.kind for c in report.files)
    sums = ", ".join(f"{kinds[kind]} {kind}" for kind in (TAKEN, ASIDE, REFUSED))
    head = f"{report.platform}: {report.people} who handed in"
    nothing = [f"No notebook of: {', '.join(map(plain, report.nothing))}"] if report.nothing else []
    return "\n".join([head, *lines, sums, *nothing])


def said(collected: Collected) -> str:
    return collected.outcome if collected.taken else f"{collected.kind}: {collected.outcome}"


def leads_out(parts: tuple[str, ...]) -> bool:
    return ".." in parts or parts[0] == "" or ":" in parts[0][:2] or any("\0" in part for part in parts)


def _why_not(hand_in: HandIn, winner: tuple | None) -> str:
    if hand_in.time is None:
        return (
            "one is there already, and when this was handed in is not known: to take it, move the other away, and "
            "collect again"
        )
    return "older than the one that counts" if winner else "of an attempt whose notebook was replaced by a newer one"


def _there(path: Path) -> bytes | None:
    try:
        return read_regular(path, MAX_NOTEBOOK)
    except FileNotFoundError:
        return None


def _write_if_new(path: Path, data: bytes) -> None:
    if _there(path) != data:
        write(path, data)


def _set_aside(submitted: Path, path: Path) -> str:
    """Keep what will be replaced; returns where, relative to submitted/."""
    name = "--".join((*path.parts[-3:-1], path.stem))
    if len(raw := os.fsencode(name)) > MAX_NAME:
        name = f"{raw[: MAX_NAME - 20].decode(errors='ignore')}-{sha256(raw).hexdigest()[:16]}"
    data, number = path.read_bytes(), 1
    while True:
        kept = submitted / ".replaced" / f"{name}.{number}{path.suffix}"
        if not kept.exists():
            write(kept, data)
        if kept.read_bytes() == data:
            return kept.relative_to(submitted).as_posix()
        number += 1
