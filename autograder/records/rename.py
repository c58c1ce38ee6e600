"""Change of a learner's id, or joining of one person's two ids."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, Student

from ..course import Course, CourseError
from ..grading.lateness import handed_in, stamp_of
from ..intake.class_list import ClassList, Learner
from ..intake.ids import student_id
from ..intake.report import renamed
from ..intake.roster import Row, rewrite
from ..learners import STEPS, check_learner
from ..term import read_term
from ..text import plain
from .learner_data import (
    check_dates,
    folders_of,
    has_manual,
    put_aside,
    remove,
    remove_if_empty,
    submissions_of,
)

NAMES = ("first_name", "last_name", "email", "lms_user_id")  # of nbgrader's students


@dataclass(frozen=True)
class _Pair:
    """The two ids, and for each assignment of ``old`` which submission counts."""

    old: str
    new: str
    counts: Mapping[str, str]

    def other(self, assignment: str) -> str:
        return self.old if self.counts[assignment] == self.new else self.new


def rename(root: Path, old: str, new: str) -> list[str]:
    """Change a learner's id to ``new``; if that id is in use, join the two. Returns a report.

    If both submitted an assignment, the newer one counts; the other goes to submitted/.replaced/. After an
    interruption, repeat the command. Raises CourseError, CollectError, TableError; then nothing has changed.
    """
    course = Course(root)
    good = student_id(new, keep_case=True)
    if good != new or old == new:
        raise CourseError(
            f"{plain(new, 80)!r} can't be the new id: write another one, such as {good + '-2' * (old == new)!r}."
        )
    with course.gradebook() as gradebook:
        check_learner(course.root, gradebook, old)
        check_dates(course.root, old, f"write {new}")
        graded = {name: submissions_of(gradebook, name) for name in (old, new)}
        both = {folder.name for folder in folders_of(course.root, old)} | graded[old].keys()
        pair = _Pair(old, new, {name: _counts(course.root, name, old, new) for name in sorted(both)})
        lost = _join_grades(gradebook, pair, graded)
        _join_people(course.root, pair)
        rewrite(course.root / "submitted", lambda row: _row(row, pair))
        renamed(course.root / "submitted", old, new)
        kept = _join_folders(course.root, pair)
        gradebook.db.commit()
    told = [f"{old} is {new} now."]
    told += [f"{name}: what {pair.counts[name]} handed in counts." for name in sorted(lost | kept.keys())]
    told += [f"What does not count any more is in {place}/." for place in sorted(set(kept.values()))]
    told += [f"{name}: what you gave by hand to {pair.other(name)} is gone." for name in sorted(lost) if lost[name]]
    return [*told, "next: make grade, make feedback, make export"]


def _counts(root: Path, assignment: str, old: str, new: str) -> str:
    """Return whose submission counts: the only one with a notebook, or the newer. Raises CourseError if unknown."""
    there = [who for who in (old, new) if any((root / "submitted" / who / assignment).glob("*.ipynb"))]
    if len(there) < 2:
        return there[0] if there else new
    times = handed_in(root, read_term(root), assignment)
    known = {who: _when(root, assignment, who, times) for who in there}
    when = {who: time for who, time in known.items() if time is not None}
    if len(when) < 2:
        raise CourseError(
            f"Both {old} and {new} handed in {plain(assignment, 80)}, and nobody knows which one is newer: first take "
            f'the other out, with make drop STUDENT={old} ARGS="--assignment {plain(assignment, 80)}", or the same '
            f"with {new}."
        )
    return old if when[old] > when[new] else new


def _when(root: Path, assignment: str, student: str, times: Mapping[str, Any]) -> datetime | None:
    return times[student].time if student in times else stamp_of(root / "submitted" / student / assignment)


def _join_grades(gradebook: Gradebook, pair: _Pair, graded: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Give ``new`` the submissions; returns the assignments of deleted ones, and whether manual grades were lost."""
    students: dict[str, Any] = {str(entry.id): entry for entry in gradebook.students}
    if pair.old not in students:
        return {}
    if pair.new not in students:
        students[pair.new] = Student(id=pair.new)
        gradebook.db.add(students[pair.new])
    for column in NAMES:
        value = getattr(students[pair.new], column) or getattr(students[pair.old], column)
        setattr(students[pair.new], column, value)
    lost = {}
    for name, mine in graded[pair.old].items():
        theirs = graded[pair.new].get(name)
        if theirs is not None:
            less = mine if pair.counts[name] == pair.new else theirs
            lost[name] = has_manual(less)
            remove(gradebook, less)
            if less is mine:
                continue
        mine.student = students[pair.new]
    gradebook.db.flush()
    gradebook.db.expire(students[pair.old])
    gradebook.db.delete(students[pair.old])
    gradebook.db.flush()  # a locked gradebook is reported before anything else changes
    return lost


def _join_people(root: Path, pair: _Pair) -> None:
    people = ClassList.of(root)
    mine, theirs = people.by_id.get(pair.old), people.by_id.get(pair.new)
    if mine is None:
        return
    others = [one for one in people.learners if one.id not in (pair.old, pair.new)]
    ClassList([*others, _joined(mine, theirs) if theirs else replace(mine, id=pair.new)]).save(root)


def _joined(old: Learner, new: Learner) -> Learner:
    """Return the class list's data on ``new``, completed by that on ``old``."""
    made = replace(new, **{f.name: getattr(new, f.name) or getattr(old, f.name) for f in fields(Learner)})
    for assignment, number in (old.participants | new.participants).items():
        made = made.as_participant(assignment, number)
    return made


def _row(row: Row, pair: _Pair) -> Row | None:
    """Return a line of students.csv for the new id; files that no longer count keep a line for their person."""
    name = row["assignment"]
    if row["student"] not in (pair.old, pair.new):
        return row
    if name not in pair.counts or row["student"] == pair.counts[name]:
        return row | {"student": pair.new}
    return row | {"student": pair.new, "assignment": "", "file": f"{row['student']}/{name}/{row['file']}"}


def _join_folders(root: Path, pair: _Pair) -> dict[str, str]:
    """Move the files that count to ``new``; returns {assignment: where the others are kept}."""
    kept = {}
    for name, winner in pair.counts.items():
        less = pair.other(name)
        both = (pair.old, pair.new)
        steps = [{who: root / step / who / name for who in both} for step in ("submitted", "autograded")]
        aside = [step[less] for step in steps if step[winner].is_dir() and step[less].is_dir()]
        pages = [page for who in both if (page := root / "feedback" / who / name).is_dir()]
        if place := put_aside(root, less, [*aside, *pages]):
            kept |= {name: place} if aside else {}
        for step in steps:
            if step[pair.old].is_dir():
                step[pair.new].parent.mkdir(parents=True, exist_ok=True)
                shutil.move(step[pair.old], step[pair.new])
    for step in STEPS:
        remove_if_empty(root / step / pair.old)
    return kept
