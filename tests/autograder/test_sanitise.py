"""Tests of sanitising: the instructor's cells are unchanged and in order, and the answers stay, for any notebook."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import asdict, replace

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from nbgrader.utils import compute_checksum

from autograder.grading.plan import Cell, Plan
from autograder.grading.prepare import Prepared, main, prepare
from autograder.grading.sanitise import MISSING, Note, sanitise

PLAN = Plan(
    "sums",
    (
        Cell("setup", "code", "import math", "c1", locked=True, solution=False, points=None),
        Cell("double", "code", "raise NotImplementedError", "c2", locked=False, solution=True, points=None),
        Cell("double_test", "code", "assert double(2) == 4  # hidden", "c3", locked=False, solution=False, points=2.0),
        Cell("essay", "markdown", "Your answer", "c4", locked=False, solution=True, points=3.0),
        Cell("last", "code", "print('end')", "c5", locked=True, solution=False, points=None),
    ),
    released=(
        ("setup", "import math"),
        ("double", "raise NotImplementedError"),
        ("double_test", "assert double(2) == 4"),
        ("essay", "Your answer"),
        ("last", "print('end')"),
    ),
)
ANSWERS = {"double": "def double(x):\n    return 2 * x", "essay": "Because."}


def handed_in() -> NotebookNode:
    """The released notebook with answers in it, and a cell of the learner's own after the first answer."""
    cells = []
    for cell in PLAN.cells:
        make = new_code_cell if cell.cell_type == "code" else new_markdown_cell
        role = {"grade": cell.points is not None, "grade_id": cell.name, "solution": cell.solution}
        role |= {"locked": cell.locked, "schema_version": 3, "task": False}
        source = ANSWERS.get(cell.name, cell.source.partition("  #")[0])
        cells.append(make(source, id=cell.name, metadata={"nbgrader": role}))
    cells.insert(2, new_code_cell("double(3)", id="mine"))
    return nbformat.v4.new_notebook(cells=cells)


