"""The grading run: submissions are taken in, sanitised, run in parallel sandboxes, and recorded by one writer.

A submission is not graded again if neither it nor its tests have changed. So a run that was killed continues where it
was, and a corrected test regrades just the submissions that depend on it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from nbgrader.api import MissingEntry
from tqdm.auto import tqdm

from ..course import Course, CourseError, folders
from ..errors import of_disk
from ..intake.folder import IntakeError, intake, which
from ..sandbox import bubblewrap, cgroup
from ..sandbox.bubblewrap import SandboxError
from ..seeds import key_of, secret_of
from ..text import of_file, plain
from ..workers.job import Job, Outcome
from ..workers.pool import Workers, processes
from .basis import Material, basis_of, code_of_the_grader, material
from .groups import shares_of
from .record import ready, record
from .results import total
from .settle import settle
from .verdicts import Grading, Review, read_grading

NAMED = 2  # submissions beside the bar


@dataclass(frozen=True)
class Submission:
    """The result of one submission: ``failure`` says why it could not be graded, "" if it was.

    It is ``refused`` if the submission itself is at fault, and the learner's page says so; else the grader failed.
    """

    student: str
    assignment: str
    failure: str = ""
    points: float = 0.0
    max_points: float = 0.0
    review: tuple[Review, ...] = ()
    again: bool = True  # False: it was graded before, and nothing has changed
    refused: bool = False


@dataclass(frozen=True)
class _Terms:
    """The settings of a run: ``hidden`` are folders that no sandbox shows, ``key`` is the course's, for seeds."""

    safe: bool
    again: bool
    hidden: tuple[str, ...]
    key: bytes


@dataclass(frozen=True)
class _Task:
    student: str
    assignment: str
    job: Job
    grading: Grading  # without the results of running it
    stamp: datetime | None


def grade(
    root: Path,
    assignment: str | None = None,
    student: str | None = None,
    workers: Workers | None = None,
    safe: bool = True,
    again: bool = False,
) -> list[Submission]:
    """Grade every submission in submitted/ (of one assignment or student, or all); a faulty one stops no other.

    ``again``: regrade those that were graded before. ``workers`` run the submissions, by default one process a core.
    Not ``safe``: the learners' code runs on this machine with your permissions. One process at a time may grade a
    course (autograder/lock.py). Raises SandboxError where
    submissions can't be run safely, and on Windows; GradebookError and OSError where results can't be written.
    """
    if not safe and sys.platform == "win32":
        raise SandboxError(
            "Windows can't open what is handed in without following links, so nothing is graded there: grade in WSL2, "
            "as docs/grading-machines.md says."
        )
    course = Course(root)
    handed_in = list(folders(root / "submitted", assignment, student))
    if not handed_in:
        return []
    workers = workers or processes()
    if safe and workers.local:
        bubblewrap.check(course.root)
        cgroup.enter()
    ready(course)
    hidden = tuple(bubblewrap.names_of(course.root)) if sys.platform == "linux" else ()
    terms = _Terms(safe, again, hidden, key_of(course.root))
    settle(course, assignment)  # errors in its files are reported before anything runs
    given = {name: shares_of(course.root, name).given for name in {name for _, name in handed_in}}
    handed_in = [(who, name) for who, name in handed_in if who not in given[name]]
    done: dict[tuple[str, str], Submission] = {}
    with tqdm(total=len(handed_in), desc="grading", unit="submission") as bar:
        under_way: list[str] = []
        tasks = _prepare(course, handed_in, done, terms)
        tasks = _shown(tasks, bar, under_way)
        for task, outcome in workers.run_all(tasks, lambda task: task.job):
            key = task.student, task.assignment
            done[key] = _guarded(*key, lambda task=task, outcome=outcome: _finish(course, task, outcome))
            under_way.remove(f"{task.student} {task.assignment}")
            bar.set_postfix_str(_waits_for(under_way), refresh=False)
            bar.update(len(done) - bar.n)
        bar.update(len(done) - bar.n)
    settle(course, assignment)
    return [done[key] for key in sorted(done)]


def _shown(tasks: Iterator[_Task], bar: tqdm, under_way: list[str]) -> Iterator[_Task]:
    """Yield the tasks, and show beside the bar which of them are not done: they run in this order."""
    for task in tasks:
        under_way.append(f"{task.student} {task.assignment}")
        bar.set_postfix_str(_waits_for(under_way))
        yield task


def _waits_for(under_way: list[str]) -> str:
    more = f" and {len(under_way) - NAMED} more" if len(under_way) > NAMED else ""
    return f"waits for {', '.join(map(plain, under_way[:NAMED]))}{more}" if under_way else ""


T = TypeVar("T")


