"""`make check`: a learner grades their own notebooks, prepared and reported as a submission, without a sandbox."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..course import Course, CourseError
from ..intake.folder import shadows, which
from ..labels import labels
from ..notebooks import KERNELSPEC, NotebookError, read_notebook
from ..sandbox.bubblewrap import Limits
from ..workers.job import Job, run
from .plan import read_assignment
from .record import record
from .results import Result, results, table
from .verdicts import Grading

ME = "me"
DAY = 86_400.0  # seconds: no other submission waits for the worker here


class CheckError(Exception):
    """There is nothing to check; the message says what to do."""


@dataclass(frozen=True)
class Checked:
    """The result for a phase's notebooks: the checks' results, notes, and whether all could be graded."""

    results: list[Result]
    notes: list[str]
    whole: bool

    def json(self) -> str:
        """Return the results as JSON for the notebook's page, with each check's label."""
        from gpt2_lib.course import checks  # imports PyTorch, which the command line does not need

        told = [
            asdict(result) | {"label": getattr(getattr(checks, result.check, None), "label", result.check)}
            for result in self.results
        ]
        return json.dumps({"results": told, "notes": self.notes})


def check(root: Path, phase: str | None = None) -> bool:
    """Grade ``notebooks/<phase>/`` (or all phases) and print a table for each; True if all could be graded.

    The notebooks themselves are only read. Raises CheckError.
    """
    folder = root / "notebooks"
    phases = sorted(path.name for path in folder.glob("*/") if list(_notebooks(path)))
    if phase is not None and phase not in phases:
        raise CheckError(f"There are no notebooks in notebooks/{phase}. Phases: {', '.join(phases) or 'none'}.")
    if not phases:
        raise CheckError("There are no notebooks in notebooks/.")
    whole = True
    for name in [phase] if phase else phases:
        print(f"Grading a copy of {name} as the instructor would. Please wait: this runs your cells ...", flush=True)
        checked = _check(root, name, _notebooks(folder / name), _notebooks(root / "source" / name))
        told = [table(checked.results, labels(Course(root).rules.checks))] if checked.results else []
        print("\n".join([*told, *checked.notes]), end="\n\n")
        whole = whole and checked.whole
    return whole


def check_notebook(root: Path, path: Path) -> Checked:
    """Grade one notebook, which may lie anywhere, with the tests of the course at ``root`` that has its name.

    It is only read. Raises CheckError.
    """
    if not path.is_file():
        raise CheckError(f"There is no {path.name} in the folder {path.parent.name}.")
    masters = sorted((root / "source").glob(f"*/{path.name}"))[:1]
    phase = masters[0].parent.name if masters else "notebook"
    return _check(root, phase, [path], masters)


def _notebooks(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.ipynb") if ".new" not in "".join(path.suffixes))


def _check(root: Path, phase: str, notebooks: list[Path], masters: list[Path]) -> Checked:
    """Grade ``notebooks``, all in one folder, as the phase's; without ``masters`` only by their visible checks."""
    unreadable = {path: fault for path in notebooks if (fault := _unreadable(path))}
    readable = [path for path in notebooks if path not in unreadable]
    notes = [*unreadable.values()]
    if not readable:
        return Checked([], notes, whole=False)
    notes += [note for path in readable if (note := _wrong_kernel(path))]
    if not masters:
        notes.append("The instructor's tests are not here (no source/): only the checks that you see can run.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        course = Course(Path(temporary))
        source = course.folder("source", phase)
        source.mkdir(parents=True)
        for path in masters or readable:
            shutil.copy(path, source)
        try:
            course.generate(phase)
            plans = read_assignment(course, phase)
            if not masters:  # nothing tells the course's cells from the learner's
                plans = {name: replace(plan, released=(), demonstrations={}) for name, plan in plans.items()}
            mine = {path.stem: path.read_bytes() for path in readable if path.stem in plans}
            outcome = run(Job(mine, plans, _beside(readable[0].parent), safe=False, limits=Limits(total=DAY)))
            record(course, phase, ME, outcome, Grading(), None)
        except CourseError as error:
            return Checked([], [*notes, f"{phase} could not be graded: {error}"], whole=False)
        found = results(course, phase, ME)
    marks = "has lost the marks that say which cells are checks: put your answers into a new copy of it"
    faults = {**outcome.refused} | {name: marks for name, plan in plans.items() if not plan.cells}
    refused = [f"{_name(path)} {faults[path.stem]}" for path in readable if path.stem in faults]
    further = [path.name for path in readable if path.stem not in mine]
    notes += [*refused, *outcome.notes, *which(mine, further)]
    return Checked(found, notes, not refused and readable == notebooks)


def _beside(folder: Path) -> dict[str, bytes]:
    """Return the files that the notebooks wrote beside them, {name: content}."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.suffix != ".ipynb" and not shadows(path.name)
    }


def _unreadable(path: Path) -> str | None:
    try:
        read_notebook(path)
    except NotebookError as error:
        return f"{path.parent.parent.name}/{path.parent.name}/{error}"
    return None


def _wrong_kernel(path: Path) -> str | None:
    spec = read_notebook(path).metadata.get("kernelspec", {})
    if spec.get("name") == KERNELSPEC["name"]:
        return None
    return (
        f"{path.name} was saved with the kernel {spec.get('name', 'none')!r}. It is graded with Python 3; "
        "in JupyterLab choose Kernel > Change Kernel > Python 3."
    )


def _name(path: Path) -> str:
    return "/".join(path.parts[-3:])
