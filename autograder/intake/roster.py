"""The roster ``submitted/students.csv``: one line for each collected file, with its person's name and number."""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ..files import write_whole
from ..text import from_table, masked, nearest
from .class_list import ClassList, Learner, words
from .identity import alike, by_name, counted, find, named, namesakes, settled
from .ids import MAX_ID, marked, student_id
from .platforms.moodle import EVERYBODY, without_group
from .platforms.place import Person, Place, Readings
from .regular import Refused
from .source import CollectError

COLUMNS: tuple[str, ...] = ("student", "name", "system", "number", "assignment", "file", "attempt", "entry", "time")
COLUMNS += ("late",)  # the source of the late mark: "Canvas", or "" without one
BEFORE = (  # what older versions wrote
    COLUMNS[:-1],
    ("student", "name", "system", "number", "assignment", "notebook", "entry", "time"),
)
MAX_CELL = 20_000  # characters that are written; csv reads 131,072, after masking too
Row = dict[str, str]


class Roster:
    """The lines of students.csv, the folders without a line, and the class list."""

    def __init__(self, submitted: Path) -> None:
        self._path = submitted / "students.csv"
        self._list = ClassList.of(submitted.parent)
        rows = lines_of(submitted)
        self._of: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)  # student, assignment -> file -> its line
        self._called: dict[tuple[str, str], list[Row]] = defaultdict(list)  # name, system -> their lines
        self._named: dict[str, set[str]] = defaultdict(set)  # name on a platform -> students
        self._numbered: dict[tuple[str, str], str] = {}  # number, system -> student, where numbers stay
        self._names: dict[tuple[str, str], set[str]] = defaultdict(set)  # number, system -> names
        for row in rows:
            self._of[row["student"], row["assignment"]][row["file"]] = row
            self._called[row["name"], row["system"]].append(row)
            if row["system"]:
                self._named[row["name"]].add(row["student"])
            if row["number"] and row["system"] != "Moodle":
                self._numbered[row["number"], row["system"]] = row["student"]
                self._names[row["number"], row["system"]].add(row["name"])
        self.by_name_alone: set[str] = set()  # the learners who were found so
        folders = {path.name for path in submitted.glob("*/") if not path.name.startswith(".")}
        ids = folders | {student for student, _ in self._of} | self._list.by_id.keys()
        self._before = {_same(name): name for name in ids}
        self._taken = {name.casefold() for name in ids}  # some file systems are case-insensitive

    def is_known(self, name: str) -> bool:
        """Return whether a folder of this name is a learner's on the class list, or has any data."""
        return _same(name) in self._before

    def _of_folder(self, name: str) -> str:
        """Return the learner whose id, or whose name alone, a folder has; "" if there is none."""
        if id := self._before.get(_same(name)):
            return id
        found = [one.id for one in named(self._list, name)] if self._list else [*self._named.get(_same(name), ())]
        return found[0] if len(found) == 1 else ""

    def settled(self, readings: Readings) -> Place | Refused:
        """Return the place that a file's name means; Refused if it may be several people's."""
        return settled(readings, self._known_as, self._shown)

    def _known_as(self, person: Person) -> list[str]:
        """Return the names under which a platform's number is known."""
        listed = self._on_canvas.get(person.number)
        return [listed.name] if listed else sorted(self._names.get((person.number, person.system), ()))

    def _shown(self, person: Person) -> str:
        listed = self._on_canvas.get(person.number)
        return listed.id if listed else self._numbered.get((person.number, person.system), person.number)

    @cached_property
    def _on_canvas(self) -> dict[str, Learner]:
        return {one.canvas: one for one in self._list.learners if one.canvas}

    def identify(self, people: Mapping[Person, Collection[str]]) -> dict[Person, str]:
        """Return the student id of each who submitted these assignments; new people get one."""
        bases = Counter(student_id(person.shown) for person in people)
        names = counted(people)
        ids: dict[Person, str] = {}
        for person in sorted(people, key=lambda p: (p.name, p.number)):
            where = sorted(people[person])
            found = (self.known(person, assignment, names) for assignment in where)
            alone = bases[student_id(person.shown)] == 1
            ids[person] = next(filter(None, found), "") or self._new(person, "\n".join(where), alone)
        return ids

    def known(self, person: Person, assignment: str, names: Mapping[str, int]) -> str:
        """Return the id that somebody already has, or "". ``names``: how many people of each name submit."""
        if student := self._numbered.get((person.number, person.system)):
            return student
        mine = self._called.get((person.name, person.system), [])
        for row in mine:
            if row["number"] == person.number:
                return row["student"]
        alone = names.get(alike(person.name), 0) <= 1
        if not person.system and (student := self._of_folder(person.name)):
            return student if alone or _same(person.name) in self._before else ""
        if self._list or person.system != "Moodle" or person.name in EVERYBODY:
            return find(self._list, person, assignment, names) or self._by_name(person, assignment, names)
        # Without a class list, a name that occurs once in each assignment is the same person's, with a new number.
        elsewhere = {row["student"] for row in mine} - {r["student"] for r in mine if r["assignment"] == assignment}
        if alone and len(elsewhere) == 1:
            return elsewhere.pop()
        member = without_group(person.name)
        there = not member or names.get(alike(member), 0)
        return "" if there else self.known(Person(member, "", "Moodle"), assignment, names)

    def _by_name(self, person: Person, assignment: str, names: Mapping[str, int]) -> str:
        """Return the id of a learner of whom neither the class list nor an earlier export has a number, by the name."""
        if person.system not in ("Moodle", "Canvas") or person.name in EVERYBODY:
            return ""
        student = by_name(self._list, person, assignment, names)
        where = [assignment] if person.system == "Moodle" else [a for s, a in self._of if s == student]
        rows = [row for a in where for row in self.of(student, a).values() if row["system"] == person.system]
        if not student or {row["number"] for row in rows} - {person.number}:
            return ""
        self.by_name_alone.add(student)
        return student

    def check_numbers(self, people: Collection[Person], assignment: str) -> None:
        """Raise CollectError where the class list has Moodle's numbers of another assignment for this one.

        That is so if several people are on the list by name, and none by number.
        """
        known = {one.participant(assignment) for one in self._list.learners} - {""}
        names = {tuple(words(one.name)) for one in self._list.learners if one.participant(assignment)}
        there = {person for person in people if person.system == "Moodle" and person.number}
        other = {person for person in there if tuple(words(without_group(person.name) or person.name)) in names}
        if len(other) > 1 and not known & {person.number for person in there}:
            raise CollectError(
                f"roster.csv has other numbers of Moodle's for {assignment} than this export, for everybody: the "
                f"worksheet was of another assignment. Download that of {assignment}, and give it to make roster with "
                f"--assignment {assignment}; then collect again."
            )

    def unlisted(self, students: Collection[str]) -> list[str]:
        """Return those who are not on the class list; none if there is no list."""
        return sorted(set(students) - self._list.by_id.keys()) if self._list else []

    def strays(self) -> dict[str, str]:
        """Return {id on no class list: whose number or name on the list its submissions have}."""
        return {id: learner for id, (learner, _) in self._unlisted().items() if learner}

    def namesakes(self) -> dict[str, list[str]]:
        """Return {id on no class list: who on the list have its name}, where nothing says whose its submissions are."""
        return {id: named for id, (learner, named) in self._unlisted().items() if named and not learner}

    def mistyped(self) -> dict[str, str]:
        """Return {id on no class list that a folder had: the one on it that is spelled nearly so}."""
        typed = {row["student"] for files in self._of.values() for row in files.values() if not row["system"]}
        unclear = {id for id, (learner, named) in self._unlisted().items() if not learner and not named}
        near = {id: nearest(id, self._list.by_id) for id in sorted(typed & unclear)}
        return {id: learner for id, learner in near.items() if learner}

    def _unlisted(self) -> dict[str, tuple[str, list[str]]]:
        """Return {id on no class list: the learner whose submissions these are, "" if unclear; who have the name}."""
        rows = [row for files in self._of.values() for row in files.values() if row["student"] and self._list]
        names = Counter(alike(name) for name, _ in {(row["name"], row["student"]) for row in rows})
        found = {}
        for row in rows:
            if row["student"] not in self._list.by_id:
                whose = Person(row["name"], row["number"], row["system"]), row["assignment"]
                if (learner := find(self._list, *whose, names)) or row["student"] not in found:
                    found[row["student"]] = learner, namesakes(self._list, *whose)
        return dict(sorted(found.items()))

    def of(self, student: str, assignment: str) -> dict[str, Row]:
        """Return {file: its line}."""
        return self._of.get((student, assignment), {})

    def enter(self, student: str, person: Person, assignment: str, file: str) -> Row:
        """Enter the line of a file; a new one if there is none.

        A folder with an instructor's correction keeps the name and number that a platform gave the learner.
        """
        rows = self._of[student, assignment]
        who = {"name": person.name, "system": person.system, "number": person.number, "late": ""}
        if told := next((row for row in rows.values() if row["system"] and not person.system), None):
            who = {column: told[column] for column in who}
        new = dict.fromkeys(COLUMNS, "") | {"student": student, "assignment": assignment, "file": file}
        rows[file] = rows.get(file, new) | who
        return rows[file]

    def remove(self, student: str, assignment: str, file: str) -> None:
        self._of[student, assignment].pop(file, None)

    def save(self) -> None:
        rows = [row for files in self._of.values() for row in files.values()]
        write_table(self._path, COLUMNS, sorted(rows, key=lambda row: [row[column] for column in COLUMNS]))

    def _new(self, person: Person, assignment: str, alone: bool) -> str:
        keep_case = not person.system and person.shown == student_id(person.shown, keep_case=True)
        base = student_id(person.shown, keep_case)
        text = "\n".join((person.name, person.number, person.system, assignment))
        mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        names = [base] if alone else []
        names += [marked(base, person.number)] if person.number else []
        names += [marked(base, mark[:8]), mark[:MAX_ID]]
        new = next(name for name in names if name.casefold() not in self._taken)
        self._taken.add(new.casefold())
        return new


