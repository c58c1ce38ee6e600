"""The term's dates, ``term.toml`` in the course's folder: due dates, extensions, and penalties for lateness.

    timezone = "Europe/Berlin"             # of all times in this file; UTC where it is left out
    late = "10% per day"                   # for all assignments; left out, nbgrader's own penalty counts

    [phase2_techniques]
    due = "2026-11-20 23:59"               # a date alone is the end of that day
    late = "cut-off"                       # in place of the one above
    canvas = "Lab 2 (4325137)"             # its column in Canvas's gradebook, where the name does not tell
    groups = true                          # one submission for each group of the class list; or which: "Team *"

    [phase2_techniques.extensions]         # learner = new due date
    ada-lovelace = "2026-11-27 23:59"

    [phase2_techniques.handed_in]          # learner = when, where the platform does not tell or is wrong
    kim-lee = "2026-11-22 10:00"

"10% per day" takes, as Canvas's late policy does, that share of the points that can be had for each day begun, and
never more than there are. "cut-off" takes all, "none" nothing. If there is such a file, it alone sets due dates and
extensions; without it they are the gradebook's (Formgrader).
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .course import CourseError
from .text import plain
from .versions import base

FILE = "term.toml"
PER_DAY = re.compile(r"(\d{1,3}(?:\.\d+)?) ?% (?:per|a|each) day")
POLICIES = '"none", "10% per day" or "cut-off"'
DAY = timedelta(days=1)
KNOWN = ("due", "late", "canvas", "groups", "extensions", "handed_in")
TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?")


@dataclass(frozen=True)
class Policy:
    """The penalty for lateness: all points (``cut_off``), or a share (``per_day``) of them for each day begun."""

    per_day: float = 0.0
    cut_off: bool = False

    @property
    def rule(self) -> str:
        """The rule in words, for learners."""
        if self.cut_off:
            return "it takes all points"
        return f"each day begun takes {100 * self.per_day:.10g}% of the points that can be had"

    def penalty(self, score: float, maximum: float, late: timedelta) -> float:
        """Return the points taken from ``score``, at most all of them."""
        if late <= timedelta():
            return 0.0
        if self.cut_off:
            return max(0.0, score)
        return max(0.0, min(score, self.per_day * maximum * math.ceil(late / DAY)))


@dataclass(frozen=True)
class Dates:
    """An assignment's dates, all in UTC without a zone, as nbgrader's gradebook has them.

    ``groups`` is a pattern of the groups that hand in together, "" where learners work alone.
    """

    due: datetime | None = None
    policy: Policy | None = None
    canvas: str = ""
    groups: str = ""
    extensions: Mapping[str, datetime] = field(default_factory=dict)
    handed_in: Mapping[str, datetime] = field(default_factory=dict)

    def due_for(self, student: str) -> datetime | None:
        return self.extensions.get(student, self.due)


@dataclass(frozen=True)
class Term:
    """The content of term.toml; ``there`` is False if there is none."""

    assignments: Mapping[str, Dates] = field(default_factory=dict)
    zone: ZoneInfo | None = None
    late: Policy | None = None
    there: bool = False

    def of(self, assignment: str) -> Dates:
        """Return the dates of an assignment; a version without its own section has those of the first."""
        found = self.assignments.get(assignment) or self.assignments.get(base(assignment))
        return found or Dates(policy=self.late)

    def utc(self, local: datetime) -> datetime:
        """Return a time in this term's zone as the gradebook has it."""
        aware = local if local.tzinfo else local.replace(tzinfo=self.zone or UTC)
        return aware.astimezone(UTC).replace(tzinfo=None)


def read_term(root: Path) -> Term:
    """Return the term of the course at ``root``. Raises CourseError, with the place in the file and what to write."""
    path = root / FILE
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return Term()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{FILE} can't be read ({error}): texts and times stand in quotation marks.") from error
    zone = _zone(said.pop("timezone", "UTC"))
    late = _policy(said.pop("late", None), "late")
    empty = Term({}, zone, late, there=True)
    assignments = {}
    for name, section in said.items():
        if not isinstance(section, dict):
            raise CourseError(f"{FILE} has {_key(name)} outside of an assignment: known there are timezone and late.")
        assignments[name] = _dates(name, section, empty)
    return Term(assignments, zone, late, there=True)


def _dates(name: str, section: dict, term: Term) -> Dates:
    where = f"[{_key(name)}]"
    unknown = section.keys() - set(KNOWN)
    if unknown:
        raise CourseError(f"{FILE} has {_key(min(unknown))} in {where}: known there are {', '.join(KNOWN)}.")
    due = _time(section["due"], f"due in {where}", term) if "due" in section else None
    found = {}
    for part in ("extensions", "handed_in"):
        table = section.get(part, {})
        if not isinstance(table, dict):
            raise CourseError(f"{FILE}: {part} in {where} has to be a section of its own, [{_key(name)}.{part}].")
        found[part] = {who: _time(when, f"{_key(who)} in [{_key(name)}.{part}]", term) for who, when in table.items()}
    if found["extensions"] and due is None:
        raise CourseError(f'{FILE} has extensions in {where}, and no due date: write due = "2026-11-20 23:59" there.')
    for who, until in found["extensions"].items():
        if due is not None and until < due:
            raise CourseError(f"{FILE}: the extension of {_key(who)} in {where} ends before the due date.")
    canvas, groups = section.get("canvas", ""), section.get("groups", "")
    groups = "*" * groups if isinstance(groups, bool) else groups
    if not isinstance(canvas, str) or not isinstance(groups, str):
        raise CourseError(
            f"{FILE}: in {where}, canvas is a column's name in quotation marks, groups true, false or a name such as "
            '"Team *".'
        )
    policy = _policy(section["late"], f"late in {where}") if "late" in section else term.late
    return Dates(due, policy, canvas, groups, found["extensions"], found["handed_in"])


def _policy(said: object, where: str) -> Policy | None:
    if said is None:
        return None
    text = said.strip().casefold() if isinstance(said, str) else ""
    if text == "none":
        return Policy()
    if text == "cut-off":
        return Policy(cut_off=True)
    share = PER_DAY.fullmatch(text)
    if share is None or not 0 < float(share[1]) <= 100:
        raise CourseError(f"{FILE}: {where} is {plain(said, 60)!r}; it may be {POLICIES}.")
    return Policy(per_day=float(share[1]) / 100)


def _time(said: object, where: str, term: Term) -> datetime:
    """Return a time as UTC without a zone; a day alone means its end."""
    if isinstance(said, datetime):
        return term.utc(said)
    text = said.strip() if isinstance(said, str) else said.isoformat() if isinstance(said, date) else ""
    try:
        if TIME.fullmatch(text):
            return term.utc(datetime.fromisoformat(text))
        return term.utc(datetime.combine(date.fromisoformat(text), time(23, 59, 59)))
    except (ValueError, OverflowError):
        raise CourseError(f'{FILE}: {where} is {plain(said, 60)!r}; a time is "2026-11-20 23:59".') from None


def _zone(said: object) -> ZoneInfo:
    try:
        return ZoneInfo(said if isinstance(said, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CourseError(f'{FILE}: timezone is {plain(said, 60)!r}; it is a name such as "Europe/Berlin".') from None


def _key(name: str) -> str:
    return plain(name, 80)
