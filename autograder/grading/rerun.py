"""The rerun of one check of one submission with the same random inputs, for an instructor after an appeal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode, reads

from ..course import Course, CourseError, folders
from ..intake.folder import intake
from ..learners import check_learner
from ..notebooks import grade_id
from ..sandbox import bubblewrap, cgroup
from ..seeds import key_of, secret_of, seed_of
from ..text import did_you_mean, plain
from ..workers.job import Job, run
from .basis import basis_of, material
from .plan import Plan
from .results import error_of
from .verdicts import read_grading


@dataclass(frozen=True)
class Again:
    """The result of a check: ``message`` is "" if it passes. ``changed``: file or release differ from those graded.

    ``trouble``: why there is no verdict, "" if there is one.
    """

    student: str
    assignment: str
    notebook: str
    check: str
    seed: int
    points: float | None
    maximum: float
    message: str
    printed: str
    changed: bool
    trouble: str

    def __str__(self) -> str:
        given = "no points" if self.points is None else f"{self.points:g}"
        head = f"{self.student}  {self.assignment}  {self.check}: {given} of {self.maximum:g}, seed {self.seed}"
        said = [self.trouble, self.message, self.printed and f"It printed:\n{self.printed}"]
        if self.changed:
            said.append("The file or the course has changed since it was graded: make grade grades it again.")
        lines = [line for text in filter(None, said) for line in text.splitlines()]
        return "\n".join([plain(head), *(f"  {plain(line)}" for line in lines)])


def rerun(root: Path, student: str, check: str, assignment: str | None = None) -> Again:
    """Run a submission again as graded, and return the result of one check; nothing is written.

    Raises CourseError, IntakeError, SandboxError, BrokenToolError.
    """
    course = Course(root)
    there = list(folders(course.root / "submitted", assignment, student))
    if not there:
        shared = _of_group(course, student, assignment)
        if not shared:
            with course.gradebook() as gradebook:
                check_learner(course.root, gradebook, student)
            where = f" in {assignment}" if assignment else ""
            raise CourseError(plain(f"{student} has nothing{where} in submitted/."))
        there = shared
    found, known = _look(course, there, check)
    if not found:
        raise CourseError(f"No check is called {plain(check, 80)!r}{did_you_mean(check, known)}")
    if len(found) > 1:
        names = " or ".join(sorted({name for _, name, _ in found}))
        raise CourseError(
            f'More than one check is called {check!r}: name the assignment, with ARGS="--assignment {names}".'
        )
    bubblewrap.check(course.root)
    cgroup.enter()
    return _again(course, *found[0], check)


def _of_group(course: Course, student: str, assignment: str | None) -> list[tuple[str, str]]:
    """Return who submitted for a learner's group."""
    mine = folders(course.root / "autograded", assignment, student)
    shared = ((read_grading(course.folder("autograded", name, student)).shared, name) for _, name in mine)
    return [(who, name) for who, name in shared if who]


def _look(course: Course, there: list[tuple[str, str]], check: str) -> tuple[list[tuple[str, str, str]], set[str]]:
    """Return (who submitted, assignment, notebook) of each check of this name, and the names of all checks."""
    found, known = [], set()
    for who, name in there:
        for notebook, plan in material(course, name).plans.items():
            checks = {cell.name for cell in plan.cells if cell.is_check}
            known |= checks
            found += [(who, name, notebook)] if check in checks else []
    return found, known


def _again(course: Course, student: str, assignment: str, notebook: str, check: str) -> Again:
    plans, given, digest = material(course, assignment)
    taken = intake(course.folder("submitted", assignment, student), plans)
    if notebook not in taken.notebooks:
        raise CourseError(f"{notebook}.ipynb {taken.refused.get(f'{notebook}.ipynb', 'was not handed in')}.")
    secret = secret_of(key_of(course.root), assignment, student, taken.digest)
    hidden = tuple(bubblewrap.names_of(course.root))
    job = Job({notebook: taken.notebooks[notebook]}, plans, taken.extras, given, course.rules, hidden, secret)
    outcome = run(job)
    if notebook in outcome.refused:
        raise CourseError(f"{notebook}.ipynb {outcome.refused[notebook]}.")
    recorded = course.folder("autograded", assignment, student)
    cell = _cell(reads(outcome.notebooks[notebook], as_version=4), check)
    trouble = [reason for _, name, reason in outcome.trouble if name == check]
    return Again(
        student,
        assignment,
        notebook,
        check,
        seed_of(secret, notebook, check),
        outcome.scores[notebook].get(check),
        _maximum(plans[notebook], check),
        error_of(cell),
        "".join(output.text for output in cell.outputs if output.output_type == "stream"),
        not basis_of(taken, digest, secret).holds(recorded, read_grading(recorded)),
        "; ".join(trouble),
    )


def _cell(notebook: NotebookNode, check: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if grade_id(cell) == check)


def _maximum(plan: Plan, check: str) -> float:
    return next(cell.points or 0.0 for cell in plan.cells if cell.name == check)