def lines_of(submitted: Path) -> list[Row]:
    """Return the lines of students.csv, of older versions too; none if nothing was collected. Raises CollectError."""
    path = submitted / "students.csv"
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Row] = list(reader)
            columns = tuple(reader.fieldnames or ())
    except csv.Error as error:
        raise CollectError(f"{path} can't be read ({error}): repair it or move it away.") from error
    if columns not in (COLUMNS, *BEFORE) or any(None in (*row, *row.values()) for row in rows):
        raise CollectError(f"{path} has not the columns {', '.join(COLUMNS)}: repair it or move it away.")
    return [_today(row) for row in rows]


def rewrite(submitted: Path, change: Callable[[Row], Row | None]) -> None:
    """Replace each line of students.csv by ``change(line)``; lines for which that is None are removed."""
    if (submitted / "students.csv").exists():
        rows = [row for row in map(change, lines_of(submitted)) if row is not None]
        write_table(submitted / "students.csv", COLUMNS, rows)


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    """Return the lines of a table that `write_table` wrote; none if it is missing, damaged or has other columns."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (FileNotFoundError, csv.Error):
        return []
    whole = tuple(reader.fieldnames or ()) == tuple(columns) and all(None not in (*row, *row.values()) for row in rows)
    return [{column: from_table(text) for column, text in row.items()} for row in rows] if whole else []


def write_table(path: Path, columns: Collection[str], rows: Collection[Row]) -> None:
    """Write a CSV file that a spreadsheet reads as text, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({column: masked(row[column][:MAX_CELL]) for column in columns} for row in rows)
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _today(row: Row) -> Row:
    row = {column: from_table(text) for column, text in row.items()}
    if "notebook" in row:
        row["file"], row["attempt"] = f"{row.pop('notebook')}.ipynb", f"@{row['time']}"
    return {"late": ""} | row | {"name": unicodedata.normalize("NFKC", row["name"])}


def _same(name: str) -> str:
    return unicodedata.normalize("NFKC", name)
