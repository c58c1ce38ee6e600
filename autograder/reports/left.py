"""Open tasks of an assignment, by student: the same for the end of `make grade` and the class page."""

from __future__ import annotations

import re

from ..course import Course
from .summary import GRADED, NOTHING, REFUSED, WAITING, Row, Summary

TIMED_OUT = re.compile(rb'"ename": ?"CellTimeoutError"')
REFUSED_ONES, FLAGGED, LITTLE = "refused", "flagged", "less than half of the points"


def left(course: Course, summary: Summary) -> dict[str, list[Row]]:
    """Return {open task: students it concerns}, without tasks that concern nobody."""
    rows = summary.rows
    groups = {
        "nothing handed in": [row for row in rows if row.status == NOTHING],
        "not graded yet": [row for row in rows if row.status == WAITING],
        REFUSED_ONES: [row for row in rows if row.status == REFUSED],
        "timed out": [row for row in rows if row.status == GRADED and _timed_out(course, summary, row)],
        FLAGGED: [row for row in rows if row.grading.review],
        "needs points by hand": [row for row in rows if row.by_hand],
        "late by an unknown time: write handed_in in term.toml": [row for row in rows if row.late_unknown],
        "not on the class list": [row for row in rows if not row.listed],
        LITTLE: [row for row in rows if needs_help(row, summary)],
    }
    return {what: found for what, found in groups.items() if found}


def needs_help(row: Row, summary: Summary) -> bool:
    """Return whether somebody who submitted has less than half of the points, before a penalty for lateness."""
    return row.status == GRADED and 2 * sum(row.scores.values()) < summary.maximum


def _timed_out(course: Course, summary: Summary, row: Row) -> bool:
    """Return whether a cell of the notebook was stopped at a time limit."""
    folder = course.folder("autograded", summary.assignment, row.student)
    return any(TIMED_OUT.search(path.read_bytes()) for path in folder.glob("*.ipynb"))
