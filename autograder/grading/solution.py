"""The grading of the course's own solutions as a submission: does a right answer get all points?"""

from __future__ import annotations

import shutil
from pathlib import Path

from ..authoring.release import fresh_release
from ..authoring.sources import notebooks
from ..course import Course, CourseError
from ..text import did_you_mean
from ..workers.pool import Workers
from .grade import Submission, grade
from .results import Result, results

WHO = "solution"


def solution(
    root: Path, assignment: str | None = None, files: Path | None = None, workers: Workers | None = None
) -> list[tuple[Submission, list[Result]]]:
    """Grade the solutions in a temporary course, of one assignment or all; the real gradebook is not changed.

    ``files``: a folder with the files that learners submit beside their notebooks. Raises what `grade` raises.
    """
    names = sorted({path.parent.name for path in notebooks(root)})
    if assignment is not None and assignment not in names:
        raise CourseError(f"There is no assignment {assignment!r} in source/{did_you_mean(assignment, names)}")
    if files is not None and not files.is_dir():
        raise CourseError(f"There is no folder {files}: --files wants one with what is handed in beside a notebook.")
    with fresh_release(root) as fresh:
        for name in [assignment] if assignment else names:
            _hand_in(fresh, name, files)
        graded = grade(fresh, workers=workers)
        course = Course(fresh)
        return [(s, [] if s.failure else results(course, s.assignment, WHO)) for s in graded]


def _hand_in(root: Path, assignment: str, files: Path | None) -> None:
    target = root / "submitted" / WHO / assignment
    target.mkdir(parents=True)
    beside = [path for path in sorted(files.iterdir()) if path.is_file()] if files else []
    for path in [*beside, *(root / "source" / assignment).glob("*.ipynb")]:
        shutil.copy(path, target)
