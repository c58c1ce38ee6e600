"""The masters: from ``source/<phase>/<name>.py`` in jupytext's percent format to nbgrader notebooks.

A notebook is made of the masters that ``source/<phase>/phase.toml`` lists for it, joined in that order; in a phase
without that file each master is a notebook of its own. ``{deeper = "NAME"}`` in the list gives all of a master's cells
the tag ``deeper``: the core path leaves them out. A cell's header has nbgrader's metadata in short form:

    # %% exercise="sparsity"              the learner's answer, between ### BEGIN/END SOLUTION
    # %% tests="sparsity_edges" points=2  a check that gives points, with ### BEGIN/END HIDDEN TESTS
    # %% locked="setup"                   a cell that learners can't change
    # %% quiz="ready_1 ready_2" points=1  the same check of each question; in the cell the first stands for each
    # %% [markdown] minutes=5             the minutes of the exercise or part that begins here

A quiz's exercise has ``key="cadbc"`` in its header too, the right letters, and "<<key>>" stands for it in the cells
after it. The key is not in the package, which learners and the kernels of submissions have.
``tags=[...]`` and ``jupyter={...}`` go into the notebook unchanged; any other key is an error. Values that follow from
the headers are not written twice: `derived` lists the marks for them.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from ..notebooks import KERNELSPEC, as_node, stamp
from .derived import DEEPER, MarkError, fill_in

ORDER = "phase.toml"
ROLES = ("exercise", "tests", "locked")
PASSED_THROUGH = ("tags", "jupyter")
GRADE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what nbformat allows as a cell id


class SourceError(Exception):
    """A master is wrong; the message names the file and the cell."""


def notebooks(root: Path) -> list[Path]:
    """Return the notebooks of a course's sources, ``source/<phase>/<name>.ipynb``, sorted. Raises SourceError."""
    phases = sorted({path.parent for path in (root / "source").glob("*/*.py")})
    return [phase / f"{name}.ipynb" for phase in phases for name in sorted(_order(phase))]


def masters(notebook: Path) -> list[Path]:
    """Return the masters of ``source/<phase>/<name>.ipynb``, in order. Raises SourceError."""
    order = _order(notebook.parent)
    if notebook.stem not in order:
        raise SourceError(f"{_name(notebook)} has no {notebook.stem}.py that it is generated from; delete or move it.")
    return [notebook.parent / f"{part.name}.py" for part in order[notebook.stem]]


class Part(NamedTuple):
    """A master of a notebook, and whether it is off the core path."""

    name: str
    deeper: bool = False


