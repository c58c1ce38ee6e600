# ruff: noqa: F811  (pytest's fixtures are imported by name)
"""Tests of accessibility: the notebooks in JupyterLab, and the pages about grades.

Looked at by axe-core in both themes, wide and narrow, and gone through with the Tab key.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from graded import PHASE, Graded
from lab_page import Lab, open_notebook, run_all, wait_until_idle
from playwright.sync_api import Browser, Page
from test_lab import browser, lab, work  # noqa: F401  (fixtures)

from autograder.grading.check import Checked
from autograder.grading.results import Result
from autograder.grading.verdicts import Grading, write_grading
from autograder.reports.export import export
from autograder.reports.feedback import feedback
from gpt2_lib.course.page import own_grade

HEIGHTS = {"phase1_overview": 9_000, "phase2_techniques": 14_000, "phase3_production": 11_000, "challenges": 8_000}
NOTEBOOKS = sorted(HEIGHTS)
THEMES = ("light", "dark")
WIDE, NARROW, PHONE = 1280, 800, 420  # pixels
TRACK = 150  # pixels of a slider, at least, in the narrow window
# What a notebook shows: its texts, and the outputs of its cells. Menus, toolbars, prompts and editors are JupyterLab's.
OURS = {"include": [[".jp-Notebook .jp-RenderedMarkdown"], [".jp-Notebook .jp-OutputArea-output"]]}

# Numbers the places of a widget where the Tab key should stop; of a group of radio buttons that is one.
STOPS = """view => {
    const groups = new Set();
    const first = e => e.type !== 'radio' || !groups.has(e.name) && groups.add(e.name);
    const stops = [...view.querySelectorAll("input, select, button, summary, a[href], [role=slider], [tabindex='0']")]
        .filter(e => e.offsetParent !== null && !e.disabled && first(e));
    stops.forEach((stop, number) => { stop.dataset.stop = number; });
    return stops.map(stop => stop.outerHTML.slice(0, 120));
}"""
WIDGETS = ".gpt2-live, .gpt2-quiz, .gpt2-grade"
# What stands beyond the right edge of the notebook's panel, where nobody can scroll to.
LOST = """() => {
    const panel = document.querySelector('.jp-Notebook').getBoundingClientRect();
    const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement.closest(
        '.jp-OutputArea-output *, .jp-RenderedMarkdown *, .jp-OutputArea-output, .jp-RenderedMarkdown')));
    return [...document.querySelectorAll('.jp-Notebook :is(img, svg, table, input, select, button, [role=slider], p)')]
        .filter(e => e.getBoundingClientRect().width && e.getBoundingClientRect().right > panel.right + 1)
        .filter(e => e.closest('.jp-OutputArea-output, .jp-RenderedMarkdown') && !scrolls(e.parentElement))
        .map(e => e.outerHTML.slice(0, 120));
}"""


@dataclass(frozen=True)
class Look:
    """A notebook as it was handed out, in JupyterLab."""

    height: int  # pixels as opened, 1,280 wide
    findings: list[str]  # axe's, after Run All
    pictures: list[str]  # their words
    tracks: list[int]  # widths of the sliders in the narrow window, the sidebar open
    lost: list[str]
    unreached: list[str]


class Looks:
    """Each notebook, opened once and run, when it is first asked for."""

    def __init__(self, browser: Browser, lab: Lab, folder: Path) -> None:
        self._browser, self._lab, self._folder = browser, lab, folder
        self._seen: dict[str, Look | Exception] = {}

    def of(self, name: str) -> Look:
        """Return the result, or raise the first call's error again."""
        if name not in self._seen:
            try:
                self._seen[name] = self._look(name)
            except Exception as error:
                self._seen[name] = error
        if isinstance(found := self._seen[name], Exception):
            raise found
        return found

    def _look(self, name: str) -> Look:
        root = Path(__file__).parents[2]
        shutil.copy(next(root.glob(f"notebooks/*/{name}.ipynb")), self._folder)
        page = self._browser.new_page(viewport={"width": WIDE, "height": 900})
        page.set_default_timeout(60_000)
        open_notebook(page, self._lab, f"{name}.ipynb")
        wait_until_idle(page)
        height = page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollHeight")
        run_all(page)
        found = [found for theme in THEMES for found in findings(page, theme, OURS)]
        pictures = page.locator(".jp-Notebook img").evaluate_all("all => all.map(image => image.alt)")
        page.set_viewport_size({"width": NARROW, "height": 900})
        page.wait_for_timeout(1000)  # JupyterLab lays itself out anew
        tracks = page.locator(".noUi-base").evaluate_all("all => all.map(track => track.offsetWidth)")
        look = Look(height, found, pictures, tracks, page.evaluate(LOST), unreached(page))
        self._end_kernels(page)
        page.close()
        return look

    def _end_kernels(self, page: Page) -> None:
        """The next notebook needs the memory."""
        address, token = f"http://127.0.0.1:{self._lab.port}/api/kernels", f"?token={self._lab.token}"
        for kernel in page.request.get(f"{address}{token}").json():
            page.request.delete(f"{address}/{kernel['id']}{token}")


def unreached(page: Page) -> list[str]:
    """Return the controls of each widget that the Tab key does not reach."""
    missed = []
    for widget in page.locator(WIDGETS).all():
        stops = widget.evaluate(STOPS)
        widget.locator("[data-stop='0']").focus()
        seen = set()
        for _ in stops:
            seen.add(page.evaluate("document.activeElement.dataset.stop"))
            page.keyboard.press("Tab")
        missed += [stop for number, stop in enumerate(stops) if str(number) not in seen]
        widget.evaluate("view => view.querySelectorAll('[data-stop]').forEach(e => e.removeAttribute('data-stop'))")
    return missed


def findings(page: Page, theme: Any, context: dict | None = None) -> list[str]:
    """axe's serious and critical findings."""
    page.emulate_media(color_scheme=theme)
    page.wait_for_timeout(1500 if context else 0)  # JupyterLab loads its other style
    found = Axe().run(page, context=context, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{theme}, {rule['id']}: {node['html'][:150]} ({node['failureSummary']})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.fixture(scope="module")
def looks(browser: Browser, lab: Lab, work: Path) -> Looks:
    return Looks(browser, lab, work)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_axe_finds_nothing_serious_in_a_notebook(looks: Looks, name: str) -> None:
    assert looks.of(name).findings == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_no_higher_than_promised_as_it_opens(looks: Looks, name: str) -> None:
    assert 1_000 < looks.of(name).height <= HEIGHTS[name]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_picture_in_the_page_has_words(looks: Looks, name: str) -> None:
    assert [words for words in looks.of(name).pictures if len(words.split()) < 8] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_in_a_narrow_window_nothing_is_lost_and_sliders_can_be_dragged(looks: Looks, name: str) -> None:
    look = looks.of(name)
    assert look.lost == []
    assert [width for width in look.tracks if width < TRACK] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_keyboard_reaches_everything(looks: Looks, name: str) -> None:
    assert looks.of(name).unreached == []


def test_sliders_and_pictures_were_there_to_look_at(looks: Looks) -> None:
    assert len(looks.of("phase2_techniques").tracks) >= 6
    assert len(looks.of("phase1_overview").tracks) == 2
    assert len(looks.of("phase1_overview").pictures) >= 4


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
