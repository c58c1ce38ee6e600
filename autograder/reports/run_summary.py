"""The summary at the end of `make grade`: each submission's outcome, open tasks by student, and the next command.

Each outcome has one word, here and on every page. *refused*: it can't be graded, and the learner's page says why.
*failed*: the grader had an error, so the same command has to be given again. *flagged*: it is graded, and a person
should look at it. *note*: what was done with the submitted files and cells; no action is needed.
"""

from __future__ import annotations

from collections import Counter

from ..course import Course, CourseError, folders
from ..grading.grade import Submission
from ..learners import check_learner
from ..text import did_you_mean, plain
from .export import summaries
from .open_tasks import FLAGGED, TO_DO, left, names, taken_off
from .pages import points
from .summary import GRADED, Summary

ALIKE = 3  # failures of an assignment for one reason that are listed one by one


def closing(course: Course, submissions: list[Submission]) -> str:
    """Return the summary at the end of a grading run, for the screen."""
    assignments = sorted({s.assignment for s in submissions})
    known = {s.assignment for s in submissions if not s.failure or s.refused}
    left = [line for name in assignments if name in known for line in _left(course, summaries(course, name)[0])]
    failed = any(s.failure and not s.refused for s in submissions)
    step = (
        "next: correct what failed, and give the same command again" if failed else "next: make feedback, make export"
    )
    return "\n".join([*table(submissions), *left, "", step])


def table(submissions: list[Submission]) -> list[str]:
    """Return one line a submission: its points, or why there are none; then remarks for a person, and totals.

    Submissions that were graded earlier, with points, have no line: the totals include them, and grades/ lists all.
    """
    reasons = Counter((s.assignment, s.failure) for s in submissions if s.failure and not s.refused)
    often = {key: number for key, number in reasons.items() if number > ALIKE}
    alone = [s for s in submissions if (s.assignment, s.failure) not in often]
    shown = [s for s in alone if s.again or s.failure or s.review]
    names = [f"{plain(s.student)}  {plain(s.assignment)}" for s in shown]
    width = max(map(len, names), default=0)
    lines, flagged = [], []
    for name, s in zip(names, shown, strict=True):
        outcome = "refused" if s.refused else "failed"
        result = f"{outcome}: {plain(s.failure)}" if s.failure else f"{points(s.points)} of {points(s.max_points)}"
        notes = ["" if s.again or s.failure else "graded before", "flagged" if s.review else ""]
        lines.append(f"{name:<{width}}  " + ", ".join(filter(None, [result, *notes])))
        flagged += [f"{name}  {plain(r.cell or r.notebook)}: {plain(r.reason)}" for r in s.review]
    lines += [f"{number} of {plain(name)}  failed: {plain(why)}" for (name, why), number in often.items()]
    if flagged:
        lines += ["", "Flagged, for a person to look at:", *flagged]
    refused = sum(s.refused for s in submissions)
    failed = sum(bool(s.failure) for s in submissions) - refused
    reviewed, before = sum(bool(s.review) for s in submissions), sum(not s.again for s in submissions)
    graded = len(submissions) - refused - failed
    sums = f"{graded} graded, {refused} refused, {failed} failed, {reviewed} flagged"
    return [*lines, "", sums + (f"; {before} of them had been graded before" if before else "")]


def _left(course: Course, summary: Summary) -> list[str]:
    """Return the open tasks of an assignment, with names."""
    rows = summary.rows
    told = []
    for what, found in left(course, summary).items():
        told.append(f"  {what} ({len(found)}): {names(found)}")
        told += [f"    {plain(row.student)}: {plain(row.unclear)}" for row in found if what == FLAGGED and row.unclear]
        told.append(f"    {TO_DO[what]}")
    graded = sum(row.status == GRADED for row in rows)
    late = [f"  {line}" for line in taken_off(summary)]
    return ["", f"{plain(summary.assignment)}: {graded} of {len(rows)} graded", *late, *told]


def nothing(course: Course, step: str, assignment: str | None, student: str | None) -> str:
    """Return why there was nothing to do in a folder of nbgrader's. Raises CourseError for an unknown name."""
    with course.gradebook() as gradebook:
        known = {str(entry.name) for entry in gradebook.assignments}
        if student is not None:
            check_learner(course.root, gradebook, student)
    if assignment is not None and assignment not in known:
        raise CourseError(f"There is no assignment {plain(assignment, 80)!r}{did_you_mean(assignment, known)}")
    who, what = f"{plain(student, 80)}/" if student else "", f"{assignment}/" if assignment else ""
    if not (who or what):
        there = step != "submitted" and any(folders(course.root / "submitted"))
        command = "grade" if there else "collect FROM=export.zip"
        return (
            f"There is nothing in {step}/: it holds one folder a student, {step}/<student>/<assignment>/. next: make "
            f"{command}"
        )
    return f"There is no folder {step}/{who or '<student>/'}{what}: nothing was handed in there, or it is a group's."
