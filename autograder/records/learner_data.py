"""A learner's data: folders, the gradebook, the lists of people; and its removal."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, SubmittedAssignment

from ..course import CourseError
from ..learners import STEPS
from ..term import FILE, read_term
from ..text import plain


def folders_of(root: Path, student: str, assignment: str | None = None) -> list[Path]:
    """Return the folders of a learner, for one assignment or all, in the order of `STEPS`."""
    places = [path for step in STEPS for path in sorted((root / step / student).glob("*/"))]
    return [path for path in places if not path.name.startswith(".") and assignment in (None, path.name)]


def submissions_of(gradebook: Gradebook, student: str) -> dict[str, Any]:
    """Return {assignment: the learner's submission in the gradebook}."""
    mine = gradebook.db.query(SubmittedAssignment).filter(SubmittedAssignment.student_id == student)
    return {str(entry.assignment.name): entry for entry in mine}


def check_dates(root: Path, student: str, what: str) -> None:
    """Raise CourseError if term.toml names a learner whose id is to be removed: the instructor edits that file."""
    for name, dates in read_term(root).assignments.items():
        for part, named in (("extensions", dates.extensions), ("handed_in", dates.handed_in)):
            if student in named:
                raise CourseError(f"{FILE} names {plain(student, 80)} in [{name}.{part}]: {what} there first.")


def remove(gradebook: Gradebook, submission: Any) -> None:
    """Delete a submission with all that belongs to it, without a commit, as nbgrader's own removal."""
    for notebook in submission.notebooks:
        for entry in (*notebook.grades, *notebook.comments):
            gradebook.db.delete(entry)
        gradebook.db.delete(notebook)
    gradebook.db.delete(submission)
    gradebook.db.flush()


def has_manual(submission: Any) -> bool:
    """Return whether a person gave points or wrote a comment in a submission."""
    return any(
        any(grade.manual_score is not None or grade.extra_credit for grade in notebook.grades)
        or any(comment.manual_comment for comment in notebook.comments)
        for notebook in submission.notebooks
    )


def put_aside(root: Path, student: str, folders: list[Path]) -> str:
    """Move folders of a learner away; returns their new path, relative to ``root``, "" if there are none."""
    if not folders:
        return ""
    number, kept = 1, root / "submitted" / ".replaced"
    while (target := kept / f"{student}.{number}").exists():
        number += 1
    for folder in folders:
        place = target / folder.relative_to(root).parts[0] / folder.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, place)
        remove_if_empty(folder.parent)
    return target.relative_to(root).as_posix()


def remove_if_empty(folder: Path) -> None:
    """Remove a learner's folder if it is empty."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
