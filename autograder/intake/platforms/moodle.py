"""Moodle, "Download all submissions", in folders or flat:

    Ada Lovelace_123456_assignsubmission_file_/lab.ipynb
    Ada Lovelace_123456_assignsubmission_file_lab.ipynb
    Ada Lovelace_123456_assignsubmission_onlinetext_/onlinetext.html
    Group A-Ada Lovelace_123456_assignsubmission_file_/lab.ipynb

Moodle puts no "_" into names. Some versions leave out the last one, groups may have no number. The numbers are new for
each assignment. An export holds the newest attempt alone.
"""

from __future__ import annotations

import re

from ..source import Entry
from .place import Aside, Course, Person, Place, Places

NAME = re.compile(r"(?P<name>.+?)(?:_(?P<number>\d+))?_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?", re.DOTALL)
# A group has a number or is called one: the "Anna-" of Anna-Lena is none.
GROUP = re.compile(r"(?=[^-]*(?:\d|gr[ou]+p|groep|team|equip))[^-]+-", re.IGNORECASE)


def read(entries: list[Entry], _: Course) -> Places:
    found = {}
    for number, entry in enumerate(entries):
        for depth, part in enumerate(entry.parts):
            if name := NAME.fullmatch(part):
                if name["kind"] != "file":
                    found[number] = Aside("no file, but what was typed into Moodle: read it there")
                else:
                    below = entry.parts[depth + 1 :]
                    file = below or (name["file"] or part,)
                    person = Person(name["name"], name["number"] or "", "Moodle")
                    found[number] = Place(person, file, home=f"{name['name']}_{name['number'] or ''}")
                break
    return found


def without_group(name: str) -> str:
    """The name in "Group A-Ada Lovelace", "" where none follows a group."""
    group = GROUP.match(name)
    return name[group.end() :] if group else ""
