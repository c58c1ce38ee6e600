"""Lateness: submission times and penalties, computed from term.toml whenever points are reported. Nothing is run.

Submission times come from nbgrader's timestamp.txt, a folder's files, and platforms that write them into their
exports. In exports of Moodle, Canvas and GitHub, files have the time of the download; there the time comes from
Moodle's grading worksheet or term.toml, or it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nbgrader.plugins import LateSubmissionPlugin
from traitlets.utils.importstring import import_item

from ..course import Course
from ..intake import worksheet
from ..intake.class_list import ClassList
from ..intake.folder import MAX_STAMP
from ..intake.regular import Refused, read_regular
from ..intake.roster import lines_of
from ..intake.times import UNTOLD, from_text
from ..term import Term
from ..versions import base

NONE = timedelta()


@dataclass(frozen=True)
class HandedIn:
    """A submission's time (UTC without a zone), None if unknown; ``late``: the source that says it was late."""

    time: datetime | None
    late: str = ""


def settle_one(course: Course, term: Term, assignment: str, submission: Any, when: HandedIn | None) -> None:
    """Set the time, the extension and the penalty of one submission, without a commit."""
    dates, student = term.of(assignment), submission.student_id
    due = submission.assignment.duedate
    if when is not None:
        submission.timestamp = when.time
    if term.there:
        until = dates.due_for(student)
        submission.extension = until - due if until and due and until != due else None
    late = NONE
    if submission.timestamp is not None and due is not None:
        late = max(NONE, submission.timestamp - due - (submission.extension or NONE))
    if dates.policy is None:
        penalties = [_of_nbgrader(course, student, entry.score, late) for entry in submission.notebooks]
    else:
        maximum = sum(entry.max_score for entry in submission.notebooks)
        left = dates.policy.penalty(sum(entry.score for entry in submission.notebooks), maximum, late)
        penalties = []
        for entry in submission.notebooks:  # no notebook loses more than it has
            penalties.append(min(left, max(0.0, entry.score)))
            left -= penalties[-1]
    for entry, penalty in zip(submission.notebooks, penalties, strict=True):
        entry.late_submission_penalty = penalty or None


def _of_nbgrader(course: Course, student: str, score: float, late: timedelta) -> float:
    """Return the penalty of the plugin that nbgrader_config.py names, or of nbgrader's own."""
    if late <= NONE:
        return 0.0
    plugin = course.api.config.AssignLatePenalties.get("plugin_class", LateSubmissionPlugin)
    plugin = import_item(plugin) if isinstance(plugin, str) else plugin
    penalty = plugin(parent=course.api).late_submission_penalty(student, score, late.total_seconds())
    return 0.0 if penalty is None else min(max(penalty, 0.0), score)


def handed_in(root: Path, term: Term, assignment: str) -> dict[str, HandedIn]:
    """Return {student: when they submitted}, for all whose time is known."""
    table = worksheet.kept(root, assignment) or worksheet.kept(root, base(assignment))
    said = worksheet.handed_in(table) if table else {}
    participants = {one.id: one.participant(assignment) for one in ClassList.of(root).learners}
    rows: dict[str, list[dict[str, str]]] = {}
    for row in lines_of(root / "submitted"):
        if row["assignment"] == assignment and row["file"].endswith(".ipynb"):
            rows.setdefault(row["student"], []).append(row)
    found = {}
    for folder in sorted((root / "submitted").glob(f"*/{assignment}")):
        student = folder.parent.name
        mine = rows.get(student, [])
        number = next((row["number"] for row in mine if row["system"] == "Moodle"), participants.get(student, ""))
        late = next((row["late"] for row in mine if row["late"]), "")
        if student in term.of(assignment).handed_in:
            found[student] = HandedIn(term.of(assignment).handed_in[student], late)
        elif mine and any(row["system"] in UNTOLD for row in mine):
            found[student] = HandedIn(term.utc(said[number]) if number in said else None, late)
        elif mine or term.there:
            found[student] = HandedIn(_latest(row["time"] for row in mine) if mine else stamp_of(folder), late)
    return found


def _latest(times: Iterable[str]) -> datetime | None:
    return max(filter(None, map(from_text, times)), default=None)


def stamp_of(folder: Path) -> datetime | None:
    """Return the time in a submission's timestamp.txt; None if it has none."""
    try:
        return from_text(read_regular(folder / "timestamp.txt", MAX_STAMP).decode())
    except (FileNotFoundError, Refused, ValueError):
        return None
