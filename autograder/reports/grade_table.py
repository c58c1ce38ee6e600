"""grades/<assignment>.csv: one row a student, the whole class list included, for the instructor's records.

``number`` is the university's, as in the class list. Moodle's and Canvas's numbers are in the files for these alone.
Grading the same class twice gives the same bytes: rows are sorted by student id, and no current date is written.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ..files import write_whole
from ..text import for_table, from_table, masked
from .open_tasks import UNLISTED, unsettled
from .pages import points
from .summary import GRADED, Row, Summary

FOLDER = "grades"
PERSON = ("student", "name", "number", "email", "group", "status")
LATE = ("submitted", "seconds_late", "late_penalty", "late_says")
WORDS = ("review", "refused")


def write_grades(root: Path, summary: Summary) -> Path:
    """Write the table of an assignment; returns the file."""
    names = [exercise for _, exercise in summary.exercises]
    titles = [e if names.count(e) == 1 else f"{notebook}/{e}" for notebook, e in summary.exercises]
    rows = [[*PERSON, "total", "max", *map(for_table, titles), *LATE, *WORDS]]
    rows += [_cells(row, summary, len(titles)) for row in summary.rows]
    return write_csv(root / FOLDER / f"{summary.assignment}.csv", rows)


def _cells(row: Row, summary: Summary, exercises: int) -> list[str]:
    person = row.person
    who = [row.student, person.name, person.number, person.email, person.group, status(row)]
    words = ["; ".join(row.flags), row.grading.refused]
    if row.status != GRADED or row.total is None:
        numbers, late = [""] * exercises, ["", "", "", row.late_says]
    else:
        sums = (sum(row.scores.get(check, 0.0) for check in checks) for checks in summary.exercises.values())
        numbers = [points(value) for value in sums]
        time = f"{row.submitted:%Y-%m-%d %H:%M:%S} UTC" if row.submitted else ""
        late = [time, points(row.seconds_late), points(row.penalty), row.late_says]
    total = "" if row.status != GRADED or row.total is None else points(row.total)
    return [*map(for_table, who), total, points(summary.maximum), *numbers, *late, *map(for_table, words)]


def status(row: Row) -> str:
    """Return the state of a student's work, and what is open about it, in words."""
    return ", ".join([row.status, *unsettled(row), *([] if row.listed else [UNLISTED])])


def write_csv(path: Path, rows: list[list[str]], mark: bool = True) -> Path:
    """Write a table, whole or not at all; its cells must already be safe for spreadsheets.

    ``mark``: with a byte order mark, without which Excel assumes another encoding.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    data = text.getvalue().encode("utf-8", errors="replace")
    write_whole(path, b"\xef\xbb\xbf" + data if mark else data)
    return path


def safe(cell: str) -> str:
    """Return a learning platform's cell, as text if a spreadsheet would read a formula in it."""
    try:
        float(cell)
    except ValueError:
        return cell if cell == "-" else masked(from_table(cell))
    return cell


def amount(text: str) -> float:
    """Return the number in a platform's cell, with a decimal point or comma; 0 if there is none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return 0.0
