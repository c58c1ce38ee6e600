"""A plain folder, or a zip of one: one folder a student, nbgrader's own layout, or loose notebooks.

    ada/lab.ipynb
    ada/lab/lab.ipynb                  and submitted/ada/lab/lab.ipynb with its timestamp.txt
    Monday/ada/lab.ipynb
    ada.zip
    lab_ada.ipynb, ada_lab.ipynb

The depth of the students' folders is decided once for the whole export. If there are several, only the folder names
the owner of a file, and nothing that a learner put into it; else the file's name does.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import PurePosixPath

from ..names import is_junk, is_work
from ..regular import Refused
from ..source import ARCHIVES, Entry, is_archive
from ..times import from_text
from .place import Aside, Course, Person, Place, Places

AROUND = ("notebooks", "submitted", "release")  # folders that are not named after a learner
STAMP = "timestamp.txt"
SUBMITTED = "submitted"  # nbgrader's own folder of students' folders
SHOWN = 5  # names in a sentence


class Folders:
    """The folders of an export that may be a student's, without those of assignments and of nbgrader's layout."""

    def __init__(self, entries: list[Entry], course: Course) -> None:
        self._course = course
        places = {*course.assignments, *AROUND}
        # position in the path of each folder that may belong to a learner
        self.at = [[n for n, part in enumerate(e.parts[:-1]) if part not in places] for e in entries]
        self.entries = entries
        self.notebooks = [course.notebook_of(entry.parts[-1]) for entry in entries]
        self._all = [n for n, entry in enumerate(entries) if not is_junk(entry.parts)]
        self._work = [n for n in self._all if self.notebooks[n] or is_work(entries[n].parts[-1])]
        work = set(self._work)
        self.level = self._level()
        self.loose = len({self.name(n) for n in self._all if self.name(n) or n in work}) < 2
        self.unsure = self._unsure()

    def name(self, number: int) -> str:
        """Return the folder that names the owner of an entry, "" if there is none."""
        at = self.at[number]
        return self.entries[number].parts[at[self.level]] if len(at) > self.level else ""

    def home(self, number: int) -> str:
        at, parts = self.at[number], self.entries[number].parts
        return "/".join(parts[n] for n in at[: self.level + 1])

    def below(self, number: int) -> tuple[str, ...]:
        return self.entries[number].parts[self.at[number][self.level] + 1 :]

    def _unsure(self) -> str:
        """Return all names that may be a student's where one folder, of no known learner, holds whatever is there.

        It may be a single learner's, who chose the names of the folders and of the files in it.
        """
        around = {self.entries[n].parts[at[0]] if (at := self.at[n]) else "" for n in self._work}
        outer = around.pop() if len(around) == 1 else ""
        if not outer or self._course.is_known(outer):
            return ""
        inside = {self.name(n) for n in self._work if self.level}
        inside = inside or {notebook[1] for n in self._work if (notebook := self.notebooks[n])}
        return " or ".join([outer, *sorted(inside - {"", outer})[:SHOWN]]) if inside - {""} else ""

    def _level(self) -> int:
        level = 0
        while True:
            here = [n for n in self._work if len(self.at[n]) > level]
            deeper = [n for n in here if len(self.at[n]) > level + 1]
            names = {self.entries[n].parts[self.at[n][level]] for n in self._all if len(self.at[n]) > level}
            done = not deeper or len(deeper) < len(self._work)  # some work lies at this level, or above it
            if done or any(map(self._course.is_known, names)):
                return level
            if len(names) > 1 and 2 * len(self.divided(level)) <= len(names):
                return level
            level += 1

    def divided(self, level: int) -> dict[str, list[str]]:
        """Return {folder at this depth: its folders}, where two of these hold the same notebook."""
        holders: dict[tuple[str, str], set[str]] = defaultdict(set)
        for n in self._work:
            at, notebook = self.at[n], self.notebooks[n]
            if len(at) > level and notebook:
                parts = self.entries[n].parts
                holders[parts[at[level]], notebook[0]].add(parts[at[level + 1]] if len(at) > level + 1 else "")
        return {name: sorted(folders) for (name, _), folders in holders.items() if len(folders - {""}) > 1}


def read(entries: list[Entry], course: Course) -> Places:
    folders = Folders(entries, course)
    times = _stamps(folders, course)
    divided = folders.divided(folders.level)
    found: dict[int, Place | Aside | Refused] = {}
    for number, entry in enumerate(entries):
        if entry.parts in times:
            told = "it was read" if times[entry.parts] else "is no time: that of the files counts"
            found[number] = Aside(f"the time of the submission: {told}")
            continue
        time = times.get((*entry.parts[:-1], STAMP))
        folder, notebook = folders.name(number), folders.notebooks[number]
        whose = notebook[1] if notebook else ""
        if folder and folders.unsure:
            found[number] = Refused(f"whose is it, {folders.unsure}? Collect the folder in which the student's lies")
        elif folder in divided and len(folders.at[number]) > folders.level + 1:
            shown = " and ".join(divided[folder])
            found[number] = Refused(f"{shown}, all in {folder}, hold the same notebook: whose are they? Keep one")
        elif folder and not (folders.loose and whose and not course.is_known(folder)):
            found[number] = Place(Person(folder), folders.below(number), folders.home(number), time=time)
        elif whose:
            found[number] = Place(Person(whose), entry.parts[-1:], f"{folder}/{whose}", time=time)
        elif is_archive(entry.parts[-1]):
            stem = PurePosixPath(entry.parts[-1])
            while stem.suffix.lower() in (".tar", *ARCHIVES, ".gz"):
                stem = stem.with_suffix("")
            named = course.notebook_of(f"{stem}.ipynb")
            name = named[1] if named else stem.name
            found[number] = Place(Person(name), entry.parts[-1:], name, time=time) if name else _nobodys()
        else:
            found[number] = _nobodys()
    return found


def _nobodys() -> Refused:
    return Refused("its owner is unknown: put it into a folder with the student's name")


def _stamps(folders: Folders, course: Course) -> dict[tuple[str, ...], datetime | None]:
    """Return {path of each timestamp.txt that nbgrader wrote: the time in it, None if there is none}.

    nbgrader's are in submitted/<student>/<assignment>/. A learner may hand in such folders and files, in a clone of
    the course: those are below the learner's own folder, and don't count.
    """
    found = {}
    for number, entry in enumerate(folders.entries):
        if not folders.name(number) or entry.parts[-1] != STAMP:
            continue
        below = folders.below(number)
        around = [course.source, *entry.parts][-len(below) - 2]
        if len(below) == 2 and below[0] in course.assignments and around == SUBMITTED:
            try:
                time = from_text(entry.read(100).decode())
            except (Refused, ValueError, FileNotFoundError):
                time = None
            found[entry.parts] = time.replace(tzinfo=UTC) if time else None
    return found
