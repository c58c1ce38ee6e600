"""Check whether an assignment's cells may change: nbgrader can't add or remove cells once there are submissions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_locked, is_solution, is_task
from sqlalchemy import text

from ..course import Course, CourseError
from ..text import plain

SHOWN = 5  # cells named in a sentence
Roles = dict[str, frozenset[str]]  # cell -> its nbgrader type


def check_cells(course: Course, made: Mapping[Path, NotebookNode]) -> None:
    """Raise CourseError where submissions belong to other cells than those of the notebooks ``made``, by source file.

    Raises GradebookError where the gradebook can't be written, before anything is.
    """
    phases: dict[str, dict[str, NotebookNode]] = {}
    for path, notebook in made.items():
        phases.setdefault(path.parent.name, {})[path.stem] = notebook
    with course.gradebook() as gradebook:
        gradebook.db.execute(text("UPDATE course SET id = id"))  # changes nothing, and is not committed
        for entry in gradebook.assignments:
            name = str(entry.name)
            students = {str(one.student_id) for one in entry.submissions} | _handed_in(course.root, name)
            if name in phases and students and (said := _changed(entry, phases[name])):
                raise CourseError(
                    f"{name} {said}, and {_learners(len(students))} handed it in: nbgrader can't change the cells of "
                    "an assignment with submissions. Nothing was changed. To hand these notebooks out beside the old "
                    f"ones: make version PHASE={name}. To go on with the old ones: take that out of source/{name}/."
                )


def _handed_in(root: Path, assignment: str) -> set[str]:
    found = root.glob(f"submitted/*/{assignment}/*.ipynb")
    return {path.parents[1].name for path in found if not path.parents[1].name.startswith(".")}


def _learners(number: int) -> str:
    return "one learner" if number == 1 else f"{number} learners"


def _changed(entry: Any, notebooks: Mapping[str, NotebookNode]) -> str:
    """Return the difference from the cells in the gradebook, "" if there is none."""
    before = {notebook.name: _recorded(notebook) for notebook in entry.notebooks}
    after = {name: _written(notebook) for name, notebook in notebooks.items()}
    for what, some in (("gets", after.keys() - before.keys()), ("loses", before.keys() - after.keys())):
        if some:
            return f"{what} the notebook {_shown(some)}"
    said = []
    for name in sorted(after):
        old, new = before[name], after[name]
        said += [f"gets the cells {_shown(new.keys() - old.keys())}"] if new.keys() - old.keys() else []
        said += [f"loses the cells {_shown(old.keys() - new.keys())}"] if old.keys() - new.keys() else []
        others = {cell for cell in old.keys() & new.keys() if old[cell] != new[cell]}
        said += [f"has cells of another kind, {_shown(others)}"] if others else []
    return " and ".join(said)


def _recorded(notebook: Any) -> Roles:
    kinds = {"grade": notebook.grade_cells, "solution": notebook.solution_cells, "task": notebook.task_cells}
    names = {str(cell.name) for cell in notebook.source_cells}
    return {name: frozenset(k for k, cells in kinds.items() if name in {c.name for c in cells}) for name in names}


def _written(notebook: NotebookNode) -> Roles:
    found = {}
    for cell in notebook.cells:
        kinds = {"grade": is_grade(cell), "solution": is_solution(cell), "task": is_task(cell)}
        if any(kinds.values()) or is_locked(cell):
            found[cell.metadata.nbgrader["grade_id"]] = frozenset(kind for kind, is_it in kinds.items() if is_it)
    return found


def _shown(names: Iterable[str]) -> str:
    every = sorted(map(plain, names))
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
