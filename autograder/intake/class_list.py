"""The class list, ``roster.csv`` in the course's folder: everybody who takes the course, with or without submissions.

`listings` makes it from a learning platform's lists; it may also be written by hand, with a spreadsheet. If there is
one, everybody on it is in every table, and `collect` assigns submissions to the people on it.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from ..files import write_whole
from ..text import for_table, plain
from ..versions import base
from .ids import student_id
from .tables import Table, TableError, parsed, read_table

FILE = "roster.csv"
BETWEEN = ";"  # the groups of a learner
MAX_TEXT = 200  # characters of a name
SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
PAIR = re.compile(r"([^=\s;]+)=(\d+)")


@dataclass(frozen=True)
class Learner:
    """One line of the class list. ``id`` is the name of the learner's folders in submitted/.

    ``number`` is the university's number, ``canvas`` Canvas's own, ``github`` the account there; ``moodle`` has
    Moodle's numbers of a participant, a new one in each assignment: ``phase2_techniques=123456;
    phase3_production=123470``. ``group`` may name several: ``Team 3; Tutorial B``.
    """

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    number: str = ""
    login: str = ""
    canvas: str = ""
    moodle: str = ""
    github: str = ""
    group: str = ""

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, each once."""
        named: dict[str, str] = {}
        for text in self.group.split(BETWEEN):
            if name := text.strip():
                named.setdefault(same(name), name)
        return tuple(named.values())

    @property
    def participants(self) -> dict[str, str]:
        """Moodle's numbers, {assignment: number}."""
        return dict(PAIR.findall(self.moodle))

    def participant(self, assignment: str) -> str:
        """Return Moodle's number in an assignment, in any version; "" if it is not known."""
        numbers = self.participants
        return numbers.get(assignment) or numbers.get(base(assignment), "")

    def as_participant(self, assignment: str, number: str) -> Learner:
        """Return the same learner with Moodle's number for an assignment."""
        pairs = self.participants | {assignment: number}
        return replace(self, moodle="; ".join(f"{name}={pairs[name]}" for name in sorted(pairs)))


COLUMNS = tuple(field.name for field in fields(Learner))


class ClassList:
    """The learners of a course; empty where there is no list."""

    def __init__(self, learners: Iterable[Learner]) -> None:
        self.learners = tuple(sorted(learners, key=lambda learner: learner.id))

    @classmethod
    def of(cls, root: Path) -> ClassList:
        """Return the list in a course's folder. Raises TableError if it can't be read or has an id twice."""
        path = root / FILE
        return cls._of_table(read_table(path)) if path.is_file() else cls(())

    @classmethod
    def _of_table(cls, table: Table) -> ClassList:
        if "id" not in table.columns:
            raise TableError(f"{FILE} has no column id (it has {table.shown}): write one, or make the list anew.")
        unknown = [column for column in table.columns if column not in COLUMNS]
        if unknown:
            raise TableError(
                f"{FILE} has a column {plain(unknown[0], 60)!r}, which is unknown: remove it. "
                f"Known are {', '.join(COLUMNS)}."
            )
        rows = [dict(zip(table.columns, (one_line(cell) for cell in row), strict=True)) for row in table.rows]
        for line, row in zip(table.lines, rows, strict=True):
            if not row["id"]:
                raise TableError(f"Line {line} of {FILE} has no id: write one, which nobody else has.")
            check_id(row["id"], line, FILE)
            check_texts(Learner(**row), line, FILE)
        check_alone([(line, row["id"]) for line, row in zip(table.lines, rows, strict=True)], "id", FILE)
        made = cls(Learner(**row) for row in rows)
        made._check_groups()
        return made

    def _check_groups(self) -> None:
        """Raise TableError for two groups that are written as one name: their members would not get the points."""
        for learner in self.learners:
            for name in learner.groups:
                if parts := self._parts(name):
                    raise TableError(
                        f"{FILE} has {plain(learner.id, 80)} in the group {plain(name, 80)!r}, and its parts are "
                        f"groups as well: for several groups write {plain('; '.join(parts), 80)!r}, for one group "
                        f"{plain(one_group(name), 80)!r}."
                    )

    def _parts(self, name: str) -> list[str]:
        """Return the parts of a name that reads as several groups' names, all of them there; else none."""
        parts = [part.strip() for part in name.split(",")]
        return parts if len(parts) > 1 and all(same(part) in self._known for part in parts) else []

    @cached_property
    def _known(self) -> set[str]:
        return set(self.groups())

    def with_clear_groups(self) -> ClassList:
        """Return the list with each group's name that reads as several groups' names spelled as one.

        People name their groups: one called "Team 1, Team 2" is neither of these.
        """
        made = []
        for one in self.learners:
            if any(map(self._parts, one.groups)):
                names = (one_group(name) if self._parts(name) else name for name in one.groups)
                one = replace(one, group="; ".join(names))
            made.append(one)
        # A new spelling may be what another name reads as in part.
        return self if tuple(made) == self.learners else ClassList(made).with_clear_groups()

    def check(self) -> None:
        """Raise TableError if `of` could not read what `save` writes: a course with such a list would stand still."""
        self._of_table(parsed(self._text().encode(), FILE))

    def save(self, root: Path) -> None:
        """Write roster.csv, whole or not at all, as UTF-8 for spreadsheets and without formulas."""
        write_whole(root / FILE, self._text())

    def _text(self) -> str:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        for learner in self.learners:
            table.writerow([for_table(getattr(learner, column)) for column in COLUMNS])
        return "\ufeff" + text.getvalue()

    def __bool__(self) -> bool:
        return bool(self.learners)

    @cached_property
    def by_id(self) -> dict[str, Learner]:
        return {learner.id: learner for learner in self.learners}

    def groups(self, pattern: str = "*") -> dict[str, list[str]]:
        """Return {group, in one spelling: ids of its members} for the groups that match a pattern such as "Team *"."""
        found: dict[str, list[str]] = {}
        for learner in self.learners:
            for name in map(same, learner.groups):
                if name == same(pattern) or fnmatchcase(name, same(pattern)):
                    found.setdefault(name, []).append(learner.id)
        return found


