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

from ..source import Entry
from .place import Aside, Course, Person, Place, Places, names_at

NAME = re.compile(
    r"(?:(?P<name>.+?)_)??(?P<late>LATE_)?(?P<number>\d+|anon_[^_]+)_(?P<attachment>\d{1,18})_(?P<file>.+)", re.DOTALL
)
TEXT = re.compile(r".+_(?:\d+|anon_[^_]+)_(?:text|link)\.html", re.DOTALL)


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    found: dict[int, Place | Aside] = {}
    for number, part, below in names_at(depth, entries):
        if TEXT.fullmatch(part) and not below:
            found[number] = Aside("no file, but what was typed into Canvas: read it there")
        elif name := NAME.fullmatch(part):
            person = Person(name["name"] or name["number"], name["number"], "Canvas")
            found[number] = Place(
                person,
                below or (name["file"],),
                name["number"],
                attempt=None,
                order=int(name["attachment"]),
                late=bool(name["late"]),
            )
    return found
