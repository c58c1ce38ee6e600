"""Enrolment: a learning platform's list updates the class list: new people get an id, known ones new data.

Nobody is removed: `drop` removes a learner who left the course. The files that the platform takes back, its grading
worksheet or its gradebook, are kept in lms/, unchanged.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..files import write_whole
from ..text import plain
from ..versions import base
from . import worksheet
from .class_list import ClassList, Learner, keys, same, words
from .contents import Released
from .ids import marked, student_id
from .listings import GRADEBOOK, WORKSHEET, Listing, is_worksheet, listing, with_names
from .report import to_rename
from .roster import Roster, Row, lines_of
from .tables import TableError, read_table

CANVAS = "canvas.csv"


def gradebook(root: Path) -> Path:
    """Return the path where Canvas's gradebook is kept."""
    return root / worksheet.FOLDER / CANVAS


@dataclass(frozen=True)
class Enrolled:
    """The result of an enrolment: the platform, who is new, who was known, and who is missing from its list."""

    kind: str
    assignment: str
    new: tuple[str, ...]
    known: int
    absent: tuple[str, ...]
    told: tuple[str, ...]


def enrol(root: Path, source: Path, assignment: str | None = None) -> Enrolled:
    """Enrol the people of a CSV file in ``root``/roster.csv. ``assignment`` is a worksheet's.

    Raises TableError, CollectError; then nothing was written.
    """
    table = read_table(source)
    before = ClassList.of(root)
    lines = lines_of(root / "submitted")
    of = ""
    if is_worksheet(table):
        of = _assignment(
            root, table.name, [row[table.column("Identifier") or 0] for row in table.rows], assignment, lines
        )
    elif assignment is not None:
        raise TableError(
            f"{table.name} is no grading worksheet (it has {table.shown}), so it is of no assignment: download the "
            "worksheet with Moodle in English, or leave --assignment out."
        )
    found = listing(table, of)
    after, new, known, unclear = _merged(before, found, lines)
    made = ClassList(after).with_clear_groups()
    made.check()
    made.save(root)
    if found.kind == WORKSHEET:
        write_whole(worksheet.path_of(root, of), source.read_bytes())
    if found.kind == GRADEBOOK:
        write_whole(gradebook(root), source.read_bytes())
    absent = tuple(sorted(before.by_id.keys() - known))
    left_out = (f"Left out: {plain(text)}" for text in (*found.left_out, *unclear))
    told = filter(None, (table.note, *found.notes, *left_out, _several(after, found)))
    strays = to_rename(Roster(root / "submitted"))
    return Enrolled(found.kind, of, tuple(sorted(new)), len(known), absent, (*told, *strays))


def _several(after: Iterable[Learner], found: Listing) -> str:
    """What to say of those who are in several groups, where the list names any."""
    number = sum(len(one.groups) > 1 for one in after) if found.groups else 0
    how = 'groups = "Team *" in term.toml says which of them count for an assignment'
    return f"{number} people are in several groups: {how}" if number else ""


def _keys(one: Learner) -> list[str]:
    """Return the texts that identify somebody; each system's numbers are kept apart."""
    moodle = [f"moodle {assignment} {number}" for assignment, number in one.participants.items()]
    others = [f"{kind} {text}" for kind in ("canvas", "github") if (text := getattr(one, kind))]
    return [*keys(one), *others, *moodle]


def _assignment(root: Path, name: str, identifiers: Iterable[str], asked: str | None, lines: Iterable[Row]) -> str:
    """Return a worksheet's assignment: the one whose Moodle numbers were collected, or the one asked for."""
    numbers = {match[0] for text in identifiers if (match := re.search(r"\d+$", text.strip()))}
    collected: dict[str, set[str]] = defaultdict(set)
    for row in lines:
        if row["system"] == "Moodle" and row["number"]:
            collected[base(row["assignment"])].add(row["number"])
    fitting = [assignment for assignment, theirs in collected.items() if theirs & numbers]
    known = {base(name) for name in Released.of(root).all}  # to Moodle all versions are one
    asked = base(asked) if asked else None
    if asked is not None and asked not in known:
        raise TableError(f"There is no assignment {asked!r} in release/ or notebooks/: there are {_shown(known)}.")
    if asked is not None and (fitting or asked in collected) and asked not in fitting:
        of = f"of {_shown(fitting)}" if fitting else "of another assignment"
        raise TableError(
            f"{name} is a worksheet {of}: none of its participants' numbers is one that was collected for {asked}. "
            f"Download the worksheet of {asked}."
        )
    candidates = [asked] if asked else fitting or sorted(known)
    if len(candidates) != 1:
        raise TableError(f'{name} may be of {_shown(candidates)}: say which, with ARGS="--assignment ...".')
    return candidates[0]


def _shown(names: Iterable[str]) -> str:
    return " or ".join(sorted(names)) or "none"


