"""The grades of a class, the basis of all tables and pages. `settle` has updated the derived values before."""

from __future__ import annotations

import glob
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    GradeCell,
    Notebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
)
from nbgrader.utils import is_grade, is_solution
from sqlalchemy import func

from ..course import Course
from ..grading.basis import PENDING, WAITING
from ..grading.groups import shares
from ..grading.lateness import handed_in
from ..grading.verdicts import Grading, read_grading
from ..intake.class_list import ClassList, Learner
from ..notebooks import grade_id, read_notebook
from ..term import read_term
from ..versions import base, order
from .people import people
from .state import of_cells

Cell = tuple[str, str]  # a notebook's name, and the name of a check or an exercise in it


GRADED, REFUSED, NOTHING = "graded", "refused", "nothing handed in"


@dataclass(frozen=True)
class Row:
    """One student. ``total`` is after the penalty, as in nbgrader's export; None: nothing graded.

    ``pending``: why the present submission is still to be graded, one of `basis.PENDING`, "" if it is graded; what an
    earlier one got is not in the row. ``submitted``: the time (UTC) of what was graded, None if unknown;
    ``late_says``: the source that says it was late. ``empty``: the exercises in which nothing was written.
    """

    student: str
    grading: Grading
    assignment: str = ""
    elsewhere: str = ""  # the newest other version of the assignment that they handed in
    person: Learner = field(default_factory=lambda: Learner(""))
    listed: bool = True  # on the class list; everybody is where there is none
    total: float | None = None
    scores: dict[Cell, float] = field(default_factory=dict)  # by check
    seconds_late: int = 0  # a second that has begun counts
    penalty: float = 0.0
    by_hand: bool = False  # a person has to give points
    pending: str = ""
    submitted: datetime | None = None
    late_says: str = ""
    unclear: str = ""  # why another hand-in of their groups may be the one that counts
    empty: frozenset[Cell] = frozenset()

    @property
    def status(self) -> str:
        if self.grading.refused:
            return REFUSED
        if self.total is not None:
            return GRADED
        if self.pending:
            return self.pending
        return f"handed in {self.elsewhere}" if self.elsewhere else NOTHING

    @property
    def absent(self) -> bool:
        """Whether this version of the assignment was not handed in."""
        return self.status not in (GRADED, REFUSED, *PENDING)

    @property
    def name(self) -> str:
        """The student, with their name if it is known."""
        return f"{self.person.name} ({self.student})" if self.person.name else self.student

    @property
    def flags(self) -> list[str]:
        """The reasons why a person should look at it."""
        said = [": ".join(filter(None, (entry.cell or entry.notebook, entry.reason))) for entry in self.grading.review]
        return [*said, *([self.unclear] if self.unclear else [])]

    @property
    def late_unknown(self) -> bool:
        """Whether a platform marked it late without a known time."""
        return bool(self.late_says) and self.submitted is None and self.status == GRADED


@dataclass(frozen=True)
class Summary:
    """A class's grades for one assignment; checks are in the notebooks' order."""

    assignment: str
    maximum: float
    checks: dict[Cell, float]  # check -> its points
    exercises: dict[Cell, list[Cell]]  # exercise -> its checks
    rows: list[Row]

    @property
    def in_use(self) -> bool:
        """Whether anybody has handed it in: a course may leave assignments out, or have some still to come."""
        return not all(row.absent for row in self.rows)

    @property
    def pending(self) -> dict[str, str]:
        """Who is to be graded, and why."""
        return {row.student: row.status for row in self.rows if row.status in PENDING}


def summarise(course: Course, assignment: str, pending: Mapping[str, str] | None = None) -> Summary:
    """Return all grades of an assignment, read in a handful of queries for a class of any size.

    ``pending``: who is to be graded, and why, as `settle` returns it.
    """
    pending = pending or {}
    with course.gradebook() as gradebook:
        query = gradebook.db.query
        # Columns of the class: nbgrader's __init__ makes them look like an instance's.
        ours: Any = Assignment.name == assignment  # pyright: ignore[reportGeneralTypeIssues]
        (due,) = query(cast(Any, Assignment.duedate)).filter(ours).one()
        checks = _checks(query, ours)
        students = {student for (student,) in query(Student.id)}
        submissions = _submissions(query, ours)
        scores, by_hand = _scores(query, ours)
        empty = _empty(query, ours)
    rows = _people(course, assignment, students, pending)
    for student, timestamp, extension, penalty in submissions:
        if student in pending:
            continue
        late = timestamp - due - (extension or timedelta()) if timestamp and due else timedelta()
        rows[student] = replace(
            rows[student],
            total=max(0.0, sum(scores[student].values()) - penalty),
            scores=scores[student],
            seconds_late=max(0, math.ceil(late.total_seconds())),
            penalty=penalty,
            by_hand=student in by_hand,
            submitted=timestamp,
            empty=frozenset(empty[student]),
        )
    exercises = _exercises(course, assignment, checks)
    checks = {check: checks[check] for of in exercises.values() for check in of}
    return Summary(assignment, sum(checks.values()), checks, exercises, [rows[student] for student in sorted(rows)])


