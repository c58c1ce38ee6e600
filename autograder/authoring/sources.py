"""The masters: ``source/<phase>/<name>.py`` in jupytext's percent format to an nbgrader notebook.

What a cell is to nbgrader is spelt short in its header:

    # %% exercise="sparsity"              the learner's answer, between ### BEGIN/END SOLUTION
    # %% tests="sparsity_edges" points=2  a check that gives points, with ### BEGIN/END HIDDEN TESTS
    # %% locked="setup"                   a cell that learners can't change

``tags=[...]`` and ``jupyter={...}`` go into the notebook as they are; any other key is an error.

What follows from the cells is not written twice. In any cell these stand for it:

    "<<checks>>"     in code: {exercise: {check: points}}; an exercise is "## 2.1 · Magnitude: ..." as "2.1 magnitude"
    <<points>>       the points of the notebook
    <<points 2.1>>   those of the checks in the section 2.1
    <<points NAME>>  those of the check NAME
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from ..notebooks import KERNELSPEC, as_node, stamp

ROLES = ("exercise", "tests", "locked")
PASSED_THROUGH = ("tags", "jupyter")
SECTION = re.compile(r"^#{2,3} (?:Exercise )?(\S+) · ([^:`\n]+)", re.MULTILINE)  # number, name
DERIVED = re.compile(r'"<<checks>>"|<<points(?: ([^<>\n]+))?>>')
GRADE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what nbformat allows as a cell id


class SourceError(Exception):
    """A master is wrong; the message names the file and the cell."""


def masters(root: Path) -> list[Path]:
    """All percent sources of a course, in order."""
    return sorted((root / "source").glob("*/*.py"))


def to_notebook(master: Path) -> NotebookNode:
    """Make the instructor's notebook (solutions and hidden tests in) of one percent source.

    The same source gives the same notebook: cell ids are the grade ids, else hashes of the cell.
    Raises SourceError.
    """
    try:
        import jupytext
    except ImportError as error:
        raise SourceError("Making notebooks needs the package jupytext: pip install -e '.[dev]'.") from error
    try:
        read = jupytext.read(master, fmt="py:percent")
    except Exception as error:  # jupytext raises what its YAML and notebook parsers raise
        raise SourceError(f"{_name(master)} can't be read as a percent script: {error}") from error
    cells, seen = [], {}
    for number, cell in enumerate(read.cells, start=1):
        where = f"{_name(master)}, cell {number} ({(cell.source.splitlines() or ['empty'])[0][:60]!r})"
        cells.append(_cell(cell, where, seen))
    _fill_in(cells, _name(master))
    notebook = as_node(
        {
            "cells": cells,
            "metadata": {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
    return stamp(notebook)


def _fill_in(cells: list[dict], where: str) -> None:
    """Put what follows from the cells in the place of its marks."""
    checks: dict[str, dict[str, float]] = {}
    section = ""
    for cell in cells:
        if cell["cell_type"] == "markdown" and (found := SECTION.findall(cell["source"])):
            section = f"{found[-1][0]} {found[-1][1].strip().lower()}"
        role = cell["metadata"].get("nbgrader", {})
        if "points" in role:
            checks.setdefault(section, {})[role["grade_id"]] = role["points"]
    for cell in cells:
        cell["source"] = DERIVED.sub(lambda mark: _derived(mark, checks, where), cell["source"])


def _derived(mark: re.Match[str], checks: Mapping[str, Mapping[str, float]], where: str) -> str:
    if mark[0] == '"<<checks>>"':
        text = json.dumps(checks, indent=4, ensure_ascii=False)
        return re.sub(r"(?<=[^{,\n ])(?=\n *\})", ",", text)  # as ruff has it
    known = {"": sum(points for of in checks.values() for points in of.values())}
    known |= {name.partition(" ")[0]: sum(of.values()) for name, of in checks.items()}
    known |= {check: points for of in checks.values() for check, points in of.items()}
    if (mark[1] or "") not in known:
        raise SourceError(f"{where}: {mark[0]} stands for nothing: no section and no check is called {mark[1]!r}.")
    return f"{known[mark[1] or '']:g}"


def _name(master: Path) -> str:
    return "/".join(master.parts[-3:])


def _cell(cell: NotebookNode, where: str, seen: dict[str, str]) -> dict:
    """One cell with expanded metadata; ``seen`` maps the ids so far to where they are."""
    header = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
    metadata = {key: header.pop(key) for key in PASSED_THROUGH if key in header}
    roles = [role for role in ROLES if role in header]
    unknown = sorted(set(header) - {*ROLES, "points"})
    if unknown:
        shown = ", ".join(str(header[key]) if "incorrectly" in key else key for key in unknown)
        raise SourceError(
            f'{where}: can\'t make sense of {shown} in the header. Known: exercise="...", tests="..." points=N, '
            f'locked="...", {", ".join(PASSED_THROUGH)}.'
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
    """The metadata that nbgrader's own cell toolbar would have written."""
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
