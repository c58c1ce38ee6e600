"""Canvas, "Download submissions":

    lovelaceada_12345_678910_lab.ipynb
    lovelaceada_LATE_12345_678950_lab-1.ipynb
    anon_AbC12_678912_lab.ipynb
    lovelaceada_12345_text.html

The first number is the person's and constant, the second the attachment's and increasing. A file that was submitted
before under the same name gets "-1", "-2", ... An export has only the newest attempt, but several exports may have
been unpacked into one folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..source import Entry
from .place import Aside, Course, Person, Place, Places, Readings, names_at

# Canvas writes "_LATE", "_" and both numbers between the name and the file's name; a learner chose both of these.
NUMBERS = re.compile(
    r"(?<![^_])(?=(?P<late>LATE_)?(?P<number>[0-9]+|anon_[^_]+)_(?P<attachment>[0-9]{1,18})_(?P<file>.+))", re.DOTALL
)
TEXT = re.compile(r".+_(?:[0-9]+|anon_[^_]+)_(?:text|link)\.html", re.DOTALL)


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    found: dict[int, Place | Readings | Aside] = {}
    for number, part, below in names_at(depth, entries):
        if TEXT.fullmatch(part) and not below:
            found[number] = Aside("no file, but what was typed into Canvas: read it there")
        elif places := tuple(_places(part, below)):
            found[number] = places[0] if len(places) == 1 else Readings(places)
    return found


def _places(part: str, below: tuple[str, ...]) -> Iterator[Place]:
    """Yield each place that a name can mean, by each pair of numbers in it."""
    for numbers in NUMBERS.finditer(part):
        before = part[: numbers.start()]
        if before.endswith("_LATE_") or before == "LATE_":
            continue  # the mark was read with the numbers
        yield Place(
            Person(before[:-1] or numbers["number"], numbers["number"], "Canvas"),
            below or (numbers["file"],),
            numbers["number"],
            attempt=None,
            order=int(numbers["attachment"]),
            late=bool(numbers["late"]),
        )


def start_of(part: str, number: str) -> str:
    """Return "lovelaceada_LATE_12345_678910" for a name in a download, if the person's number may be this; else "".

    Canvas reads the first two numbers again when the file comes back: a name with numbers of its own is left out.
    """
    for place in _places(part, ()):
        if place.person.number == number:
            name = place.person.name
            kept = name if name != number and "_" not in name and not name.isdecimal() else ""
            return "_".join(filter(None, (kept, "LATE" * place.late, number, str(place.order))))
    return ""
