"""Tests of `make check`: a learner's points on a small notebook and, as a sample of tests/system, on a real one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from classroom import NOTEBOOKS, Classroom, solutions
from doubling import GOOD, small_course

from autograder.__main__ import main
from autograder.authoring.sources import to_notebook
from autograder.grading.results import Result, table
from autograder.notebooks import read_notebook, to_text


def write_answer(small: Classroom, code: str) -> Path:
    """Write an answer into the learner's own notebook."""
    path = small.root / "notebooks" / "tiny" / "doubling.ipynb"
    notebook = read_notebook(path)
    next(cell for cell in notebook.cells if cell.id == "double").source = code
    path.write_text(to_text(notebook), encoding="utf-8")
    return path


def test_a_learner_sees_points_and_reasons_but_no_hidden_test(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_answer(small, "def double(x):\n    return 6 if x == -3 else x + x")
    before = path.read_bytes()
    assert main(["check"], root=small.root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^double +1 +3$", out, re.MULTILINE), out
    assert "Twice -3 is -6; yours is 6." in out
    assert "the_hidden_input" not in out
    assert path.read_bytes() == before
    assert sorted(p.name for p in small.root.iterdir()) == ["gradebook.db", "notebooks", "release", "source"]


def test_a_matrix_in_a_message_keeps_its_lines() -> None:
    message = "Yours is\ntensor([[1., 0.],\n        [0., 1.]])"
    shown = table([Result("lab", "masks", "mask_care", 0.0, 2.0, message)], {}).splitlines()
    assert shown[2:5] == ["    - Yours is", "      tensor([[1., 0.],", "              [0., 1.]])"]


def test_a_message_of_one_check_begins_with_its_label_and_a_message_of_several_does_not() -> None:
    told = [("mask_count", "Three go; two were asked."), ("mask_care", "It stops."), ("mask_ties", "It stops.")]
    found = [Result("lab", "masks", check, 0.0, 2.0, message) for check, message in told]
    labels = {"mask_count": "as many go as were asked for", "mask_care": "the weights are left alone"}
    shown = table(found, labels).splitlines()
    assert shown[2:4] == ["    - as many go as were asked for: Three go; two were asked.", "    - It stops."]


def test_an_answer_that_is_no_python_is_named_as_the_reason(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    write_answer(small, "def double(x)\n    return 2 * x")
    assert main(["check", "tiny"], root=small.root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^double +0 +3$", out, re.MULTILINE), out
    assert "The cell with your answer stops with an error: SyntaxError" in out


def test_a_broken_notebook_is_refused_with_the_reason(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_answer(small, GOOD)
    path.write_bytes(path.read_bytes()[:500])
    assert main(["check", "tiny"], root=small.root) == 1
    assert "notebooks/tiny/doubling.ipynb is not a valid notebook" in capsys.readouterr().out


def test_a_wrong_kernel_is_named_and_graded_with_python(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_answer(small, GOOD)
    notebook = read_notebook(path)
    notebook.metadata.kernelspec = {"name": "julia-1.9", "display_name": "Julia", "language": "julia"}
    path.write_text(to_text(notebook), encoding="utf-8")
    assert main(["check", "tiny"], root=small.root) == 0
    out = capsys.readouterr().out
    assert "'julia-1.9'" in out
    assert re.search(r"^total +3 +3$", out, re.MULTILINE), out


def test_without_the_source_the_visible_checks_run_and_it_says_so(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(small.root / "source")
    write_answer(small, "def double(x):\n    return {2: 4, 'a': 'aa'}[x]")  # wrong, but only hidden tests would tell
    assert main(["check", "tiny"], root=small.root) == 0
    out = capsys.readouterr().out
    assert "only the checks that you see can run" in out
    assert re.search(r"^total +3 +3$", out, re.MULTILINE), out


@pytest.mark.parametrize(
    ("source", "own", "ran"),
    [(True, "pass", "own"), (True, "shown.closed", "demonstration own"), (False, "pass", "demonstration own")],
)
def test_the_learners_command_runs_no_demonstration_that_nothing_needs(
    tmp_path: Path, source: bool, own: str, ran: str
) -> None:
    """Whether it ran is told by a file; the two cells have no name in common, but for what ``own`` mentions."""
    trace = tmp_path / "trace"
    demonstration = f"shown = open({str(trace)!r}, 'a')\nshown.write('demonstration ')\nshown.close()\n"
    small = small_course(tmp_path, f"\n# %%\n{demonstration}")
    path = write_answer(small, GOOD)
    notebook = read_notebook(path)
    further = f"{own}\nwith open({str(trace)!r}, 'a') as mine:\n    mine.write('own ')"
    notebook.cells.append(nbformat.v4.new_code_cell(further))
    path.write_text(to_text(notebook), encoding="utf-8")
    if not source:
        shutil.rmtree(small.root / "source")
    assert main(["check", "tiny"], root=small.root) == 0
    assert trace.read_text().split() == ran.split()


def test_lost_marks_cost_no_points_and_are_reported(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_answer(small, GOOD)
    notebook = read_notebook(path)
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = nbformat.from_dict({}), f"x{number}"
    path.write_text(to_text(notebook), encoding="utf-8")
    assert main(["check", "tiny"], root=small.root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^total +3 +3$", out, re.MULTILINE), out
    assert "had lost its mark: the cell that defines `double` was taken for it" in out


def test_a_learner_reads_what_grading_says_of_their_notebook(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_answer(small, "def double(x):\n    return triple(x) - x")
    notebook = read_notebook(path)
    setup = next(cell for cell in notebook.cells if cell.id == "setup")
    setup.source += "\n\ndef triple(x):\n    return 3 * x"
    notebook.cells.insert(1, nbformat.v4.new_code_cell("exit()"))
    path.write_text(to_text(notebook), encoding="utf-8")
    path.with_name("doubling (1).ipynb").write_text(to_text(notebook), encoding="utf-8")
    assert main(["check", "tiny"], root=small.root) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "doubling.ipynb: the cell `setup` is the course's; changes in it were put back" in out
    assert "`triple` was made by the cell `setup`, which is the course's: changes in it were put back." in out
    assert "doubling.ipynb was graded, not what lies beside it: 'doubling (1).ipynb'" in out


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def double(x):\n    exit()", "it ends the program (exit(), quit() or sys.exit())"),
        (
            "def double(x):\n    return 2 * int(input())",
            "input() can't be used: nobody answers it in grading",
        ),
        ("def double(x):\n\u00a0   return 2 * x", "invalid non-printable character U+00A0 (line 2)"),
    ],
)
def test_a_message_that_only_programmers_understand_is_explained(
    small: Classroom, capsys: pytest.CaptureFixture[str], code: str, told: str
) -> None:
    write_answer(small, code)
    assert main(["check", "tiny"], root=small.root) == 0
    assert told in " ".join(capsys.readouterr().out.split())


def test_lost_marks_are_reported_where_nothing_else_shows_them(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(small.root / "source")
    path = write_answer(small, GOOD)
    notebook = read_notebook(path)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    path.write_text(to_text(notebook), encoding="utf-8")
    assert main(["check", "tiny"], root=small.root) == 1
    assert "has lost the marks" in capsys.readouterr().out


def test_an_unknown_phase_is_an_error_that_lists_the_phases(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "tinny"], root=small.root) == 1
    assert "Phases: tiny" in capsys.readouterr().err


def test_an_empty_folder_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade"], root=tmp_path) == 1
    assert "<assignment>/. next: make collect FROM=export.zip" in capsys.readouterr().out


def test_a_whole_real_notebook_gets_full_marks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Phase 1's reference, hidden tests included; tests/system grades the others, and in the sandbox."""
    phase = "phase1_overview"
    room = Classroom.with_notebook(NOTEBOOKS[phase], tmp_path / "course")
    notebook = room.written(phase, solutions(to_notebook(NOTEBOOKS[phase])), whole=True)
    (room.root / "notebooks" / phase / f"{phase}.ipynb").write_text(to_text(notebook), encoding="utf-8")
    assert main(["check", phase], root=room.root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^total +10 +10$", out, re.MULTILINE), out
