"""Exports for Moodle: an assignment's grading worksheet, filled in, and all feedback pages in one zip.

The worksheet is the one that was downloaded (`make roster FROM=...`), with Grade and Feedback comments written in;
where none was kept, one is made of what `collect` knows. Moodle takes it by "Upload grading worksheet": it reads
Identifier, Grade, Last modified (grade) and Feedback comments, and leaves out grades above the assignment's maximum
(docs.moodle.org/en/Assignment_FAQ, "offline grading"; mod/assign/feedback/offline/importgradeslib.php).

The zip goes to "Upload multiple feedback files in a zip": a folder a participant, named as in Moodle's own download
(docs.moodle.org/en/Using_Assignment; mod/assign/feedback/file/importziplib.php).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..course import Course
from ..intake import worksheet
from ..intake.class_list import ClassList
from ..intake.roster import lines_of
from ..intake.tables import Table
from ..text import plain
from ..versions import base
from .archive import pages_of, write_zip
from .grade_table import FOLDER, amount, safe, write_csv
from .pages import points
from .summary import GRADED, REFUSED, Row, Summary

HEAD = ("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Last modified (grade)")
HEAD += ("Feedback comments",)


@dataclass(frozen=True)
class Sent:
    """The files that were written for a platform, and messages for the instructor."""

    files: tuple[Path, ...] = ()
    told: tuple[str, ...] = ()


def write_moodle(course: Course, summary: Summary) -> Sent:
    """Write grades/<assignment>-moodle.csv and -moodle-feedback.zip; nothing for a class without Moodle's numbers."""
    numbers = participants(course.root, summary)
    if not numbers:
        return Sent()
    table = worksheet.kept(course.root, summary.assignment)
    rows, told = _filled(table, summary, numbers) if table else _made(summary, numbers)
    path = course.root / FOLDER / f"{summary.assignment}-moodle.csv"
    if rows:
        write_csv(path, rows)
    else:
        path.unlink(missing_ok=True)  # an earlier file is out of date
    pages = []
    for number, row in numbers.items():
        name = re.sub(r"[_/\\:*?\"<>|\0]", " ", plain(row.person.name)).strip() or row.student
        folder = f"{name}_{number}_assignsubmission_file_"
        for page in pages_of(course.root, row):
            pages.append((f"{folder}/{page.name}", page))
    target = course.root / FOLDER / f"{summary.assignment}-moodle-feedback.zip"
    return Sent((*([path] if rows else []), *write_zip(target, pages)), tuple(told))


def participants(root: Path, summary: Summary) -> dict[str, Row]:
    """Return {Moodle's number of each known participant: their row}."""
    listed = {one.id: one.participant(summary.assignment) for one in ClassList.of(root).learners}
    said = {
        row["student"]: row["number"]
        for row in lines_of(root / "submitted")
        if row["system"] == "Moodle" and base(row["assignment"]) == base(summary.assignment)
    }
    numbers = {row.student: listed.get(row.student) or said.get(row.student, "") for row in summary.rows}
    return {numbers[row.student]: row for row in summary.rows if numbers[row.student]}


def _filled(table: Table, summary: Summary, numbers: dict[str, Row]) -> tuple[list[list[str]], list[str]]:
    """Return the kept worksheet, filled in, with its own columns and lines; no lines if it is of another assignment."""
    grade, maximum, comments = (table.column(name) for name in ("Grade", "Maximum grade", "Feedback comments"))
    assert grade is not None
    rows = [[safe(column) for column in table.columns]]
    told: list[str] = []
    met, scaled = set(), set()
    for cells in table.rows:
        written = [safe(cell) for cell in cells]
        row = numbers.get(worksheet.participant(table, cells))
        if row is not None:
            met.add(row.student)
            most = 0.0 if maximum is None else amount(cells[maximum])
            scaled |= {most} if most and most != summary.maximum else set()
            written[grade] = _grade(row, summary.maximum, most)
            if comments is not None and not cells[comments].strip():
                written[comments] = remark(row, summary.maximum)
        rows.append(written)
    if not met:
        told.append(
            f"Not written: {FOLDER}/{summary.assignment}-moodle.csv. The worksheet that was kept is of another "
            f"assignment, since nobody of {summary.assignment} has one of its numbers: give that of "
            f"{summary.assignment} to make roster."
        )
        return [], told
    for most in sorted(scaled):
        told.append(
            f"Moodle's maximum for {summary.assignment} is {points(most)}, here it is {points(summary.maximum)}: the "
            "points were scaled."
        )
    return rows, [*told, *not_in(f"Moodle's worksheet of {summary.assignment}", met, summary.rows)]


def not_in(table: str, met: Collection[str], rows: Iterable[Row]) -> list[str]:
    """Return a sentence on who is graded and has no line in a platform's table; ``met``: who has one."""
    absent = sorted({row.student for row in rows if row.status == GRADED} - set(met))
    return [f"Graded, but not in {table}: {', '.join(map(plain, absent))}"] if absent else []


def _made(summary: Summary, numbers: dict[str, Row]) -> tuple[list[list[str]], list[str]]:
    rows = [[*HEAD]]
    for number, row in sorted(numbers.items(), key=lambda item: item[1].student):
        who = (f"Participant {number}", safe(row.person.name), safe(row.person.email), row.status)
        grade = _grade(row, summary.maximum, 0.0)
        rows.append([*who, grade, points(summary.maximum), "-", remark(row, summary.maximum)])
    told = (
        f"No worksheet of {summary.assignment} was kept: Moodle takes the one made here where its language is English, "
        f"and its maximum {points(summary.maximum)}. To have Moodle's own filled in, give it to make roster."
    )
    return rows, [told]


def _grade(row: Row, maximum: float, most: float) -> str:
    """Return the points in Moodle's format; "" if there are none."""
    if row.status != GRADED or row.total is None:
        return ""
    total = row.total * most / maximum if most and maximum else row.total
    return points(round(min(total, most) if most else total, 2))


def remark(row: Row, maximum: float) -> str:
    """Return the learner's remark beside the grade; "" if nothing was submitted."""
    if row.status == REFUSED:
        return safe(f"This could not be graded: {row.grading.refused}")
    if row.status != GRADED or row.total is None:
        return ""
    late = f", after {points(row.penalty)} taken off for handing in late" if row.penalty else ""
    return f"{points(row.total)} of {points(maximum)} points{late}. The page of feedback says why."
