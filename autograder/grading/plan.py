"""An assignment as the gradebook and the release have it, read once for a whole class."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from nbformat import NotebookNode
from nbgrader.api import MissingEntry

from ..course import Course, CourseError
from ..intake.folder import IntakeError, intake
from ..judge.client import names_of
from ..notebooks import KERNELSPEC, NotebookError, read_notebook
from .skip import names_made


@dataclass(frozen=True)
class Cell:
    """A cell that nbgrader knows. ``points`` is None where it gives none; ``solution``: the learner writes in it."""

    name: str
    cell_type: str
    source: str
    checksum: str
    locked: bool
    solution: bool
    points: float | None
    task: bool = False

    @property
    def is_answer(self) -> bool:
        """Whether what stands in it is the learner's."""
        return self.solution or (self.task and not self.locked)

    @property
    def is_check(self) -> bool:
        return self.cell_type == "code" and self.points is not None and not self.solution


@dataclass(frozen=True)
class Plan:
    """One notebook of an assignment: its cells in order, and what is known of its cells that anybody may change.

    All of it is plain data: it goes to workers as JSON.
    """

    name: str
    cells: tuple[Cell, ...]
    released: tuple[tuple[str, str], ...] = ()  # all cells that learners got, (name or "", source); () if not here
    demonstrations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # source -> the names that it makes
    imports: str = ""  # the modules that the instructor's other cells import, for the checks
    kernelspec: str = json.dumps(KERNELSPEC)

    @property
    def taken(self) -> set[str]:
        """The names that checks take from the notebook."""
        code = [cell for cell in self.cells if cell.cell_type == "code" and not cell.solution]
        locked = (self.imports, *(cell.source for cell in code if cell.points is None and cell.locked))
        return set().union(*(names_of(cell.source, locked).wanted for cell in code if cell.points is not None))

    @property
    def digest(self) -> str:
        """Changes with anything that may change a grade."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @staticmethod
    def of(plain: dict) -> Plan:
        """The plan of which ``dataclasses.asdict`` made this."""
        cells = tuple(Cell(**cell) for cell in plain["cells"])
        return Plan(
            **{**plain, "cells": cells, "released": tuple((name, source) for name, source in plain["released"])}
        )


def read_assignment(course: Course, assignment: str) -> dict[str, Plan]:
    """Notebook name -> its plan. Raises CourseError where nothing was released."""
    with course.gradebook() as gradebook:
        try:
            entry = gradebook.find_assignment(assignment)
        except MissingEntry:
            raise CourseError(f"no assignment {assignment!r} in the gradebook: run make release first") from None
        plans = {}
        for notebook in sorted(entry.notebooks, key=lambda n: n.name):
            tasks = {cell.name for cell in notebook.task_cells}
            points = {cell.name: cell.max_score for cell in (*notebook.grade_cells, *notebook.task_cells)}
            solutions = {cell.name for cell in notebook.solution_cells}
            cells = tuple(
                Cell(
                    c.name,
                    c.cell_type,
                    c.source,
                    c.checksum,
                    c.locked,
                    c.name in solutions,
                    points.get(c.name),
                    c.name in tasks,
                )
                for c in notebook.source_cells
            )
            handed_out = _released(course, assignment, notebook.name)
            released = tuple((c.metadata.get("nbgrader", {}).get("grade_id", ""), c.source) for c in handed_out)
            shown = [c.source for c in handed_out if c.cell_type == "code" and "nbgrader" not in c.metadata]
            made = {source: tuple(sorted(names_made(source))) for source in shown}
            spec = notebook.kernelspec or json.dumps(KERNELSPEC)
            imports = _imports([*shown, *_written(cells)])
            plans[notebook.name] = Plan(notebook.name, cells, released, made, imports, spec)
    if not plans:
        raise CourseError(f"the assignment {assignment!r} has no notebooks: run make release first")
    return plans


def files_of(course: Course, assignment: str) -> dict[str, bytes]:
    """The instructor's files beside an assignment's notebooks: path -> content."""
    try:
        return intake(course.folder("release", assignment), []).extras
    except IntakeError:
        return {}


def _released(course: Course, assignment: str, name: str) -> list[NotebookNode]:
    """The cells of the released notebook; none where it is not here."""
    try:
        return read_notebook(course.folder("release", assignment) / f"{name}.ipynb").cells
    except NotebookError:
        return []


def _written(cells: tuple[Cell, ...]) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == "code" and cell.solution]


def _imports(sources: list[str]) -> str:
    """The statements ``import a.b as c`` among the lines of these cells, which may hold magics."""
    found = []
    for line in "\n".join(sources).splitlines():
        if line.startswith("import "):
            try:
                found += [ast.unparse(node) for node in ast.parse(line).body if isinstance(node, ast.Import)]
            except SyntaxError:
                continue
    return "\n".join(dict.fromkeys(found))