def _order(phase: Path) -> dict[str, list[Part]]:
    """Return the phase's notebooks and their masters. Raises SourceError if a master is in none or in two."""
    there = sorted(path.stem for path in phase.glob("*.py"))
    listed = phase / ORDER
    if not listed.exists():
        return {name: [Part(name)] for name in there}
    try:
        read = tomllib.loads(listed.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{_name(listed)} can't be read: {error}") from error
    order = {}
    for name, parts in read.items():
        if not (isinstance(parts, list) and parts and all(map(_is_part, parts))):
            raise SourceError(
                f"{_name(listed)}: {name} is to be a list of masters, such as "
                '["opening", "sparsity", {deeper = "claims"}, "ending"].'
            )
        order[name] = [Part(part) if isinstance(part, str) else Part(part["deeper"], deeper=True) for part in parts]
    named = [part.name for parts in order.values() for part in parts]
    for part in sorted({*named, *there}):
        if part not in there:
            raise SourceError(f"{_name(listed)} lists {part!r}, but there is no {part}.py beside it.")
        if named.count(part) != 1:
            times = "no notebook" if part not in named else "more than one place"
            raise SourceError(f"{_name(listed)} has {part}.py in {times}: list it once, where it belongs.")
    return order


def _is_part(part: object) -> bool:
    return isinstance(part, str) or (
        isinstance(part, dict) and part.keys() == {DEEPER} and isinstance(part[DEEPER], str)
    )


def to_notebook(path: Path) -> NotebookNode:
    """Return the instructor's notebook ``path`` (solutions and hidden tests included), made from its masters.

    The same sources give the same notebook: cell ids are the grade ids, else hashes of the cell.
    Raises SourceError.
    """
    cells, minutes, seen = [], [], {}
    deeper = {part.name for part in _order(path.parent).get(path.stem, ()) if part.deeper}
    for master in masters(path):
        key = ""
        for number, cell in enumerate(_read(master), start=1):
            where = f"{_name(master)}, cell {number} ({(cell.source.splitlines() or ['empty'])[0][:60]!r})"
            key = cell.metadata.pop("key", key)
            cell.source = cell.source.replace("<<key>>", key)
            if master.stem in deeper:
                cell.metadata["tags"] = [*cell.metadata.get("tags", []), DEEPER]
            for one in _questions(cell):
                minutes.append(_minutes(one, where))
                cells.append(_cell(one, where, seen))
    try:
        fill_in(cells, minutes)
    except MarkError as error:
        raise SourceError(f"{_name(path)}: {error}") from error
    notebook = as_node(
        {
            "cells": cells,
            "metadata": {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
    return stamp(notebook)


def _read(master: Path) -> list[NotebookNode]:
    try:
        import jupytext
    except ImportError as error:
        raise SourceError("Making notebooks needs the package jupytext: pip install -e '.[course]'.") from error
    try:
        return jupytext.read(master, fmt="py:percent").cells
    except Exception as error:  # jupytext raises what its YAML and notebook parsers raise
        raise SourceError(f"{_name(master)} can't be read as a percent script: {error}") from error


def _questions(cell: NotebookNode) -> list[NotebookNode]:
    """Return a quiz's check once for each question; any other cell unchanged."""
    names = str(cell.metadata.pop("quiz", "")).split()
    if not names:
        return [cell]
    copies = [deepcopy(cell) for _ in names]
    for name, copy in zip(names, copies, strict=True):
        copy.metadata["tests"] = name
        copy.source = re.sub(rf"\b{re.escape(names[0])}\b", name, copy.source)
    return copies


def _minutes(cell: NotebookNode, where: str) -> int:
    """Remove ``minutes=N`` from a cell's header and return N; 0 if there is none."""
    minutes = cell.metadata.pop("minutes", 0)
    if isinstance(minutes, bool) or not isinstance(minutes, int) or minutes < 0:
        raise SourceError(f"{where}: minutes are a whole number; got {minutes!r}.")
    return minutes


def _name(master: Path) -> str:
    return "/".join(master.parts[-3:])


def _cell(cell: NotebookNode, where: str, seen: dict[str, str]) -> dict:
    """Return one cell with expanded metadata; ``seen`` maps the ids so far to their positions."""
    header = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
    metadata = {key: header.pop(key) for key in PASSED_THROUGH if key in header}
    roles = [role for role in ROLES if role in header]
    unknown = sorted(set(header) - {*ROLES, "points"})
    if unknown:
        shown = ", ".join(str(header[key]) if "incorrectly" in key else key for key in unknown)
        raise SourceError(
            f'{where}: unknown in the header: {shown}. Known: exercise="...", tests="..." points=N, '
            f'locked="...", quiz="... ..." points=N, key="...", minutes=N, {", ".join(PASSED_THROUGH)}.'
        )
    if len(roles) > 1:
        raise SourceError(f"{where}: a cell is one of {', '.join(ROLES)}, not {' and '.join(roles)}.")
    if not roles and "points" in header:
        raise SourceError(f'{where}: points without tests="...": nothing would give them.')
    if roles:
        metadata["nbgrader"] = _nbgrader(roles[0], header, cell, where)
        identity = metadata["nbgrader"]["grade_id"]
        if identity in seen:
            raise SourceError(f"{where}: the id {identity!r} is taken already, by {seen[identity]}.")
    else:
        identity = _hashed_id(cell, seen)
    seen[identity] = where
    result = {"cell_type": cell.cell_type, "id": identity, "metadata": metadata, "source": cell.source}
    if cell.cell_type == "code":
        result |= {"execution_count": None, "outputs": []}
    return result


def _nbgrader(role: str, header: dict, cell: NotebookNode, where: str) -> dict:
    """Return the metadata that nbgrader's own cell toolbar would write."""
    grade_id, points = header[role], header.get("points")
    if not isinstance(grade_id, str) or not GRADE_ID.fullmatch(grade_id):
        raise SourceError(f"{where}: {role}={grade_id!r} is no id: letters, digits, - and _ only, 64 at most.")
    if role != "locked" and cell.cell_type != "code":
        raise SourceError(f"{where}: {role} belongs to a code cell.")
    if role == "tests":
        if isinstance(points, bool) or not isinstance(points, int | float) or points <= 0:
            raise SourceError(f"{where}: tests need points, a number above 0; got {points!r}.")
    elif points is not None:
        raise SourceError(f"{where}: points belong to tests, not to {role}.")
    if role == "exercise" and "### BEGIN SOLUTION" not in cell.source:
        raise SourceError(f"{where}: an exercise needs its answer between ### BEGIN SOLUTION and ### END SOLUTION.")
    metadata = {
        "grade": role == "tests",
        "grade_id": grade_id,
        "locked": role != "exercise",
        "schema_version": 3,
        "solution": role == "exercise",
        "task": False,
    }
    return metadata | ({"points": points} if role == "tests" else {})


def _hashed_id(cell: NotebookNode, seen: dict[str, str]) -> str:
    text = f"{cell.cell_type}\n{cell.source}"
    for copy in range(len(seen) + 1):
        identity = hashlib.sha256(f"{copy}\n{text}".encode()).hexdigest()[:8]
        if identity not in seen:
            return identity
    raise AssertionError("more copies than cells")
