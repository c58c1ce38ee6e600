"""Plain ``nbgrader autograde`` in the sandbox: a preprocessor in the place of nbgrader's `Execute`."""

from __future__ import annotations

import time
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from ..course import Course, CourseError
from ..grading.plan import files_of, read_assignment
from ..intake.folder import intake
from ..sandbox.bubblewrap import Limits, names_of
from ..text import plain
from .execute import Run
from .learner import Account, BrokenToolError, Setting, as_text

ATTEMPTS = 3


class SandboxedExecute(NbGraderPreprocessor):
    """Runs the notebook, which nbgrader has sanitised; what a person should look at goes to nbgrader's log."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        course, names = Course(Path.cwd()), resources["nbgrader"]
        plan = read_assignment(course, names["assignment"])[names["notebook"]]
        given = as_text(files_of(course, names["assignment"]))
        folder = course.folder("submitted", names["assignment"], names["student"])
        setting = Setting(
            files=as_text(intake(folder, [plan.name]).extras) | given,
            given=given,
            imports=plan.imports,
            warm=course.rules.warm,
            own_work=course.rules.own_work,
            hidden=tuple(names_of(course.root)),
        )
        for attempt in range(ATTEMPTS):
            try:
                report = Run(nb, setting, Account(until=time.monotonic() + Limits().total)).go()
                break
            except BrokenToolError as error:
                if attempt == ATTEMPTS - 1:
                    raise CourseError(str(error)) from error
        for cell, reason in report.review + report.trouble:
            self.log.warning("%s %s %s: to be reviewed: %s", names["student"], plan.name, cell, plain(reason))
        return nb, resources
