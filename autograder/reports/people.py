"""The names behind student ids, from the class list and from ``submitted/students.csv``, which `collect` writes."""

from __future__ import annotations

from pathlib import Path

from ..intake.class_list import ClassList, Learner
from ..intake.roster import lines_of


def people(root: Path) -> dict[str, Learner]:
    """Return {student id: name} of all on the class list and all who ever submitted.

    Raises CollectError, TableError.
    """
    found = {one.id: one for one in ClassList.of(root).learners}
    for line in lines_of(root / "submitted"):
        student = line["student"]
        found.setdefault(student, Learner(student, line["name"].encode("utf-8", "replace").decode()))
    return found
