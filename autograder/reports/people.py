"""The names behind student ids, from the class list and from ``submitted/students.csv``, which `collect` writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..intake.class_list import ClassList, Learner
from ..intake.roster import Row, lines_of


def people(root: Path, assignment: str) -> dict[str, Learner]:
    """Return {student id: name}, for all on the class list and all who ever submitted. Raises CollectError, TableError.

    The platform's numbers are those of the class list and, for ``assignment``, those of its submissions.
    """
    found = {one.id: one for one in ClassList.of(root).learners}
    for line in lines_of(root / "submitted"):
        student = line["student"]
        one = found.get(student) or Learner(student, line["name"].encode("utf-8", "replace").decode())
        found[student] = _numbered(one, line) if line["assignment"] == assignment and line["number"] else one
    return found


def _numbered(one: Learner, line: Row) -> Learner:
    if line["system"] == "Moodle":
        return one.as_participant(line["assignment"], line["number"])
    return replace(one, **{"canvas" if line["system"] == "Canvas" else "number": line["number"]})