def sanitised(notebook: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The notebook to run, and what is told."""
    made = sanitise(notebook, PLAN)
    return made.notebook, [note.text for note in made.notes]


def by_name(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}


def assert_is_the_instructors(notebook: NotebookNode, answers: dict[str, str] = ANSWERS) -> None:
    """All known cells, in order, with what the plan says; ``answers`` in the cells for them."""
    nbformat.validate(notebook)
    found = by_name(notebook)
    assert list(found) == [cell.name for cell in PLAN.cells]
    for cell in PLAN.cells:
        mine = found[cell.name]
        role = mine.metadata.nbgrader
        assert mine.source == (answers.get(cell.name, cell.source) if cell.solution else cell.source)
        assert mine.cell_type == cell.cell_type == role.cell_type
        assert (role.grade, role.solution, role.checksum) == (cell.points is not None, cell.solution, cell.checksum)
        assert role.get("points") == cell.points
        assert set(mine.metadata) == {"nbgrader"}
        assert mine.cell_type != "code" or (mine.outputs, mine.execution_count) == ([], None)


def own(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if "nbgrader" not in cell.metadata]


def test_an_honest_notebook_keeps_its_answers_and_nothing_is_noted() -> None:
    clean, notes = sanitised(handed_in())
    assert_is_the_instructors(clean)
    assert notes == []
    assert [cell.source for cell in clean.cells][2] == "double(3)"


def tags(made: NotebookNode) -> None:
    for cell in made.cells:
        cell.metadata |= {"tags": ["skip-execution", "raises-exception"], "deletable": True, "editable": True}


def roles(made: NotebookNode) -> None:
    for cell in by_name(made).values():
        cell.metadata.nbgrader |= {"grade": False, "points": 99, "solution": True, "locked": False, "task": True}


def sources(made: NotebookNode) -> None:
    for name in ("setup", "double_test", "last"):
        by_name(made)[name].source = "pass"


def outputs(made: NotebookNode) -> None:
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.execution_count = 7
            cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "99"}, execution_count=7)]


def marks_lost(made: NotebookNode) -> None:
    for cell in made.cells:
        cell.metadata.clear()


def ids_lost(made: NotebookNode) -> None:
    for number, cell in enumerate(made.cells):
        cell.id = f"new-{number}"


def marks_that_are_none(made: NotebookNode) -> None:
    for number, cell in enumerate(made.cells):
        cell.metadata = nbformat.from_dict({"nbgrader": [["x"], "x", 5, None, {"grade_id": 5}, {}][number]})


def kernel(made: NotebookNode) -> None:
    made.metadata.kernelspec = {"name": "bash", "display_name": "Bash"}


@pytest.mark.parametrize("change", [tags, roles, outputs, marks_lost, ids_lost, marks_that_are_none, kernel])
def test_the_role_of_a_cell_comes_from_the_plan(change: Callable[[NotebookNode], None]) -> None:
    made = handed_in()
    change(made)
    clean, notes = sanitised(made)
    assert_is_the_instructors(clean)
    assert notes == []
    assert own(clean) == ["double(3)"]
    assert clean.metadata.kernelspec == json.loads(PLAN.kernelspec)
    assert not any("tags" in cell.metadata for cell in clean.cells)


def test_changes_in_the_instructors_cells_are_put_back_and_that_is_noted() -> None:
    made = handed_in()
    sources(made)
    clean, notes = sanitised(made)
    assert_is_the_instructors(clean)
    told = "the cell `{}` is the course's; changes in it were put back"
    assert notes == [told.format(name) for name in ("setup", "double_test", "last")]


def test_text_of_an_older_release_does_not_count_as_changed() -> None:
    """The instructor corrects a cell while people work; nbgrader's checksum tells what they got."""
    made = handed_in()
    cell = by_name(made)["setup"]
    cell.source = "import maths"
    cell.metadata.nbgrader.checksum = compute_checksum(cell)
    clean, notes = sanitised(made)
    assert_is_the_instructors(clean)
    assert notes == []


@pytest.mark.parametrize("name", ["setup", "double_test", "last"])
def test_a_missing_cell_is_back_and_that_is_noted(name: str) -> None:
    made = handed_in()
    made.cells.remove(by_name(made)[name])
    clean, notes = sanitised(made)
    assert_is_the_instructors(clean)
    assert notes == [f"the course's cell `{name}` was missing and is back"]


@pytest.mark.parametrize(("name", "empty"), [("double", f"# {MISSING}"), ("essay", MISSING)])
def test_an_answers_missing_cell_says_so_and_a_person_shall_look(name: str, empty: str) -> None:
    made = handed_in()
    made.cells = [cell for cell in made.cells if cell.id not in (name, "mine")]
    clean = sanitise(made, PLAN)
    assert_is_the_instructors(clean.notebook, ANSWERS | {name: empty})
    told = f"the cell of the answer `{name}` is missing in what was handed in"
    assert clean.notes == (Note(name, told, look=True),)


def test_a_notebook_with_nothing_of_the_courses_is_told_as_a_whole() -> None:
    made = nbformat.v4.new_notebook(cells=[new_code_cell("print('another course')")])
    clean = sanitise(made, PLAN)
    assert_is_the_instructors(clean.notebook, {"double": f"# {MISSING}", "essay": MISSING})
    assert clean.notes == (Note("", "none of the course's cells is in this notebook: is it another one?", look=True),)


@pytest.mark.parametrize("seed", range(5))
def test_moved_cells_are_back_in_order_and_that_is_noted(seed: int) -> None:
    made = handed_in()
    while [c.id for c in made.cells if c.id != "mine"] == [cell.name for cell in PLAN.cells]:
        random.Random(seed).shuffle(made.cells)
    clean, notes = sanitised(made)
    assert_is_the_instructors(clean)
    assert notes == ["the course's cells had been moved; they are back in their order"]
    assert own(clean) == ["double(3)"]


def test_the_first_of_two_equal_cells_counts_and_the_other_is_the_learners() -> None:
    made = handed_in()
    twin = by_name(made)["double"].copy() | {"id": "twin", "source": "double = None"}
    made.cells.insert(2, nbformat.from_dict(twin))
    clean, notes = sanitised(made)
    assert_is_the_instructors(clean)
    assert own(clean) == ["double = None", "double(3)"]
    assert len(notes) == 1
    assert "`double` is there more than once" in notes[0]


def test_a_check_put_first_as_a_copy_is_still_the_instructors() -> None:
    made = handed_in()
    made.cells.insert(0, nbformat.from_dict(by_name(made)["double_test"].copy() | {"id": "fake", "source": "pass"}))
    clean, _ = sanitised(made)
    assert_is_the_instructors(clean)


def test_a_changed_type_is_put_right_and_noted() -> None:
    made = handed_in()
    cells = by_name(made)
    fake = new_raw_cell(cells["double_test"].source, id="double_test", metadata=cells["double_test"].metadata)
    made.cells[made.cells.index(cells["double_test"])] = fake
    clean, notes = sanitised(made)
    assert_is_the_instructors(clean)
    assert notes == ["the cell `double_test` was a code cell and had become a raw cell"]


def test_cells_with_points_that_the_plan_does_not_know_are_the_learners_own() -> None:
    made = handed_in()
    role = {"grade": True, "grade_id": "bonus", "points": 100, "locked": True, "solution": False, "schema_version": 3}
    made.cells.append(new_code_cell("pass", id="bonus", metadata={"nbgrader": role}))
    clean, _ = sanitised(made)
    assert_is_the_instructors(clean)
    assert own(clean)[-1] == "pass"


def test_the_result_does_not_share_anything_with_what_was_handed_in() -> None:
    made = handed_in()
    before = nbformat.writes(made)
    clean, _ = sanitised(made)
    for cell in clean.cells:
        cell.source, cell.metadata.extra = "changed", True
    assert nbformat.writes(made) == before


# From the file to the notebook that is run, as a worker has it done

SHOWN = "shown = double(4)"
SHOWING = replace(PLAN, demonstrations={SHOWN: ("shown",)})


def with_demonstration() -> NotebookNode:
    made = handed_in()
    made.cells.insert(3, new_code_cell(SHOWN, id="shown"))
    return made


@pytest.mark.parametrize("change", [tags, outputs, marks_lost, ids_lost])
def test_a_file_becomes_the_notebook_to_run_and_the_cells_to_skip(change: Callable[[NotebookNode], None]) -> None:
    made = with_demonstration()
    change(made)
    prepared = prepare(nbformat.writes(made).encode(), SHOWING)
    notebook = nbformat.reads(prepared.text, as_version=4)
    assert_is_the_instructors(notebook)
    assert (prepared.refused, prepared.notes) == ("", ())
    assert own(notebook) == ["double(3)", SHOWN]
    assert [notebook.cells[index].source for index in prepared.skip] == [SHOWN]


def test_a_correction_in_a_file_is_noted() -> None:
    made = with_demonstration()
    made.cells.remove(by_name(made)["setup"])
    prepared = prepare(nbformat.writes(made).encode(), SHOWING)
    assert_is_the_instructors(nbformat.reads(prepared.text, as_version=4))
    assert prepared.notes == (Note("setup", "the course's cell `setup` was missing and is back"),)


def test_a_demonstration_that_the_learner_builds_on_is_not_skipped() -> None:
    made = with_demonstration()
    by_name(made)["double"].source += "\nprint(shown)"
    assert prepare(nbformat.writes(made).encode(), SHOWING).skip == ()


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("def f(a, a): pass", id="no Python"),
        pytest.param("x = '\0'", id="NUL"),
        pytest.param("!true\n" * 490, id="commands"),
        pytest.param("a=b\n" * 50_000, id="200 kB", marks=pytest.mark.slow),
        pytest.param("(" * 50_000 + ")" * 50_000, id="deep"),
        pytest.param("\ud800", id="half a surrogate pair"),
        pytest.param("", id="nothing"),
    ],
)
def test_any_answer_is_prepared_as_it_is(source: str) -> None:
    made = with_demonstration()
    by_name(made)["double"].source = source
    prepared = prepare(json.dumps(made).encode(), SHOWING)
    answers = ANSWERS | {"double": source.replace("\ud800", "?")}
    assert_is_the_instructors(nbformat.reads(prepared.text, as_version=4), answers)
    assert len(prepared.skip) == 1


def test_a_process_of_its_own_is_told_all_of_it_as_json_and_tells_the_same() -> None:
    data = nbformat.writes(with_demonstration()).encode()
    request = {"data": base64.b64encode(data).decode(), "plan": asdict(SHOWING)}
    told = main(json.loads(json.dumps(request)))
    again = Prepared.of(json.loads(json.dumps(told)))
    assert json.dumps(asdict(again)) == json.dumps(asdict(prepare(data, SHOWING)))
    assert again.notes == prepare(data, SHOWING).notes
    refused = main(json.loads(json.dumps(request | {"data": ""})))
    assert "is not a valid notebook" in refused["refused"]
    assert Plan.of(json.loads(json.dumps(asdict(SHOWING)))).digest == SHOWING.digest
