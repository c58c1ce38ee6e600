# ruff: noqa: F811  (pytest's fixtures are imported by name)
"""Tests of accessibility: the pages about grades, looked at by axe-core in both themes, wide and narrow.

test_learners_notebooks.py looks at the notebooks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_findings import THEMES, findings
from graded import PHASE, Graded
from playwright.sync_api import Browser, Page
from test_lab import browser  # noqa: F401  (fixtures)

from autograder.grading.check import Checked
from autograder.grading.results import Result
from autograder.grading.verdicts import Grading, write_grading
from autograder.reports.export import export
from autograder.reports.feedback import feedback
from gpt2_lib.course.page import own_grade

WIDE, PHONE = 1280, 420  # pixels


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages about grades, as files."""
    folder = tmp_path_factory.mktemp("graded")
    graded = Graded(folder)
    graded.add("ada")
    graded.add("bob", {"double_basics": 0}, {"double_basics": "Twice -3 is -6; yours is 4 (seed 17)."})
    write_grading(graded.course.folder("autograded", PHASE, "dora"), Grading("k", refused="It is a link."))
    _, summary = export(graded.course, PHASE)
    (one,), (refused,) = (feedback(graded.course, PHASE, student) for student in ("bob", "dora"))
    return {"feedback": one, "refused": refused, "class": summary}


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("which", ["feedback", "refused", "class"])
def test_axe_finds_nothing_serious_in_pages_about_grades(
    pages: dict[str, Path], plain: Page, which: str, theme: str, width: int
) -> None:
    plain.set_viewport_size({"width": width, "height": 900})
    plain.goto(pages[which].as_uri())
    assert findings(plain, theme) == []
    assert plain.evaluate("document.documentElement.scrollWidth") <= width


def test_axe_finds_nothing_serious_in_what_grading_ones_own_notebook_shows(plain: Page) -> None:
    lost, got = (
        Result("phase", "mask", "mask_count", 0, 2, "3 go, 4 were asked for."),
        Result("phase", "m", "b", 1, 1, ""),
    )
    shown = own_grade.page(json.loads(Checked([lost, got], ["A note."], whole=True).json()))
    plain.set_content(f"<!doctype html><html lang='en'><title>Mine</title><main><h1>Mine</h1>{shown}</main>")
    assert "✘ mask: exactly as many weights go" in plain.inner_text("main")
    assert findings(plain, "light") == []


def test_planted_faults_are_found_by_axe(plain: Page) -> None:
    plain.set_content("<html lang='en'><title>Bad</title><main><h1>A</h1><img src='x.png'><p style='color: #ccc'>pale")
    found = findings(plain, "light")
    assert [rule for rule in ("image-alt", "color-contrast") if not any(rule in text for text in found)] == []
