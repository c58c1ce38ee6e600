"""An instructor grades what was handed in, and writes feedback: nbgrader's steps, a class at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import MissingEntry
from tqdm.auto import tqdm

from .course import Course, CourseError
from .notebooks import NotebookError, read_notebook
from .results import total


@dataclass(frozen=True)
class Submission:
    """What became of one submission: ``failure`` is "" when it went well."""

    student: str
    assignment: str
    failure: str = ""
    points: float = 0.0
    max_points: float = 0.0


def grade(root: Path, assignment: str | None = None) -> list[Submission]:
    """Grade every submission in submitted/ (of one assignment, or all); a bad one stops nobody."""
    course = Course(root)
    handed_in = list(_folders(root / "submitted", assignment))
    with course.gradebook() as gradebook:
        known = {entry.name for entry in gradebook.assignments}
    return [
        _grade(course, student, name)
        if name in known
        else Submission(student, name, f"no assignment {name!r} in the gradebook: run make release first")
        for student, name in tqdm(handed_in, desc="grading", unit="submission")
    ]


def feedback(root: Path, assignment: str | None = None) -> list[Submission]:
    """Write feedback/ for every graded submission (of one assignment, or all)."""
    course = Course(root)
    graded = list(_folders(root / "autograded", assignment))
    return [
        _attempt(course, student, name, course.feedback)
        for student, name in tqdm(graded, desc="feedback", unit="submission")
    ]


def table(submissions: list[Submission]) -> str:
    """One line a submission: its points, or why it failed."""
    width = max(len(s.student) + len(s.assignment) + 2 for s in submissions)
    lines = [
        f"{s.student + '  ' + s.assignment:<{width}}  "
        + (f"failed: {s.failure}" if s.failure else f"{s.points:g} of {s.max_points:g}")
        for s in submissions
    ]
    failed = sum(bool(s.failure) for s in submissions)
    return "\n".join([*lines, f"{len(submissions) - failed} done, {failed} failed"])


def _folders(step: Path, assignment: str | None) -> Iterator[tuple[str, str]]:
    for folder in sorted(step.glob(f"*/{assignment or '*'}")):
        if folder.is_dir():
            yield folder.parent.name, folder.name


def _grade(course: Course, student: str, assignment: str) -> Submission:
    try:
        for path in sorted(course.folder("submitted", assignment, student).glob("*.ipynb")):
            read_notebook(path)
    except NotebookError as error:
        return Submission(student, assignment, str(error))
    return _attempt(course, student, assignment, course.autograde)


def _attempt(course: Course, student: str, assignment: str, step: Callable[[str, str], None]) -> Submission:
    try:
        step(assignment, student)
        with course.gradebook() as gradebook:
            return Submission(student, assignment, "", *total(gradebook, assignment, student))
    except (CourseError, MissingEntry) as error:
        return Submission(student, assignment, str(error))
