"""An instructor grades what was handed in: taken in, sanitised, run in sandboxes side by side, recorded by one writer.

A submission that was graded already, and has not changed since, nor have its tests, is not graded again. So a run
that was killed goes on where it was, and a corrected test regrades just what depends on it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbgrader.api import MissingEntry
from tqdm.auto import tqdm

from ..course import Course, CourseError
from ..intake.folder import IntakeError, intake
from ..sandbox import bubblewrap as sandbox
from ..sandbox.bubblewrap import SandboxError
from ..workers.job import Job, Outcome
from ..workers.pool import Workers, processes
from .plan import Plan, read_assignment
from .record import record
from .results import total
from .sanitise import sanitise
from .skip import skip
from .verdicts import Grading, Review, read_grading

VERSION = 1  # of the grader: a higher one grades everything again


@dataclass(frozen=True)
class Submission:
    """What became of one submission: ``failure`` says why it could not be graded, "" when it was."""

    student: str
    assignment: str
    failure: str = ""
    points: float = 0.0
    max_points: float = 0.0
    review: tuple[Review, ...] = ()
    again: bool = True  # False: it was graded before, and nothing has changed


@dataclass(frozen=True)
class _Task:
    student: str
    assignment: str
    job: Job
    grading: Grading  # without what only running it tells


def grade(
    root: Path,
    assignment: str | None = None,
    student: str | None = None,
    workers: Workers | None = None,
    safe: bool = True,
) -> list[Submission]:
    """Grade every submission in submitted/ (of one assignment or student, or all); a bad one stops nobody.

    ``workers``: who runs them, one process a core if not given. Not ``safe``: the learners' code runs on this machine
    with your rights. Raises SandboxError where submissions can't be run safely, and on Windows.
    """
    if not safe and sys.platform == "win32":
        raise SandboxError(
            "Windows can't open what is handed in without following links, so nothing is graded there: grade in WSL2, "
            "as docs/instructor.md says."
        )
    course = Course(root)
    handed_in = list(folders(root / "submitted", assignment, student))
    if not handed_in:
        return []
    workers = workers or processes()
    if safe and workers.local:
        sandbox.check()
    done: dict[tuple[str, str], Submission] = {}
    with tqdm(total=len(handed_in), desc="grading", unit="submission") as bar:
        tasks = _prepare(course, handed_in, done, safe)
        for task, outcome in workers.run_all(tasks, lambda task: task.job):
            done[task.student, task.assignment] = _finish(course, task, outcome)
            bar.update(len(done) - bar.n)
        bar.update(len(done) - bar.n)
    return [done[key] for key in sorted(done)]


def _prepare(
    course: Course,
    handed_in: list[tuple[str, str]],
    done: dict[tuple[str, str], Submission],
    safe: bool,
) -> Iterator[_Task]:
    """Take each submission in; what can't or need not be run is entered in ``done``."""
    plans: dict[str, dict[str, Plan] | CourseError] = {}
    for student, assignment in handed_in:
        if assignment not in plans:
            try:
                plans[assignment] = read_assignment(course, assignment)
            except CourseError as error:
                plans[assignment] = error
        plan = plans[assignment]
        if isinstance(plan, CourseError):
            done[student, assignment] = Submission(student, assignment, str(plan))
            continue
        folder = course.folder("submitted", assignment, student)
        try:
            taken = intake(folder, plan)
        except IntakeError as error:
            done[student, assignment] = _refused(course, student, assignment, str(error), Grading())
            continue
        key = hashlib.sha256(
            "\n".join([str(VERSION), taken.digest, _stamp(folder), *(p.digest for p in plan.values())]).encode()
        ).hexdigest()
        review = tuple(Review("", "", reason) for reason in taken.review)
        notes = tuple(f"{name} {reason}" for name, reason in sorted(taken.refused.items()))
        before = read_grading(course.folder("autograded", assignment, student))
        if before.key == key:
            done[student, assignment] = _as_recorded(course, student, assignment, before, again=False)
            continue
        if not taken.notebooks:
            wanted = " and ".join(f"{name}.ipynb" for name in plan)
            reason = "; ".join(notes) or f"{wanted} is not there"
            done[student, assignment] = _refused(course, student, assignment, reason, Grading(key, review, notes))
            continue
        notebooks, skipped = {}, {}
        for name, data in taken.notebooks.items():
            clean, put_right = sanitise(nbformat.reads(data.decode(), as_version=4), plan[name])
            notebooks[name] = nbformat.writes(clean)
            skipped[name] = frozenset(skip(clean, plan[name].demonstrations))
            notes += tuple(f"{name}.ipynb: {text}" for text in put_right)
        yield _Task(student, assignment, Job(notebooks, skipped, taken.extras, safe), Grading(key, review, notes))


