"""Plain ``nbgrader autograde`` in the sandbox: a preprocessor in the place of nbgrader's `Execute`.

It works as `make grade` does: it uses the submitted file, and not nbgrader's changed copy of it.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from ..course import Course, CourseError
from ..grading.plan import files_of, read_assignment
from ..intake.folder import intake
from ..sandbox.bubblewrap import names_of
from ..seeds import key_of, secret_of
from .job import Job, run
from .setting import BrokenToolError


class SandboxedExecute(NbGraderPreprocessor):
    """A preprocessor that runs the notebook; remarks for a person go to nbgrader's log."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        course, names = Course(Path.cwd()), resources["nbgrader"]
        assignment, student, name = names["assignment"], names["student"], names["notebook"]
        plans = read_assignment(course, assignment)
        taken = intake(course.folder("submitted", assignment, student), plans)
        if name not in taken.notebooks:
            raise CourseError(f"{name}.ipynb {taken.refused.get(f'{name}.ipynb', 'went away')}")
        job = Job(
            {name: taken.notebooks[name]},
            plans,
            taken.extras,
            files_of(course, assignment),
            course.rules,
            tuple(names_of(course.root)),
            secret_of(key_of(course.root), assignment, student, taken.digest),
        )
        try:
            outcome = run(job)
        except BrokenToolError as error:
            raise CourseError(str(error)) from error
        if name in outcome.refused:
            raise CourseError(f"{name}.ipynb {outcome.refused[name]}")
        for _, cell, reason in (*outcome.review, *outcome.trouble):
            self.log.warning("%s %s %s: to be reviewed: %s", student, name, cell, reason)
        for note in outcome.notes:
            self.log.warning("%s: %s", student, note)
        return nbformat.reads(outcome.notebooks[name], as_version=4), resources
