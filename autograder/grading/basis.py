"""What a grading depends on, and whether the recorded one still holds: `grade` and every report ask here.

A submission's result counts as long as `make grade` would not grade it again. Else no report shows the old points: they
would stand beside another maximum, or beside the time of a newer submission.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..course import Course, CourseError, folders
from ..intake.folder import Intake, IntakeError, intake
from ..seeds import FILE, key_of, secret_of
from .groups import shares_of
from .plan import Plan, files_of, read_assignment
from .verdicts import Grading, read_grading

CODE = Path(__file__).parents[2]
VERSION = 3  # of the grader: a higher one grades everything again
WAITING, AGAIN = "not graded yet", "handed in again, not graded yet"
OUTDATED, ALTERED = "graded by an earlier release", "to be graded again"
PENDING = (WAITING, AGAIN, OUTDATED, ALTERED)  # why `make grade` would grade a submission


class Material(NamedTuple):
    """The plans of an assignment, the instructor's files, and a digest of both."""

    plans: dict[str, Plan]
    given: dict[str, bytes]
    digest: str


@dataclass(frozen=True)
class Basis:
    """Digests of a submission, of the release, and of all that its grading depends on (``key``): the seeds, too."""

    work: str
    release: str
    key: str

    def holds(self, recorded: Path, before: Grading) -> bool:
        """Return whether the recorded grading, in this folder of autograded/, is of this basis.

        One in which the grader had an error of its own holds until the grader's code changes.
        """
        if before.key != self.key or before.grader not in ("", code_of_the_grader()):
            return False
        return bool(before.refused) or any(recorded.glob("*.ipynb"))

    def change(self, before: Grading) -> str:
        """Return what has changed since a recorded grading that does not hold."""
        if not before.key or (before.work and before.work != self.work):
            return AGAIN
        return OUTDATED if before.release and before.release != self.release else ALTERED


def material(course: Course, assignment: str) -> Material:
    """Return what submissions to an assignment are graded by. Raises CourseError if nothing was released."""
    plans, given = read_assignment(course, assignment), files_of(course, assignment)
    parts = [*(plan.digest for plan in plans.values()), *(f"{n} {hashlib.sha256(given[n]).hexdigest()}" for n in given)]
    return Material(plans, given, "\n".join(parts))


def basis_of(taken: Intake, digest: str, secret: str) -> Basis:
    """Return the basis of a submission's grading: ``digest`` is its material's."""
    work = [taken.digest, str(taken.stamp or "")]
    rest = [*taken.further, *(f"{name}: {taken.refused[name]}" for name in sorted(taken.refused))]
    return Basis(_sha(*work, *rest), _sha(digest), _sha(str(VERSION), *work, digest, secret, *rest))


def pending(course: Course, assignment: str, given: Mapping[str, str], student: str | None = None) -> dict[str, str]:
    """Return {student: which of PENDING}, for all whose present submission is not what was graded, or for one student.

    ``given`` has the members of groups for whom another member's submission counts (`groups`). What plain nbgrader
    graded is not among them: it does not record what it graded. Raises CourseError for an invalid gradebook.key.
    """
    there = {name for name, _ in folders(course.root / "submitted", assignment)} | given.keys()
    compare = _comparison(course, assignment)
    found = {}
    for name in sorted(there if student is None else there & {student}):
        recorded = course.folder("autograded", assignment, name)
        if not recorded.is_dir():
            found[name] = WAITING
        elif compare and (why := compare(given.get(name, name), recorded)):
            found[name] = why
    return found


def pending_in(course: Course) -> dict[str, dict[str, str]]:
    """Return {assignment: its `pending`} for all that was handed in. Raises CourseError, CollectError, TableError."""
    names = sorted({name for _, name in folders(course.root / "submitted")})
    return {name: pending(course, name, shares_of(course.root, name).given) for name in names}


def _comparison(course: Course, assignment: str) -> Callable[[str, Path], str] | None:
    """Return a function that says what has changed since a grading was recorded; None where nothing is to compare."""
    if sys.platform == "win32" or not (course.root / FILE).exists():  # nothing was graded here
        return None
    key = key_of(course.root)
    try:
        read = material(course, assignment)
    except CourseError:
        return None  # `grade` says so

    def change(who: str, recorded: Path) -> str:
        before = read_grading(recorded)
        if not before.key and not before.refused:
            return ""
        try:
            taken = intake(course.folder("submitted", assignment, who), read.plans)
        except IntakeError:
            return AGAIN if before.key else ""
        basis = basis_of(taken, read.digest, secret_of(key, assignment, who, taken.digest))
        return "" if basis.holds(recorded, before) else basis.change(before)

    return change


@cache
def code_of_the_grader() -> str:
    """Return a digest of the grader's code and the library's."""
    files = (path for package in ("autograder", "gpt2_lib") for path in sorted((CODE / package).rglob("*.py")))
    return _sha(*(hashlib.sha256(path.read_bytes()).hexdigest() for path in files))


def _sha(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
