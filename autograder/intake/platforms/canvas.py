"""Canvas, "Download submissions":

    lovelaceada_12345_678910_lab.ipynb
    lovelaceada_LATE_12345_678950_lab-1.ipynb
    anon_AbC12_678912_lab.ipynb
    lovelaceada_12345_text.html

The first number is the person's and stays, the second the attachment's and grows. A file that was there before under
the same name gets "-1", "-2", ... Usually an export holds the newest attempt alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from ..names import base_name
from ..source import Entry
from .place import Aside, Course, Person, Place, Places, names_at

NAME = re.compile(
    r"(?:(?P<name>.+?)_)??(?P<late>LATE_)?(?P<number>\d+|anon_[^_]+)_(?P<attachment>\d{1,18})_(?P<file>.+)", re.DOTALL
)
TEXT = re.compile(r".+_(?:\d+|anon_[^_]+)_(?:text|link)\.html", re.DOTALL)


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    found: dict[int, Place | Aside] = {}
    of: dict[Person, list[tuple[int, int, str]]] = defaultdict(list)  # attachment, entry, base name
    for number, part, below in names_at(depth, entries):
        if TEXT.fullmatch(part) and not below:
            found[number] = Aside("no file, but what was typed into Canvas: read it there")
        elif name := NAME.fullmatch(part):
            person = Person(name["name"] or name["number"], name["number"], "Canvas")
            order = int(name["attachment"])
            found[number] = Place(
                person, below or (name["file"],), name["number"], order=order, late=bool(name["late"])
            )
            of[person].append((order, number, base_name(name["file"])))
    for files in of.values():
        for attempt in _attempts(sorted(files)):
            for _order, number, _name in attempt:
                place = found[number]
                assert isinstance(place, Place)
                found[number] = replace(place, attempt=str(attempt[0][0]))
    return found


def _attempts(files: list[tuple[int, int, str]]) -> list[list[tuple[int, int, str]]]:
    """Split a person's attachments: no attempt has a name twice, and its numbers lie close together."""
    attempts, begun = [], 0
    for at in range(len(files)):
        same = [n for n in range(begun, at) if files[n][2] == files[at][2]]
        if same:
            cut = max(range(same[-1] + 1, at + 1), key=lambda n: files[n][0] - files[n - 1][0])
            attempts.append(files[begun:cut])
            begun = cut
    return [*attempts, files[begun:]]
