"""The rehearsal: every check is run against the course's own solutions as if they were a submission."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..authoring.release import fresh_release
from ..authoring.sources import notebooks
from ..course import Course
from ..sandbox.bubblewrap import names_of
from ..workers.job import Job, Outcome, run
from .plan import files_of, read_assignment


def rehearse(root: Path) -> list[str]:
    """Return what an instructor has to fix: checks with values that can't be transferred, with no verdict, or with
    fewer points for the solution than nbgrader alone gives.

    A solution may lose points with both: it may need files that only a learner makes. Raises CourseError,
    BrokenToolError.
    """
    faults = []
    with fresh_release(root) as fresh:
        course = Course(fresh)
        for phase in sorted({path.parent.name for path in notebooks(root)}):
            plans = read_assignment(course, phase)
            solved = {name: (course.folder("source", phase) / f"{name}.ipynb").read_bytes() for name in plans}
            hidden = tuple(names_of(root))
            job = Job(solved, plans, {}, files_of(course, phase), course.rules, hidden)
            outcome = run(job)
            for name, cell, reason in (*outcome.review, *outcome.trouble):
                faults.append(f"source/{phase}/{name}.py, check {cell}: {reason}")
            faults += [f"source/{phase}/{name}.py, check {cell}: {what}" for name, cell, what in _fewer(job, outcome)]
    return faults


def _fewer(job: Job, outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """Yield notebook, check and points where nbgrader gives more without the sandbox."""
    lost = [
        (name, cell.name, points)
        for name, scores in outcome.scores.items()
        for cell in job.plans[name].cells
        if (points := scores.get(cell.name)) is not None and points < (cell.points or 0)
    ]
    if lost:
        stock = run(replace(job, safe=False))
        for name, cell, points in lost:
            if (alone := stock.scores[name][cell] or 0) > points:
                yield name, cell, f"the solution gets {points:g} points here, and {alone:g} with nbgrader alone"
