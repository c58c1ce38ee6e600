"""Tests with notebooks that lost their marks: each answer is found, whatever else a tool or a learner changed."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable

import jupytext
import nbformat
import pytest
from classroom import NOTEBOOKS, solutions
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograder.authoring.sources import to_notebook
from autograder.grading.match import definitions, match
from autograder.grading.plan import Cell, Plan
from autograder.grading.sanitise import sanitise

HOLE = 'raise NotImplementedError("Nothing here yet")'
# Name (a check's begins with "check_"; "" for a cell that nbgrader does not know) and source.
RELEASED = [
    ("", "# Sums\n\nWrite *every* function."),
    ("locked_setup", "import math\n\n\ndef scale(x, by):\n    return x * by"),
    ("", "## Doubling"),
    ("double", f'import functools\n\ndef double(x):\n    """Twice x."""\n    {HOLE}'),
    ("check_double", "assert double(2) == 4"),
    ("", "## Twins\n\nBoth of these are called `result`."),
    ("first", "result = ..."),
    ("check_first", "assert result == 1"),
    ("", "## The second"),
    ("second", "result = ..."),
    ("check_second", "assert result == 2"),
    ("", "shown = double(3)\nshown"),
    ("net", f"class Net:\n    def forward(self, x):\n        {HOLE}"),
    ("check_net", "assert Net().forward(1) == 1"),
    ("", "## A number"),
    ("number", f"# YOUR CODE HERE\n{HOLE}"),
    ("check_number", "assert total == 10"),
    ("", "## In words"),
    ("essay", "YOUR ANSWER HERE"),
    ("", "## The end"),
]
WORDS = {"essay"}
ANSWERS = {
    "double": "def _twice(x):\n    return x * 2\n\n\ndef double(x):\n    return _twice(x)",
    "first": "result = 1",
    "second": "one = 1\nresult = one + 1",
    "net": "class Net:\n    def forward(self, x):\n        return x",
    "number": "total = sum(range(5))",
    "essay": "Because *it is so*.",
}
PLAN = Plan(
    "sums",
    tuple(
        Cell(
            name,
            "markdown" if name in WORDS else "code",
            source + ("\n# hidden" if name.startswith("check_") else ""),
            name,
            locked=name not in ANSWERS,
            solution=name in ANSWERS,
            points=1.0 if name.startswith("check_") or name in WORDS else None,
        )
        for name, source in RELEASED
        if name
    ),
    released=tuple(RELEASED),
    demonstrations={"shown = double(3)\nshown": ("shown",)},
)


def handed_in(answers: dict[str, str] = ANSWERS) -> NotebookNode:
    """The released notebook with answers in it, without a mark or an id that tells anything."""
    cells = []
    for name, source in RELEASED:
        make = new_markdown_cell if name in WORDS or (not name and "#" in source) else new_code_cell
        cells.append(make(answers.get(name, source), metadata={"was": name}))
    return nbformat.v4.new_notebook(cells=cells)


def at(notebook: NotebookNode, name: str) -> int:
    return next(index for index, cell in enumerate(notebook.cells) if cell.metadata.get("was") == name)


def found(notebook: NotebookNode, plan: Plan = PLAN) -> dict[str, str]:
    """Each answer -> what is in its cell when the notebook is run."""
    made = sanitise(notebook, plan)
    solved = {cell.name for cell in plan.cells if cell.is_answer}
    return {cell.id: cell.source for cell in made.notebook.cells if cell.id in solved}


def further(notebook: NotebookNode, plan: Plan = PLAN) -> list[str]:
    """The learner's own code that runs as well."""
    made, known = sanitise(notebook, plan).notebook, {source for _, source in plan.released}
    return [c.source for c in made.cells if "nbgrader" not in c.metadata and c.source not in known]


def flagged(notebook: NotebookNode, plan: Plan = PLAN) -> dict[str, str]:
    return {note.cell: note.text for note in sanitise(notebook, plan).notes if note.look}


def test_every_answer_is_found_and_flagged() -> None:
    made = handed_in()
    assert found(made) == ANSWERS
    assert list(flagged(made)) == list(ANSWERS)
    assert "the cell that defines `Net` was taken for it" in flagged(made)["net"]
    assert "the cell in its place was taken for it" in flagged(made)["essay"]


def test_an_untouched_notebook_is_untouched_and_nothing_is_flagged() -> None:
    made = handed_in({})
    assert found(made) == {name: source for name, source in RELEASED if name in ANSWERS}
    assert flagged(made) == {}


