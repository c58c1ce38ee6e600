"""Recomputation of what an instructor's files determine, whenever points are reported; no notebook is run.

Names come from the class list, dates from term.toml, a group's points from its one graded submission.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nbgrader.api import Gradebook, Student, SubmittedAssignment

from ..course import Course, CourseError
from ..intake.class_list import ClassList, Learner
from ..term import FILE, Term, read_term
from ..text import did_you_mean, plain
from .basis import pending
from .groups import share, shares
from .lateness import handed_in, settle_one


def settle(course: Course, assignment: str | None = None) -> dict[str, dict[str, str]]:
    """Update names, groups' points, due dates, extensions, times and penalties in the gradebook.

    This is for one assignment, or all. Returns {assignment: who is to be graded, and why, as `basis.pending` says}.
    Points that were given for an earlier submission keep the time of that one.
    Raises CourseError for a term.toml that can't be read or has unknown names, and TableError for such a class list.
    """
    left = {}
    term, people = read_term(course.root), ClassList.of(course.root)
    with course.gradebook() as gradebook:
        every: dict[str, Any] = {str(entry.name): entry for entry in gradebook.assignments}
        _enter(gradebook, people)
        students = {str(student.id) for student in gradebook.students}
        _check_groups(term, people)
        _check(term, every, {*students, *(path.name for path in (course.root / "submitted").glob("*/"))})
        for name, entry in every.items():
            if assignment in (None, name):
                times = handed_in(course.root, term, name)
                given = shares(course.root, term, name, people, times).given
                share(course, gradebook, name, given)
                left[name] = pending(course, name, given)
                if term.there:
                    entry.duedate = term.of(name).due
                mine = gradebook.db.query(SubmittedAssignment).filter(SubmittedAssignment.assignment_id == entry.id)
                for submission in mine:
                    who = str(submission.student_id)
                    when = None if who in left[name] else times.get(given.get(who, who))
                    settle_one(course, term, name, submission, when)
        gradebook.db.commit()
    return left


def _enter(gradebook: Gradebook, people: ClassList) -> None:
    """Enter everybody on the class list as a student, with their name (Manage Students)."""
    there: dict[str, Any] = {str(student.id): student for student in gradebook.students}
    for one in people.learners:
        if one.id not in there:
            there[one.id] = Student(id=one.id)
            gradebook.db.add(there[one.id])
        for column, text in _named(one).items():
            if text and getattr(there[one.id], column) != text:
                setattr(there[one.id], column, text)
    gradebook.db.flush()


def _named(one: Learner) -> dict[str, str]:
    return {
        "first_name": one.first_name[:128],
        "last_name": one.last_name[:128],
        "email": one.email[:128],
        "lms_user_id": (one.canvas or one.number)[:128],
    }


def _check(term: Term, assignments: Collection[str], people: Collection[str]) -> None:
    """Raise CourseError for an unknown name in term.toml, which would cost somebody an extension."""
    for name, dates in term.assignments.items():
        if name not in assignments:
            raise CourseError(
                f"{FILE} has [{plain(name, 80)}], which is no assignment{did_you_mean(name, assignments)}"
            )
        for part, named in (("extensions", dates.extensions), ("handed_in", dates.handed_in)):
            for who in sorted(set(named) - set(people))[:1]:
                said = f"{FILE} has {plain(who, 80)} in [{name}.{part}]"
                raise CourseError(f"{said}, which is nobody's id{did_you_mean(who, people)}")


def _check_groups(term: Term, people: ClassList) -> None:
    """Where nobody is in such a group, everybody but who handed in would be missing. Raises CourseError."""
    for name, dates in term.assignments.items():
        if dates.groups and not people.groups(dates.groups):
            known = sorted({group for one in people.learners for group in one.groups})
            shown = (
                f"there are {plain(', '.join(known[:5]), 200)}" if known else "write them there, in the column group"
            )
            raise CourseError(
                f"{FILE} has groups in [{plain(name, 80)}], and nobody on the class list (roster.csv) is in a group "
                f"{'at all' if dates.groups == '*' else repr(plain(dates.groups, 60))}: {shown}."
            )
