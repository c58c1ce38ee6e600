"""Tests of the progress line and its checks: in a script, in a kernel, out of order, with wrong answers."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import nbformat
import pytest
import torch
from IPython.core import oinspect
from nbclient import NotebookClient
from nbformat import NotebookNode

from autograder.authoring.sources import notebooks, to_notebook
from gpt2_lib.course import checks
from gpt2_lib.course import progress as progress_module
from gpt2_lib.course.check import check, hidden
from gpt2_lib.course.progress import Progress

EXERCISES = {"1 double": {"double_small": 2, "double_text": 1}, "2 halve": {"halve": 4}}
LABELS = {"double_small": "small numbers", "double_text": "text", "halve": "half of it"}


def checking(progress: Progress, identity: str) -> AbstractContextManager[None]:
    """A check of an answer that is there."""
    return progress.check(identity, LABELS[identity], {"len": len}, {})


@pytest.fixture
def progress() -> Progress:
    progress = Progress()
    progress.begin("Phase 0", EXERCISES)
    return progress


def test_a_check_that_passes_is_ticked_and_counted(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    with checking(progress, "double_small"):
        pass
    assert capsys.readouterr().out == "✔ small numbers · 2 of 2 points\n"
    assert progress.passed() == ["double_small"]
    assert progress.points() == (2, 7)
    assert repr(progress) == "Phase 0   1 double 2/3   2 halve 0/4   2 of 7 points"
    assert "<b style='margin-left: auto'>2 of 7 points</b>" in progress._repr_html_()


def test_a_check_that_fails_later_is_taken_back(progress: Progress) -> None:
    with checking(progress, "halve"):
        pass
    with pytest.raises(AssertionError), checking(progress, "halve"):
        raise AssertionError("no")
    assert progress.passed() == []


def test_checks_run_twice_and_in_any_order_and_the_setup_run_again_count_once(progress: Progress) -> None:
    for identity in ("halve", "double_small", "halve"):
        with checking(progress, identity):
            pass
    progress.begin("Phase 0", EXERCISES)
    assert progress.passed() == ["double_small", "halve"]
    assert progress.points() == (6, 7)


def test_a_check_works_before_the_setup_cell(capsys: pytest.CaptureFixture[str]) -> None:
    early = Progress()
    with checking(early, "halve"):
        pass
    assert capsys.readouterr().out == "✔ half of it\n"
    early.begin("Phase 0", EXERCISES)
    assert early.points() == (4, 7)


# What a learner is told


def message(progress: Progress, code: str, given: str = "", use: str = "f(3)") -> str:
    """What the check of f says in a notebook whose earlier cells hold ``code``."""
    notebook = {"__name__": "__main__", "progress": progress, "given": given}
    exec(code, notebook)
    with pytest.raises(AssertionError) as error:
        exec(
            f"with progress.check('halve', '', {{'f': f}}, globals()):\n    progress.given(given)\n    {use}", notebook
        )
    assert progress.passed() == []
    return str(error.value)


def test_an_answer_that_stops_is_told_the_error_and_what_it_was_given(progress: Progress) -> None:
    said = message(progress, "def f(x):\n    return x.shape", given="x = 3")
    assert said == "f() stopped with AttributeError: 'int' object has no attribute 'shape'\nIt was given:\n  x = 3"


def test_an_error_in_a_helper_is_the_answers_too(progress: Progress) -> None:
    assert message(progress, "def h(x): return x / 0\ndef f(x): return h(x)").startswith("f() stopped with Zero")


@pytest.mark.parametrize(
    ("first", "use", "said"),
    [
        ("self, x, y", "f(1, 2)", "f() gets 2 arguments; yours takes self, x, y."),
        ("x", "f(1, 2)", "f() gets 2 arguments; yours takes x."),
        ("x, y", "f(1)", "f() gets 1 argument; yours takes x, y."),
        ("", "f(1)", "f() gets 1 argument; yours takes none."),
        ("x, y, z=3", "f(1)", "f() gets 1 argument; yours takes x, y, z=3."),
        ("x, y=2", "f(1, 2, 3)", "f() gets 3 arguments; yours takes x, y=2."),
    ],
)
def test_an_answer_with_other_arguments_is_told_how_many_it_gets(
    progress: Progress, first: str, use: str, said: str
) -> None:
    assert message(progress, f"def f({first}): return x", use=use).startswith(said)


def test_a_helper_with_other_arguments_is_an_error_of_the_answer(progress: Progress) -> None:
    assert message(progress, "def h(x, y): return x\ndef f(x): return h(x)").startswith(
        "f() stopped with TypeError: h()"
    )


def test_a_result_that_cannot_be_checked_is_reported_as_such(progress: Progress) -> None:
    said = message(progress, "def f(x): return 'text'", use="f(3).sum()")
    assert said.startswith("The result of f() could not be checked (AttributeError")


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
    with pytest.raises(AssertionError, match=r"^mine$"), checking(progress, "halve"):
        raise AssertionError("mine")
    with pytest.raises(NotImplementedError, match=r"^write it$"), checking(progress, "halve"):
        raise NotImplementedError("write it")


@pytest.mark.parametrize(
    ("answer", "said"),
    [(None, r"no f yet: run the cell"), (0.5, r"f is no function any more but float"), ("f", r"but str: was the name")],
)
def test_a_value_that_is_no_answer_is_reported(progress: Progress, answer: object, said: str) -> None:
    with pytest.raises(AssertionError, match=said), progress.check("halve", "", {"len": len, "f": answer}, {}):
        raise RuntimeError
    assert progress.passed() == []


def test_borrowed_work_gives_no_points_and_says_from_where(progress: Progress) -> None:
    notebook = {"__name__": "__main__", "progress": progress}
    exec("from gpt2_lib.pruning.selection import layer_masks\ndef f(x): return layer_masks(x)", notebook)
    with pytest.raises(
        AssertionError, match=r"f\(\) is built on gpt2_lib\.pruning\.selection\.layer_masks.*your own code"
    ):
        exec("with progress.check('halve', '', {'f': f}, globals()): pass", notebook)
    exec("def f(x): return x / 2", notebook)
    exec("with progress.check('halve', '', {'f': f}, globals()): pass", notebook)
    assert progress.passed() == ["halve"]


# The card


def test_the_card_says_the_same_in_words_and_as_a_picture(progress: Progress) -> None:
    with checking(progress, "double_text"):
        pass
    card = progress.summary({"half gone, perplexity": "25.5"})
    assert card.markdown().splitlines() == [
        "**Real-World GPT-2 Pruning · Phase 0: 1 of 7 points**",
        "",
        "- half gone, perplexity: 25.5",
        "- checks passed: 1 double 1 of 2 · 2 halve 0 of 1",
    ]
    assert card.png().startswith(b"\x89PNG")
    assert progress.summary({}).png() != card.png()
    assert "alt='**Real-World GPT-2 Pruning · Phase 0: 1 of 7 points**" in card._repr_html_()


# In a kernel, and without one

CELLS = [
    "from gpt2_lib.course.check import check\nfrom gpt2_lib.course.progress import progress\n"
    "progress.begin('Phase 0', {'1 double': {'a': 1, 'b': 2}, '2 half': {}})",
    "def f(x): raise NotImplementedError('Nothing here yet')",
    "@check('two')\ndef b(f):\n    assert f(2) == 4\nb(f)",
    "def f(x): return 2 * x\nb(f)",
    "@check('one')\ndef a(f):\n    assert f(2) == 5, 'wrong'\na(f)",
    "assert f(2) == 5",
]


def run(folder: Path, cells: list[str]) -> list[list[NotebookNode]]:
    """The cells' outputs; each must end, whatever it shows."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(
        notebook, timeout=300, iopub_timeout=300, allow_errors=True, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.slow
