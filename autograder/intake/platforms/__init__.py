"""Platforms: one grammar of file names each, and the choice of the platform of an export.

The grammars read names, and the few files that a platform itself adds; they write nothing and are independent of
grading.

A learner chooses every name below their own folder. So a platform's names are searched at one depth of the whole
export, and each folder or file at which the export branches has one vote, whatever it contains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from ..entry import refusing
from ..names import is_junk, is_work
from ..source import CollectError, Entry
from . import blackboard, brightspace, canvas, folders, github, gradescope, ilias, moodle, sakai
from .place import Course, Places, Reader

PLATFORMS: dict[str, Reader] = {
    "Moodle": moodle.read,
    "Gradescope": gradescope.read,
    "Sakai": sakai.read,
    "ILIAS": ilias.read,
    "Blackboard": blackboard.read,
    "Brightspace": brightspace.read,
    "Canvas": canvas.read,
    "GitHub Classroom": github.read,
}
FOLDERS = "plain folders"
NAMES = (*(name.split()[0].lower() for name in PLATFORMS), "folders")  # for the command line
MAX_DEPTH = 5  # folders around a platform's own names


def understood(entries: list[Entry], course: Course, platform: str | None = None) -> tuple[str, Places]:
    """Return the platform that named most branches of the export, and the parsed names. Raises CollectError.

    ``platform``, one of NAMES, decides it.
    """
    if platform == "folders":
        return FOLDERS, folders.read(entries, course)
    asked = {name: read for name, read in PLATFORMS.items() if platform in (None, name.split()[0].lower())}
    branches = _Branches(entries, course)
    for depth in range(MAX_DEPTH):
        best: tuple[int, str, Places] = (0, "", {})
        for name, read in asked.items():
            places = read(entries, depth, course)
            votes, others = branches.votes(places, depth)
            if votes > (others if platform is None else 0) and votes > best[0]:  # of equals the first
                best = votes, name, places
        if best[0]:
            return best[1:]
    if platform is not None:
        raise CollectError(f"No file in it is named as {next(iter(asked))} names them.")
    return FOLDERS, folders.read(entries, course)


def platform_of(entries: list[Entry], course: Course) -> str:
    """Return the platform whose layout the entries have, by their names alone; "" if there is none."""
    unread = [replace(entry, read=refusing("is not read for its layout")) for entry in entries]
    shown, _ = understood(unread, course)
    return "" if shown == FOLDERS else shown


class _Branches:
    """The top-level folders and files of an export, below the folders that contain everything."""

    def __init__(self, entries: list[Entry], course: Course) -> None:
        numbers = [n for n, entry in enumerate(entries) if not is_junk(entry.parts)]
        paths = [entries[n].parts for n in numbers]
        self._level = _level([path[:-1] for path in paths], course)
        self._members: dict[str, list[int]] = defaultdict(list)
        for n, path in zip(numbers, paths, strict=True):
            self._members[path[self._level]].append(n)
        folders = {path[self._level] for path in paths if len(path) > self._level + 1}
        self._learners = {name for name in folders if course.is_known(name)}
        self._counted = folders | {name for name in self._members if is_work(name)}  # not a list or a picture beside

    def votes(self, places: Places, depth: int) -> tuple[int, int]:
        """Return how many branches have names that were parsed at ``depth``, and how many others there are."""
        theirs = self._learners if depth > self._level else ()  # the content of a learner's own folder is no evidence
        read = {
            name
            for name, members in self._members.items()
            if name not in theirs and 2 * sum(n in places for n in members) > len(members)
        }
        return len(read), len(self._counted - read)


def _level(folders: Iterable[tuple[str, ...]], course: Course) -> int:
    """Return how many nested folders contain the whole export, down to a learner's folder."""
    level = 0
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1 or course.is_known(names[0]):
            break
        level += 1
    return level
