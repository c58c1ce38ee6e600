"""GitHub Classroom, "Download" or ``gh classroom clone student-repos``: a repository a student.

    lab-submissions/lab-alovelace/lab.ipynb
    lab-submissions/lab-alovelace/.git
    lab-submissions/lab-alovelace/.github/classroom/autograding.json

The folder's name is the assignment's slug and the login, with "-" between.
"""

from __future__ import annotations

from collections import Counter

from ..source import Entry
from .place import Course, Person, Place, Places, common_start

MARKS = (".git", ".github")


def read(entries: list[Entry], course: Course) -> Places:
    above = Counter(entry.parts[:depth] for entry in entries for depth, part in enumerate(entry.parts) if part in MARKS)
    repositories = {path for path in above if path}
    parents = {path[:-1] for path in repositories}
    submissions = {
        entry.parts[: depth + 1]
        for entry in entries
        for depth, part in enumerate(entry.parts[:-2])
        if part.endswith("-submissions") and entry.parts[depth + 1].startswith(f"{part.removesuffix('-submissions')}-")
    }
    parents |= submissions
    folders = {entry.parts[: len(p) + 1] for entry in entries for p in parents if _is_below(entry.parts, p)}
    if not submissions and 2 * len(repositories & folders) <= len(folders):  # one learner's own does not make it one
        return {}
    found = {}
    for number, entry in enumerate(entries):
        for folder in (entry.parts[:depth] for depth in range(1, len(entry.parts))):
            if folder in folders:
                login = folder[-1].removeprefix(_slug(folder, folders))
                person = Person(login, login, "GitHub", login)
                found[number] = Place(person, entry.parts[len(folder) :], login)
                break
    return found


def _is_below(parts: tuple[str, ...], parent: tuple[str, ...]) -> bool:
    return len(parts) > len(parent) + 1 and parts[: len(parent)] == parent


def _slug(folder: tuple[str, ...], folders: set[tuple[str, ...]]) -> str:
    """What the names of all repositories beside each other begin with, up to a "-"."""
    if len(folder) > 1 and folder[-2].endswith("-submissions"):
        return folder[-2].removesuffix("-submissions") + "-"
    beside = [other[-1] for other in folders if other[:-1] == folder[:-1]]
    common = common_start(beside) if len(beside) > 1 else ""
    return common[: common.rfind("-") + 1]
