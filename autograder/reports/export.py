"""Exports: grades/, for the instructor's records, the class, and the learning platforms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import Assignment

from ..course import Course, CourseError
from ..grading.settle import settle
from ..versions import base
from .canvas import uploads, write_canvas, write_canvas_feedback
from .class_page import write_class_page
from .feedback import feedback
from .grade_table import write_grades
from .merged_versions import merge_versions
from .moodle import participants, write_moodle
from .open_tasks import taken_off, to_grade, to_settle
from .state import is_fresh, states
from .summary import GRADED, REFUSED, Summary, summarise
from .term_table import write_term


@dataclass(frozen=True)
class Exported:
    """The files that were written, and messages for the instructor."""

    files: tuple[Path, ...]
    told: tuple[str, ...] = ()


def export(course: Course, assignment: str | None = None) -> list[Path]:
    """Write grades/<assignment>.csv and .html, for one assignment or all in the gradebook; returns the files.

    Raises CourseError for an assignment that the gradebook does not know, and as `settle` does.
    """
    written = []
    for summary in summaries(course, assignment):
        written += [write_grades(course.root, summary), write_class_page(course, summary)]
    return written


def export_all(course: Course, assignment: str | None = None) -> Exported:
    """Write those, grades/term.csv, and the files for Moodle and Canvas where the class uses them.

    Missing or outdated pages of feedback/ are written first.
    """
    every = summaries(course, assignment)
    whole = merge_versions(summaries(course, None)) if assignment else merge_versions(every)
    asked = {base(summary.assignment) for summary in every}
    files, told = [], []
    sent = [write_canvas(course, whole)]
    for summary in every:
        files += [write_grades(course.root, summary), write_class_page(course, summary)]
    for summary in (one for one in whole if base(one.assignment) in asked):
        if participants(course.root, summary) or uploads(course.root, summary):
            if pages := refresh(course, summary):
                told.append(f"feedback/: {pages} pages of {summary.assignment} were brought up to date")
            sent += [write_moodle(course, summary), write_canvas_feedback(course, summary)]
    if assignment is None:
        files.append(write_term(course.root, whole))
    for one in sent:
        files += one.files
        told += one.told
    told += [f"{summary.assignment}: {line}" for summary in every for line in taken_off(summary)]
    if every and not any(summary.in_use for summary in every):
        told.append("Nobody has handed in anything. next: make collect FROM=export.zip")
    told += to_settle(every)
    told += to_grade({summary.assignment: summary.pending for summary in every}, "export")
    return Exported(tuple(files), tuple(told))


def refresh(course: Course, summary: Summary) -> int:
    """Write the feedback pages that are missing or outdated; returns how many."""
    written, known = 0, {name: states(course, name) for name in {row.assignment for row in summary.rows}}
    for row in summary.rows:
        if row.status in (GRADED, REFUSED):
            mine = known[row.assignment].get(row.student, "")
            pages = list((course.root / "feedback" / row.student / row.assignment).glob("*.html"))
            if not pages or not all(is_fresh(page, mine) for page in pages):
                written += len(feedback(course, row.assignment, row.student, row.person, mine))
    return written


def summaries(course: Course, assignment: str | None = None) -> list[Summary]:
    """Return the current grades of one assignment, or of all. Raises CourseError."""
    with course.gradebook() as gradebook:
        known = gradebook.db.query(Assignment.name)  # pyright: ignore[reportGeneralTypeIssues]  # nbgrader's __init__ makes it look like an instance's
        names = sorted(name for (name,) in known)
    if assignment is not None and assignment not in names:
        raise CourseError(f"There is no assignment {assignment!r}. In the gradebook: {', '.join(names) or 'none'}.")
    left = settle(course, assignment)
    return [summarise(course, name, left[name]) for name in ([assignment] if assignment else names)]
