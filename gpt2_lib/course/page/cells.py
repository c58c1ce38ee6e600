"""The cells of the notebook that runs, as its file has them: which of them makes a name."""

from __future__ import annotations

import dis
import json
import os
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

SETUP = "setup"  # the set-up cell's id
MOST = 50_000_000  # bytes of a notebook that is read
WIDTH = 80  # characters of a cell's first line that are shown

Cell = tuple[str, str]  # id and source of a cell with code


def made_by(name: str, shell: InteractiveShell) -> str | None:
    """Return, in words, the cell that is to run before the present one so that ``name`` exists; None if none is known.

    That is the set-up if it has not run, else the nearest cell above that makes the name.
    """
    for cells in _notebooks(shell):
        here = _present(shell)
        above = next((cells[:i] for i, (identity, _) in enumerate(cells) if identity == here), None)
        setup = next((source for identity, source in cells if identity == SETUP), "")
        if above is None:  # the page doesn't say which cell it is, or the file isn't saved yet
            above = [(SETUP, setup)]
        makers = [source for _, source in above if name in (made(source, shell) or ())]
        if makers and not (made(setup, shell) or set()) <= set(shell.user_ns):
            return "the notebook's first cell with code, the set-up"
        if makers:
            return f"the cell above that begins with {_begin(makers[-1])}"
    return None


def made(source: str, shell: InteractiveShell) -> set[str] | None:
    """Return the global names that a cell's own lines make; None if they have a syntax error."""
    try:
        code = compile(shell.transform_cell(source), "<cell>", "exec")
    except SyntaxError:  # a learner's
        return None
    return {step.argval for step in dis.get_instructions(code) if step.opname in ("STORE_NAME", "STORE_GLOBAL")}


def _present(shell: InteractiveShell) -> str | None:
    """Return the id of the cell that runs; None where the page doesn't send it, as when notebooks are graded."""
    parent = getattr(shell, "get_parent", dict)()
    return parent.get("metadata", {}).get("cellId")


def _notebooks(shell: InteractiveShell) -> list[list[Cell]]:
    """Return the cells with code of the course's notebooks in this folder; of the running one alone, if it is known."""
    known = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__")  # JupyterLab's, VS Code's
    files = sorted(Path().glob("*.ipynb"))
    found = [_cells(file) for file in files if not known or file.name == Path(str(known)).name]
    return [cells for cells in found if any(identity == SETUP for identity, _ in cells)]


def _cells(file: Path) -> list[Cell]:
    if file.stat().st_size > MOST:
        return []
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [(cell.get("id", ""), "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


def _begin(source: str) -> str:
    """Return a cell's first line, in quotes, as people see it where the cell is folded."""
    line = source.strip().partition("\n")[0]
    return f'"{line}"' if len(line) <= WIDTH else f'"{line[:WIDTH]} ..."'
