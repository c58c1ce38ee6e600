"""Storing of files in ``submitted/<student>/<assignment>/``: which count, what they replace, what learners are told.

Replaced files move to ``submitted/.replaced/``, which nbgrader and grading ignore.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from ..files import write_whole
from ..text import plain
from .attempts import HandIn, attempts_of, attempts_there, chosen
from .contents import MAX_NAME, Released, artifact
from .file import File
from .folder import MAX_EXTRA, MAX_EXTRAS, MAX_NOTEBOOK, MAX_REASONS, REASONS, too_large_extras
from .names import copy_mark
from .platforms.moodle import without_group
from .platforms.place import Aside, Person
from .regular import Refused, read_regular
from .report import TAKEN, Outcomes
from .roster import Roster, Row
from .times import TO_COME, UNTOLD, from_text, to_text


@dataclass(frozen=True)
class Step:
    """A file that counts, with its target."""

    hand_in: HandIn
    attempt: str


class Store:
    """The folder submitted/ of a course, and its roster."""

    def __init__(self, submitted: Path, roster: Roster, released: Released, outcomes: Outcomes) -> None:
        self._submitted, self._roster, self._released, self._outcomes = submitted, roster, released, outcomes
        self._now = datetime.now(UTC)
        self.own_times: list[datetime] = []  # of notebooks whose platform says no time, so that the file's own counts
        self._reasons: dict[tuple[str, str], list[str]] = defaultdict(list)  # student, assignment -> for their page

    def plan(self, student: str, assignment: str, files: list[File]) -> list[Step]:
        """Return the steps for the files that count; the others are reported. Everybody is entered in students.csv."""
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
            self._outcomes.tell(hand_in.entry, Aside(why), student, assignment)
        counts = chosen(attempts_there(self._rows(student, assignment).values()), attempts)
        steps = []
        for attempt in attempts:
            for name, hand_in in attempt.files.items():
                assert hand_in is not None
                if counts.get(name, (None, None))[1] is hand_in:
                    self._roster.enter(student, hand_in.place.person, assignment, name)
                    steps.append(Step(hand_in, attempt.key))
                else:
                    why = _why_not(hand_in, counts.get(name))
                    self._outcomes.tell(hand_in.entry, Aside(why), student, assignment)
        return steps

    def put(self, student: str, assignment: str, steps: list[Step]) -> None:
        """Copy the files to their places, and remove from there what does not count."""
        folder = self._submitted / student / assignment
        (folder / REASONS).unlink(missing_ok=True)
        self._roster.remove(student, assignment, REASONS)
        left = MAX_EXTRAS
        for step in sorted(steps, key=lambda step: not self._released.ask_for(step.hand_in.file)):
            left -= self._take(student, assignment, step, left)
        rows = self._rows(student, assignment)
        counts = chosen(attempts_there(rows.values()), [])
        for name in rows.keys() - counts.keys():  # of an attempt of which no notebook counts any more
            self._keep(folder / name)
            (folder / name).unlink()
        for name in self._roster.of(student, assignment).keys() - counts.keys():
            self._roster.remove(student, assignment, name)
        times = [from_text(row["time"]) for file, row in rows.items() if file.endswith(".ipynb")]
        if latest := max(filter(None, times), default=None):
            _write(folder / "timestamp.txt", to_text(latest).encode())

    def nothing_of(self, student: str, person: Person, assignment: str, reasons: list[str]) -> None:
        """Create a folder with the reasons for somebody without any collected notebook."""
        if not any((self._submitted / student / assignment).glob("*.ipynb")):
            self._roster.enter(student, person, assignment, REASONS)
            self._reasons[student, assignment] = reasons

    def save_reasons(self) -> None:
        """Write what learners read on their pages about files that were not taken."""
        for (student, assignment), lines in self._reasons.items():
            text = "\n".join(lines).encode("utf-8", "replace")[:MAX_REASONS]
            _write(self._submitted / student / assignment / REASONS, text)

    def _rows(self, student: str, assignment: str) -> dict[str, Row]:
        """Return the lines of the files that exist."""
        folder = self._submitted / student / assignment
        return {file: row for file, row in self._roster.of(student, assignment).items() if (folder / file).exists()}

    def _hand_in(self, file: File, marks: set[str]) -> HandIn:
        place, time = file.place, file.place.time or file.entry.time
        name = file.what.file
        if not file.what.notebook:
            name = artifact(name, place.person.system, marks, self._released)
        believed = None if time and time > self._now + TO_COME else time
        return HandIn(file.entry, place, name, believed, file.what.blank)

    def _take(self, student: str, assignment: str, step: Step, left: int) -> int:
        """Copy a file; returns the bytes of an artifact, of which ``left`` may be taken."""
        hand_in = step.hand_in
        notebook = hand_in.file.endswith(".ipynb")
        path = self._submitted / student / assignment / hand_in.file
        try:
            data = hand_in.entry.read(MAX_NOTEBOOK if notebook else MAX_EXTRA)
            if not notebook and len(data) > left:
                raise Refused(too_large_extras())
            before = _there(path)
            told = [TAKEN if before != data else "there already"]
            if before not in (None, data):
                told.append(f"the one before is {self._keep(path)}")
            if before != data:
                write_whole(path, data)
        except (Refused, FileNotFoundError, ValueError) as reason:  # a name that no file can have
            self._outcomes.tell(hand_in.entry, Refused(str(reason)), student, assignment)
            return 0
        row = self._roster.of(student, assignment)[hand_in.file]
        row |= {"attempt": step.attempt} | ({"late": "Canvas"} if hand_in.place.late else {})
        if before != data or not row["entry"]:  # some platforms stamp what is unchanged with the time of the download
            time = to_text(hand_in.time) if hand_in.time else ""
            row |= {"entry": hand_in.entry.name, "time": time}
        guessed = hand_in.place.guessed or not hand_in.place.time
        if hand_in.time and guessed and notebook:
            self.own_times += [hand_in.time] if hand_in.place.person.system not in UNTOLD else []
        self._outcomes.taken(hand_in.entry, [*told, *self._remarks(hand_in)], student, assignment)
        return 0 if notebook else len(data)

    def _remarks(self, hand_in: HandIn) -> list[str]:
        """Return remarks for a person on a file that is taken."""
        place, told = hand_in.place, []
        if not hand_in.exact:
            told.append(f"as {hand_in.file}")
        if not hand_in.file.endswith(".ipynb") and not self._released.ask_for(hand_in.file):
            told.append("no notebook names a file of this name")
        if without_group(place.person.name):
            told.append(f"for a group: {place.person.name}")
        if place.late:
            told.append("late, says Canvas")
        said = place.time or hand_in.entry.time
        if said and hand_in.time is None:
            told.append(f"its time is in the future ({said:%Y-%m-%d}) and does not count")
        return told

    def _keep(self, path: Path) -> str:
        """Keep a copy of what will be replaced; returns its path, relative to submitted/."""
        name = "--".join((*path.parts[-3:-1], path.stem))
        if len(raw := os.fsencode(name)) > MAX_NAME:
            name = f"{raw[: MAX_NAME - 20].decode(errors='ignore')}-{sha256(raw).hexdigest()[:16]}"
        data, number = path.read_bytes(), 1
        while True:
            kept = self._submitted / ".replaced" / f"{name}.{number}{path.suffix}"
            if not kept.exists():
                write_whole(kept, data)
            if kept.read_bytes() == data:
                return kept.relative_to(self._submitted).as_posix()
            number += 1


def _why_not(hand_in: HandIn, winner: tuple | None) -> str:
    if hand_in.time is None:
        return (
            "one is there already, and when this was handed in is not known: to take it, move the other away, and "
            "collect again"
        )
    return "older than the one that counts" if winner else "of an attempt whose notebook was replaced by a newer one"


def _there(path: Path) -> bytes | None:
    """Return what exists at a path in submitted/. Raises Refused for a link, which is never followed."""
    try:
        return read_regular(path, MAX_NOTEBOOK)
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    if _there(path) != data:
        write_whole(path, data)
