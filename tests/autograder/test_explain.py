"""Tests of the reasons for a failed check: the answer is elsewhere, renamed, missing, or stopped by an error."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

from autograder.grading.error_words import in_words
from autograder.grading.explain import Reasons, explain, reasons
from autograder.grading.plan import Cell, Plan
from autograder.grading.results import of_notebook
from autograder.grading.sanitise import sanitise

STUB = "def double(x):\n    raise NotImplementedError('Nothing here yet')"
NET = "class Net:\n    pass"
GOOD = "def double(x):\n    return 2 * x"
PLAN = Plan(
    "sums",
    (
        Cell("setup", "code", "import math", "", locked=True, solution=False, points=None),
        Cell("double", "code", STUB, "", locked=False, solution=True, points=None),
        Cell("double_test", "code", "assert double(2) == 4", "", locked=True, solution=False, points=2.0),
        Cell("net", "code", NET, "", locked=False, solution=True, points=None),
        Cell("net_test", "code", "assert Net().go(1) == 1", "", locked=True, solution=False, points=1.0),
    ),
    demonstrations={"shown = double(4)": ("shown",)},
)
UNDEFINED = ("NameError", "name 'double' is not defined")
NOTHING = ("NotImplementedError", "Nothing here yet")


def handed_in(**sources: str | None) -> NotebookNode:
    """The released notebook with these sources, None: not there; ``before``, ``between``, ``after``: further cells."""
    cells = []
    for cell in PLAN.cells:
        place = {"double": "before", "double_test": "between", "net": "after"}.get(cell.name, "")
        if own := sources.get(place):
            cells.append(new_code_cell(own, id=place))
        source = sources.get(cell.name, cell.source)
        if source is not None:
            cells.append(new_code_cell(source, id=cell.name))
    return nbformat.v4.new_notebook(cells=cells)


def told(notebook: NotebookNode, **errors: tuple[str, str]) -> dict[str, str]:
    """Check -> what the learner reads, after these errors: of a cell of the course's, or the only one with a source."""
    made = sanitise(notebook, PLAN)
    sources = {cell.id: cell.source for cell in notebook.cells}
    for cell in made.notebook.cells:
        for name, (kind, text) in errors.items():
            if cell.id == name or (cell.id not in sources and cell.source == sources.get(name)):
                cell.outputs = [new_output("error", ename=kind, evalue=text, traceback=[])]
    explain(made.notebook, reasons(made, PLAN))
    scores = {cell.name: (0.0, cell.points) for cell in PLAN.cells if cell.points is not None}
    return {result.check: result.message for result in of_notebook("sums", made.notebook, scores)}


@pytest.mark.parametrize("place", ["before", "after"])
def test_an_answer_beside_a_stub_that_replaces_it_or_comes_first_is_pointed_out(place: str) -> None:
    message = told(handed_in(**{place: GOOD}), double_test=NOTHING)["double_test"]
    assert message == "Another cell of yours defines `double`: move it into the answer's cell."


def test_an_answer_after_a_check_is_pointed_out_where_its_own_cell_has_none() -> None:
    message = told(handed_in(double="pass", after=GOOD), double_test=UNDEFINED)["double_test"]
    assert message == "Another cell of yours defines `double`: move it into the answer's cell."


def test_an_answer_below_its_stub_counts_so_that_its_own_fault_is_told() -> None:
    notebook = handed_in(between="def double(x):\n    return x")
    assert told(notebook, double_test=("AssertionError", "Twice 2 is 4."))["double_test"] == "Twice 2 is 4."


def test_an_answer_below_its_stub_that_stops_with_an_error_is_named_with_it() -> None:
    error = ("SyntaxError", "expected ':' (3406330568.py, line 1)")
    message = told(handed_in(between="def double(x)\n    return x"), double_test=NOTHING, between=error)["double_test"]
    assert message == (
        "Another cell of yours defines `double`. It stops with an error: SyntaxError: expected ':' (line 1)"
    )


def test_a_stub_and_nothing_else_is_told_by_its_own_words() -> None:
    assert told(handed_in(), double_test=NOTHING)["double_test"] == "Nothing here yet"
    assert told(handed_in(before="shown = double(4)"), double_test=NOTHING)["double_test"] == "Nothing here yet"


@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("def my_double(x):\n    return 2 * x", "was it renamed? The answer's cell defines `my_double`."),
        (
            "def Double(x): pass\nclass A: pass\nb = c = 1",
            "was it renamed? The answer's cell defines `Double`, `A`, `b`, `c`.",
        ),
        ("print(2 * 2)", "the answer's cell defines nothing."),
        ("", "the answer's cell defines nothing."),
    ],
)
def test_a_function_that_is_not_there_is_named_with_what_is(source: str, more: str) -> None:
    assert (
        told(handed_in(double=source), double_test=UNDEFINED)["double_test"] == f"There is no function `double`: {more}"
    )


