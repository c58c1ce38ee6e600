"""An assignment as the gradebook and the release have it, read once for a whole class."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from nbgrader.api import MissingEntry

from ..course import Course, CourseError
from ..notebooks import KERNELSPEC, NotebookError, read_notebook


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


@dataclass(frozen=True)
class Plan:
    """One notebook of an assignment: its cells in order, and the sources of its cells that anybody may change."""

    name: str
    cells: tuple[Cell, ...]
    demonstrations: frozenset[str] = field(default_factory=frozenset)
    kernelspec: str = json.dumps(KERNELSPEC)

    @property
    def digest(self) -> str:
        """Changes with anything that may change a grade."""
        plain = asdict(self) | {"demonstrations": sorted(self.demonstrations)}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def read_assignment(course: Course, assignment: str) -> dict[str, Plan]:
    """Notebook name -> its plan. Raises CourseError where nothing was released."""
    with course.gradebook() as gradebook:
        try:
            entry = gradebook.find_assignment(assignment)
        except MissingEntry:
            raise CourseError(f"no assignment {assignment!r} in the gradebook: run make release first") from None
        plans = {}
        for notebook in sorted(entry.notebooks, key=lambda n: n.name):
            points = {cell.name: cell.max_score for cell in (*notebook.grade_cells, *notebook.task_cells)}
            solutions = {cell.name for cell in notebook.solution_cells}
            cells = tuple(
                Cell(c.name, c.cell_type, c.source, c.checksum, c.locked, c.name in solutions, points.get(c.name))
                for c in notebook.source_cells
            )
            shown = _demonstrations(course, assignment, notebook.name)
            plans[notebook.name] = Plan(notebook.name, cells, shown, notebook.kernelspec or json.dumps(KERNELSPEC))
    if not plans:
        raise CourseError(f"the assignment {assignment!r} has no notebooks: run make release first")
    return plans


def _demonstrations(course: Course, assignment: str, name: str) -> frozenset[str]:
    """The sources of the released notebook's cells that nbgrader does not know; none where it is not here."""
    try:
        released = read_notebook(course.folder("release", assignment) / f"{name}.ipynb")
    except NotebookError:
        return frozenset()
    return frozenset(c.source for c in released.cells if c.cell_type == "code" and "nbgrader" not in c.metadata)
