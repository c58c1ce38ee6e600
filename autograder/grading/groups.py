"""Group submissions: one is graded, and each member of the group gets the result.

In an assignment for which term.toml says ``groups = true``, or names groups, the newest submission of a group's members
counts for all of them, as in Moodle and Canvas. A learner in several groups gets the result of any of them: of their
own submission where it counts for one of the groups, else of the newest. If other submissions could have counted, or
nobody knows which one is the newest, the instructor is told. Points given by hand to one member stay with that member.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry

from ..course import Course
from ..intake.class_list import ClassList, same
from ..intake.folder import MAX_NOTEBOOK
from ..intake.regular import Refused, read_regular
from ..term import Term, read_term
from .lateness import HandedIn, handed_in
from .record import TEMPORARY
from .verdicts import Grading, read_grading, write_grading


@dataclass(frozen=True)
class Shares:
    """Who gets whose result. ``given`` is {member: who submitted for them}, without the submitters.

    ``unclear`` is {member: why another submission may be the one that counts}.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    unclear: Mapping[str, str] = field(default_factory=dict)


def shares(root: Path, term: Term, assignment: str, people: ClassList, times: Mapping[str, HandedIn]) -> Shares:
    """Return whose submission counts for whom; nothing where learners work alone."""
    wanted = term.of(assignment).groups
    if not wanted:
        return Shares()
    newest: dict[str, list[str]] = {}  # group -> who handed in, the one that counts first
    for name, members in people.groups(wanted).items():
        there = [one for one in members if any((root / "submitted" / one / assignment).glob("*.ipynb"))]
        if there:
            newest[name] = sorted(there, key=lambda one: _time(times.get(one)), reverse=True)  # stable
    given, unclear = {}, {}
    for one in people.learners:
        mine = {name: newest[same(name)] for name in one.groups if same(name) in newest}
        if not mine:
            continue
        heads = {there[0] for there in mine.values()}
        counts = one.id if one.id in heads else max(sorted(heads), key=lambda who: _time(times.get(who)))
        if counts != one.id:
            given[one.id] = counts
        rivals = {name: _rivals(there, times) for name, there in mine.items()}
        if len({_work(root / "submitted" / who / assignment) for found in rivals.values() for who in found}) > 1:
            said = ", ".join(f"{name} by {' and '.join(found)}" for name, found in rivals.items())
            unclear[one.id] = (
                f"handed in more than once ({said}): {counts}'s counts. Their group in roster.csv, or handed_in in "
                "term.toml, says which"
            )
    return Shares(given, unclear)


def shares_of(root: Path, assignment: str) -> Shares:
    """Return the shares by the course's own files. Raises CourseError, CollectError, TableError."""
    term = read_term(root)
    return shares(root, term, assignment, ClassList.of(root), handed_in(root, term, assignment))


def _rivals(there: list[str], times: Mapping[str, HandedIn]) -> list[str]:
    """Return who submitted last for a group; several learners if nobody knows who did."""
    first = _time(times.get(there[0]))
    return [who for who in there if _time(times.get(who)) == first]


def _time(when: HandedIn | None) -> datetime:
    return (when.time if when else None) or datetime.min


def _work(folder: Path) -> str:
    """Return the digest of the notebooks: a platform may export a group's file once for each member."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.ipynb")):
        with contextlib.suppress(FileNotFoundError, Refused):  # grading reports unreadable files
            digest.update(path.name.encode("utf-8", "replace") + read_regular(path, MAX_NOTEBOOK))
    return digest.hexdigest()


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
        write_grading(fresh, replace(grading, review=(), notes=notes, shared=who))
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
