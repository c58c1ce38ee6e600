"""ILIAS, "Download all submissions" of an exercise:

    Exercise/Abgaben/Lovelace_Ada_alovelace_123/20261120100000_lab.ipynb

The folder is "last name_first name_login_number"; before a file's name stands when it was uploaded. There are no
attempts: the newest file of a name counts.
"""

from __future__ import annotations

import re
from datetime import datetime

from ..source import Entry
from .place import Course, Person, Place, Places, local

FOLDER = re.compile(r"(?P<last>[^_]+)_(?P<first>[^_]+)_(?P<login>.+)_(?P<number>\d+)", re.DOTALL)
FILE = re.compile(r"(?P<time>\d{14})_(?P<file>.+)", re.DOTALL)


def read(entries: list[Entry], _: Course) -> Places:
    found = {}
    for number, entry in enumerate(entries):
        for depth, part in enumerate(entry.parts[:-1]):
            below = entry.parts[depth + 1 :]
            folder, file = FOLDER.fullmatch(part), FILE.fullmatch(below[0])
            if folder and file:
                name = f"{folder['first']} {folder['last']}"
                person = Person(name, folder["number"], "ILIAS", folder["login"])
                try:
                    time = local(datetime.strptime(file["time"], "%Y%m%d%H%M%S"))  # local
                except ValueError:
                    time = None
                place = (file["file"], *below[1:])
                found[number] = Place(person, place, folder["number"], order=int(file["time"]), time=time)
                break
    return found
