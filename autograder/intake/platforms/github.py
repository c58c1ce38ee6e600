"""GitHub Classroom, "Download" or ``gh classroom clone student-repos``: one repository a student.

    lab-submissions/lab-alovelace/lab.ipynb
    lab-submissions/lab-alovelace/.git
    lab-submissions/lab-alovelace/.github/classroom/autograding.json

The folder's name is the assignment's slug and the login, with "-" between. The folder around them may be missing.
"""

from __future__ import annotations

from collections import defaultdict

from ..source import Entry
from .place import Course, Person, Place, Places, common_start, names_at

MARKS = (".git", ".github")


def read(entries: list[Entry], depth: int, course: Course) -> Places:
    beside: dict[tuple[str, ...], set[str]] = defaultdict(set)  # folder around repositories -> their names
    marked: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for number, part, below in names_at(depth, entries):
        around = entries[number].parts[:depth]
        if below and not part.startswith("."):
            beside[around].add(part)
        if below and below[0] in MARKS:
            marked[around].add(part)
    slugs = {around: _slug(around, names, marked[around], course) for around, names in beside.items()}
    found = {}
    for number, part, below in names_at(depth, entries):
        slug = slugs.get(entries[number].parts[:depth], "")
        if below and slug and part.startswith(slug) and part != slug:
            login = part.removeprefix(slug)
            found[number] = Place(Person(login, login, "GitHub", login), below, login)
    return found


def _slug(around: tuple[str, ...], names: set[str], marked: set[str], course: Course) -> str:
    """Return the common start of repositories' names; "" if these are none: learners' folders hold ".git" too."""
    if around and around[-1].endswith("-submissions"):
        return around[-1].removesuffix("-submissions") + "-"
    if len(names) < 2 or 2 * len(marked) <= len(names) or any(map(course.is_known, names)):
        return ""
    common = common_start(names)
    return common[: common.rfind("-") + 1]
