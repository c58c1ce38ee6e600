"""Tests of the executed masters, and of Phase 3's targets with all extras.

Each is executed once, and looked at by several tests. test_learners_notebooks.py runs what is handed out.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest
from classroom import NOTEBOOKS
from executed import Executed
from execution import MEMORY_LIMIT, execute, pictures, printed
from nbformat import NotebookNode

from autograder.authoring.sources import to_notebook


def each(names: list[str]) -> list:
    """Parameters; what looks at one execution goes to one of pytest's processes."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"execution of {name}")) for name in names]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return Executed(tmp_path_factory)


@pytest.mark.parametrize("name", each(sorted(NOTEBOOKS)))
def test_the_master_runs_without_error_on_one_core_in_little_memory(
    executed: Executed, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook, peak = executed.master(name)
    assert "Left out (" not in printed(notebook)  # of a demonstration that stopped
    with capsys.disabled():
        print(f"\n{name}: {peak / 1e6:.0f} MB at most, of {MEMORY_LIMIT / 1e6:.0f}")
    assert peak < MEMORY_LIMIT


@pytest.mark.parametrize("name", each(sorted(NOTEBOOKS)))
def test_every_picture_that_is_shown_is_told_in_words(executed: Executed, name: str) -> None:
    words = pictures(executed.master(name)[0])
    assert len(words) >= 1
    assert [told for told in words if len(told.split()) < 8 or not re.search(r"\d", told)] == []
    assert len(set(words)) == len(words)


@pytest.mark.xdist_group("execution of phase3_production")
def test_without_its_extras_phase_3_says_which_command_adds_each(executed: Executed) -> None:
    text = printed(executed.master("phase3_production")[0])
    wanted = (("coremltools", "mobile"), ("executorch", "mobile"), ("mlflow", "mlops"), ("TensorRT", "tensorrt"))
    for package, extra in wanted:
        assert re.search(rf"{package} is not installed.*pip install 'gpt2-pruning-course\[{extra}\]'", text), text


@pytest.mark.xdist_group("execution with extras")
def test_with_its_extras_phase_3_runs_every_target(tmp_path: Path) -> None:
    text = printed(execute(targets_alone(), tmp_path)[0])
    x86 = platform.machine() in ("x86_64", "AMD64")  # all that the extra tensorrt has packages for
    engine = "built an engine" if x86 else "TensorRT is not installed"
    assert "is not installed" not in text.replace(engine, "")
    for said in ("Core ML, 60 %", "ExecuTorch, 25 % removed", engine, "version 1 of gpt2-mini-60", "no fault found"):
        assert said in text


def targets_alone() -> NotebookNode:
    """Phase 3's master without exercises, checks and what looks at them."""
    notebook = to_notebook(NOTEBOOKS["phase3_production"])
    kept = ("setup",)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and ("nbgrader" not in cell.metadata or cell.id in kept)
        and "when_written(" not in cell.source
    ]
    return notebook