def test_a_class_is_called_a_class() -> None:
    error = ("NameError", "name 'Net' is not defined")
    assert told(handed_in(net="class Nets: pass"), net_test=error)["net_test"].startswith("There is no class `Net`:")


def test_the_courses_own_words_for_a_missing_function_count_as_well() -> None:
    error = ("AssertionError", "There is no double yet: run the cell that defines it, then this one again.")
    assert "was it renamed?" in told(handed_in(double="def dbl(x): return x"), double_test=error)["double_test"]


def test_a_name_that_is_defined_indirectly_is_not_reported_as_missing() -> None:
    notebook = handed_in(double="from helpers import *")
    assert told(notebook, double_test=("AssertionError", "Twice 2 is 4."))["double_test"] == "Twice 2 is 4."


def test_an_answers_cell_that_is_missing_is_told() -> None:
    message = told(handed_in(double=None), double_test=UNDEFINED)["double_test"]
    assert message == "The cell of the answer `double` is missing in what you handed in."


FAILED = ("ModuleNotFoundError", "No module named 'nowhere'")


def test_the_cell_that_failed_is_named_where_its_names_are_missing() -> None:
    notebook = handed_in(before="\nimport nowhere as nw\n\nFACTOR = 2", double="def double(x): return FACTOR * x")
    message = told(notebook, before=FAILED, double_test=("NameError", "name 'FACTOR' is not defined"))["double_test"]
    assert message == (
        "NameError: name 'FACTOR' is not defined\n"
        "`FACTOR` is made by your cell that begins with `import nowhere as nw`. "
        "It stops with an error: ModuleNotFoundError: No module named 'nowhere'"
    )
    message = told(notebook, before=FAILED, double=("NameError", "name 'nw' is not defined"), double_test=UNDEFINED)
    assert "`nw` is made by your cell" in message["double_test"], "the answer's cell needs it itself"


def test_an_answer_that_needs_another_answer_that_failed_names_it() -> None:
    error = ("NameError", "name 'double' is not defined")
    message = told(handed_in(), double=("SyntaxError", "invalid syntax"), net_test=error)["net_test"]
    assert "`double` is made by the cell `double`. It stops with an error: SyntaxError: invalid syntax" in message


def test_a_failed_cell_is_not_named_where_another_one_makes_the_name() -> None:
    notebook = handed_in(before="import nowhere\nFACTOR = 2", between="FACTOR = 3", double=GOOD)
    error = ("AssertionError", "FACTOR is too large")
    assert told(notebook, before=FAILED, double_test=error)["double_test"] == "FACTOR is too large"


def test_names_of_a_changed_cell_that_was_put_back_are_told() -> None:
    notebook = handed_in(setup="import math\nfrom math import tau", double="def double(x): return tau")
    message = told(notebook, double_test=("NameError", "name 'tau' is not defined"))["double_test"]
    assert "`tau` was made by the cell `setup`, which is the course's: changes in it were put back." in message


def test_an_answer_in_a_cell_of_the_courses_is_told_to_go_where_it_belongs() -> None:
    notebook = handed_in(setup=f"import math\n\n{GOOD}")
    assert told(notebook, double_test=NOTHING)["double_test"] == (
        "You defined `double` in the cell `setup`, which is the course's: changes in it were put back. "
        "Write it into the answer's cell."
    )


def test_values_of_the_wrong_type_in_an_error_do_no_harm() -> None:
    """A hostile kernel can send any JSON as an output."""
    made = sanitise(handed_in(before=GOOD), PLAN).notebook
    for cell in made.cells:
        cell.outputs = [nbformat.from_dict({"output_type": "error", "ename": 1, "evalue": ["double"], "traceback": 2})]
    explain(made, Reasons(made={"own-1": ("x", ["double"])}))
    assert made.cells[2].outputs[0].evalue.startswith("['double']\n`double` is made by x. It stops with an error: 1:")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RuntimeError: SystemExit: ", "it ends the program"),
        ("SystemExit: None", "it ends the program"),
        ("double() stopped with RuntimeError: SystemExit: 1\nIt happened in: exit(1)", "double() stopped with it ends"),
        (
            "StdinNotImplementedError: raw_input was called, but this frontend does not support input requests.",
            "input()",
        ),
        ("NotImplementedError: StdinNotImplementedError: raw_input was called, but no.", "input()"),
        ("double() stopped with EOFError: EOF when reading a line", "double() stopped with input() can't be used"),
        ("SyntaxError: invalid syntax (3406330568.py, line 2)", "SyntaxError: invalid syntax (line 2)"),
        ("IndentationError: unindent (<tokenize>, line 3)", "IndentationError: unindent (line 3)"),
        ("SyntaxError: invalid syntax (helper.py, line 2)", "SyntaxError: invalid syntax (helper.py, line 2)"),
        ("ValueError: SystemExits are fine", "ValueError: SystemExits are fine"),
    ],
)
def test_errors_that_only_programmers_understand_are_explained(text: str, words: str) -> None:
    assert in_words(text).startswith(words)
