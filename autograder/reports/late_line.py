"""The line on a learner's page about a late hand-in: when it came, when it was due, how late it was, and the rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..term import Term
from .pages import how_late


def late_line(term: Term, assignment: str, submission: Any) -> str:
    """Return the line on a submission of the gradebook; "" if it was not late, or at an unknown time."""
    due, extension = submission.assignment.duedate, submission.extension or timedelta()
    if submission.timestamp is None or due is None or submission.timestamp <= due + extension:
        return ""
    zone, policy = term.zone or UTC, term.of(assignment).policy

    def local(time: datetime) -> str:
        return f"{time.replace(tzinfo=UTC).astimezone(zone):%Y-%m-%d %H:%M}"

    extended = ", with your extension" if extension else ""
    late = how_late((submission.timestamp - due - extension).total_seconds())
    rule = f" The rule: {policy.rule}." if policy else ""
    dates = f"Handed in {local(submission.timestamp)}, due {local(due + extension)}{extended} ({zone})"
    return f"{dates}: {late} late.{rule}"
