"""grades/term.csv: one row a learner with the points of every assignment, for the registrar."""

from __future__ import annotations

from pathlib import Path

from ..grading.basis import PENDING
from ..text import for_table
from .grade_table import FOLDER, status, write_csv
from .pages import points
from .summary import GRADED, Row, Summary

WHO = ("student", "last_name", "first_name", "email", "group")


def write_term(root: Path, summaries: list[Summary]) -> Path:
    """Write the table of the term; returns the file.

    An assignment counts from the first submission on. Missing and refused submissions count as 0. There is no total as
    long as a submission is to be graded.
    """
    of: dict[str, dict[str, Row]] = {}
    for summary in summaries:
        for row in summary.rows:
            of.setdefault(row.student, {})[summary.assignment] = row
    used = [summary for summary in summaries if summary.in_use]
    names = [summary.assignment for summary in used]
    maximum = points(sum(summary.maximum for summary in used))
    head = [*WHO, *(title for name in names for title in (name, f"{name} status")), "total", "max"]
    rows = [[for_table(title) for title in head]]
    for student in sorted(of):
        mine = of[student]
        person = next(row.person for row in mine.values())
        called = (person.last_name, person.first_name) if person.last_name else (person.name, "")
        who = (student, *called, person.email, person.group)
        got = {name: round(r.total, 2) for name, r in mine.items() if r.status == GRADED and r.total is not None}
        cells: list[str] = []
        for name in names:
            row = mine.get(name)
            cells += [points(got[name]) if name in got else "", status(row) if row else ""]
        whole = not any(row.status in PENDING for row in mine.values())
        total = points(round(sum(got.values()), 2)) if whole else ""
        rows.append([*map(for_table, who), *cells, total, maximum])
    return write_csv(root / FOLDER / "term.csv", rows)
