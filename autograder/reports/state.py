"""A digest of everything that a feedback page depends on; it stands in the page and shows when that is outdated."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, BaseCell, Comment, Grade, Notebook, SubmittedAssignment, SubmittedNotebook

from ..course import Course
from ..grading.verdicts import FILE
from ..term import read_term
from .late_line import late_line

MARK = re.compile(r'<meta name="state" content="([0-9a-f]{64})">')
HEAD = 4_000  # characters of a page in which the mark stands


def states(course: Course, assignment: str) -> dict[str, str]:
    """Return {student: digest of all points, comments, penalties, dates and notes of an assignment}."""
    said: dict[str, list[Any]] = defaultdict(list)
    with course.gradebook() as gradebook:
        query: Any = gradebook.db.query
        ours: Any = Assignment.name == assignment  # pyright: ignore[reportGeneralTypeIssues]  # a column of the class
        grades = query(SubmittedAssignment.student_id, Notebook.name, BaseCell.name, *_points())
        comments = query(
            SubmittedAssignment.student_id, Notebook.name, BaseCell.name, Comment.auto_comment, Comment.manual_comment
        )
        penalties = query(SubmittedAssignment.student_id, SubmittedNotebook.late_submission_penalty, Notebook.name)
        penalties = penalties.join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        penalties = penalties.join(Notebook, SubmittedNotebook.notebook_id == Notebook.id)
        penalties = penalties.join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
        for found in (of_cells(grades, Grade, ours), of_cells(comments, Comment, ours), penalties.filter(ours)):
            for student, *values in found:
                said[student].append(values)
        term = read_term(course.root)
        for submission in query(SubmittedAssignment).join(Assignment).filter(ours):
            said[submission.student_id].append([late_line(term, assignment, submission)])
    for path in (course.root / "autograded").glob(f"*/{assignment}/{FILE}"):
        said[path.parents[1].name].append([path.read_text(encoding="utf-8", errors="replace")])
    return {student: _digest(values) for student, values in said.items()}


def of_cells(found: Any, kind: Any, ours: Any) -> Any:
    """Return a query on rows of cells (Grade or Comment), joined to their students."""
    return (
        found.select_from(kind)
        .join(BaseCell, kind.cell_id == BaseCell.id)
        .join(Notebook, BaseCell.notebook_id == Notebook.id)
        .join(SubmittedNotebook, kind.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
        .filter(ours)
    )


def is_fresh(page: Path, state: str) -> bool:
    """Return whether a page was written for this state."""
    try:
        with page.open(encoding="utf-8") as file:
            mark = MARK.search(file.read(HEAD))
    except OSError:
        return False
    return mark is not None and mark[1] == state


def _points() -> tuple[Any, ...]:
    return Grade.auto_score, Grade.manual_score, Grade.extra_credit


def _digest(values: list[Any]) -> str:
    lines = sorted(json.dumps([str(value) for value in row]) for row in values)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