def test_a_notebook_shows_lines_and_no_error_and_the_next_kernel_knows_what_passed(tmp_path: Path) -> None:
    line, _stub, missing, passed, failed, last = run(tmp_path, CELLS)
    assert line[0].data["text/plain"] == "Phase 0   1 double 2/3   2 half 0/0   2 of 3 points"
    assert "2 of 3 points</b>" in line[0].data["text/html"]
    assert [output.data["text/plain"] for output in missing] == [
        "☐ two · 0 of 2 points\nNothing here yet: write f in its cell, run that cell, then this one."
    ]
    assert [output.data["text/plain"] for output in passed] == ["✔ two · 2 of 2 points", line[0].data["text/plain"]]
    assert [output.data["text/plain"] for output in failed] == ["✘ one · 0 of 1 points\nwrong"]
    assert [output.output_type for output in last] == ["error"]  # an error of the learner's own is shown as ever
    again = run(tmp_path, [CELLS[0]])
    assert again[0][0].data["text/plain"] == line[0].data["text/plain"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"Phase 0": 3}', '{"Phase 0": [[]]}', "[" * 10**5, "x" * 10**6])
def test_a_progress_file_that_is_none_counts_for_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / ".progress.json"
    file.write_text(text)
    assert not any(progress_module._kept(file).values())


