"""Times in files: one strict format, since a lenient parser may open files that a time names."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?([A-Za-z_/+-]{1,40}|[+-]\d\d:?\d\d|)", re.ASCII
)
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # nbgrader's, in timestamp.txt
FIRST_YEAR = 1970  # files have seconds since then; no submission is older
TO_COME = timedelta(days=1)  # clocks and time zones may be that wrong
UNTOLD = ("Moodle", "Canvas", "GitHub")  # systems whose exports don't say when something was handed in
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


def read_time(text: str) -> datetime:
    """Read a full date and time with UTC, an offset, the name of a zone, or none of these, which means UTC.

    Returns UTC without a zone, as nbgrader's gradebook has it. Raises ValueError.
    """
    found = TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no time such as 2026-01-31 12:30:00 UTC")
    day, clock, zone = found.groups()
    try:
        time = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=_zone(zone)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside the calendar") from error
    if time.year < FIRST_YEAR:
        raise ValueError(f"a time before {FIRST_YEAR}")
    return time.replace(tzinfo=None)


def to_text(time: datetime) -> str:
    """Return a time (UTC) as files have it: as nbgrader writes it into timestamp.txt."""
    return time.strftime(TIME_FORMAT)  # all times here are of years with four digits


def from_text(text: str) -> datetime | None:
    """Return the time (UTC, without a zone) that a file has, None if it has none that `read_time` reads."""
    try:
        return read_time(text)
    except ValueError:
        return None


def from_form(text: str, *forms: str) -> datetime | None:
    """Return a time in one of `strptime`'s formats, without a zone; None for none, and for one before 1970."""
    for form in forms:
        with contextlib.suppress(ValueError):
            time = datetime.strptime(text, form)
            return time if time.year >= FIRST_YEAR else None
    return None


def from_clock(seconds: float) -> datetime | None:
    """Return the time of a file (UTC): seconds since 1970; None for what is no time."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds >= 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _zone(name: str) -> tzinfo:
    if name in ("", "Z", "UTC", "GMT"):
        return UTC
    if offset := OFFSET.fullmatch(name):
        away = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-away if offset[1] == "-" else away)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error
