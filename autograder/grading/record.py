"""The one writer: an executed submission into autograded/ and the gradebook, all of it or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from nbgrader.api import InvalidEntry
from nbgrader.plugins import LateSubmissionPlugin
from sqlalchemy.exc import OperationalError

from ..course import Course, CourseError
from ..workers.job import Outcome
from .verdicts import Grading, write_grading

TEMPORARY = ".grading-"
HINTS = {
    "database is locked": "another program holds it: close the formgrader and other graders, then grade again",
    "readonly database": "it can't be written: make gradebook.db and its folder writable",
}


def record(
    course: Course, assignment: str, student: str, outcome: Outcome, grading: Grading, stamp: datetime | None
) -> None:
    """Write what came out of a submission; a notebook that is missing gives no points.

    ``stamp``: when it was handed in (UTC). Grades and comments that a person gave stay. Raises CourseError when it
    can't be written; then all is as before.
    """
    folder = course.folder("autograded", assignment, student)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f"{TEMPORARY}*"):  # by a grader that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as temporary:
            fresh = Path(temporary) / "fresh"
            fresh.mkdir()
            for name, text in outcome.notebooks.items():
                (fresh / f"{name}.ipynb").write_text(text, encoding="utf-8")
            if stamp is not None:
                (fresh / "timestamp.txt").write_text(f"{stamp} UTC", encoding="utf-8")
            _into_gradebook(course, assignment, student, outcome, stamp)
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


def _into_gradebook(course: Course, assignment: str, student: str, outcome: Outcome, stamp: datetime | None) -> None:
    late = LateSubmissionPlugin(parent=course.api)
    with course.gradebook() as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(assignment, student, timestamp=stamp)  # pyright: ignore[reportArgumentType]  # its **kwargs: dict
        for entry in submission.notebooks:
            there = entry.name in outcome.notebooks
            scores, untouched = outcome.scores.get(entry.name, {}), outcome.untouched.get(entry.name, ())
            tasks = {cell.name for cell in entry.notebook.task_cells}
            for grade in entry.grades:
                if grade.name in tasks:
                    continue  # a person's, from the start
                grade.auto_score = scores.get(grade.name, 0.0) if there else 0.0
                grade.needs_manual_grade = grade.auto_score is None or grade.manual_score is not None
            for comment in entry.comments:
                comment.auto_comment = "No response." if comment.name in untouched else None
            gradebook.db.flush()
            entry.late_submission_penalty = None
            if submission.total_seconds_late > 0:
                penalty = late.late_submission_penalty(student, entry.score, submission.total_seconds_late)
                entry.late_submission_penalty = None if penalty is None else min(max(penalty, 0), entry.score)
        gradebook.db.commit()
