"""A course folder as nbgrader sees it: nbgrader's steps as methods that raise errors, and the course's rules."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import Gradebook, InvalidEntry
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from traitlets.config.loader import PyFileConfigLoader

from .errors import gradebook_sentence, of_gradebook

PROJECT = Path(__file__).resolve().parents[1]
CONFIG = "nbgrader_config.py"
WAIT = 2  # seconds to wait for a locked gradebook: writing a grade locks it for milliseconds
EXCEPTION = re.compile(r"^\s*(?:\w+\.)*(\w*(?:Error|Exception|Entry)): (.+)$", re.MULTILINE)


class CourseError(Exception):
    """A step of nbgrader failed; the message says why."""


class GradebookError(CourseError):
    """The gradebook is held, damaged or can't be written; the message says what to do."""


@dataclass(frozen=True)
class Rules:
    """The grader's settings for a course that nbgrader has no option for: ``c.Rules`` in ``nbgrader_config.py``."""

    warm: tuple[str, ...] = ()
    """Modules that its notebooks import, so that each submission starts with them loaded."""
    skip: bool = False
    """Whether its own cells that learners may change, and have not, need not run where no answer uses a name of theirs.

    Only for a course whose cells of that kind do nothing but make names and show something.
    """
    own_work: str = ""
    """"module:function" that tells what an answer is built on, where that is not the learner's own work."""
    checks: str = ""
    """The package of its checks, functions with a decorator ``@check("label")``: reports show these labels."""


class Course:
    """nbgrader for the folder ``root``, with its ``nbgrader_config.py`` or, if it has none, the project's.

    ``root`` holds source/, release/, submitted/, autograded/, feedback/ and gradebook.db.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        config = PyFileConfigLoader(CONFIG, path=str(_config_of(self.root).parent)).load_config()
        config.CourseDirectory.root = str(self.root)
        if "db_url" not in config.CourseDirectory:
            config.CourseDirectory.db_url = f"sqlite:///{self.root / 'gradebook.db'}?timeout={WAIT}"
        self.rules = Rules(**{**config.Rules, "warm": tuple(config.Rules.get("warm", ()))})
        _put_scripts_on_path()
        warnings.filterwarnings("ignore", category=SAWarning, module="nbgrader")  # its own, harmless
        logging.getLogger("tornado.application").addHandler(logging.NullHandler())  # nbgrader raises what it logs there
        self.api = NbGraderAPI(config=config)

    def generate(self, assignment: str) -> None:
        """Generate release/ from source/, and enter the assignment's points and hidden tests in the gradebook."""
        self._run(self.api.generate_assignment(assignment))

    @contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """Open the gradebook in a ``with`` statement. Raises GradebookError, for errors in the body too."""
        try:
            with self.api.gradebook as gradebook:
                yield gradebook
        except (SQLAlchemyError, InvalidEntry, subprocess.CalledProcessError) as error:  # the last is `alembic`'s
            raise GradebookError(gradebook_sentence(str(error))) from error

    def folder(self, step: str, assignment: str, student: str = ".") -> Path:
        """Return nbgrader's folder of an assignment: ``folder("autograded", "phase1_overview", "ada")``."""
        return self.root / step / student / assignment

    @staticmethod
    def _run(result: dict) -> None:
        if not result["success"]:
            log = result.get("log", "")
            raise CourseError(_reason(log, result.get("error", "")))


def _config_of(root: Path) -> Path:
    return next(path for path in (root / CONFIG, PROJECT / CONFIG) if path.is_file())


def with_config_of(root: Path, folder: Path) -> None:
    """Give a temporary course in ``folder`` the rules of the one at ``root``, and a gradebook of its own."""
    gradebook = f"sqlite:///{folder.resolve() / 'gradebook.db'}"
    own = f"c.CourseDirectory.db_url = {gradebook!r}\n"
    (folder / CONFIG).write_text(_config_of(root).read_text(encoding="utf-8") + "\n" + own, encoding="utf-8")


def folders(step: Path, assignment: str | None = None, student: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield (student, assignment) of every submission in a folder of nbgrader's, in order, without hidden folders."""
    for folder in sorted(step.glob(f"*/{assignment or '*'}")):
        hidden = folder.name.startswith(".") or folder.parent.name.startswith(".")
        if folder.is_dir() and not hidden and (student is None or folder.parent.name == student):
            yield folder.parent.name, folder.name


def _put_scripts_on_path() -> None:
    """Add the environment's scripts to PATH: nbgrader runs `alembic` for a new gradebook."""
    scripts, path = sysconfig.get_path("scripts"), os.environ.get("PATH", "")
    if scripts not in path.split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + path


def _reason(log: str, error: str) -> str:
    """Return the relevant line: nbgrader logs the cause and raises "see the above traceback"."""
    if "kernel became unresponsive" in re.sub(r"\s+", " ", log):
        return "the kernel stopped answering and could not be interrupted (an endless loop?)"
    causes = EXCEPTION.findall(log) or EXCEPTION.findall(error)
    if not causes:
        return (log or error).strip().splitlines()[-1]
    name, message = causes[-1]
    if name in ("OperationalError", "DatabaseError", "InvalidEntry") and of_gradebook(message):
        return gradebook_sentence(message)
    if name == "DeadKernelError":
        return "the kernel died while running the notebook (out of memory, or the code ended its process)"
    return message if name in ("NbGraderException", "RuntimeError") else f"{name}: {message}"
