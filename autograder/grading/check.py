"""A learner grades their own notebooks: in a copy, with nbgrader, and with the points on the screen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ..course import Course, CourseError
from ..intake.folder import shadows
from ..notebooks import KERNELSPEC, NotebookError, read_notebook, to_text
from .plan import read_assignment
from .results import results, table
from .skip import skip

ME = "me"


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
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        course = Course(Path(temporary))
        submitted = course.folder("submitted", phase, ME)
        submitted.mkdir(parents=True)
        readable = True
        for path in _notebooks(root / "notebooks" / phase):
            try:
                _tell_wrong_kernel(path)
            except NotebookError as error:
                print(f"notebooks/{phase}/{error}")
                readable = False
            else:
                shutil.copy(path, submitted)
        if not list(submitted.iterdir()):
            return False
        for path in (root / "notebooks" / phase).iterdir():  # what the notebooks have written beside them
            if path.is_file() and path.suffix != ".ipynb" and not shadows(path.name):
                shutil.copy(path, submitted)
        instructors = _copy_source(root, phase, course)
        try:
            course.generate(phase)
            if instructors:  # else nothing tells a demonstration from a cell of the learner's own
                _skip_demonstrations(course, phase)
            course.autograde(phase, ME)
        except CourseError as error:
            print(f"{phase} could not be graded: {error}")
            return False
        print(table(results(course, phase, ME)), end="\n\n")
    return readable


def _tell_wrong_kernel(path: Path) -> None:
    spec = read_notebook(path).metadata.get("kernelspec", {})
    if spec.get("name") != KERNELSPEC["name"]:
        print(
            f"{path.name} was saved with the kernel {spec.get('name', 'none')!r}. It is graded with Python 3; "
            "in JupyterLab choose Kernel > Change Kernel > Python 3."
        )


def _skip_demonstrations(course: Course, phase: str) -> None:
    """Tag the cells that no check needs; nbgrader does not run them then."""
    for name, plan in read_assignment(course, phase).items():
        path = course.folder("submitted", phase, ME) / f"{name}.ipynb"
        if path.exists():
            notebook = read_notebook(path)
            for index in skip(notebook, plan.demonstrations, plan.taken):
                notebook.cells[index].metadata["tags"] = ["skip-execution"]
            path.write_text(to_text(notebook), encoding="utf-8")


def _copy_source(root: Path, phase: str, course: Course) -> bool:
    """Give the copy the instructor's notebooks (True) or, in a handout without them, the learner's own (False)."""
    masters = theirs = _notebooks(root / "source" / phase)
    if not masters:
        print("The instructor's tests are not here (no source/): only the checks that you see can run.")
        masters = _notebooks(course.folder("submitted", phase, ME))
    source = course.folder("source", phase)
    source.mkdir(parents=True)
    for master in masters:
        shutil.copy(master, source)
    return bool(theirs)
