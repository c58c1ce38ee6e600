"""The only writer of results: an executed submission goes to autograded/ and the gradebook, all of it or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from ..course import Course, CourseError
from ..errors import of_disk
from ..intake.times import to_text
from ..workers.job import Outcome
from .verdicts import Grading, write_grading

TEMPORARY = ".grading-"
PAGE = 4096  # bytes: an empty file finds a place on a full disk


def ready(course: Course) -> None:
    """Try to write to the results' places, before any run. Raises GradebookError and OSError."""
    folder = course.root / "autograded"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file, course.gradebook() as gradebook:
        file.write(bytes(PAGE))
        gradebook.db.execute(text("UPDATE course SET id = id"))  # changes nothing, and is not committed


def clear(root: Path) -> None:
    """Remove leftovers of killed graders; call it only when no other grader is running."""
    for left in (root / "autograded").glob(f"*/{TEMPORARY}*"):
        shutil.rmtree(left, ignore_errors=True)


def record(
    course: Course, assignment: str, student: str, outcome: Outcome, grading: Grading, stamp: datetime | None
) -> None:
    """Write the result of a submission; a missing notebook gets no points.

    ``stamp``: the submission time (UTC); `settle` computes the penalty. Grades and comments given by hand stay.
    Raises CourseError when it can't be written; then its folder is as before, and the next run grades it again.
    """
    folder = course.folder("autograded", assignment, student)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent, ignore_cleanup_errors=True) as temporary:
            fresh, old = Path(temporary, "fresh"), Path(temporary, "old")
            fresh.mkdir()
            write_grading(fresh, grading)
            for name, content in outcome.notebooks.items():
                (fresh / f"{name}.ipynb").write_text(content, encoding="utf-8")
            if stamp is not None:
                (fresh / "timestamp.txt").write_text(to_text(stamp), encoding="utf-8")
            _into_gradebook(course, assignment, student, outcome, stamp)
            # The folder comes last, as a whole: what was killed before is graded again, to the same result.
            if folder.exists():
                os.rename(folder, old)
            try:
                os.rename(fresh, folder)
            except OSError:
                if old.exists():
                    os.rename(old, folder)
                raise
    except OSError as error:
        raise CourseError(f"autograded/{student}/{assignment} could not be written: {of_disk(error)}") from error


def _into_gradebook(course: Course, assignment: str, student: str, outcome: Outcome, stamp: datetime | None) -> None:
    with course.gradebook() as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(assignment, student, timestamp=stamp)  # pyright: ignore[reportArgumentType]  # its **kwargs: dict
        for entry in submission.notebooks:
            there = entry.name in outcome.notebooks
            scores, untouched = outcome.scores.get(entry.name, {}), outcome.untouched.get(entry.name, ())
            tasks = {cell.name for cell in entry.notebook.task_cells}
            for grade in entry.grades:
                if grade.name in tasks:
                    continue  # needs a person, from the start
                grade.auto_score = scores.get(grade.name, 0.0) if there else 0.0
                grade.needs_manual_grade = grade.auto_score is None or grade.manual_score is not None
            for comment in entry.comments:
                comment.auto_comment = "No response." if comment.name in untouched else None
        gradebook.db.commit()