def _guarded(student: str, assignment: str, step: Callable[[], T]) -> T | Submission:
    """Return the result of ``step`` or, on an error, a failed submission, so that the others continue."""
    try:
        return step()
    except CourseError as error:
        return Submission(student, assignment, plain(error))
    except OSError as error:
        return Submission(student, assignment, plain(of_disk(error)))
    except Exception as error:
        return Submission(
            student, assignment, plain(f"the grader failed on it ({type(error).__name__}: {error}); please report this")
        )


def _prepare(
    course: Course,
    handed_in: list[tuple[str, str]],
    done: dict[tuple[str, str], Submission],
    terms: _Terms,
) -> Iterator[_Task]:
    """Yield a task for each submission; those that can't or need not be run are entered in ``done``."""
    materials: dict[str, Material | CourseError] = {}
    for student, assignment in handed_in:
        if assignment not in materials:
            try:
                materials[assignment] = material(course, assignment)
            except CourseError as error:
                materials[assignment] = error
        found = materials[assignment]
        if isinstance(found, CourseError):
            done[student, assignment] = Submission(student, assignment, plain(found))
            continue
        step = functools.partial(_task, course, student, assignment, found, terms)
        task = _guarded(student, assignment, step)
        if isinstance(task, Submission):
            done[student, assignment] = task
        else:
            yield task


def _task(
    course: Course,
    student: str,
    assignment: str,
    found: Material,
    terms: _Terms,
) -> _Task | Submission:
    """Return the task of a submission, or a `Submission` where it can't or need not be run."""
    plans, given, digest = found
    if student.encode("utf-8", "replace").decode() != student or plain(student) != student:
        return Submission(student, assignment, "the folder's name is no student's name: rename it, and grade again")
    try:
        taken = intake(course.folder("submitted", assignment, student), plans)
    except IntakeError as error:
        return _refused(course, student, assignment, str(error), Grading())
    secret = secret_of(terms.key, assignment, student, taken.digest)
    basis = basis_of(taken, digest, secret)
    review = tuple(Review("", "", plain(reason)) for reason in taken.review)
    refused = tuple(plain(of_file(name, reason)) for name, reason in sorted(taken.refused.items()))
    notes = (*refused, *map(plain, which(taken.notebooks, taken.further)))
    recorded = course.folder("autograded", assignment, student)
    before = read_grading(recorded)
    if not terms.again and basis.holds(recorded, before):
        return _as_recorded(course, student, assignment, before, again=False)
    grading = Grading(basis.key, review, notes, work=basis.work, release=basis.release)
    if not taken.notebooks:
        wanted = " and ".join(f"{name}.ipynb" for name in plans)
        reason = "; ".join(refused) or f"{wanted} is not there"
        return _refused(course, student, assignment, reason, grading, taken.stamp)
    job = Job(taken.notebooks, plans, taken.extras, given, course.rules, terms.hidden, secret, terms.safe)
    return _Task(student, assignment, job, grading, taken.stamp)


def _finish(course: Course, task: _Task, outcome: Outcome | str) -> Submission:
    """Record a worker's result: an outcome, or the reason why there is none."""
    if isinstance(outcome, str):
        return Submission(task.student, task.assignment, outcome)
    before = task.grading
    trouble = [(*where, f"an error of the grader, twice: {reason}") for *where, reason in outcome.trouble]
    review = (*before.review, *(Review(*entry) for entry in (*outcome.review, *trouble)))
    refused = tuple(f"{name}.ipynb {reason}" for name, reason in outcome.refused.items())
    grader = code_of_the_grader() if outcome.trouble else ""
    grading = replace(before, review=review, notes=before.notes + refused + outcome.notes, grader=grader)
    if not outcome.notebooks:
        reason = "; ".join(before.notes + refused)
        return _refused(course, task.student, task.assignment, reason, grading, task.stamp)
    try:
        record(course, task.assignment, task.student, outcome, grading, task.stamp)
    except CourseError as error:
        return Submission(task.student, task.assignment, plain(error), review=review)
    return _as_recorded(course, task.student, task.assignment, grading)


def _refused(
    course: Course, student: str, assignment: str, reason: str, grading: Grading, stamp: datetime | None = None
) -> Submission:
    """Record a submission that can't be run: no points, and the reason."""
    reason = plain(reason)
    grading = replace(grading, refused=reason)
    try:
        record(course, assignment, student, Outcome(), grading, stamp)
    except CourseError as error:
        return Submission(student, assignment, plain(f"{reason}; {error}"), review=grading.review)
    return Submission(student, assignment, reason, review=grading.review, refused=True)


def _as_recorded(course: Course, student: str, assignment: str, grading: Grading, again: bool = True) -> Submission:
    try:
        with course.gradebook() as gradebook:
            points = total(gradebook, assignment, student)
    except MissingEntry:
        return Submission(
            student, assignment, "it is not in the gradebook: delete its folder in autograded/, grade again"
        )
    refused = bool(grading.refused)
    return Submission(student, assignment, grading.refused, *points, grading.review, again, refused)
