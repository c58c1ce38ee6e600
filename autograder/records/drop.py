"""Removal of a learner, or of one of their assignments, from the course."""

from __future__ import annotations

from pathlib import Path

from ..course import Course, CourseError
from ..intake.class_list import ClassList
from ..intake.roster import rewrite
from ..learners import check_learner
from ..text import plain
from .learner_data import check_dates, folders_of, has_manual, put_aside, remove, submissions_of


def drop(root: Path, student: str, assignment: str | None = None) -> list[str]:
    """Remove a learner's data from folders, the gradebook and the lists; returns a report.

    With an ``assignment``, only their submission to it. The folders are kept in submitted/.replaced/. After an
    interruption, repeat the command. Raises CourseError, CollectError, TableError; then nothing has changed.
    """
    course = Course(root)
    with course.gradebook() as gradebook:
        check_learner(course.root, gradebook, student)
        if assignment is None:
            check_dates(course.root, student, "remove that line")
        folders, graded = folders_of(course.root, student, assignment), submissions_of(gradebook, student)
        mine = {name: entry for name, entry in graded.items() if assignment in (None, name)}
        if assignment is not None and not (folders or mine):
            there = sorted({*graded, *(folder.name for folder in folders_of(course.root, student))})
            said = ", ".join(map(plain, there)) or "nothing"
            raise CourseError(f"There is nothing of {plain(student, 80)} in {plain(assignment, 80)}; there is {said}.")
        by_hand = sorted(name for name, entry in mine.items() if has_manual(entry))
        for entry in mine.values():
            remove(gradebook, entry)
        if assignment is None:
            for learner in [one for one in gradebook.students if str(one.id) == student]:
                gradebook.db.delete(learner)
            gradebook.db.flush()  # a locked gradebook is reported before anything else changes
            people = ClassList.of(course.root)
            if student in people.by_id:
                ClassList(one for one in people.learners if one.id != student).save(course.root)
        gone = lambda row: row["student"] == student and assignment in (None, row["assignment"])  # noqa: E731
        rewrite(course.root / "submitted", lambda row: None if gone(row) else row)
        kept = put_aside(course.root, student, folders)
        gradebook.db.commit()
    return _told(student, assignment, kept, by_hand)


def _told(student: str, assignment: str | None, kept: str, by_hand: list[str]) -> list[str]:
    what = f"{assignment} of {student}" if assignment else student
    told = [f"{what} is out of the course." + (f" What was there is in {kept}/." if kept else "")]
    told += [f"The points and comments that you gave by hand in {name} are gone." for name in by_hand]
    return [*told, "next: make export"]
