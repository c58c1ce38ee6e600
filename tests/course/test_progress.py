"""The line of progress and the checks that fill it: in a script, in a kernel, out of order, with wrong answers."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.authoring.sources import to_notebook
from gpt2_lib.course import progress as progress_module
from gpt2_lib.course.progress import PHASE_2, Check, Progress

EXERCISES = {
    "1 double": {"double_small": Check("small numbers", 2), "double_text": Check("text", 1)},
    "2 halve": {"halve": Check("half of it", 4)},
}


@pytest.fixture
def progress() -> Progress:
    progress = Progress()
    progress.begin("Phase 0", EXERCISES)
    return progress


def test_a_check_that_passes_is_ticked_and_counted(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.check("double_small", len):
        pass
    assert capsys.readouterr().out == "✔ small numbers\n"
    assert progress.passed() == ["double_small"]
    assert progress.points() == (2, 7)
    assert repr(progress) == "Phase 0   1 double ■□   2 halve □   2 of 7 points"
    assert "aria-valuenow='2'" in progress._repr_html_()


def test_a_check_that_fails_later_is_taken_back(progress: Progress) -> None:
    with progress.check("halve", len):
        pass
    with pytest.raises(AssertionError), progress.check("halve", len):
        raise AssertionError("no")
    assert progress.passed() == []


def test_checks_run_twice_and_in_any_order_and_the_setup_run_again_count_once(progress: Progress) -> None:
    for identity in ("halve", "double_small", "halve"):
        with progress.check(identity, len):
            pass
    progress.begin("Phase 0", EXERCISES)
    assert progress.passed() == ["double_small", "halve"]
    assert progress.points() == (6, 7)


def test_before_the_setup_cell_a_check_works_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    early = Progress()
    with early.check("halve", len):
        pass
    assert capsys.readouterr().out == "✔ halve\n"
    early.begin("Phase 0", EXERCISES)
    assert early.points() == (4, 7)


# What a learner is told


def message(progress: Progress, code: str, given: str = "", use: str = "f(3)") -> str:
    """What the check of f says in a notebook whose earlier cells hold ``code``."""
    notebook = {"__name__": "__main__", "progress": progress, "given": given}
    exec(code, notebook)
    with pytest.raises(AssertionError) as error:
        exec(f"with progress.check('halve', f):\n    progress.given(given)\n    {use}", notebook)
    assert progress.passed() == []
    return str(error.value)


def test_an_answer_that_stops_is_told_the_error_and_what_it_was_given(progress: Progress) -> None:
    said = message(progress, "def f(x):\n    return x.shape", given="x = 3")
    assert said == "f() stopped with AttributeError: 'int' object has no attribute 'shape'\nIt was given:\n  x = 3"


def test_an_error_in_a_helper_is_the_answers_too(progress: Progress) -> None:
    assert message(progress, "def h(x): return x / 0\ndef f(x): return h(x)").startswith("f() stopped with Zero")


def test_what_the_check_cannot_look_at_is_the_returned_value(progress: Progress) -> None:
    said = message(progress, "def f(x): return 'text'", use="f(3).sum()")
    assert said.startswith("What f() returned could not be looked at (AttributeError")


def test_a_check_whose_helper_cell_has_not_run_says_to_run_the_cells_above(progress: Progress) -> None:
    said = message(progress, "def f(x): return x", use="reader(f(3))")
    assert said == (
        "This check needs reader, which a cell above defines. "
        "Run the cells above first (Run > Run All Above Selected Cell), then this one."
    )
    within = message(progress, "def reader(x): return torch.tensor(x)\ndef f(x): return x", use="reader(f(3))")
    assert within.startswith("This check needs torch, which a cell above defines.")


def test_an_answer_that_uses_an_unknown_name_is_told_the_name_and_what_it_may_be(progress: Progress) -> None:
    said = message(progress, "def f(x): return torch.tensor(x)")
    assert said.startswith("f() uses torch; there is no such name. Is it misspelt?")
    assert "Run All Above Selected Cell" in said
    assert message(progress, "def f(x):\n    return y\n    y = 1").startswith("f() stopped with UnboundLocalError")


def test_an_answer_that_ends_the_program_does_not(progress: Progress) -> None:
    assert "SystemExit" in message(progress, "import sys\ndef f(x): sys.exit()")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer that interrupts")
def test_an_endless_loop_is_stopped(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "SECONDS", 0.2)
    assert "a loop that never ends" in message(progress, "def f(x):\n    while True: pass")


def test_the_checks_own_words_and_the_stubs_come_through(progress: Progress) -> None:
    with pytest.raises(AssertionError, match=r"^mine$"), progress.check("halve", len):
        raise AssertionError("mine")
    with pytest.raises(NotImplementedError, match=r"^write it$"), progress.check("halve", len):
        raise NotImplementedError("write it")


def test_an_answer_by_name_is_looked_up_in_the_notebook(progress: Progress) -> None:
    notebook = {"__name__": "__main__", "progress": progress}
    cell = "with progress.check('halve', 'f'):\n    assert f(4) == 2"
    with pytest.raises(AssertionError, match=r"no f yet: run the cell"):
        exec(cell, notebook)
    notebook["f"] = 0.5
    with pytest.raises(AssertionError, match=r"f is no function any more but float"):
        exec(cell, notebook)
    exec("def f(x): return x / 2", notebook)
    exec(cell, notebook)
    assert progress.passed() == ["halve"]


def test_borrowed_work_gives_no_points_and_says_from_where(progress: Progress) -> None:
    notebook = {"__name__": "__main__", "progress": progress}
    exec("from gpt2_lib.pruning.selection import layer_masks\ndef f(x): return layer_masks(x)", notebook)
    with pytest.raises(AssertionError, match=r"f\(\) is built on gpt2_lib\.selection\.layer_masks.*your own code"):
        exec("with progress.check('halve', f): pass", notebook)
    exec("def f(x): return x / 2", notebook)
    exec("with progress.check('halve', f): pass", notebook)
    assert progress.passed() == ["halve"]


# The card


def test_the_card_says_the_same_in_words_and_as_a_picture(progress: Progress) -> None:
    with progress.check("double_text", len):
        pass
    card = progress.summary({"half gone, perplexity": "25.5"})
    assert card.markdown().splitlines() == [
        "**Phase 0: 1 of 7 points**",
        "",
        "- half gone, perplexity: 25.5",
        "- checks passed: 1 double □■ · 2 halve □",
    ]
    assert card.png().startswith(b"\x89PNG")
    assert progress.summary({}).png() != card.png()


# In a kernel, and without one

CELLS = [
    "from gpt2_lib.course.progress import Check, progress\n"
    "progress.begin('Phase 0', {'1 double': {'a': Check('one', 1), 'b': Check('two', 2)}})",
    "def f(x): return 2 * x",
    "with progress.check('b', 'f'):\n    assert f(2) == 4",
    "with progress.check('a', 'f'):\n    assert f(2) == 5, 'wrong'",
    "with progress.check('b', 'f'):\n    assert f(2) == 4",
]


def test_the_line_at_the_top_of_a_notebook_fills_from_other_cells(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=300, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (line,) = [output for output in notebook.cells[0].outputs if output.output_type == "display_data"]
    assert "2</b> of 3 points" in line.data["text/html"]
    assert line.data["text/plain"] == "Phase 0   1 double □■   2 of 3 points"
    assert [o.evalue for cell in notebook.cells for o in cell.outputs if o.output_type == "error"] == ["wrong"]


def test_in_plain_python_checks_work_and_nothing_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text("\n".join(CELLS[:3]), encoding="utf-8")
    runpy.run_path(str(script))
    assert capsys.readouterr().out == "✔ two\n"


def test_the_line_of_phase_2_has_the_checks_and_points_of_its_notebook(repository: Path) -> None:
    master = repository / "source" / "phase2_techniques" / "phase2_techniques.py"
    cells = [cell for cell in to_notebook(master).cells if cell.metadata.get("nbgrader", {}).get("grade")]
    points = {cell.id: cell.metadata.nbgrader.points for cell in cells}
    known = {identity: check.points for checks in PHASE_2.values() for identity, check in checks.items()}
    assert list(known.items()) == list(points.items())
    used = {cell.id: re.findall(r'progress\.check\("(\w+)"', cell.source) for cell in cells}
    assert used == {identity: [identity] for identity in points}
