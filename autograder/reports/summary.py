"""The class at a glance, for instructors: grades/<assignment>.csv, one row a student, and a page beside it.

Both name students: grades/ is no folder of nbgrader's, so that nothing in it is ever handed out with feedback/.
Grading the same class twice gives the same bytes: rows go by the student's id, and no date is written.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.api import (
    Assignment,
    BaseCell,
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

from ..course import Course, CourseError
from ..files import write_whole
from ..grading.results import of_notebook
from ..grading.verdicts import Grading, read_grading
from ..notebooks import as_node, grade_id, read_notebook
from ..text import for_table
from .pages import points, write_page
from .people import Person, people

FOLDER = "grades"
COMMON = 3  # messages shown for each check
BARS = 20  # in a histogram, at most (one more holds the maximum)
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?(?:, -?\d+(?:\.\d+)?)*")

Cell = tuple[str, str]  # a notebook's name, and the name of a check or an exercise in it


@dataclass(frozen=True)
class Row:
    """One student. ``total`` is what is left after the penalty, as in nbgrader's export; None: nothing graded."""

    student: str
    grading: Grading
    total: float | None = None
    scores: dict[Cell, float] = field(default_factory=dict)  # by check
    seconds_late: float = 0.0
    penalty: float = 0.0


@dataclass(frozen=True)
class Summary:
    """A class's grades for one assignment; checks are in the notebooks' order."""

    assignment: str
    maximum: float
    checks: dict[Cell, float]  # check -> its points
    exercises: dict[Cell, list[Cell]]  # exercise -> its checks
    rows: list[Row]


def export(course: Course, assignment: str | None = None) -> list[Path]:
    """Write grades/<assignment>.csv and .html, for one assignment or all in the gradebook; returns the files.

    Raises CourseError for an assignment that the gradebook does not know.
    """
    with course.gradebook() as gradebook:
        known = gradebook.db.query(Assignment.name)  # pyright: ignore[reportGeneralTypeIssues]  # as in `summarise`
        names = sorted(name for (name,) in known)
    if assignment is not None and assignment not in names:
        raise CourseError(f"There is no assignment {assignment!r}. In the gradebook: {', '.join(names) or 'none'}.")
    written = []
    for name in [assignment] if assignment else names:
        summary = summarise(course, name)
        written += [_write_csv(course.root, summary), _write_html(course, summary)]
    return written


def summarise(course: Course, assignment: str) -> Summary:
    """All grades of an assignment, read in a handful of queries however large the class is."""
    with course.gradebook() as gradebook:
        query = gradebook.db.query
        # Columns of the class: nbgrader's __init__ makes them look like an instance's.
        ours = Assignment.name == assignment  # pyright: ignore[reportGeneralTypeIssues]
        due = query(Assignment.duedate)  # pyright: ignore[reportCallIssue, reportArgumentType]
        (duedate,) = due.filter(ours).one()
        checks: dict[Cell, float] = {}
        for kind in (GradeCell, TaskCell):
            cells = query(Notebook.name, kind.name, kind.max_score).join(Notebook, kind.notebook_id == Notebook.id)
            cells = cells.join(Assignment, Notebook.assignment_id == Assignment.id).filter(ours)
            checks |= {(notebook, cell): maximum for notebook, cell, maximum in cells}
        students = {student for (student,) in query(Student.id)}
        submissions = query(
            SubmittedAssignment.student_id,
            SubmittedAssignment.timestamp,
            SubmittedAssignment.extension,
            func.coalesce(func.sum(SubmittedNotebook.late_submission_penalty), 0.0),
        )
        submissions = (
            submissions.join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
            .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .filter(ours)
            .group_by(SubmittedAssignment.id)
            .all()
        )
        grades = query(SubmittedAssignment.student_id, Notebook.name, BaseCell.name, Grade.score)
        grades = (
            grades.select_from(Grade)
            .join(BaseCell, Grade.cell_id == BaseCell.id)
            .join(Notebook, BaseCell.notebook_id == Notebook.id)
            .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
            .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
            .filter(ours)
        )
        scores: dict[str, dict[Cell, float]] = defaultdict(dict)
        for student, notebook, cell, score in grades:
            scores[student][notebook, cell] = score
    folders = {path.parent.name: path for path in (course.root / "autograded").glob(f"*/{glob.escape(assignment)}")}
    rows = {student: Row(student, _grading(folders, student)) for student in students | folders.keys()}
    for student, timestamp, extension, penalty in submissions:
        late = timestamp - duedate - (extension or timedelta()) if timestamp and duedate else timedelta()
        total = max(0.0, sum(scores[student].values()) - penalty)
        grading = _grading(folders, student)
        rows[student] = Row(student, grading, total, scores[student], max(0.0, late.total_seconds()), penalty)
    exercises = _exercises(course, assignment, checks)
    checks = {check: checks[check] for of in exercises.values() for check in of}
    return Summary(assignment, sum(checks.values()), checks, exercises, [rows[student] for student in sorted(rows)])


def _grading(folders: dict[str, Path], student: str) -> Grading:
    return read_grading(folders[student]) if student in folders else Grading()


def _exercises(course: Course, assignment: str, checks: Iterable[Cell]) -> dict[Cell, list[Cell]]:
    """Exercises with their checks, in the order of the instructor's notebooks (or else the released ones)."""
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


# The table


