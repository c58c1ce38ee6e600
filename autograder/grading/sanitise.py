"""A learner's notebook as it will be run: the answers and added cells are theirs, all else is the instructor's.

More than nbgrader's own steps do (clear outputs, remove duplicates, overwrite locked cells, add missing ones): what a
cell is comes from the gradebook alone, its metadata and tags are made anew, and the instructor's cells stand in their
order.
"""

from __future__ import annotations

import json

from nbformat import NotebookNode

from ..notebooks import as_node
from .plan import Cell, Plan


def sanitise(notebook: NotebookNode, plan: Plan) -> tuple[NotebookNode, list[str]]:
    """The notebook to run, and what was put right, in sentences for the instructor."""
    known = {cell.name: cell for cell in plan.cells}
    theirs: dict[str, NotebookNode] = {}
    after: dict[str, list[NotebookNode]] = {"": []}  # known cell -> the learner's own cells that follow it
    order, notes, place = [], [], ""
    for cell in notebook.cells:
        name = _name(cell, known)
        if name in theirs:
            notes.append(f"{name} is there more than once; the further ones count as cells of the learner's own")
            name = ""
        if name and cell.cell_type != known[name].cell_type:
            notes.append(f"{name} was a {known[name].cell_type} cell and had become a {cell.cell_type} cell")
        if name:
            theirs[name], place = cell, name
            order.append(name)
        elif cell.cell_type in ("code", "markdown"):
            after.setdefault(place, []).append(cell)
    wanted = [cell.name for cell in plan.cells if cell.name in theirs]
    if order != wanted:
        notes.append("the instructor's cells had been moved; they are back in their order")
    notes += [f"{cell.name} was missing and is back" for cell in plan.cells if cell.name not in theirs]
    cells = [_own(cell) for cell in after[""]]
    for cell in plan.cells:
        own = cell.name in theirs and (cell.solution or (cell.task and not cell.locked))
        source = theirs[cell.name].source if own else cell.source
        cells.append(_known(cell, source))
        cells += [_own(own) for own in after.get(cell.name, [])]
    for number, cell in enumerate(cells):
        if "nbgrader" not in cell.metadata:
            cell["id"] = f"own-{number}"
    metadata = {"kernelspec": json.loads(plan.kernelspec), "language_info": {"name": "python"}}
    return as_node({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}), notes


def _name(cell: NotebookNode, known: dict[str, Cell]) -> str:
    """Which of the instructor's cells this is: by nbgrader's mark or, where that was lost, by the cell's id."""
    mark = cell.get("metadata", {}).get("nbgrader", {})
    name = mark.get("grade_id") if isinstance(mark, dict) else None
    name = name if isinstance(name, str) and name in known else cell.get("id")
    return name if isinstance(name, str) and name in known else ""


def _known(cell: Cell, source: str) -> NotebookNode:
    role = {
        "grade": cell.points is not None and not cell.task,
        "grade_id": cell.name,
        "locked": cell.locked or (cell.points is not None and not cell.solution),
        "schema_version": 3,
        "solution": cell.solution,
        "task": cell.task,
        "checksum": cell.checksum,
        "cell_type": cell.cell_type,
    }
    if cell.points is not None:
        role["points"] = cell.points
    return _cell(cell.cell_type, source, {"nbgrader": role}, cell.name)


def _own(cell: NotebookNode) -> NotebookNode:
    return _cell(cell.cell_type, cell.source, {}, "")


def _cell(cell_type: str, source: str, metadata: dict, identity: str) -> NotebookNode:
    cell = {"cell_type": cell_type, "id": identity, "metadata": metadata, "source": source}
    return as_node(cell | ({"execution_count": None, "outputs": []} if cell_type == "code" else {}))
