"""Times in files: one strict format, since a lenient parser may open files that a time names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?([A-Za-z_/+-]{1,40}|[+-]\d\d:?\d\d|)", re.ASCII
)
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # nbgrader's, in timestamp.txt
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
        time = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=_zone(zone))
        return time.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError("a time outside the calendar") from error


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
