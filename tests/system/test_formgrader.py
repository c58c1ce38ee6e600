# ruff: noqa: F811  (pytest's fixtures are imported by name)
"""Tests of nbgrader's formgrader for instructors: `make lab` in a course's folder, in a real browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from classroom import REPOSITORY, Classroom
from graded import MASTER, NOTEBOOK, PHASE
from lab_page import START_LIMIT, Lab
from nbformat.v4 import new_markdown_cell, new_output
from playwright.sync_api import Page, expect
from test_lab import browser, lab, page, screenshots  # noqa: F401  (fixtures)

from autograder.grading.results import Result
from autograder.notebooks import read_notebook, to_text

ANSWERS = {
    "ada": {"double": "def double(x):\n    return 2 * x", "half": "def half(x):\n    return 4 if x == 'h' else x / 2"},
    "bob": {"double": "def double(x):\n    return 6 if x == -3 else x + x"},
}
ATTACK = "document.documentElement.dataset.attacked = 'yes'"


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """Two graded submissions in a course's folder, which holds nbgrader_config.py as the repository does."""
    folder = tmp_path_factory.mktemp("formgrader")
    master = folder / f"{NOTEBOOK}.py"
    master.write_text(MASTER, encoding="utf-8")
    room = Classroom.made_of([master], folder / "course", PHASE)
    for file in ("Makefile", "setup.mk", "nbgrader_config.py"):
        shutil.copy(REPOSITORY / file, room.root)
    for student, answers in ANSWERS.items():
        room.hand_in(student, NOTEBOOK, answers)
    room.grade()
    plant_html(room.course.folder("autograded", PHASE, "bob") / f"{NOTEBOOK}.ipynb")
    return room


def plant_html(path: Path) -> None:
    """Plant what a hostile submission would show: HTML and Markdown with a script in it."""
    notebook = read_notebook(path)
    image = f'<img id="planted" src="nowhere" onerror="{ATTACK}">'
    data = {"text/html": f"<b>An output</b><script>{ATTACK}</script>{image}", "text/plain": "An output"}
    next(cell for cell in notebook.cells if cell.id == "double").outputs = [new_output("display_data", data=data)]
    notebook.cells.append(new_markdown_cell(f"A text {image}<script>{ATTACK}</script>", id="text"))
    path.chmod(0o644)
    path.write_text(to_text(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def repository(classroom: Classroom) -> Path:
    """Where `make lab` is run."""
    return classroom.root


@pytest.fixture(scope="module")
def work(repository: Path) -> Path:
    """JupyterLab's root: the same folder, as in the repository."""
    return repository


def shown(results: list[Result]) -> str:
    """Points and maximum as the formgrader writes them."""
    return f"{sum(r.points for r in results):g} / {sum(r.max_points for r in results):g}"


def open_lab(page: Page, lab: Lab) -> None:
    """Log in: unlike JupyterLab's own pages, the formgrader's don't keep a token from the address."""
    page.goto(f"http://127.0.0.1:{lab.port}/lab?reset&token={lab.token}")
    page.get_by_role("menuitem", name="Nbgrader", exact=True).wait_for(timeout=1000 * START_LIMIT)


def open_submission(page: Page, lab: Lab, student: str) -> None:
    page.goto(f"http://127.0.0.1:{lab.port}/formgrader/manage_students/{student}/{PHASE}")
    page.get_by_role("link", name=NOTEBOOK, exact=True).click()
    # The page's script listens to the fields when it has written the points into them.
    expect(page.locator("input.score").first).to_have_attribute("placeholder", re.compile(r"\d"))


def test_the_formgrader_opens_from_the_menu_and_shows_the_points_we_gave(
    classroom: Classroom,
    lab: Lab,
    page: Page,
) -> None:
    results = {student: classroom.results(student) for student in ANSWERS}
    assert shown(results["ada"]) != shown(results["bob"])
    open_lab(page, lab)
    page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    page.get_by_role("menuitem", name="Formgrader", exact=True).click()
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("link", name=PHASE, exact=True)).to_be_visible()
    assignment = inside.locator("tr").filter(has=inside.get_by_role("link", name=PHASE, exact=True))
    expect(assignment.get_by_role("link", name="2", exact=True)).to_be_visible()  # submissions

    page.goto(f"http://127.0.0.1:{lab.port}/formgrader/manage_submissions/{PHASE}")
    for student in ANSWERS:
        expect(page.locator("tbody tr").filter(has_text=student)).to_contain_text(shown(results[student]))

    for student in ANSWERS:
        open_submission(page, lab, student)
        for result in results[student]:
            score = page.locator(f"input.score#{result.check}")
            expect(score).to_have_attribute("placeholder", re.compile(rf"^{result.points:g}(\.0)?$"))
            expect(score.locator("xpath=..")).to_contain_text(f"/ {float(result.max_points)}")


def test_points_given_in_the_formgrader_reach_our_results(
    classroom: Classroom,
    lab: Lab,
    page: Page,
) -> None:
    open_lab(page, lab)
    open_submission(page, lab, "ada")
    with page.expect_response(lambda response: "/formgrader/api/grade/" in response.url):
        page.locator("input.score#half_basics").fill("1.25")
        page.locator("input.score#half_basics").press("Tab")
    points = {result.check: result.points for result in classroom.results("ada")}
    assert points == {"double_basics": 2, "double_text": 1, "half_basics": 1.25}


def test_a_learners_html_runs_nothing_in_the_formgrader(
    lab: Lab,
    page: Page,
) -> None:
    """The formgrader shows outputs on the page that holds the instructor's own token."""
    open_lab(page, lab)
    open_submission(page, lab, "bob")
    expect(page.get_by_text("An output").first).to_be_visible()
    expect(page.get_by_text("A text").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.dataset.attacked") is None
