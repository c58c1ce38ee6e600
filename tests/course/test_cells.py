"""Tests of single cells of the real notebooks: their first lines, their names, and what a check's cell shows."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator

import pytest
from classroom import NOTEBOOKS
from nbformat import NotebookNode

from autograder.authoring.primer import PRIMER
from autograder.authoring.sources import to_notebook
from gpt2_lib.course import checks

EACH = pytest.mark.parametrize("cells", [to_notebook(path).cells for path in NOTEBOOKS.values()], ids=[*NOTEBOOKS])
HIDDEN = "### BEGIN HIDDEN TESTS"
LONGEST = 100  # characters: all of a folded cell that a learner sees


@EACH
def test_a_folded_cell_shows_a_whole_short_line(cells: list[NotebookNode]) -> None:
    for cell in cells:
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            first, second = cell.source.splitlines()[:2]
            assert first.startswith("# ")
            assert len(first) <= LONGEST, first
            assert not second.startswith("#"), f"goes on in its second line: {first}"


@EACH
def test_a_name_of_the_set_up_means_the_same_in_every_cell(cells: list[NotebookNode]) -> None:
    codes = [(cell.id, ast.parse(cell.source)) for cell in cells if cell.cell_type == "code"]
    (setup,) = (set(assigned(tree)) for identity, tree in codes if identity == "setup")
    again = {identity: setup & set(assigned(tree)) for identity, tree in codes if identity != "setup"}
    assert {identity: names for identity, names in again.items() if names} == {}


def assigned(tree: ast.Module) -> Iterator[str]:
    """Yield the global names to which the cell gives a value, imports left out."""
    for node in own_nodes(tree.body):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


SCOPES = ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes and what is in them, but for the insides of functions, classes and comprehensions."""
    for node in nodes:
        yield node
        if not isinstance(node, SCOPES):
            yield from own_nodes(ast.iter_child_nodes(node))


@EACH
def test_a_check_that_passes_shows_its_label_and_no_value(cells: list[NotebookNode]) -> None:
    """The last expression of a cell is shown: what a check returns for hidden tests has to get a name."""
    graded = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert graded
    for cell in graded:
        last = ast.parse(cell.source.partition(HIDDEN)[0]).body[-1]
        if isinstance(last, ast.Expr):
            assert isinstance(last.value, ast.Call)
            function = last.value.func
            assert isinstance(function, ast.Attribute)
            assert not returns_a_value(vars(checks)[function.attr].__wrapped__), function.attr


def returns_a_value(function: object) -> bool:
    assert inspect.isfunction(function)
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    return any(isinstance(node, ast.Return) and node.value is not None for node in own_nodes(tree.body))


def test_the_first_two_notebooks_offer_the_same_primer_of_pytorch() -> None:
    for name in ("phase1_overview", "phase2_techniques"):
        text = "\n".join(cell.source for cell in to_notebook(NOTEBOOKS[name]).cells if cell.cell_type == "markdown")
        assert text.count(PRIMER) == 1