@pytest.mark.parametrize("name", ANSWERS)
def test_one_answer_among_untouched_cells(name: str) -> None:
    made = handed_in({name: ANSWERS[name]})
    assert found(made) == {other: source for other, source in RELEASED if other in ANSWERS} | {name: ANSWERS[name]}
    assert list(flagged(made)) == [name]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_deleted_is_missing_and_the_others_are_found(name: str) -> None:
    made = handed_in()
    del made.cells[at(made, name)]
    assert found(made) == ANSWERS | {name: found(made)[name]}
    assert "missing in what was handed in" in found(made)[name]
    assert "missing in what was handed in" in flagged(made)[name]


# What tools do


def formatted(notebook: NotebookNode) -> NotebookNode:
    """Return the code reformatted, without its comments: a larger change than any formatter's."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = ast.unparse(ast.parse(cell.source)).replace("'", '"') + "\n"
    return notebook


def through_text(fmt: str) -> Callable[[NotebookNode], NotebookNode]:
    def convert(notebook: NotebookNode) -> NotebookNode:
        made = jupytext.reads(jupytext.writes(notebook, fmt=fmt), fmt=fmt)
        for cell, before in zip(made.cells, notebook.cells, strict=True):
            cell.metadata = before.metadata
        return made

    return convert


def colab(notebook: NotebookNode) -> NotebookNode:
    for number, cell in enumerate(notebook.cells):
        cell.metadata |= {"id": f"Abc{number}", "colab": {"base_uri": "x"}}
        cell.id = f"cell-{number}"
    return notebook


def windows(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        cell.source = cell.source.replace("\n", "\r\n")
    return notebook


def text_removed(notebook: NotebookNode) -> NotebookNode:
    """The learner deleted the course's text, and its demonstrations."""
    notebook.cells = [cell for cell in notebook.cells if cell.metadata["was"]]
    return notebook


TOOLS = [formatted, through_text("py:percent"), through_text("md"), through_text("ipynb"), colab, windows, text_removed]


@pytest.mark.parametrize("tool", TOOLS, ids=["formatter", "percent", "markdown", "ipynb", "colab", "windows", "text"])
def test_a_cell_rewritten_by_a_tool_is_found(tool: Callable[[NotebookNode], NotebookNode]) -> None:
    made = tool(handed_in())
    wanted = {name: made.cells[at(made, name)].source for name in ANSWERS}
    assert found(made) == wanted
    assert not [note for note in sanitise(made, PLAN).notes if not note.look]


# What learners do


def test_an_answer_in_two_cells_runs_in_its_order() -> None:
    made = handed_in()
    place = at(made, "double")
    made.cells[place].source = "def double(x):\n    return _twice(x)"
    made.cells.insert(place, new_code_cell("def _twice(x):\n    return x * 2"))
    clean = sanitise(made, PLAN).notebook
    code = [cell.source for cell in clean.cells if cell.cell_type == "code"]
    assert code[1:4] == ["def _twice(x):\n    return x * 2", found(made)["double"], "assert double(2) == 4\n# hidden"]


def test_both_of_two_attempts_run_in_their_order() -> None:
    made = handed_in()
    made.cells.insert(at(made, "double") + 1, new_code_cell("def double(x):\n    return x + x"))
    assert found(made) == ANSWERS
    assert further(made) == ["def double(x):\n    return x + x"]


def test_a_number_that_happens_to_have_the_functions_name_is_not_its_answer() -> None:
    made = handed_in()
    made.cells.insert(1, new_code_cell("double = 2"))
    made.cells.append(new_code_cell("double = 3"))
    assert found(made) == ANSWERS
    assert further(made) == ["double = 2", "double = 3"]


def test_a_cell_that_tries_an_answer_out_is_none() -> None:
    made = handed_in()
    place = at(made, "net")
    made.cells[place : place + 1] = [new_code_cell("print(double(3))")]
    assert "missing" in found(made)["net"]
    assert further(made) == ["print(double(3))"]


@pytest.mark.parametrize("code", ["def my_double(x):\n    return 2 * x", "ef double(x):\n    return 2 * x"])
def test_an_answer_that_was_renamed_or_is_no_python_is_found_between_its_neighbours(code: str) -> None:
    made = handed_in(ANSWERS | {"double": code})
    assert found(made)["double"] == code
    assert "the cell in its place" in flagged(made)["double"]


