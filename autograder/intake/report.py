"""The report on each file of an export: for the terminal, and in ``submitted/collected.csv``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ..text import plain
from .platforms.place import Aside
from .regular import Refused
from .roster import Roster, Row, read_table, write_table
from .source import Entry

TAKEN, ASIDE, REFUSED = "taken", "set aside", "refused"
COLUMNS: tuple[str, ...] = ("export", "file", "kind", "student", "assignment", "what")


@dataclass(frozen=True)
class Collected:
    """The outcome for one file of the export. Without a match, student and assignment are ""."""

    entry: str
    kind: str
    outcome: str
    student: str = ""
    assignment: str = ""

    @property
    def taken(self) -> bool:
        return self.kind == TAKEN

    def __str__(self) -> str:
        return self.outcome if self.taken else f"{self.kind}: {self.outcome}"


@dataclass(frozen=True)
class Report:
    """The outcome for an export: ``platform`` named its files, ``people`` is how many submitted."""

    platform: str
    people: int
    files: list[Collected]
    nothing: tuple[str, ...] = ()  # who handed in no notebook that could be taken
    unlisted: tuple[str, ...] = ()  # who is not on the class list
    strays: tuple[str, ...] = ()  # what to do for those of these who are, or may be, somebody on the class list
    own_times: tuple[datetime, ...] = ()  # of notebooks, UTC, where the files' own times count
    by_name: tuple[str, ...] = ()  # who was found on the class list by the platform's name alone


class Outcomes:
    """The outcomes of the files so far."""

    def __init__(self) -> None:
        self._files: list[Collected] = []

    def tell(self, entry: Entry, why: Aside | Refused, student: str = "", assignment: str = "") -> None:
        """Record a file that is not taken."""
        kind, text = (ASIDE, why.reason) if isinstance(why, Aside) else (REFUSED, str(why))
        self._files.append(Collected(entry.name, kind, text, student, assignment))

    def taken(self, entry: Entry, remarks: list[str], student: str, assignment: str) -> None:
        """Record a file that was copied to the course."""
        self._files.append(Collected(entry.name, TAKEN, "; ".join(remarks), student, assignment))

    def reasons(self) -> dict[str, str]:
        """Return {name of each file that was not taken: why}."""
        return {told.entry: told.outcome for told in self._files if not told.taken}

    def files(self, whose: Mapping[str, str], where: Mapping[str, str]) -> list[Collected]:
        """Return all files by name, with the student in ``whose`` and the assignment in ``where``, if any."""
        named = [
            replace(c, student=c.student or whose.get(c.entry, ""), assignment=c.assignment or where.get(c.entry, ""))
            for c in self._files
        ]
        return sorted(named, key=lambda c: c.entry)


def save(submitted: Path, export: str, files: list[Collected]) -> None:
    """Write collected.csv; lines from an earlier collection of the same export are replaced."""
    path = submitted / "collected.csv"
    others = [row for row in read_table(path, COLUMNS) if row["export"] != export]
    rows: list[Row] = [
        dict(zip(COLUMNS, (export, c.entry, c.kind, c.student, c.assignment, c.outcome), strict=True)) for c in files
    ]
    write_table(path, COLUMNS, [*others, *rows])


def renamed(submitted: Path, old: str, new: str) -> None:
    """Change a learner's id in collected.csv."""
    if rows := collected_of(submitted):
        mine = [row | {"student": new} if row["student"] == old else row for row in rows]
        write_table(submitted / "collected.csv", COLUMNS, mine)


def collected_of(submitted: Path) -> list[Row]:
    """Return the lines of collected.csv; none if nothing was collected."""
    return read_table(submitted / "collected.csv", COLUMNS)


def table(report: Report) -> str:
    """Return the report, one line a file: its owner, its outcome, its original name; then the totals."""
    rows = [(plain(c.student or "?"), c.assignment or "?", c) for c in report.files]
    width = max((len(f"{student}  {assignment}") for student, assignment, _ in rows), default=0)
    lines = [
        f"{f'{student}  {assignment}':<{width}}  {plain(c)}  <- {plain(c.entry)}" for student, assignment, c in rows
    ]
    kinds = Counter(c.kind for c in report.files)
    sums = ", ".join(f"{kinds[kind]} {kind}" for kind in (TAKEN, ASIDE, REFUSED))
    head = f"{report.platform}: {report.people} who handed in"
    nothing = [f"No notebook of: {', '.join(map(plain, report.nothing))}"] if report.nothing else []
    unlisted = [f"Not on the class list: {', '.join(map(plain, report.unlisted))}"] if report.unlisted else []
    return "\n".join([head, *lines, sums, *nothing, *unlisted, *report.strays, *_by_name(report), *_own_times(report)])


def to_rename(roster: Roster) -> tuple[str, ...]:
    """Return the commands that give submissions of ids on no class list to the learners on it."""
    told = "{0} has the number or the name of {1} on the class list: make rename OLD={0} NEW={1}"
    sure = [told.format(*(shlex.quote(plain(id)) for id in pair)) for pair in roster.strays().items()]
    unclear: dict[tuple[str, ...], list[str]] = {}
    for id, named in roster.namesakes().items():
        unclear.setdefault(tuple(map(plain, named)), []).append(plain(id))
    one_name = (
        "{} {} the name of {} on the class list, and nothing says who is who: find out, then make rename OLD={} NEW={}"
    )
    for named, ids in unclear.items():
        have = "has" if len(ids) == 1 else "have"
        old, new = (" or ".join(map(shlex.quote, them)) for them in (ids, named))
        sure.append(one_name.format(" and ".join(ids), have, " and ".join(named), old, new))
    mistyped = "{0} is not on the class list: did you mean {1}? Then make rename OLD={0} NEW={1}"
    sure += [mistyped.format(*(shlex.quote(plain(id)) for id in pair)) for pair in roster.mistyped().items()]
    return tuple(sure)


def _by_name(report: Report) -> list[str]:
    """Return who was found by a name, which learners may change on many platforms."""
    if not report.by_name:
        return []
    who = f"({len(report.by_name)}): {', '.join(map(plain, report.by_name))}"
    sure = "the grading worksheet of the assignment" if report.platform == "Moodle" else "Canvas's gradebook"
    return [
        f"By name alone, as the class list has no number of {report.platform}'s for them {who}. "
        f"Where learners can change their names, give make roster {sure}, which has the numbers, before you collect."
    ]


def _own_times(report: Report) -> list[str]:
    """Return what to say where lateness would be counted by the times of files, which copying may change."""
    if not report.own_times:
        return []
    first, last = (f"{time:%Y-%m-%d %H:%M} UTC" for time in (min(report.own_times), max(report.own_times)))
    when = first if first == last else f"from {first} to {last}"
    return [
        f"The times of the notebooks ({len(report.own_times)}) are the files' own: {when}. They count for lateness: "
        "where copying changed them, write the true ones under handed_in in term.toml."
    ]