def check_alone(keys: Iterable[tuple[int, str]], what: str, name: str) -> None:
    """Raise TableError if two lines of a table have the same key; empty ones don't count."""
    lines: dict[str, int] = {}
    for line, key in keys:
        if key and same(key) in lines:
            raise TableError(
                f"{name} has the {what} {plain(key, 80)!r} twice, in lines {lines[same(key)]} and {line}: "
                "correct or remove one of them."
            )
        lines[same(key)] = line


def check_id(id: str, line: int, name: str) -> None:
    """Raise TableError for an id that can't be a folder's name."""
    if id and "?" in id:
        raise TableError(
            f"Line {line} of {name} has the id {plain(id, 80)!r}: its letters were lost when it was saved. "
            "Take the file from before, or write them anew, and save it as UTF-8."
        )
    if id and student_id(id, keep_case=True) != id:
        good = student_id(id, keep_case=True)
        raise TableError(f"Line {line} of {name} has the id {plain(id, 80)!r}, which names no folder: write {good!r}.")


def check_texts(one: Learner, line: int, name: str) -> None:
    """Raise TableError for a cell that is too long or no text, or a number that a spreadsheet shortened."""
    texts = [getattr(one, field.name) for field in fields(Learner) if field.name not in ("moodle", "group")]
    for text in (*texts, *one.groups):
        if len(text) > MAX_TEXT:
            raise TableError(
                f"Line {line} of {name} has {len(text):,} characters in one cell: is a quotation mark missing there?"
            )
    if any("\0" in getattr(one, field.name) for field in fields(Learner)):
        raise TableError(f"Line {line} of {name} has a character in it that no text has (NUL): remove it.")
    for text in (one.number, one.canvas, one.login):
        if SHORTENED.fullmatch(text):
            raise TableError(
                f"Line {line} of {name} has the number {plain(text, 60)!r}, which a spreadsheet program has shortened: "
                "format that column as text, write the whole numbers, and save it again."
            )


def keys(learner: Learner) -> list[str]:
    """Return the texts that identify a learner."""
    return [text for text in (learner.id, learner.number, learner.login, learner.email) if text]


def same(text: str) -> str:
    """Return the normalised spelling of a name, a login or a number."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(name: str) -> list[str]:
    """Return the words of a name in any order: "Lovelace, Ada" equals "Ada Lovelace"."""
    return sorted(re.findall(r"[^\s,]+", same(name)))


def squashed(name: str) -> str:
    """Return the letters and digits of a name, as Canvas writes it in file names."""
    return "".join(char for char in same(name) if char.isalnum())


def one_group(name: str) -> str:
    """Return a group's name in which nothing separates groups: people name their own groups."""
    return re.sub("[;,]", "|", name)


def one_line(cell: str) -> str:
    """Return a cell's text in the class list's form: one line, normalised."""
    return " ".join(unicodedata.normalize("NFKC", cell).split())
