"""Feedback pages for learners: one a notebook, with points, their code and the checks' messages.

No page shows the source of a check, hidden or not: only the messages of failed checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbgrader.api import BaseCell, Comment, Grade, Gradebook, MissingEntry

from ..course import Course, CourseError
from ..grading.basis import pending
from ..grading.groups import shares_of
from ..grading.results import Result, results
from ..grading.verdicts import Grading, read_grading
from ..intake.class_list import Learner
from ..labels import labels
from ..notebooks import grade_id, read_notebook
from ..term import read_term
from .display import CellView, Viewer, code_style, secrets
from .late_line import late_line
from .pages import points, write_page
from .people import people
from .state import states

AS_ABOVE = "The message is the same as above."


@dataclass(frozen=True)
class Check:
    name: str
    label: str
    points: float
    max_points: float
    message: str
    by_hand: str  # what a person did or will do about it


@dataclass(frozen=True)
class Exercise:
    name: str
    points: float
    max_points: float
    comment: str
    answer: CellView | None
    checks: list[Check]


@dataclass(frozen=True)
class _Book:
    """The gradebook's data on one notebook of a submission."""

    solutions: set[str]
    known_cells: set[str]
    tests: list[str]  # the source of the checks
    by_hand: dict[str, str]  # check -> a sentence
    comments: dict[str, str]  # cell -> comment
    penalty: float


def feedback(
    course: Course, assignment: str, student: str, person: Learner | None = None, state: str | None = None
) -> list[Path]:
    """Write feedback/<student>/<assignment>/<notebook>.html for each notebook of the assignment; returns the files.

    ``person`` and ``state`` are those of `people` and `states` for the student, which are called by default.

    Raises CourseError for what was not graded, NotebookError for a notebook of autograded/ that can't be read.
    """
    folder = course.folder("feedback", assignment, student)
    grading = read_grading(course.folder("autograded", assignment, student))
    person = people(course.root).get(student, Learner(student)) if person is None else person
    state = states(course, assignment).get(student, "") if state is None else state
    names = {"assignment": assignment, "student": student, "code_style": code_style()}
    names |= {"name": person.name, "state": state}
    with course.gradebook() as gradebook:
        notebooks = _notebooks(gradebook, assignment)
        if grading.refused:
            values = {**names, "refused": grading.refused}
            return [write_page(folder / f"{n}.html", "feedback.html", notebook=n, **values) for n in notebooks]
        books = {name: _book(gradebook, assignment, student, name) for name in notebooks}
        late = late_line(read_term(course.root), assignment, gradebook.find_submission(assignment, student))
    checks = results(course, assignment, student)
    written = []
    for name, book in books.items():
        mine = [result for result in checks if result.notebook == name]
        values = {**_page(course, assignment, student, name, book, mine, grading), "late": late}
        written.append(write_page(folder / f"{name}.html", "feedback.html", notebook=name, **names, **values))
    return written


class FeedbackExporter(HTMLExporter):
    """An exporter for nbgrader's `generate_feedback`, and the formgrader's button, that writes our pages."""

    def from_filename(self, filename: str, resources: dict | None = None, **_: object) -> tuple[str, dict]:
        """Return the page. nbgrader calls this in the course's folder, with the names in ``resources``."""
        assert resources is not None
        names, course = resources["nbgrader"], Course(Path.cwd())
        assignment, student = names["assignment"], names["student"]
        if why := pending(course, assignment, shares_of(course.root, assignment).given, student).get(student):
            raise CourseError(f"{student}'s {assignment}: {why}: run make grade first.")
        pages = feedback(course, assignment, student)
        page = next(page for page in pages if page.stem == names["notebook"])
        return page.read_text(encoding="utf-8"), {**resources, "output_extension": self.file_extension}


def _notebooks(gradebook: Gradebook, assignment: str) -> list[str]:
    try:
        return sorted(notebook.name for notebook in gradebook.find_assignment(assignment).notebooks)
    except MissingEntry as error:
        raise CourseError(f"There is no assignment {assignment!r} in the gradebook: run make release first.") from error


