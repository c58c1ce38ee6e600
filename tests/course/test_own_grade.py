"""Tests of the button that grades one's own notebook: its messages, and that it waits for a click."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from doubling import GOOD, small_course
from nbformat import NotebookNode

from autograder.notebooks import read_notebook
from gpt2_lib.course.page import own_grade
from gpt2_lib.course.page.own_grade import GradeMyNotebook, unsaved_answers

FOUND = {
    "results": [
        {
            "exercise": "mask",
            "label": "as many <go>",
            "points": 0,
            "max_points": 2,
            "message": "3 go,\n4 <were> asked for.",
        },
        {"exercise": "mask", "label": "of nobody", "points": 1, "max_points": 1, "message": ""},
    ],
    "notes": ["a note & more"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's, with a notebook of one answer."""
    monkeypatch.chdir(tmp_path)
    answer = nbformat.v4.new_code_cell("def mask(w):\n    return w > 0")
    answer.metadata["nbgrader"] = nbformat.from_dict({"grade_id": "mask", "solution": True})
    nbformat.write(nbformat.v4.new_notebook(cells=[answer]), tmp_path / "lab.ipynb")
    return tmp_path


def words(button: GradeMyNotebook) -> str:
    return " ".join(re.sub("<[^>]*>", " ", button.told.value).split())


@pytest.mark.usefixtures("folder")
def test_nothing_is_graded_until_it_is_pressed(monkeypatch: pytest.MonkeyPatch) -> None:
    pressed = []
    monkeypatch.setattr(own_grade, "graded", lambda path: pressed.append(path) or FOUND)
    button = GradeMyNotebook("lab")
    assert pressed == []
    assert "Save (Ctrl + S), then press" in words(button)
    button.button.click()
    assert [path.name for path in pressed] == ["lab.ipynb"]


@pytest.mark.usefixtures("folder")
def test_points_and_reasons_are_shown_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_grade, "graded", lambda path: FOUND)
    button = GradeMyNotebook("lab")
    button.button.click()
    assert "mask 1 3 total 1 3" in words(button)
    assert "✘ mask: as many &lt;go&gt; · 0 of 2 points" in words(button)
    assert "3 go,\n4 &lt;were&gt; asked for." in button.told.value
    assert "a note &amp; more" in button.told.value
    assert "of nobody" not in words(button)
    assert button.told.value.startswith("<div role='status'")
    assert not button.button.disabled


@pytest.mark.usefixtures("folder")
def test_the_page_stays_usable_meanwhile_and_a_second_press_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_path: Path) -> dict[str, Any]:
        time.sleep(0.2)
        return FOUND

    monkeypatch.setattr(own_grade, "graded", slow)

    async def press() -> str:
        button = GradeMyNotebook("lab")
        button.button.click()
        assert button.button.disabled
        during = words(button)
        await button._task
        assert "total 1 3" in words(button)
        return during

    assert re.search(r"Grading a copy of lab\.ipynb as it was saved at \d\d:\d\d:\d\d", asyncio.run(press()))


def test_a_notebook_under_another_name_is_asked_for(folder: Path) -> None:
    (folder / "lab.ipynb").rename(folder / "lab (1).ipynb")
    button = GradeMyNotebook("lab")
    button.button.click()
    assert "There is no lab.ipynb in this folder. Save the notebook under this name" in words(button)


@pytest.mark.usefixtures("folder")
def test_without_the_autograder_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_grade, "find_spec", lambda name: None)
    button = GradeMyNotebook("lab")
    button.button.click()
    assert "This needs the course's folder autograder/" in words(button)


@pytest.mark.parametrize(
    ("ran", "told"),
    [
        ([], []),
        (["def mask(w):\n    return w > 0\n"], []),
        (["def mask(w):\n    return w > 0", "def mask(w):\n    return w > 1"], ["mask"]),
        (["def mask(w):\n    return w > 1", "def mask(w):\n    return w > 0"], []),
        (["def masks(w):\n    return w", "mask = None"], []),
    ],
)
def test_an_answer_that_ran_otherwise_than_it_was_saved_is_named(folder: Path, ran: list[str], told: list[str]) -> None:
    assert unsaved_answers(folder / "lab.ipynb", ran) == told


def test_a_file_that_is_no_notebook_is_left_to_the_grader(tmp_path: Path) -> None:
    for number, text in enumerate(
        ("{", "[]", '{"cells": [1]}', json.dumps({"cells": [{"metadata": {"nbgrader": 3}}]}))
    ):
        path = tmp_path / f"{number}.ipynb"
        path.write_text(text, encoding="utf-8")
        assert unsaved_answers(path, ["def mask(w):\n    return w"]) == []


@pytest.mark.slow
def test_the_real_grader_answers_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The sample is a notebook that nobody has tests for: it is graded by the checks that it shows."""
    small = small_course(tmp_path)
    path = small.root / "notebooks" / "tiny" / "doubling.ipynb"
    notebook: NotebookNode = read_notebook(path)
    next(cell for cell in notebook.cells if cell.id == "double").source = GOOD
    nbformat.write(notebook, path)
    found = own_grade.graded(path)
    assert isinstance(found, dict), found
    assert [(r["check"], r["points"]) for r in found["results"]] == [("double_basics", 2), ("double_text", 1)]
    assert any("only the checks that you see" in note for note in found["notes"])


def test_a_grader_that_can_tell_nothing_is_quoted(tmp_path: Path) -> None:
    found = own_grade.graded(tmp_path / "nothing.ipynb")
    assert isinstance(found, str)
    assert "There is no nothing.ipynb" in found
