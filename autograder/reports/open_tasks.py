"""Open tasks of an assignment, by student: the same for the end of `make grade` and the class page."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from ..course import Course
from ..grading.basis import PENDING
from ..text import plain
from .pages import how_late, points
from .summary import GRADED, NOTHING, REFUSED, Row, Summary

STOPPED = re.compile(rb'"ename": ?"CellTimeoutError"|"evalue": ?"This (?:took|waited)[^"]{1,80} was stopped')
LATE = "late by an unknown time"
TIMED_OUT, BY_HAND, UNLISTED = "timed out", "needs points by hand", "not on the class list"
FLAGGED, LITTLE = "flagged", "less than half of the points"
TO_DO = {  # what -> what to do about it
    NOTHING: "remind them, and make collect with the next export",
    **dict.fromkeys(PENDING, "make grade"),
    REFUSED: "their page says why: make feedback, and wait for the next hand-in",
    TIMED_OUT: 'make show STUDENT=... says where; once more: make grade ARGS="--again --student ..."',
    FLAGGED: "look at them (make grade and the class page say why); correct points in the Formgrader: make teach",
    BY_HAND: "give them in the Formgrader: make teach",
    LATE: "write when, under handed_in in term.toml; then make export",
    UNLISTED: "bring a newer list (make roster), or make rename OLD=... NEW=... to who it is, or make drop STUDENT=...",
    LITTLE: "the class page says where they stopped: talk to them",
}

UNSETTLED = (FLAGGED, BY_HAND, LATE)  # the points of such work are a person's to settle


def unsettled(row: Row) -> list[str]:
    """Return why a person may still change a student's points; nothing if they are final."""
    return [what for what, so in zip(UNSETTLED, (row.flags, row.by_hand, row.late_unknown), strict=True) if so]


def to_settle(summaries: Collection[Summary]) -> list[str]:
    """Return lines, for the screen, on whose points a person may still change, and what to do about it."""
    lines = []
    for what in UNSETTLED:
        found = [(one.assignment, [row for row in one.rows if what in unsettled(row)]) for one in summaries]
        mine = [f"{plain(name)}: {what} ({len(rows)}): {names(rows)}" for name, rows in found if rows]
        lines += [*mine, f"  {TO_DO[what]}"] if mine else []
    return lines


def names(rows: Iterable[Row]) -> str:
    """Return students' ids, for the screen."""
    return ", ".join(plain(row.student) for row in rows)


def left(course: Course, summary: Summary) -> dict[str, list[Row]]:
    """Return {open task: students it concerns}, without tasks that concern nobody."""
    rows = summary.rows
    groups = {
        NOTHING: [row for row in rows if row.status == NOTHING],
        **{what: [row for row in rows if row.status == what] for what in PENDING},
        REFUSED: [row for row in rows if row.status == REFUSED],
        TIMED_OUT: [row for row in rows if row.status == GRADED and _timed_out(course, summary, row)],
        **{what: [row for row in rows if what in unsettled(row)] for what in UNSETTLED},
        UNLISTED: [row for row in rows if not row.listed],
        LITTLE: [row for row in rows if needs_help(row, summary)],
    }
    return {what: found for what, found in groups.items() if found}


def to_grade(pending: Mapping[str, Mapping[str, str]], command: str) -> list[str]:
    """Return lines, for the screen, on whose submissions ``command`` has no result of, and why; then what to do.

    ``pending`` is {assignment: who is to be graded, and why}.
    """
    lines = []
    for assignment, mine in sorted(pending.items()):
        for what in PENDING:
            if there := sorted(who for who, why in mine.items() if why == what):
                lines.append(f"{plain(assignment)}: {what} ({len(there)}): {', '.join(map(plain, there))}")
    return [*lines, f"next: make grade, then make {command} again"] if lines else []


def taken_off(summary: Summary) -> list[str]:
    """Return a line on the points taken off for lateness: who lost how many, and how late they were."""
    late = [row for row in summary.rows if row.status == GRADED and row.penalty > 0]
    said = ", ".join(f"{plain(row.student)} {points(row.penalty)} ({how_late(row.seconds_late)} late)" for row in late)
    return [f"points taken off for handing in late ({len(late)}): {said}"] if late else []


def needs_help(row: Row, summary: Summary) -> bool:
    """Return whether somebody who submitted has less than half of the points, before a penalty for lateness."""
    return row.status == GRADED and 2 * sum(row.scores.values()) < summary.maximum


def _timed_out(course: Course, summary: Summary, row: Row) -> bool:
    """Return whether a cell of the notebook was stopped at a time limit."""
    folder = course.folder("autograded", summary.assignment, row.student)
    return any(STOPPED.search(path.read_bytes()) for path in folder.glob("*.ipynb"))
