"""Moodle, "Download all submissions", in folders or flat:

    Ada Lovelace_123456_assignsubmission_file_/lab.ipynb
    Ada Lovelace_123456_assignsubmission_file_lab.ipynb
    Ada Lovelace_123456_assignsubmission_onlinetext_/onlinetext.html
    Group A-Ada Lovelace_123456_assignsubmission_file_/lab.ipynb

Moodle puts no "_" into names. Some versions leave out the last "_", groups may have no number. The numbers are new for
each assignment. An export has only the newest attempt.
"""

from __future__ import annotations

import re

from ..source import Entry
from .place import Aside, Course, Person, Place, Places, names_at

NAME = re.compile(
    r"(?P<name>[^_]+)(?:_(?P<number>\d+))?_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?", re.DOTALL
)
# The name of every participant in blind marking.
EVERYBODY = {
    *("Participant", "Participante", "Teilnehmerin", "Teilnehmer", "Teilnehmer in", "Partecipante", "Deelnemer"),
    *("Deltager", "Deltaker", "Deltagare", "Osallistuja", "Uczestnik", "Účastník", "Участник", "参加者", "参与者"),
}
# A group has a number or is called one: the "Anna-" of Anna-Lena is none.
GROUP = re.compile(r"(?=[^-]*(?:\d|gr[ou]+p|groep|team|equip))[^-]+-", re.IGNORECASE)


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    found = {}
    for number, part, below in names_at(depth, entries):
        if name := NAME.fullmatch(part):
            if name["kind"] == "file":
                person = Person(name["name"], name["number"] or "", "Moodle")
                home = f"{name['name']}_{name['number'] or ''}"
                found[number] = Place(person, below or (name["file"] or part,), home)
            else:
                found[number] = Aside("no file, but what was typed into Moodle: read it there")
    return found


def without_group(name: str) -> str:
    """Return the name in "Group A-Ada Lovelace", "" if no group precedes it."""
    group = GROUP.match(name)
    return name[group.end() :] if group else ""
