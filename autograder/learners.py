"""The known learners' ids: a mistyped one is an error that names the learner who may be meant."""

from __future__ import annotations

from pathlib import Path

from nbgrader.api import Gradebook

from .course import CourseError
from .intake.class_list import ClassList, same
from .intake.roster import lines_of
from .text import did_you_mean, plain

STEPS = ("submitted", "autograded", "feedback")


def check_learner(root: Path, gradebook: Gradebook, student: str) -> None:
    """Raise CourseError if there is no data of a learner anywhere; the message names who may be meant."""
    people = ClassList.of(root)
    known = {path.name for step in STEPS for path in (root / step).glob("*/")}
    known |= {row["student"] for row in lines_of(root / "submitted")}
    known |= people.by_id.keys() | {str(entry.id) for entry in gradebook.students}
    known = {name for name in known if not name.startswith(".")}
    if student not in known:
        meant = _meant(people, student)
        hint = f", which is {meant}: write that id." if meant else did_you_mean(student, known)
        raise CourseError(f"There is no learner {plain(student, 80)!r}{hint}")


def _meant(people: ClassList, text: str) -> str:
    """Return the ids of the learners with this name, e-mail, number or login; "" if there are none."""
    found = [
        one.id
        for one in people.learners
        if same(text) in {same(said) for said in (one.name, one.email, one.number, one.login, one.canvas, one.id)}
    ]
    return plain(" or ".join(found), 200)