def _write_csv(root: Path, summary: Summary) -> Path:
    who = people(root, summary.assignment)
    names = [exercise for _, exercise in summary.exercises]
    titles = [e if names.count(e) == 1 else f"{notebook}/{e}" for notebook, e in summary.exercises]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    head = ["student", "name", "number", "total", "max", *titles, "seconds_late", "late_penalty", "review", "refused"]
    table.writerow([for_table(title) for title in head])
    for row in summary.rows:
        numbers: list[str] = [""] * (len(titles) + 2)
        total = ""
        if row.total is not None:
            total = points(row.total)
            per_exercise = [sum(row.scores.get(c, 0.0) for c in checks) for checks in summary.exercises.values()]
            numbers = [points(value) for value in (*per_exercise, row.seconds_late, row.penalty)]
        words = ["; ".join(_reasons(row.grading)), row.grading.refused]
        person = who.get(row.student, Person())
        persons = map(for_table, (row.student, person.name, person.number))
        table.writerow([*persons, total, points(summary.maximum), *numbers, *map(for_table, words)])
    path = root / FOLDER / f"{summary.assignment}.csv"
    # With the mark without which Excel takes the file for another encoding.
    write_whole(path, "\ufeff" + text.getvalue().encode("utf-8", errors="replace").decode("utf-8"))
    return path


def _reasons(grading: Grading) -> list[str]:
    return [": ".join(filter(None, (entry.cell or entry.notebook, entry.reason))) for entry in grading.review]


# The page


@dataclass(frozen=True)
class Bar:
    label: str
    count: int


@dataclass(frozen=True)
class CheckView:
    """``messages``: the most frequent first, each with how many got it, or one that differs in numbers only."""

    name: str
    maximum: float
    passed: int
    messages: list[tuple[int, str]]


@dataclass(frozen=True)
class ExerciseView:
    name: str
    mean: float
    maximum: float
    bars: list[Bar]
    checks: list[CheckView]


def _write_html(course: Course, summary: Summary) -> Path:
    graded = [row for row in summary.rows if row.total is not None and not row.grading.refused]
    messages = _messages(course, summary.assignment, graded)
    totals = [row.total for row in graded if row.total is not None]
    exercises = []
    for (_, name), checks in summary.exercises.items() if graded else ():
        values = [sum(row.scores.get(check, 0.0) for check in checks) for row in graded]
        maximum = sum(summary.checks[check] for check in checks)
        views = [
            CheckView(
                check[1],
                summary.checks[check],
                sum(row.scores.get(check, 0.0) >= summary.checks[check] for row in graded),
                messages[check],
            )
            for check in checks
        ]
        exercises.append(ExerciseView(name, statistics.fmean(values), maximum, _histogram(values, maximum), views))
    return write_page(
        course.root / FOLDER / f"{summary.assignment}.html",
        "summary.html",
        assignment=summary.assignment,
        maximum=summary.maximum,
        graded=len(graded),
        missing=[row.student for row in summary.rows if row.total is None and not row.grading.refused],
        mean=statistics.fmean(totals) if totals else 0.0,
        median=statistics.median(totals) if totals else 0.0,
        bars=_histogram(totals, summary.maximum),
        exercises=exercises,
        flagged=[(row.student, _reasons(row.grading)) for row in summary.rows if row.grading.review],
        refused=[(row.student, row.grading.refused) for row in summary.rows if row.grading.refused],
        notes=[(row.student, row.grading.notes) for row in summary.rows if row.grading.notes],
    )


def _histogram(values: list[float], maximum: float) -> list[Bar]:
    """How many values fall into each of at most 21 equal steps from 0; the last holds the maximum and all above."""
    step = max(1, -(-int(maximum) // BARS))
    counts = [0] * (int(maximum) // step + 1)
    for value in values:
        counts[min(max(int(value // step), 0), len(counts) - 1)] += 1
    return [Bar(str(i * step), count) for i, count in enumerate(counts)]


def _messages(course: Course, assignment: str, rows: list[Row]) -> dict[Cell, list[tuple[int, str]]]:
    """For each check the most frequent messages' first lines; those that differ in numbers only are one."""
    counts: dict[Cell, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    examples: dict[str, str] = {}
    for row in rows:
        for notebook in sorted({notebook for notebook, _ in row.scores}):
            path = course.folder("autograded", assignment, row.student) / f"{notebook}.ipynb"
            if path.exists():
                scores = {check: (score, score) for (name, check), score in row.scores.items() if name == notebook}
                for result in of_notebook(notebook, _only_errors(path), scores):
                    if result.message:
                        first = result.message.splitlines()[0][:300]
                        kind = NUMBERS.sub("#", first)
                        examples.setdefault(kind, first)
                        counts[notebook, result.check][kind] += 1
    ranked = {check: sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0])) for check, kinds in counts.items()}
    top = {check: [(count, examples[kind]) for kind, count in kinds[:COMMON]] for check, kinds in ranked.items()}
    return defaultdict(list, top)


def _only_errors(path: Path) -> NotebookNode:
    """A graded notebook without all that takes long to read and says nothing about points."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        errors = [output for output in cell.get("outputs", []) if output["output_type"] == "error"]
        cell["outputs"] = [{**error, "traceback": []} for error in errors]
        del cell["source"]
    return as_node({"cells": [cell for cell in cells if "nbgrader" in cell["metadata"]]})
