"""Brightspace (D2L), "Download all files", in folders or flat:

    12345-67890 - Ada Lovelace - Nov 20, 2026 1000 AM/lab.ipynb
    12345-67890 - Ada Lovelace - Nov 20, 2026 1000 AM - lab.ipynb
    index.html

The first number is the person's. Each attempt has a folder of its own, with its date: of
several dates in a name the newest.
"""

from __future__ import annotations

import re
from datetime import datetime

from ..source import Entry
from ..times import from_form
from .place import Aside, Course, Person, Place, Places, local, names_at, newest

DATE = r"[^\W\d]{3,12}\.? \d{1,2}, \d{4} \d{1,2}:?\d\d ?(?:AM|PM)?"
NAME = re.compile(
    rf"(?P<number>\d+)-\d+ ?- (?P<name>.+?) ?- (?P<time>{DATE})(?: ?- (?P<file>.+))?", re.DOTALL | re.IGNORECASE
)
ANY_DATE = re.compile(rf"(?<=- ){DATE}(?= ?-|$)", re.IGNORECASE)
FORMATS = ("%b %d, %Y %I%M %p", "%B %d, %Y %I%M %p", "%b %d, %Y %H%M", "%B %d, %Y %H%M")


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    found: dict[int, Place | Aside] = {}
    for number, part, below in names_at(depth, entries):
        if part == "index.html" and not below:
            found[number] = Aside("Brightspace's own list")
        elif name := NAME.fullmatch(part):
            times = {date: _time(date) for date in ANY_DATE.findall(part)}
            when = newest(times)
            time = times[when]
            person = Person(name["name"], name["number"], "Brightspace")
            order = int(time.timestamp()) if time else 0
            found[number] = Place(person, below or (name["file"] or part,), name["number"], when, order, time)
    return found if any(isinstance(place, Place) for place in found.values()) else {}


def _time(text: str) -> datetime | None:
    clock = re.sub(r"(\d):(\d\d)", r"\1\2", text.replace(".", ""))
    clock = re.sub(r" (\d{3}) ?(?=[AP]M|$)", r" 0\1 ", clock, flags=re.IGNORECASE).strip()
    clock = re.sub(r"(\d)([AP]M)", r"\1 \2", clock, flags=re.IGNORECASE)
    return local(from_form(clock, *FORMATS))
