"""The one writer: an executed submission into autograded/ and the gradebook, all of it or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import InvalidEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.utils import compute_checksum, is_grade, is_solution
from sqlalchemy.exc import OperationalError

from ..course import Course, CourseError
from .verdicts import Grading, write_grading

TEMPORARY = ".grading-"
HINTS = {
    "database is locked": "another program holds it: close the formgrader and other graders, then grade again",
    "readonly database": "it can't be written: make gradebook.db and its folder writable",
}


def record(course: Course, assignment: str, student: str, notebooks: dict[str, NotebookNode], grading: Grading) -> None:
    """Write what came out of a submission; a notebook that is missing gives no points.

    Grades and comments that a person gave stay. Raises CourseError when it can't be written; then all is as before.
    """
    folder = course.folder("autograded", assignment, student)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f"{TEMPORARY}*"):  # by a grader that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as temporary:
            fresh = Path(temporary) / "fresh"
            fresh.mkdir()
            for name, notebook in notebooks.items():
                (fresh / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
            stamp = course.folder("submitted", assignment, student) / "timestamp.txt"
            if stamp.is_file() and not stamp.is_symlink():
                shutil.copy(stamp, fresh)
            _into_gradebook(course, assignment, student, notebooks)
            # The key comes last: what was killed before this line is graded again, to the same result.
            write_grading(fresh, grading)
            if folder.exists():
                os.rename(folder, Path(temporary) / "old")
            os.rename(fresh, folder)
    except (OperationalError, InvalidEntry) as error:  # nbgrader wraps some of SQLAlchemy's in its own
        hints = [hint for reason, hint in HINTS.items() if reason in str(error)] or ["is the disk full?"]
        reason = str(error).splitlines()[0]
        raise CourseError(f"the gradebook could not be written ({reason}); {hints[0]}") from error
    except OSError as error:
        raise CourseError(f"autograded/{student}/{assignment} could not be written: {error.strerror}") from error


def _into_gradebook(course: Course, assignment: str, student: str, notebooks: dict[str, NotebookNode]) -> None:
    assert isinstance(course.api.coursedir, CourseDirectory)
    stamp = course.api.coursedir.get_existing_timestamp(str(course.folder("submitted", assignment, student)))
    late = LateSubmissionPlugin(parent=course.api)
    with course.gradebook() as gradebook:
        gradebook.update_or_create_student(student)
        given = {"timestamp": stamp} if stamp else {}
        submission = gradebook.update_or_create_submission(assignment, student, **given)  # pyright: ignore[reportArgumentType]  # its **kwargs: dict
        for entry in submission.notebooks:
            cells = {c.metadata.nbgrader.grade_id: c for c in _known(notebooks.get(entry.name))}
            for grade in entry.grades:
                grade.auto_score = _points(cells.get(grade.name), grade.max_score)
                grade.needs_manual_grade = grade.auto_score is None or grade.manual_score is not None
            for comment in entry.comments:
                cell = cells.get(comment.name)
                untouched = cell is not None and cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)
                comment.auto_comment = "No response." if untouched else None
            gradebook.db.flush()
            entry.late_submission_penalty = None
            if submission.total_seconds_late > 0:
                penalty = late.late_submission_penalty(student, entry.score, submission.total_seconds_late)
                entry.late_submission_penalty = None if penalty is None else min(max(penalty, 0), entry.score)
        gradebook.db.commit()


def _known(notebook: NotebookNode | None) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if "nbgrader" in cell.metadata] if notebook is not None else []


def _points(cell: NotebookNode | None, points: float) -> float | None:
    """All the points of a check that ran through, none of one that stopped with an error; None: a person decides."""
    if cell is None or not is_grade(cell):
        return 0.0
    if is_solution(cell):
        return 0.0 if cell.metadata.nbgrader.get("checksum") == compute_checksum(cell) else None
    return 0.0 if any(output.output_type == "error" for output in cell.outputs) else points
