"""Try every check against the course's own solutions, the way that a submission goes, before there is any."""

from __future__ import annotations

from pathlib import Path

from ..authoring.release import fresh_release
from ..authoring.sources import masters
from ..course import Course
from ..sandbox.bubblewrap import names_of
from ..workers.job import Job, run
from .plan import files_of, read_assignment


def rehearse(root: Path) -> list[str]:
    """What an instructor has to mend: checks that hand over what can't travel, or that come to no verdict.

    Points are not looked at: a solution may want files that only a learner makes. Raises CourseError, BrokenToolError.
    """
    faults = []
    with fresh_release(root) as fresh:
        course = Course(fresh)
        for phase in sorted({master.parent.name for master in masters(root)}):
            plans = read_assignment(course, phase)
            solved = {name: (course.folder("source", phase) / f"{name}.ipynb").read_bytes() for name in plans}
            hidden = tuple(names_of(root))
            outcome = run(Job(solved, plans, {}, files_of(course, phase), course.rules, hidden))
            for name, cell, reason in (*outcome.review, *outcome.trouble):
                faults.append(f"source/{phase}/{name}.py, check {cell}: {reason}")
    return faults
