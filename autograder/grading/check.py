"""A learner grades their own notebooks: prepared and told as a submission, run in a copy without a sandbox."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from ..course import Course, CourseError
from ..intake.folder import shadows, which
from ..notebooks import KERNELSPEC, NotebookError, read_notebook
from ..sandbox.bubblewrap import Limits
from ..workers.job import Job, run
from .plan import read_assignment
from .record import record
from .results import results, table
from .verdicts import Grading

ME = "me"
DAY = 86_400.0  # seconds: nobody waits for a worker here


class CheckError(Exception):
    """There is nothing to check; the message says what to do."""


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
    graded = [_check_phase(root, name) for name in ([phase] if phase else phases)]
    return all(graded)


def _notebooks(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.ipynb") if ".new" not in "".join(path.suffixes))


def _check_phase(root: Path, phase: str) -> bool:
    print(f"{phase}: running what the checks need, in a copy of your notebook", flush=True)
    folder = root / "notebooks" / phase
    readable = [path for path in _notebooks(folder) if _is_readable(path, phase)]
    if not readable:
        return False
    beside = {  # what the notebooks have written beside them
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.suffix != ".ipynb" and not shadows(path.name)
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        course = Course(Path(temporary))
        masters = _notebooks(root / "source" / phase)
        if not masters:
            print("The instructor's tests are not here (no source/): only the checks that you see can run.")
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
            outcome = run(Job(mine, plans, beside, safe=False, limits=Limits(total=DAY)))
            record(course, phase, ME, outcome, Grading(), None)
        except CourseError as error:
            print(f"{phase} could not be graded: {error}")
            return False
        told = table(results(course, phase, ME))
    marks = "has lost the marks that say which cells are checks: put your answers into a new copy of it"
    faults = {**outcome.refused} | {name: marks for name, plan in plans.items() if not plan.cells}
    refused = [f"notebooks/{phase}/{name}.ipynb {reason}" for name, reason in faults.items()]
    further = [path.name for path in readable if path.stem not in mine]
    print("\n".join([told, *refused, *outcome.notes, *which(mine, further)]), end="\n\n")
    return not refused and len(readable) == len(_notebooks(folder))


def _is_readable(path: Path, phase: str) -> bool:
    try:
        _tell_wrong_kernel(path)
    except NotebookError as error:
        print(f"notebooks/{phase}/{error}")
        return False
    return True


def _tell_wrong_kernel(path: Path) -> None:
    spec = read_notebook(path).metadata.get("kernelspec", {})
    if spec.get("name") != KERNELSPEC["name"]:
        print(
            f"{path.name} was saved with the kernel {spec.get('name', 'none')!r}. It is graded with Python 3; "
            "in JupyterLab choose Kernel > Change Kernel > Python 3."
        )