def _stamp(folder: Path) -> str:
    """When it was handed in, as far as nbgrader's timestamp.txt tells."""
    try:
        return (folder / "timestamp.txt").read_text(encoding="utf-8")[:100]
    except (OSError, UnicodeDecodeError):
        return ""


def _finish(course: Course, task: _Task, outcome: Outcome | str) -> Submission:
    """Record what a worker gave back: an outcome, or why there is none."""
    if isinstance(outcome, str):
        return Submission(task.student, task.assignment, outcome)
    before = task.grading
    review = (*before.review, *(Review(*entry) for entry in outcome.review))
    grading = Grading(before.key, review, before.notes)
    notebooks = {name: nbformat.reads(text, as_version=4) for name, text in outcome.notebooks.items()}
    try:
        record(course, task.assignment, task.student, notebooks, grading)
    except CourseError as error:
        return Submission(task.student, task.assignment, str(error), review=review)
    return _as_recorded(course, task.student, task.assignment, grading)


def _refused(course: Course, student: str, assignment: str, reason: str, grading: Grading) -> Submission:
    """Nothing of it can be run: no points, and the reason."""
    grading = Grading(grading.key, grading.review, grading.notes, refused=reason)
    try:
        record(course, assignment, student, {}, grading)
    except CourseError as error:
        reason = f"{reason}; {error}"
    return Submission(student, assignment, reason, review=grading.review)


def _as_recorded(course: Course, student: str, assignment: str, grading: Grading, again: bool = True) -> Submission:
    try:
        with course.gradebook() as gradebook:
            points = total(gradebook, assignment, student)
    except MissingEntry:
        return Submission(
            student, assignment, "it is not in the gradebook: delete its folder in autograded/, grade again"
        )
    return Submission(student, assignment, grading.refused, *points, review=grading.review, again=again)


def table(submissions: list[Submission]) -> str:
    """One line a submission: its points, or why it failed; then what a person should look at, and the sums."""
    width = max(len(s.student) + len(s.assignment) + 2 for s in submissions)
    lines = []
    for s in submissions:
        result = f"failed: {s.failure}" if s.failure else f"{s.points:g} of {s.max_points:g}"
        notes = ["" if s.again or s.failure else "graded before", "to be reviewed" if s.review else ""]
        lines.append(f"{s.student + '  ' + s.assignment:<{width}}  " + ", ".join(filter(None, [result, *notes])))
    flagged = [s for s in submissions if s.review]
    if flagged:
        lines += ["", "To be reviewed:"]
        lines += [f"{s.student}  {s.assignment}  {r.cell or r.notebook}: {r.reason}" for s in flagged for r in s.review]
    failed = sum(bool(s.failure) for s in submissions)
    before = sum(not s.again for s in submissions)
    sums = f"{len(submissions) - failed} done, {failed} failed, {len(flagged)} to be reviewed"
    return "\n".join([*lines, "", sums + (f"; {before} of them had been graded before" if before else "")])


def folders(step: Path, assignment: str | None = None, student: str | None = None) -> Iterator[tuple[str, str]]:
    """(student, assignment) of every submission in a folder of nbgrader's, in order."""
    for folder in sorted(step.glob(f"*/{assignment or '*'}")):
        if folder.is_dir() and (student is None or folder.parent.name == student):
            yield folder.parent.name, folder.name
