"""Tests of the template: a new exercise in a copy of the course takes a master, a checks file and an answers file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from classroom import REPOSITORY

from autograder.authoring.sources import to_notebook
from autograder.notebooks import read_notebook, to_text

TEMPLATE = REPOSITORY / "source" / "TEMPLATE.py"
SECTIONS = re.findall(
    r"^ +```python\n(.*?)^ +```$", (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M | re.S
)
CHECKS, ANSWERS = map(textwrap.dedent, SECTIONS)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, and a course of the template alone."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(REPOSITORY / "gpt2_lib", root / "gpt2_lib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "nbgrader_config.py", root)
    (root / "source" / "phase4").mkdir(parents=True)
    shutil.copy(TEMPLATE, root / "source" / "phase4" / "scaling.py")
    (root / "gpt2_lib" / "course" / "checks" / "scaling.py").write_text(CHECKS, encoding="utf-8")
    run(root, "release")
    return root


def run(root: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{REPOSITORY}", "MPLBACKEND": "agg"}
    command = [sys.executable, "-m", "autograder", "--course", str(root), *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answers() -> list:
    names: dict = {}
    exec(ANSWERS, names)
    found = [pytest.param(code, fails, id=name) for name, (fails, code) in names["WRONG"]["scale"].items()]
    return [*found, *(pytest.param(code, set(), id=name) for name, code in names["RIGHT"]["scale"].items())]


def test_the_release_derives_the_points_and_hides_what_is_hidden(copy: Path) -> None:
    notebook = read_notebook(copy / "notebooks" / "phase4" / "scaling.ipynb")
    text = "\n".join(cell.source for cell in notebook.cells)
    assert 'points = {\n    "1 scale": {\n        "scale_values": 2,\n        "scale_care": 1,\n    },\n}' in text
    assert "5 minutes · 3 points**" in text
    assert "<<" not in text
    assert "draw.random" not in text


def test_an_exercise_in_an_existing_notebook_takes_a_line_in_the_list(tmp_path: Path) -> None:
    phase = tmp_path / "source" / "phase1_overview"
    shutil.copytree(REPOSITORY / "source" / "phase1_overview", phase)
    exercise = TEMPLATE.read_text(encoding="utf-8").partition("# %% [markdown] minutes=")
    (phase / "scaling.py").write_text("".join(exercise[1:]), encoding="utf-8")
    order = (phase / "phase.toml").read_text(encoding="utf-8")
    (phase / "phase.toml").write_text(order.replace('    "damage",', '    "scaling",\n    "damage",'), encoding="utf-8")
    before, after = (
        to_notebook(root / "source/phase1_overview/phase1_overview.ipynb") for root in (REPOSITORY, tmp_path)
    )
    setup = {cell.id: cell for cell in after.cells}["setup"].source
    assert '"1 scale": {\n        "scale_values": 2,\n        "scale_care": 1,\n    },' in setup
    assert len(after.cells) == len(before.cells) + 4
    assert "**15 minutes, 5 points" in before.cells[0].source
    assert "**20 minutes, 8 points" in after.cells[0].source


@pytest.mark.slow
@pytest.mark.parametrize(("code", "fails"), answers())
def test_an_answer_gets_the_points_it_should(copy: Path, code: str, fails: set[str]) -> None:
    path = copy / "notebooks" / "phase4" / "scaling.ipynb"
    notebook = read_notebook(path)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = code
    path.write_text(to_text(notebook), encoding="utf-8")
    said = run(copy, "check", "phase4")
    points = 3 - sum({"scale_values": 2, "scale_care": 1}[name] for name in fails)
    assert re.search(rf"^total +{points} +3$", said, re.MULTILINE), said
