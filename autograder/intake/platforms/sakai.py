"""Sakai, "Download all":

Homework 1/Lovelace, Ada(alovelace)/Submission attachment(s)/lab.ipynb
Homework 1/Lovelace, Ada(alovelace)/timestamp.txt              20261120100000000
Homework 1/Lovelace, Ada(alovelace)/comments.txt
Homework 1/Lovelace, Ada(alovelace)/Lovelace, Ada(alovelace)_submissionText.html
Homework 1/grades.csv
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ..folder import Refused
from ..source import Entry
from .place import Aside, Course, Person, Place, Places

FOLDER = re.compile(r"(?P<last>[^,]+), ?(?P<first>.+?) ?\((?P<login>[^()]+)\)", re.DOTALL)
ATTACHMENTS = re.compile(r"(?:submission|feedback) attachment\(s\)", re.IGNORECASE)


def read(entries: list[Entry], _: Course) -> Places:
    found: dict[int, Place | Aside] = {}
    times = {}
    for entry in entries:
        if entry.parts[-1] == "timestamp.txt" and len(entry.parts) > 1 and FOLDER.fullmatch(entry.parts[-2]):
            times[entry.parts[:-1]] = _time(entry)
    for number, entry in enumerate(entries):
        for depth, part in enumerate(entry.parts[:-1]):
            folder, below = FOLDER.fullmatch(part), entry.parts[depth + 1 :]
            if not folder or (len(below) > 1 and not ATTACHMENTS.fullmatch(below[0])):  # a title may look like a name
                continue
            if len(below) > 1 and not below[0].lower().startswith("feedback"):
                person = Person(f"{folder['first']} {folder['last']}", folder["login"], "Sakai", folder["login"])
                time = times.get(entry.parts[: depth + 1])
                found[number] = Place(person, below[1:], part, time=time)
            else:
                found[number] = Aside("Sakai's own, or typed into it: read it there")
            break
    if found:
        found |= {n: Aside("Sakai's own list") for n, e in enumerate(entries) if e.parts[-1].startswith("grades.")}
    return found


def _time(entry: Entry) -> datetime | None:
    try:
        text = entry.read(100).decode().strip()
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except (Refused, FileNotFoundError, ValueError):
        return None
