"""Moodle's grading worksheet of an assignment, as `enrol` keeps it: participants, and when they submitted.

Columns and times are those of Moodle's mod/assign/gradingtable.php in English: "Last modified (submission)" holds
"Friday, 20 November 2026, 10:00 AM" (or "Friday, November 20, 2026, 10:00 AM") in the time zone of whoever downloads
it, "-" without a submission.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from .listings import IDENTIFIER
from .tables import Table, read_table
from .times import from_form

FOLDER = "lms"
SUBMITTED = "Last modified (submission)"
TIME = re.compile(
    r"(?:[A-Za-z]+, )?(?:(?P<day>\d{1,2}) (?P<month>[A-Za-z]+),? (?P<year>\d{4})|"
    r"(?P<month2>[A-Za-z]+) {1,2}(?P<day2>\d{1,2}), (?P<year2>\d{4})), {1,2}(?P<clock>\d{1,2}:\d\d)\s?(?P<half>[AP]M|)",
    re.IGNORECASE,
)


def path_of(root: Path, assignment: str) -> Path:
    """Return the path where the worksheet of an assignment is kept."""
    return root / FOLDER / f"{assignment}-moodle.csv"


def kept(root: Path, assignment: str) -> Table | None:
    """Return the worksheet of an assignment, None if there is none. Raises TableError."""
    path = path_of(root, assignment)
    return read_table(path) if path.exists() else None


def participant(table: Table, row: tuple[str, ...]) -> str:
    """Return Moodle's number of the participant in a row, "" if there is none."""
    place = table.column("Identifier")
    found = IDENTIFIER.fullmatch(row[place].strip()) if place is not None else None
    return found[1] if found else ""


def handed_in(table: Table) -> dict[str, datetime]:
    """Return {participant: when they submitted, in Moodle's local time}, where the worksheet has it."""
    place = table.column(SUBMITTED)
    if place is None:
        return {}
    times = {participant(table, row): _time(row[place]) for row in table.rows}
    return {number: time for number, time in times.items() if number and time}


def _time(text: str) -> datetime | None:
    found = TIME.fullmatch(" ".join(text.split()))
    if found is None:
        return None
    day, month, year = (found[part] or found[f"{part}2"] for part in ("day", "month", "year"))
    form = "%d %B %Y %I:%M %p" if found["half"] else "%d %B %Y %H:%M"
    return from_form(f"{day} {month} {year} {found['clock']} {found['half']}".strip(), form)
