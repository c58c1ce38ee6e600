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

from ..regular import Refused
from ..source import Entry
from ..times import from_form
from .place import Aside, Course, Person, Place, Places, names_at

FOLDER = re.compile(r"(?P<last>[^,]+), ?(?P<first>.+?) ?\((?P<login>[^()]+)\)", re.DOTALL)
SUBMISSION, FEEDBACK = "submission attachment(s)", "feedback attachment(s)"


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    times = {
        entries[number].parts[: depth + 1]: _time(entries[number])
        for number, part, below in names_at(depth, entries)
        if below == ("timestamp.txt",) and FOLDER.fullmatch(part)
    }
    found: dict[int, Place | Aside] = {}
    for number, part, below in names_at(depth, entries):
        folder = FOLDER.fullmatch(part)
        if folder and len(below) > 1 and below[0].lower() == SUBMISSION:  # others may have such a name: a title, too
            person = Person(f"{folder['first']} {folder['last']}", folder["login"], "Sakai", folder["login"])
            found[number] = Place(person, below[1:], part, time=times.get(entries[number].parts[: depth + 1]))
        elif folder and below and (below[0].lower() == FEEDBACK or below[0].lower().endswith((".txt", ".html"))):
            found[number] = Aside("Sakai's own, or typed into it: read it there")
        elif part.startswith("grades.") and not below:
            found[number] = Aside("Sakai's own list")
    return found if any(isinstance(place, Place) for place in found.values()) else {}


def _time(entry: Entry) -> datetime | None:
    try:
        time = from_form(entry.read(100).decode().strip()[:14], "%Y%m%d%H%M%S")
        return time.replace(tzinfo=UTC) if time else None
    except (Refused, FileNotFoundError, ValueError):
        return None
