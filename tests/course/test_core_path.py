"""Tests that the core path of a notebook runs by itself: its cells use no name that only "going deeper" makes."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from autograder.authoring.derived import core
from autograder.authoring.sources import notebooks
from autograder.notebooks import read_notebook

REPOSITORY = Path(__file__).parents[2]
RELEASED = {path.stem: REPOSITORY / "notebooks" / path.parent.name / path.name for path in notebooks(REPOSITORY)}
GIVEN = {*dir(builtins), "__name__", "__file__", "get_ipython"}


class LeftOut(ast.NodeTransformer):
    """Takes ``exercises`` out of the bodies of ``with when_written(...)``, which run without them, too."""

    def __init__(self, exercises: Collection[str]) -> None:
        self.exercises, self.inside = exercises, False

    def visit_With(self, node: ast.With) -> ast.With:
        before = self.inside
        self.inside |= any("when_written(" in ast.unparse(item.context_expr) for item in node.items)
        self.generic_visit(node)
        self.inside = before
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(None) if self.inside and node.id in self.exercises else node


def made_and_used(source: str, exercises: Collection[str] = ()) -> tuple[set[str], set[str]]:
    """Return the global names that a cell makes (imports, functions, variables), and those that it uses."""
    lines = [line for line in source.splitlines() if not line.startswith(("%", "!"))]
    tree = LeftOut(exercises).visit(ast.parse("\n".join(lines)))
    made, used = set[str](), set[str]()
    for table in _tables(symtable.symtable(ast.unparse(tree), "cell", "exec")):
        for symbol in table.get_symbols():
            if table.get_type() == "module" or symbol.is_global():
                if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                    made.add(symbol.get_name())
                if symbol.is_referenced():
                    used.add(symbol.get_name())
    return made, used


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def missing(cells: list[dict], exercises: Collection[str] = ()) -> dict[str, set[str]]:
    """Return the names that no cell up to the one that uses them has made, by that cell's first line."""
    known, found = set(GIVEN), {}
    for cell in cells:
        if cell["cell_type"] == "code":
            made, used = made_and_used(cell["source"], exercises)
            known |= made
            if used - known:
                found[cell["source"].splitlines()[0]] = used - known
    return found


@pytest.mark.parametrize("name", RELEASED)
def test_a_core_cell_uses_what_core_cells_have_made(name: str) -> None:
    cells = [dict(cell) for cell in read_notebook(RELEASED[name]).cells]
    exercises = {cell["id"] for cell in cells if cell["metadata"].get("nbgrader", {}).get("solution")}
    assert missing(core(cells), exercises) == {}
    assert missing(cells) == {}


@pytest.mark.parametrize(
    ("source", "made", "used"),
    [
        ("import a.b as c\nfrom d import e", {"c", "e"}, set()),
        ("with f() as g, h:\n    i = [j + k for j in l]", {"g", "i"}, {"f", "h", "k", "l"}),
        ("def m(n):\n    return n + o", {"m"}, {"o"}),
        ("for p, q in r:\n    s[p] = (t := q)", {"p", "q", "t"}, {"p", "q", "r", "s"}),
        ("u = {v: w for v, w in x if (lambda y: y + z)(v)}", {"u"}, {"x", "z"}),
        ("%matplotlib inline\nprint(a)", set(), {"a", "print"}),
    ],
)
def test_the_search_for_names_sees_every_way_to_make_one(source: str, made: set[str], used: set[str]) -> None:
    found = made_and_used(source)
    assert found[0] == made
    assert used <= found[1]
    assert found[1] - used <= made


def test_a_name_of_a_deeper_cell_is_missed() -> None:
    """Guards the test above, which passes on notebooks without any code."""
    deeper = {"cell_type": "code", "source": "reports = 1", "metadata": {"tags": ["deeper"]}}
    cells = [deeper, {"cell_type": "code", "source": "print(reports)", "metadata": {}}]
    assert missing(cells) == {}
    assert missing(core(cells)) == {"print(reports)": {"reports"}}


def test_an_exercise_may_be_left_out_where_a_demonstration_says_so() -> None:
    source = "with when_written('3.2'):\n    a = pack(b)\nwith open(c):\n    unpack(d)"
    _, used = made_and_used(source, {"pack", "unpack", "b"})
    assert used == {"when_written", "open", "c", "unpack", "d"}