def _book(gradebook: Gradebook, assignment: str, student: str, name: str) -> _Book:
    try:
        submitted = gradebook.find_submission_notebook(name, assignment, student)
    except MissingEntry as error:
        raise CourseError(f"{student}'s {assignment} is not graded yet: run make grade first.") from error
    master = submitted.notebook
    checks = {cell.name for cell in master.grade_cells}
    solutions = {cell.name for cell in master.solution_cells}
    of_cells = gradebook.db.query(BaseCell.name, Grade.auto_score, Grade.manual_score, Grade.extra_credit)
    graded = of_cells.join(Grade, Grade.cell_id == BaseCell.id).filter(Grade.notebook_id == submitted.id)
    comments = (
        gradebook.db.query(BaseCell.name, Comment.manual_comment, Comment.auto_comment)
        .join(Comment, Comment.cell_id == BaseCell.id)
        .filter(Comment.notebook_id == submitted.id)
    )
    return _Book(
        solutions,
        checks | solutions | {cell.name for cell in master.source_cells},
        [cell.source for cell in master.source_cells if cell.name in checks],
        {check: _by_hand(*scores) for check, *scores in graded},
        {cell: manual or ("Nothing was written here." if auto else "") for cell, manual, auto in comments},
        submitted.late_submission_penalty or 0.0,  # pyright: ignore[reportArgumentType]  # of a row, a number
    )


def _by_hand(auto: float | None, manual: float | None, extra: float | None) -> str:
    said = []
    if manual is not None:
        said.append(
            f"Graded by hand: {points(manual)}" + (f" (the check gave {points(auto)})." if auto is not None else ".")
        )
    if extra:
        said.append(f"Extra credit: {points(extra)}.")
    return " ".join(said)


def _page(
    course: Course, assignment: str, student: str, name: str, book: _Book, checks: list[Result], grading: Grading
) -> dict[str, object]:
    """Return the template's data for one notebook."""
    path = course.folder("autograded", assignment, student) / f"{name}.ipynb"
    released = [cell.source for cell in _cells(course.folder("release", assignment) / f"{name}.ipynb")]
    answers: dict[str, NotebookNode] = {}
    own = []
    for cell in _cells(path):
        role = grade_id(cell)
        if role in book.solutions:
            answers.setdefault(role, cell)
        elif role not in book.known_cells and cell.cell_type == "code" and cell.source not in [*released, ""]:
            own.append(cell)
    viewer = Viewer(secrets(book.tests, released), [*answers.values(), *own])
    review = {entry.cell for entry in grading.review if entry.notebook == name}
    exercises = list(_exercises(viewer, answers, book, checks, review, labels(course.rules.checks)))
    return {
        "refused": "",
        "points": max(0.0, sum(check.points for check in checks) - book.penalty),
        "max_points": sum(check.max_points for check in checks),
        "penalty": book.penalty,
        "notes": [viewer.text(note) for note in grading.notes],
        "exercises": exercises,
        "own_cells": [viewer.view(cell) for cell in own],
    }


def _exercises(
    viewer: Viewer,
    answers: dict[str, NotebookNode],
    book: _Book,
    checks: list[Result],
    review: set[str],
    labels: Mapping[str, str],
) -> Iterator[Exercise]:
    for name in dict.fromkeys(check.exercise for check in checks):
        mine = [check for check in checks if check.exercise == name]
        messages = _once([viewer.text(check.message) for check in mine])
        yield Exercise(
            name,
            sum(check.points for check in mine),
            sum(check.max_points for check in mine),
            viewer.text(book.comments.get(name, "")),
            viewer.view(answers[name]) if name in answers else None,
            [
                Check(
                    check.check,
                    labels.get(check.check, ""),
                    check.points,
                    check.max_points,
                    message,
                    book.by_hand.get(check.check, "")
                    or ("Your instructor will review this check." if review & {check.check, name} else ""),
                )
                for check, message in zip(mine, messages, strict=True)
            ],
        )


def _once(messages: list[str]) -> list[str]:
    """Return the messages of an exercise's checks; a repeated one only refers to the one above it."""
    return [AS_ABOVE if text and text in messages[:place] else text for place, text in enumerate(messages)]


def _cells(path: Path) -> list[NotebookNode]:
    """Return the cells of a notebook; none if the file is missing (not submitted, not released here)."""
    return read_notebook(path).cells if path.exists() else []
