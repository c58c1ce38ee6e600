"""Sanitising of a learner's notebook for its run: answers and added cells stay, all others become the instructor's.

This does more than nbgrader's own steps (clear outputs, remove duplicates, overwrite locked cells, add missing ones):
the role of a cell comes from the gradebook alone, its metadata and tags are made anew, and the instructor's cells are
in their order. Each change has a note of one sentence for the instructor and the learner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from ..notebooks import as_node
from .match import Match, definitions, form, match, promised
from .plan import Cell, Plan

MISSING = "This cell is missing in what was handed in."


class Note(NamedTuple):
    """A change to a notebook: in the cell ``cell`` or, if that is "", in the whole.

    ``look``: a person should check that the change was right.
    """

    cell: str
    text: str
    look: bool = False


@dataclass(frozen=True)
class Sanitised:
    """``put_back``: {instructor's cell: its submitted source}, where that was different."""

    notebook: NotebookNode
    notes: tuple[Note, ...]
    put_back: dict[str, str]


def sanitise(notebook: NotebookNode, plan: Plan) -> Sanitised:
    """Return the notebook to run, and notes on what was changed."""
    handed_in: list[NotebookNode] = notebook.cells
    found = match(handed_in, plan)
    names = {index: name for name, index in found.place.items()}
    after: dict[str, list[NotebookNode]] = {"": []}  # known cell -> the learner's own cells that follow it
    place = ""
    for index, cell in enumerate(handed_in):
        place = names.get(index, place)
        if index not in names and index not in found.stubs and cell.cell_type in ("code", "markdown"):
            after.setdefault(place, []).append(cell)
    cells = [_own(cell) for cell in after[""]]
    for cell in plan.cells:
        cells.append(_known(cell, _source(cell, handed_in, found)))
        cells += [_own(own) for own in after.get(cell.name, [])]
    for number, cell in enumerate(cells):
        if "nbgrader" not in cell.metadata:
            cell["id"] = f"own-{number}"
    metadata = {"kernelspec": json.loads(plan.kernelspec), "language_info": {"name": "python"}}
    clean = as_node({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    put_back = _put_back(handed_in, found, plan)
    return Sanitised(clean, tuple(_notes(handed_in, found, plan, put_back)), put_back)


def _source(cell: Cell, handed_in: Sequence[NotebookNode], found: Match) -> str:
    if not cell.is_answer:
        return cell.source
    if cell.name in found.place:
        return handed_in[found.place[cell.name]].source
    if not cell.solution:
        return cell.source  # a task's question
    # Not the released one: it would define again, empty, what may be answered in a cell that was not recognised.
    return f"# {MISSING}" if cell.cell_type == "code" else MISSING


def _put_back(handed_in: Sequence[NotebookNode], found: Match, plan: Plan) -> dict[str, str]:
    """Return the instructor's cells that were changed, without those from an older release."""
    released = dict(plan.released) | {c.name: c.source for c in plan.cells if c.points is None}
    changed = {}
    for cell in plan.cells:
        if not cell.is_answer and cell.name in found.place and cell.name in released:
            theirs = handed_in[found.place[cell.name]]
            same = theirs.source == released[cell.name] or form(theirs.source) == form(released[cell.name])
            if not same and not _has_its_checksum(theirs):
                changed[cell.name] = theirs.source
    return changed


def _has_its_checksum(cell: NotebookNode) -> bool:
    """Return whether a cell matches the checksum of its release; a forged one only suppresses a note."""
    try:
        return compute_checksum(cell) == cell.metadata.nbgrader.get("checksum")
    except Exception:  # a mark may hold anything
        return False


def _notes(handed_in: Sequence[NotebookNode], found: Match, plan: Plan, put_back: dict[str, str]) -> Iterator[Note]:
    for name in found.again:
        yield Note(name, f"the cell `{name}` is there more than once: one counts, the others ran as further cells")
    for name in dict.fromkeys(found.stubs.values()):
        yield Note(name, f"a further, untouched copy of the cell `{name}` was left out")
    for cell in plan.cells:
        if cell.name in found.place:
            was = handed_in[found.place[cell.name]].cell_type
            if was != cell.cell_type:
                yield Note(cell.name, f"the cell `{cell.name}` was a {cell.cell_type} cell and had become a {was} cell")
    order = sorted(found.place, key=found.place.__getitem__)
    if order != [cell.name for cell in plan.cells if cell.name in found.place]:
        yield Note("", "the course's cells had been moved; they are back in their order")
    for name in put_back:
        yield Note(name, f"the cell `{name}` is the course's; changes in it were put back")
    for name, told_by in found.guessed.items():
        yield Note(name, f"the cell of the answer `{name}` had lost its mark: {told_by} was taken for it", look=True)
    yield from _missing(handed_in, found, plan)


def _missing(handed_in: Sequence[NotebookNode], found: Match, plan: Plan) -> Iterator[Note]:
    if plan.cells and not found.place:
        yield Note("", "none of the course's cells is in this notebook: is it another one?", look=True)
        return
    missing = [cell for cell in plan.cells if cell.name not in found.place]
    wanted = promised(plan) if missing else {}
    for cell in missing:
        if not cell.is_answer:
            yield Note(cell.name, f"the course's cell `{cell.name}` was missing and is back")
            continue
        elsewhere = [n for n in wanted[cell.name] if any(n in definitions(c.source) for c in handed_in)]
        more = f"; another cell defines `{elsewhere[0]}`" if elsewhere else ""
        yield Note(cell.name, f"the cell of the answer `{cell.name}` is missing in what was handed in{more}", look=True)


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