def _merged(before: ClassList, found: Listing, lines: list[Row]) -> tuple[list[Learner], set[str], set[str], list[str]]:
    """Return the class list merged with a platform's list, the ids of new people and of known ones, and who is unclear.

    People choose their names: one who may be several of the class is named, and stops nobody else. Raises TableError
    if everybody is unclear.
    """
    after = dict(before.by_id)
    by_key = {same(key): one.id for one in before.learners for key in _keys(one)}
    by_name = defaultdict(list)
    for one in before.learners:
        by_name[_wording(one)].append(one.id)
    namesakes = Counter(map(_wording, found.people)) + Counter(found.shared)  # some of these were left out
    whole = found.kind != WORKSHEET
    handed_in = {row["student"].casefold(): row["student"] for row in lines}
    taken = {id.casefold() for id in after} | handed_in.keys()
    new: set[str] = set()
    met: set[str] = set()
    unclear = []
    for line, listed in zip(found.lines, found.people, strict=True):
        ids = {by_key[same(key)] for key in _keys(listed) if same(key) in by_key}
        others = _others(listed, by_name[_wording(listed)], before)
        if not ids and not others:
            ids = {id for id in by_name[_wording(listed)] if not _others(listed, [id], before)}
            if ids and (len(by_name[_wording(listed)]) > 1 or namesakes[_wording(listed)] > 1):
                unclear.append(
                    f"{plain(listed.name)} in line {line} of {found.name} may be {_shown(ids)}, since two people have "
                    f"that name: {_mark(listed)}."
                )
                continue
        if len(ids) > 1:
            unclear.append(
                f"{plain(listed.name)} in line {line} of {found.name} is {_shown(ids)} of the class list, by e-mail, "
                "number or login: correct roster.csv or that line."
            )
        elif ids:
            (id,) = ids
            met.add(id)
            after[id] = with_names(after[id], listed, whole, found.groups)
        else:
            id = handed_in.get(listed.id.casefold(), listed.id)  # some file systems are case-insensitive
            id = id or _known(listed, lines, namesakes) or _new(listed, namesakes, taken)
            taken.add(id.casefold())
            new.add(id)
            after[id] = replace(listed, id=id)
    if unclear and not new | met:
        raise TableError(unclear[0])
    return list(after.values()), new, met, unclear


def _mark(listed: Learner) -> str:
    """Return what to write into the class list so that a listed person is known."""
    for kind in ("number", "email", "login", "canvas"):
        if text := getattr(listed, kind):
            return (
                f"write {plain(text)} into the column {kind} of the right one in roster.csv (a new line if it is "
                "neither), then give the same command again"
            )
    return "give e-mails or numbers to both, there and in roster.csv"


def _wording(one: Learner) -> str:
    """Return somebody's name as the same text in any order of its words."""
    return " ".join(words(one.name))


def _others(listed: Learner, ids: list[str], before: ClassList) -> bool:
    """Return whether all learners of that name are other people, by e-mail, number or login."""
    kinds = ("email", "number", "login", "canvas")
    return bool(ids) and all(
        any(
            getattr(listed, kind)
            and getattr(before.by_id[id], kind)
            and same(getattr(listed, kind)) != same(getattr(before.by_id[id], kind))
            for kind in kinds
        )
        for id in ids
    )


def _known(listed: Learner, lines: list[Row], namesakes: Counter[str]) -> str:
    """Return the id under which somebody has already submitted; "" if none or several match."""
    numbers = {
        ("Canvas", listed.canvas),
        ("GitHub", listed.github),
        *((f"Moodle {a}", n) for a, n in listed.participants.items()),
    }
    found = set()
    for row in lines:
        system = f"Moodle {row['assignment']}" if row["system"] == "Moodle" else row["system"]
        if row["number"] and ((system, row["number"]) in numbers or row["number"] in keys(listed)):
            found.add(row["student"])
    if not found and namesakes[_wording(listed)] == 1:  # by a folder that the instructor named, not by a display name
        found = {row["student"] for row in lines if not row["number"] and words(row["name"]) == words(listed.name)}
    return found.pop() if len(found) == 1 else ""


def _new(listed: Learner, namesakes: Counter[str], taken: set[str]) -> str:
    base = student_id(listed.name)
    marks = [listed.number, listed.login.partition("@")[0], listed.email.partition("@")[0], listed.canvas]
    marks += listed.participants.values()
    names = [base] if namesakes[_wording(listed)] == 1 else []
    names += [marked(base, mark) for mark in marks if mark]
    counted = (marked(base, str(number)) for number in itertools.count(2))
    return next(name for name in itertools.chain(names, counted) if name.casefold() not in taken)


def told(done: Enrolled) -> str:
    """Return a report of an enrolment, for the screen."""
    of = f" of {done.assignment}" if done.assignment else ""
    number = len(done.new) + done.known
    people = "1 person" if number == 1 else f"{number} people"
    lines = [f"{done.kind}{of}: {people}, {len(done.new)} new, in roster.csv", *done.told]
    if done.absent:
        lines.append(f"On the class list, but not in this file: {', '.join(map(plain, done.absent))}")
    return "\n".join(lines)