def _people(course: Course, assignment: str, students: set[str], pending: Mapping[str, str]) -> dict[str, Row]:
    """Return {student: their row without points}, from the gradebook, the class list, autograded/ and submitted/."""
    root, pattern = course.root, glob.escape(assignment)
    folders = {path.parent.name: path for path in (root / "autograded").glob(f"*/{pattern}")}
    there = {path.parent.name for path in (root / "submitted").glob(f"[!.]*/{pattern}")}
    others = _elsewhere(root, assignment)
    roster, who = ClassList.of(root), people(root)
    term = read_term(root)
    times = handed_in(root, term, assignment)
    unclear = shares(root, term, assignment, roster, times).unclear
    rows = {}
    for student in students | folders.keys() | there | pending.keys() | roster.by_id.keys():
        rows[student] = Row(
            student,
            read_grading(folders[student]) if student in folders and student not in pending else Grading(),
            assignment,
            others.get(student, ""),
            who.get(student, Learner(student)),
            not roster or student in roster.by_id,
            pending=pending.get(student) or (WAITING if student in there else ""),
            late_says=times[student].late if student in times else "",
            unclear=unclear.get(student, ""),
        )
    return rows


def _elsewhere(root: Path, assignment: str) -> dict[str, str]:
    """Return {student: the newest other version of the assignment that they have}."""
    paths = (root / "submitted").glob(f"[!.]*/{glob.escape(base(assignment))}*")
    found = [(path.name, path.parent.name) for path in paths if base(path.name) == base(assignment)]
    return {student: name for name, student in sorted(found, key=lambda one: order(one[0])) if name != assignment}


def _checks(query: Any, ours: Any) -> dict[Cell, float]:
    found: dict[Cell, float] = {}
    for kind in (GradeCell, TaskCell):
        cells = query(Notebook.name, kind.name, kind.max_score).join(Notebook, kind.notebook_id == Notebook.id)
        cells = cells.join(Assignment, Notebook.assignment_id == Assignment.id).filter(ours)
        found |= {(notebook, cell): maximum for notebook, cell, maximum in cells}
    return found


def _submissions(query: Any, ours: Any) -> list[tuple]:
    """Yield (student, submission time, extension, penalty)."""
    submissions = query(
        SubmittedAssignment.student_id,
        SubmittedAssignment.timestamp,
        SubmittedAssignment.extension,
        func.coalesce(func.sum(SubmittedNotebook.late_submission_penalty), 0.0),
    )
    return (
        submissions.join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .filter(ours)
        .group_by(SubmittedAssignment.id)
        .all()
    )


def _scores(query: Any, ours: Any) -> tuple[dict[str, dict[Cell, float]], set[str]]:
    """Return {student: {check: points}}, and who still needs points by hand."""
    columns = (SubmittedAssignment.student_id, Notebook.name, BaseCell.name, Grade.score, Grade.needs_manual_grade)
    scores: dict[str, dict[Cell, float]] = defaultdict(dict)
    by_hand = set()
    for student, notebook, cell, score, needs in of_cells(query(*columns), Grade, ours):
        scores[student][notebook, cell] = score
        by_hand |= {student} if needs else set()
    return scores, by_hand


def _empty(query: Any, ours: Any) -> dict[str, set[Cell]]:
    """Return {student: exercises in which nothing was written}."""
    columns = (SubmittedAssignment.student_id, Notebook.name, BaseCell.name)
    found: dict[str, set[Cell]] = defaultdict(set)
    for student, notebook, cell in of_cells(query(*columns), Comment, ours).filter(Comment.auto_comment.isnot(None)):
        found[student].add((notebook, cell))
    return found


def _exercises(course: Course, assignment: str, checks: Iterable[Cell]) -> dict[Cell, list[Cell]]:
    """Return exercises with their checks, in the order of the instructor's notebooks (or else the released ones)."""
    found: dict[Cell, list[Cell]] = defaultdict(list)
    left = set(checks)
    for name in sorted({notebook for notebook, _ in left}):
        paths = [course.folder(step, assignment) / f"{name}.ipynb" for step in ("source", "release")]
        exercise = name
        for path in [path for path in paths if path.exists()][:1]:
            for cell in read_notebook(path).cells:
                role = grade_id(cell)
                exercise = role if is_solution(cell) else exercise
                if is_grade(cell) and (name, role) in left:
                    found[name, exercise].append((name, role))
                    left.remove((name, role))
    for check in sorted(left):
        found[check].append(check)
    return dict(found)
