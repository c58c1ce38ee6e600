"""A page that shows a learner's answers beside the solution, with the checks' source and messages.

It is for instructors only, since it shows hidden tests. It is in grades/, which is never given to learners.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nbformat import NotebookNode

from ..course import Course, CourseError, folders
from ..grading.basis import pending
from ..grading.groups import shares_of
from ..grading.results import Result, results
from ..grading.verdicts import Grading, read_grading
from ..intake.class_list import Learner
from ..learners import check_learner
from ..notebooks import as_node, grade_id, read_notebook
from ..text import plain
from .display import CellView, Viewer, code_style
from .grade_table import FOLDER
from .pages import write_page
from .people import people


@dataclass(frozen=True)
class CheckView:
    name: str
    points: float
    maximum: float
    message: str
    source: CellView | None
    flags: tuple[str, ...]


@dataclass(frozen=True)
class ExerciseView:
    name: str
    points: float
    maximum: float
    answer: CellView | None
    solution: CellView | None
    checks: list[CheckView]


@dataclass(frozen=True)
class Part:
    """One notebook of one assignment, as it was graded; without exercises if it was refused."""

    title: str
    refused: str
    notes: tuple[str, ...]
    flags: tuple[str, ...]
    exercises: list[ExerciseView]
    own: list[CellView]
    pending: str = ""  # why it is to be graded again


def show(course: Course, student: str, assignment: str | None = None) -> tuple[Path, dict[str, dict[str, str]]]:
    """Write grades/show/<student>.html with all that is graded of a learner, or one assignment.

    Returns the file, and what is still to be graded of the learner, as `settle` does.
    Raises CourseError where nothing is, NotebookError.
    """
    graded = [name for _, name in folders(course.root / "autograded", assignment, student)]
    if not graded:
        with course.gradebook() as gradebook:
            check_learner(course.root, gradebook, student)
        where = f" in {assignment}" if assignment else ""
        raise CourseError(plain(f"Nothing of {student}{where} is graded yet: run make grade first."))
    person = people(course.root).get(student, Learner(student))
    left = {name: pending(course, name, shares_of(course.root, name).given, student) for name in graded}
    parts = [part for name in graded for part in _parts(course, name, student, left[name].get(student, ""))]
    path = course.root / FOLDER / "show" / f"{student}.html"
    names = {"student": student, "name": person.name}
    return write_page(path, "show.html", **names, parts=parts, code_style=code_style()), left


def _parts(course: Course, assignment: str, student: str, left: str) -> Iterator[Part]:
    grading = read_grading(course.folder("autograded", assignment, student))
    if grading.refused:
        yield Part(assignment, grading.refused, grading.notes, (), [], [], left)
        return
    told = results(course, assignment, student)
    for notebook in sorted({result.notebook for result in told}):
        mine = [result for result in told if result.notebook == notebook]
        yield replace(_part(course, assignment, student, notebook, mine, grading), pending=left)


def _part(course: Course, assignment: str, student: str, notebook: str, told: list[Result], grading: Grading) -> Part:
    answered = _cells(course.folder("autograded", assignment, student) / f"{notebook}.ipynb")
    instructors = _cells(course.folder("source", assignment) / f"{notebook}.ipynb")
    ours = {grade_id(cell): _bare(cell) for cell in instructors if grade_id(cell)}
    known = {cell.source for cell in _cells(course.folder("release", assignment) / f"{notebook}.ipynb")}
    answers = {grade_id(cell): cell for cell in reversed(answered)}
    own = [c for c in answered if c.cell_type == "code" and grade_id(c) not in ours and c.source not in {*known, ""}]
    theirs, masters = Viewer([], answered), Viewer([], [])
    flags = [(entry.cell, entry.reason) for entry in grading.review if entry.notebook in ("", notebook)]
    exercises = []
    for name in dict.fromkeys(result.exercise for result in told):
        mine = [result for result in told if result.exercise == name]
        checks = [
            CheckView(
                result.check,
                result.points,
                result.max_points,
                theirs.text(result.message),
                masters.view(ours[result.check]) if result.check in ours else None,
                tuple(reason for cell, reason in flags if cell == result.check),
            )
            for result in mine
        ]
        exercises.append(
            ExerciseView(
                name,
                sum(result.points for result in mine),
                sum(result.max_points for result in mine),
                theirs.view(answers[name]) if name in answers else None,
                masters.view(ours[name]) if name in ours else None,
                checks,
            )
        )
    checked = {result.check for result in told}
    others = tuple(reason for cell, reason in flags if cell not in checked)
    title = assignment if assignment == notebook else f"{assignment}: {notebook}"
    return Part(title, "", grading.notes, others, exercises, [theirs.view(cell) for cell in own])


def _bare(cell: NotebookNode) -> NotebookNode:
    return as_node({**cell, "outputs": []})


def _cells(path: Path) -> list[NotebookNode]:
    return read_notebook(path).cells if path.exists() else []