def test_a_syntax_error_hides_no_name() -> None:
    made = handed_in(ANSWERS | {"net": "class Net\n    pass"})
    made.cells = [made.cells[at(made, "net")]]
    assert found(made)["net"] == "class Net\n    pass"


def test_a_copy_in_which_nothing_was_written_replaces_no_answer() -> None:
    made = handed_in()
    stub = dict(RELEASED)["double"]
    made.cells.insert(at(made, "double"), new_code_cell(stub))
    made.cells.insert(at(made, "double") + 1, new_code_cell(stub))
    assert found(made) == ANSWERS
    assert further(made) == []
    assert "a further, untouched copy of the cell `double` was left out" in [n.text for n in sanitise(made, PLAN).notes]


@pytest.mark.parametrize("first", [True, False])
def test_the_cell_with_an_answer_counts_of_two_with_the_same_mark(first: bool) -> None:
    made = handed_in()
    cell = made.cells[at(made, "double")]
    cell.metadata["nbgrader"] = {"grade_id": "double"}
    stub = new_code_cell(dict(RELEASED)["double"], metadata=cell.metadata)
    made.cells.insert(at(made, "double") + (not first), stub)
    assert found(made) == ANSWERS
    assert further(made) == []
    assert "double" not in flagged(made)


@pytest.mark.parametrize("seed", range(5))
def test_moved_cells_are_found_by_what_they_define(seed: int) -> None:
    made = handed_in()
    for name in ("first", "second", "number", "essay"):  # their place alone tells what they are
        del made.cells[at(made, name)]
    random.Random(seed).shuffle(made.cells)
    got = found(made)
    assert (got["double"], got["net"]) == (ANSWERS["double"], ANSWERS["net"])


def test_all_answers_in_one_cell_count_for_the_first() -> None:
    """They run before any check; the others' cells are empty, so that they replace nothing."""
    everything = "\n\n".join(ANSWERS[name] for name in ("double", "net", "number"))
    made = nbformat.v4.new_notebook(cells=[new_code_cell(everything)])
    got = found(made)
    assert got["double"] == everything
    assert got["net"].startswith("# This cell is missing")
    assert flagged(made)["net"].endswith("; another cell defines `Net`")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import math\nfrom os import path\ndef f(): pass\nclass C: pass", {"f": "function", "C": "class"}),
        ("async def f(): pass", {"f": "function"}),
        ("a = b, *c = 1, 2\nd: int = 3\ne += 1\n[f] = [4]", dict.fromkeys("abcdef", "name")),
        ("if x:\n    y = 1\nfor i in z:\n    pass", {"y": "name", "i": "name"}),
        ("def f(:\n    inner = 1\nclass D\nx: int = 1\nx == 2", {"f": "function", "D": "class", "x": "name"}),
        ("(" * 50_000, {}),
        ("\0", {}),
        ("", {}),
    ],
)
def test_definitions_are_what_a_cell_binds_at_its_top_level(source: str, names: dict[str, str]) -> None:
    assert definitions(source) == names


# The course's own notebooks


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_courses_own_answers_are_found_without_a_mark_and_after_a_formatter(name: str) -> None:
    notebook = to_notebook(NOTEBOOKS[name])
    answers = solutions(notebook)
    plan = plan_of(notebook)
    for cell in notebook.cells:
        cell.metadata, cell.id = nbformat.from_dict({}), f"x{cell.id}"
        if cell.cell_type == "code" and not re.search(r"^[ \t]*[%!]", cell.source, re.MULTILINE):
            cell.source = ast.unparse(ast.parse(cell.source))
    place = match(notebook.cells, plan).place
    assert {name: notebook.cells[place[name]].id for name in answers} == {name: f"x{name}" for name in answers}
    assert set(place) == {cell.name for cell in plan.cells}


def plan_of(master: NotebookNode) -> Plan:
    """A plan as a release makes it, without a gradebook."""
    cells, released = [], []
    for cell in master.cells:
        role = cell.metadata.get("nbgrader", {})
        hole = r"### BEGIN SOLUTION.*?### END SOLUTION"
        source = re.sub(hole, HOLE, cell.source, flags=re.DOTALL) if role.get("solution") else cell.source
        released.append((role.get("grade_id", ""), source))
        if role:
            points = role.get("points")
            cells.append(Cell(cell.id, cell.cell_type, source, "", role["locked"], role["solution"], points))
    return Plan("n", tuple(cells), tuple(released))
