"""A course folder as nbgrader sees it: its steps as methods that raise instead of logging, and its own rules."""

from __future__ import annotations

import os
import re
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning
from traitlets.config.loader import PyFileConfigLoader

PROJECT = Path(__file__).resolve().parents[1]
CONFIG = "nbgrader_config.py"
EXCEPTION = re.compile(r"^\s*(?:\w+\.)*(\w*(?:Error|Exception|Entry)): (.+)$", re.MULTILINE)


class CourseError(Exception):
    """A step of nbgrader failed; the message says why."""


@dataclass(frozen=True)
class Rules:
    """What the grader has to know of a course that nbgrader does not: ``c.Rules`` in its ``nbgrader_config.py``."""

    warm: tuple[str, ...] = ()
    """Modules that its notebooks import, so that each submission starts with them loaded."""
    own_work: str = ""
    """"module:function" that tells what an answer is built on, where that is not the learner's own work."""


class Course:
    """nbgrader on the folder ``root``, with its ``nbgrader_config.py`` or, where it has none, the project's.

    ``root`` holds source/, release/, submitted/, autograded/, feedback/ and gradebook.db.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        place = self.root if (self.root / CONFIG).is_file() else PROJECT
        config = PyFileConfigLoader(CONFIG, path=str(place)).load_config()
        config.CourseDirectory.root = str(self.root)
        self.rules = Rules(tuple(config.Rules.get("warm", ())), config.Rules.get("own_work", ""))
        _put_scripts_on_path()
        warnings.filterwarnings("ignore", category=SAWarning, module="nbgrader")  # its own, harmless
        self.api = NbGraderAPI(config=config)

    def generate(self, assignment: str) -> None:
        """source/ to release/, and the assignment's points and hidden tests into the gradebook."""
        self._run(self.api.generate_assignment(assignment))

    def gradebook(self) -> Gradebook:
        """The gradebook, to be used in a ``with`` statement."""
        return self.api.gradebook

    def folder(self, step: str, assignment: str, student: str = ".") -> Path:
        """Where nbgrader keeps an assignment: ``folder("autograded", "phase1_overview", "ada")``."""
        return self.root / step / student / assignment

    @staticmethod
    def _run(result: dict) -> None:
        if not result["success"]:
            log = result.get("log", "")
            raise CourseError(_reason(log, result.get("error", "")))


def _put_scripts_on_path() -> None:
    """nbgrader runs the command `alembic` for a new gradebook: it must be found without `activate`."""
    scripts, path = sysconfig.get_path("scripts"), os.environ.get("PATH", "")
    if scripts not in path.split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + path


def _reason(log: str, error: str) -> str:
    """The one line that matters: nbgrader logs the cause and raises "see the above traceback"."""
    if "kernel became unresponsive" in re.sub(r"\s+", " ", log):
        return "the kernel stopped answering and could not be interrupted (an endless loop?)"
    causes = EXCEPTION.findall(log) or EXCEPTION.findall(error)
    if not causes:
        return (log or error).strip().splitlines()[-1]
    name, message = causes[-1]
    if name == "DeadKernelError":
        return "the kernel died while running the notebook (out of memory, or the code ended its process)"
    return message if name in ("NbGraderException", "RuntimeError") else f"{name}: {message}"
