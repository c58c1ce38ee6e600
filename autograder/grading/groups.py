"""Group submissions: one is graded, and each member of the group gets the result.

In an assignment for which term.toml says ``groups = true``, the newest submission of a group's members counts for all,
as in Moodle and Canvas. Points given by hand to one member stay with that member.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry

from ..course import Course
from ..intake.class_list import ClassList, same
from ..term import Term
from .lateness import HandedIn
from .record import TEMPORARY
from .verdicts import Grading, read_grading, write_grading


def shares(root: Path, term: Term, assignment: str, people: ClassList, times: Mapping[str, HandedIn]) -> dict[str, str]:
    """Return {member: who submitted for them}, without the submitters; {} where learners work alone."""
    if not term.of(assignment).groups:
        return {}
    groups: dict[str, list[str]] = defaultdict(list)
    for one in people.learners:
        if one.group:
            groups[same(one.group)].append(one.id)
    found = {}
    for members in groups.values():
        there = [one for one in members if any((root / "submitted" / one / assignment).glob("*.ipynb"))]
        if there:
            newest = max(there, key=lambda one: (_time(times.get(one)), -members.index(one)))
            found |= dict.fromkeys(set(members) - {newest}, newest)
    return found


def _time(when: HandedIn | None) -> datetime:
    return (when.time if when else None) or datetime.min


def share(course: Course, gradebook: Gradebook, assignment: str, given: Mapping[str, str]) -> None:
    """Give each member the result of the group's submission; remove it from those who are no longer members."""
    for folder in sorted((course.root / "autograded").glob(f"*/{assignment}")):
        student = folder.parent.name
        if read_grading(folder).shared and student not in given:
            shutil.rmtree(folder)
            gradebook.remove_submission(assignment, student)
    for member, who in sorted(given.items()):
        source = course.folder("autograded", assignment, who)
        grading = read_grading(source)
        if grading.key:
            _copy(source, course.folder("autograded", assignment, member), grading, who)
            if not grading.refused:
                _copy_points(gradebook, assignment, member, who)


def _copy(source: Path, target: Path, grading: Grading, who: str) -> None:
    """Copy the graded folder, whole or not at all, unless the same copy is already there."""
    before = read_grading(target)
    if (before.shared, before.key) == (who, grading.key):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=target.parent, ignore_cleanup_errors=True) as temporary:
        fresh = Path(temporary, "fresh")
        shutil.copytree(source, fresh)
        notes = (*grading.notes, f"{who} handed this in for your group")
        write_grading(fresh, Grading(grading.key, (), notes, grading.refused, shared=who))
        if target.exists():
            os.rename(target, Path(temporary, "old"))
        os.rename(fresh, target)


def _copy_points(gradebook: Gradebook, assignment: str, member: str, who: str) -> None:
    """Copy the points of each check, manual ones included, as the member's automatic scores."""
    gradebook.update_or_create_student(member)
    try:
        theirs: Any = gradebook.find_submission(assignment, who)
    except MissingEntry:
        return
    mine: Any = gradebook.update_or_create_submission(assignment, member)
    mine.timestamp = theirs.timestamp
    notebooks = {notebook.name: notebook for notebook in theirs.notebooks}
    for notebook in mine.notebooks:
        other = notebooks[notebook.name]
        grades = {grade.name: grade for grade in other.grades}
        comments = {comment.name: comment for comment in other.comments}
        for grade in notebook.grades:
            grade.auto_score = grades[grade.name].score
            grade.needs_manual_grade = grades[grade.name].needs_manual_grade and grade.manual_score is None
        for comment in notebook.comments:
            comment.auto_comment = comments[comment.name].auto_comment
            comment.manual_comment = comment.manual_comment or comments[comment.name].manual_comment
    gradebook.db.flush()
