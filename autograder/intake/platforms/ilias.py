"""ILIAS, "Download all submissions" of an exercise:

    Exercise/Abgaben/Lovelace_Ada_alovelace_123/20261120100000_lab.ipynb

The folder is "last name_first name_login_number"; a file's name starts with the time of its upload. There are no
attempts: the newest file of a name counts.
"""

from __future__ import annotations

import re

from ..source import Entry
from ..times import from_form
from .place import Course, Person, Place, Places, local, names_at

FOLDER = re.compile(r"(?P<last>[^_]+)_(?P<first>[^_]+)_(?P<login>.+)_(?P<number>\d+)", re.DOTALL)
FILE = re.compile(r"(?P<time>\d{14})_(?P<file>.+)", re.DOTALL)


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    found = {}
    for number, part, below in names_at(depth, entries):
        folder, file = FOLDER.fullmatch(part), FILE.fullmatch(below[0]) if below else None
        if folder and file:
            person = Person(f"{folder['first']} {folder['last']}", folder["number"], "ILIAS", folder["login"])
            time = local(from_form(file["time"], "%Y%m%d%H%M%S"))
            path = (file["file"], *below[1:])
            found[number] = Place(person, path, folder["number"], order=int(file["time"]), time=time)
    return found