def test_checks_work_in_plain_python_and_draw_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text("\n".join([CELLS[0], CELLS[2].rpartition("\n")[0], CELLS[3]]), encoding="utf-8")
    runpy.run_path(str(script))
    assert capsys.readouterr().out == "✔ two · 2 of 2 points\n"


# The decorator


@check("half of it")
def halved(f: Callable) -> int:
    """Return the values that the hidden part continues with."""
    if f(4) != 2:
        raise AssertionError("half of 4 is 2")  # no `assert`: pytest would add to its words
    return 7


def test_a_check_is_called_with_answers_and_shows_its_label(capsys: pytest.CaptureFixture[str]) -> None:
    assert halved(lambda x: x / 2) == 7
    assert capsys.readouterr().out == "✔ half of it\n"
    assert (halved.label, halved.__name__, halved.__doc__) == (
        "half of it",
        "halved",
        "Return the values that the hidden part continues with.",
    )


def test_a_failed_check_has_its_words_for_the_notebook() -> None:
    with pytest.raises(AssertionError, match=r"^half of 4 is 2$") as failed:
        halved(lambda x: x)
    assert repr(vars(failed.value)["outcome"]) == "✘ half of it\nhalf of 4 is 2"


def test_two_question_marks_show_a_checks_code() -> None:
    assert 'raise AssertionError("half of 4 is 2")' in str(oinspect.getsource(halved))


def test_hidden_tests_have_a_seed_that_their_messages_tell() -> None:
    with pytest.raises(AssertionError, match=r"^no \(seed \d+\)$"), hidden():
        raise AssertionError("no")
    with hidden() as one, hidden() as other:
        first, second = (torch.rand(3, generator=draw.generator) for draw in (one, other))
        assert (one.seed == other.seed) == torch.equal(first, second)


def test_a_hidden_test_says_that_the_answer_stopped() -> None:
    with pytest.raises(AssertionError, match=r"Your code stopped with KeyError: 3"), hidden():
        raise KeyError(3)


def test_each_check_of_the_masters_is_a_function_and_each_function_is_checked(repository: Path) -> None:
    cells = [cell for path in notebooks(repository) for cell in to_notebook(path).cells]
    graded = {cell.id: cell.source for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")}
    assert graded.keys() == {name for name, thing in vars(checks).items() if hasattr(thing, "label") and name[0] != "_"}
    assert all(re.search(rf"^(found = )?check\.{name}\(\w+(, \w+)*\)$", graded[name], re.MULTILINE) for name in graded)


def test_the_line_of_a_notebook_has_its_checks_and_their_points(repository: Path) -> None:
    for path in notebooks(repository):
        cells = to_notebook(path).cells
        points = {c.id: c.metadata.nbgrader.points for c in cells if c.metadata.get("nbgrader", {}).get("grade")}
        (begun,) = (cell.source for cell in cells if "progress.begin(" in cell.source)
        assigned = [node for node in ast.parse(begun).body if isinstance(node, ast.Assign)]
        exercises = ast.literal_eval(next(n.value for n in assigned if ast.unparse(n.targets[0]) == "points"))
        assert [(i, p) for checks_of in exercises.values() for i, p in checks_of.items()] == list(points.items())
        assert all(re.fullmatch(r"[\w.]+ \w+", name) for name in exercises), exercises.keys()
