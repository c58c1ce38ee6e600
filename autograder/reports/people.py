"""The people behind student ids, as ``submitted/students.csv`` names them: `collect` writes it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..course import CourseError
from ..text import from_table


@dataclass(frozen=True)
class Person:
    """``number`` is the learning platform's for one assignment, "" for who handed nothing in there."""

    name: str = ""
    number: str = ""


def people(root: Path, assignment: str) -> dict[str, Person]:
    """Student id -> who it is, for all that ever handed in; none where nothing was collected. Raises CourseError."""
    path = root / "submitted" / "students.csv"
    found: dict[str, Person] = {}
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            for line in csv.DictReader(file):
                student, name, number = (from_table(line[column]) for column in ("student", "name", "number"))
                if line["assignment"] == assignment:
                    found[student] = Person(name, number)
                else:
                    found.setdefault(student, Person(name))
    except FileNotFoundError:
        return {}
    except (csv.Error, KeyError, AttributeError) as error:  # a column or a cell is missing
        raise CourseError(f"{path} can't be read ({error}): repair it or move it away.") from error
    return found
