"""The plan of an assignment, from the gradebook and the release; it is read once for a whole class."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from nbformat import NotebookNode
from nbgrader.api import MissingEntry
from nbgrader.utils import is_solution

from ..course import Course, CourseError
from ..intake.folder import IntakeError, intake
from ..judge.names import Names, names_of
from ..notebooks import KERNELSPEC, NotebookError, grade_id, read_notebook
from .skip import can_be_told, names_made


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
        """Whether the learner writes the cell's content."""
        return self.solution or (self.task and not self.locked)

    @property
    def is_check(self) -> bool:
        return self.cell_type == "code" and self.points is not None and not self.solution


@dataclass(frozen=True)
class Plan:
    """The plan of one notebook: its graded cells in order, and its other released cells.

    All of it is plain data: it goes to workers as JSON.
    """

    name: str
    cells: tuple[Cell, ...]
    released: tuple[tuple[str, str], ...] = ()  # all cells that learners got, (name or "", source); () if not here
    demonstrations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # may be skipped -> names that it makes
    shown: tuple[str, ...] = ()  # the names that cells make which nbgrader does not know
    answers: tuple[str, ...] = ()  # the names that answers are asked to make
    imports: str = ""  # the modules that the instructor's other cells import, for the checks
    kernelspec: str = json.dumps(KERNELSPEC)
    asked: Mapping[str, Names] = field(default_factory=dict)  # check -> the learner's names that it uses, computed

    def __post_init__(self) -> None:
        object.__setattr__(self, "asked", self.asked or self._asked())

    @property
    def taken(self) -> set[str]:
        """The names that checks take from the notebook."""
        return set().union(*(names.wanted for names in self.asked.values()))

    def _asked(self) -> dict[str, Names]:
        code = [cell for cell in self.cells if cell.cell_type == "code" and not cell.solution]
        locked = (self.imports, *(cell.source for cell in code if cell.points is None and cell.locked))
        answers = frozenset(self.answers)
        theirs = answers.union(self.shown)
        tools: frozenset[str] = frozenset()
        found = {}
        for cell in code:
            if cell.points is not None:
                found[cell.name] = names_of(cell.source, locked, tools, answers)
                tools |= names_made(cell.source) - theirs
        return found

    @property
    def digest(self) -> str:
        """A digest of everything that may change a grade."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @staticmethod
    def of(plain: dict) -> Plan:
        """Return the plan of which ``dataclasses.asdict`` made this."""
        cells = tuple(Cell(**cell) for cell in plain["cells"])
        released = tuple((name, source) for name, source in plain["released"])
        asked = {check: Names(**names) for check, names in plain["asked"].items()}
        return Plan(**{**plain, "cells": cells, "released": released, "asked": asked})


def read_assignment(course: Course, assignment: str) -> dict[str, Plan]:
    """Return {notebook name: its plan}. Raises CourseError if nothing was released."""
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
            released = tuple((grade_id(c), c.source) for c in handed_out)
            shown = [c.source for c in handed_out if c.cell_type == "code" and "nbgrader" not in c.metadata]
            made = {source: tuple(sorted(names_made(source))) for source in shown}
            known = tuple(sorted(set().union(*made.values())))
            made = {source: names for source, names in made.items() if course.rules.skip and can_be_told(source)}
            spec = notebook.kernelspec or json.dumps(KERNELSPEC)
            written = [*_written(cells), *_solutions(course, assignment, notebook.name)]
            answers = tuple(sorted(set().union(*map(names_made, written))))
            imports = _imports([*shown, *_written(cells)])
            plans[notebook.name] = Plan(notebook.name, cells, released, made, known, answers, imports, spec)
    if not plans:
        raise CourseError(f"the assignment {assignment!r} has no notebooks: run make release first")
    return plans


def files_of(course: Course, assignment: str) -> dict[str, bytes]:
    """Return the instructor's files beside an assignment's notebooks, {path: content}."""
    try:
        return intake(course.folder("release", assignment), []).extras
    except IntakeError:
        return {}


def _released(course: Course, assignment: str, name: str) -> list[NotebookNode]:
    """Return the cells of the released notebook; none if it is missing."""
    try:
        return read_notebook(course.folder("release", assignment) / f"{name}.ipynb").cells
    except NotebookError:
        return []


def _solutions(course: Course, assignment: str, name: str) -> list[str]:
    """Return the instructor's own answers: a released cell without code does not show what it has to define."""
    try:
        master = read_notebook(course.folder("source", assignment) / f"{name}.ipynb")
    except NotebookError:
        return []
    return [cell.source for cell in master.cells if cell.cell_type == "code" and is_solution(cell)]


def _written(cells: tuple[Cell, ...]) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == "code" and cell.solution]


def _imports(sources: list[str]) -> str:
    """Return the statements ``import a.b as c`` in these cells, which may hold magics."""
    found = []
    for line in "\n".join(sources).splitlines():
        if line.startswith("import "):
            try:
                found += [ast.unparse(node) for node in ast.parse(line).body if isinstance(node, ast.Import)]
            except SyntaxError:
                continue
    return "\n".join(dict.fromkeys(found))
