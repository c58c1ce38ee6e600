"""Tests of any nbgrader course: each cell gets the points that stock ``nbgrader autograde`` gives.

nbgrader's own example course, and the notebooks that its tests hand in, as they lie in the installed package.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbgrader
import pytest
from classroom import REPOSITORY
from nbgrader.api import Gradebook

from autograder.__main__ import main

FILES = Path(nbgrader.__file__).parent / "tests" / "apps" / "files"
OTHERS = Path(nbgrader.__file__).parent / "tests" / "preprocessors" / "files"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# assignment -> (the master, what is handed in, files beside it)
HANDED_IN: dict[str, tuple[Path, dict[str, Path], list[Path]]] = {
    "changed": (
        FILES / "submitted-unchanged.ipynb",
        {
            "unchanged": FILES / "submitted-unchanged.ipynb",
            "changed": FILES / "submitted-changed.ipynb",
            "check-changed": FILES / "submitted-grade-cell-changed.ipynb",
            "locked-changed": FILES / "submitted-locked-cell-changed.ipynb",
            "cheat": FILES / "submitted-cheat-attempt.ipynb",
            "other-cheat": FILES / "submitted-cheat-attempt-alternative.ipynb",
        },
        [],
    ),
    "hidden": (FILES / "test-hidden-tests.ipynb", {"master": FILES / "test-hidden-tests.ipynb"}, []),
    "master": (FILES / "test.ipynb", {"master": FILES / "test.ipynb"}, [FILES / "jupyter.png"]),
    "task": (OTHERS / "test_taskcell.ipynb", {"master": OTHERS / "test_taskcell.ipynb"}, []),
    "by-hand": (OTHERS / "manually-graded-code-cell.ipynb", {"master": OTHERS / "manually-graded-code-cell.ipynb"}, []),
    "side-effects": (FILES / "side-effects.ipynb", {"master": FILES / "side-effects.ipynb"}, []),
    "file": (FILES / "open_relative_file.ipynb", {"master": FILES / "open_relative_file.ipynb"}, [FILES / "data.txt"]),
    "recursion": (OTHERS / "infinite-recursion.ipynb", {"master": OTHERS / "infinite-recursion.ipynb"}, []),
    "simple": (
        FILES / "autotest-simple.ipynb",
        {n: FILES / f"autotest-simple-{n}.ipynb" for n in ("changed", "unchanged")},
        [],
    ),
    "hashed": (
        FILES / "autotest-hashed.ipynb",
        {n: FILES / f"autotest-hashed-{n}.ipynb" for n in ("changed", "unchanged")},
        [],
    ),
    "several": (
        FILES / "autotest-multi.ipynb",
        {n: FILES / f"autotest-multi-{n}.ipynb" for n in ("changed", "unchanged")},
        [],
    ),
    "covered": (
        FILES / "autotest-hidden.ipynb",
        {n: FILES / f"autotest-hidden-{n}.ipynb" for n in ("changed-right", "changed-wrong", "unchanged")},
        [],
    ),
}

STOCK = """
import json, sys
from nbgrader.apps import NbGraderApp
for command in json.loads(sys.argv[1]):
    NbGraderApp.clear_instance()
    NbGraderApp.launch_instance(command)
"""
Rows = dict[tuple[str, str, str, str], tuple]


def stock(course: Path, *commands: list[str]) -> None:
    """Run nbgrader's own ``commands`` in the folder ``course``, all in one process: starting one takes seconds."""
    done = subprocess.run(
        [sys.executable, "-c", STOCK, json.dumps(commands)],
        cwd=course,
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def rows(course: Path) -> Rows:
    """(assignment, student, notebook, cell) -> all that the gradebook says of its grade."""
    found: Rows = {}
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        for assignment in gradebook.assignments:
            for submission in gradebook.assignment_submissions(assignment.name):
                for notebook in submission.notebooks:
                    for g in notebook.grades:
                        key = (str(assignment.name), submission.student.id, str(notebook.name), str(g.name))
                        found[key] = (g.auto_score, g.manual_score, g.max_score, g.needs_manual_grade)
                    for c in notebook.comments:
                        found[
                            (str(assignment.name), submission.student.id, str(notebook.name), f"{c.name}, comment")
                        ] = (c.auto_comment,)
    return found


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same course twice: graded by stock nbgrader, and by ours."""
    place = tmp_path_factory.mktemp("any")
    stock(place, ["quickstart", "theirs"])
    theirs = place / "theirs"
    (theirs / "source" / "tests.yml").write_bytes((FILES / "autotests.yml").read_bytes())
    for assignment, (master, _, beside) in HANDED_IN.items():
        folder = theirs / "source" / assignment
        folder.mkdir()
        shutil.copy(master, folder / "p1.ipynb")
        shutil.copy(FILES / "autotests.yml", folder)
        for file in beside:
            shutil.copy(file, folder)
    assignments = ("ps1", *HANDED_IN)
    stock(theirs, *(["generate_assignment", assignment] for assignment in assignments))
    for student, step in (("released", "release"), ("solved", "source")):
        shutil.copytree(theirs / step / "ps1", theirs / "submitted" / student / "ps1")
    for assignment, (_, handed_in, _) in HANDED_IN.items():
        for student, notebook in handed_in.items():
            folder = theirs / "submitted" / student / assignment
            shutil.copytree(theirs / "release" / assignment, folder)
            shutil.copy(notebook, folder / "p1.ipynb")
    ours = place / "ours"
    shutil.copytree(theirs, ours)
    stock(theirs, *(["autograde", assignment] for assignment in assignments))
    return theirs, ours


def test_every_cell_gets_the_same_points_as_from_stock_nbgrader(courses: tuple[Path, Path]) -> None:
    theirs, ours = courses
    before = {path for path in REPOSITORY.rglob("*") if ".venv" not in path.parts and ".git" not in path.parts}
    assert main(["--course", str(ours), "grade"]) == 0
    expected, got = rows(theirs), rows(ours)
    assert {key: (got.get(key), wanted) for key, wanted in expected.items() if got.get(key) != wanted} == {}
    assert got.keys() == expected.keys()
    after = {path for path in REPOSITORY.rglob("*") if ".venv" not in path.parts and ".git" not in path.parts}
    assert {path for path in after - before if "__pycache__" not in path.parts} == set()
    assert main(["--course", str(ours), "feedback"]) == 0
    assert main(["--course", str(ours), "export"]) == 0
