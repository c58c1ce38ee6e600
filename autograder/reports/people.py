"""The people behind student ids, as the class list and `collect`, in ``submitted/students.csv``, name them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..intake.class_list import ClassList
from ..intake.roster import lines_of


@dataclass(frozen=True)
class Person:
    """``number`` is the learning platform's for one assignment, "" for who handed nothing in there.

    ``listed``: whether they are on the class list; everybody is where there is none.
    """

    name: str = ""
    number: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    group: str = ""
    listed: bool = True


def people(root: Path, assignment: str) -> dict[str, Person]:
    """Student id -> who it is, for all on the class list or who ever handed in. Raises CollectError, TableError."""
    listed = ClassList.of(root)
    found = _collected(root, assignment)
    for student, person in found.items():
        found[student] = replace(person, listed=not listed or student in listed.by_id)
    for one in listed.learners:
        number = found.get(one.id, Person()).number or one.participant(assignment) or one.canvas or one.number
        found[one.id] = Person(one.name, number, one.first_name, one.last_name, one.email, one.group)
    return found


def _collected(root: Path, assignment: str) -> dict[str, Person]:
    found: dict[str, Person] = {}
    for line in lines_of(root / "submitted"):
        name = line["name"].encode("utf-8", "replace").decode()
        if line["assignment"] == assignment:
            found[line["student"]] = Person(name, line["number"])
        else:
            found.setdefault(line["student"], Person(name))
    return found
