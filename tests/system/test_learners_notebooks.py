# ruff: noqa: F811  (pytest's fixtures are imported by name)
"""Tests of the notebooks as they are handed out, each run once from JupyterLab's menu in a real browser.

As on Binder: one core, little memory, no extras. Every check says what is missing; axe-core looks at the page in both
themes; nothing is lost in a narrow window; the Tab key goes through all that can be moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from axe_findings import THEMES, findings
from classroom import NOTEBOOKS, REPOSITORY
from execution import (
    MEMORY_LIMIT,
    PEAK,
    assert_no_error_and_each_check_says_what_is_missing,
    no_extras,
    one_core,
)
from lab_page import ERRORS, Lab, open_notebook, run_all, running_lab, save, wait_until_idle
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page
from test_lab import browser, work  # noqa: F401  (fixtures)

HEIGHTS = {"phase1_overview": 9_000, "phase2_techniques": 14_000, "phase3_production": 11_000, "challenges": 8_000}
NAMES = sorted(NOTEBOOKS)
WIDE, NARROW = 1280, 800  # pixels
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
    notebook: NotebookNode  # as saved after Run All
    peak: int  # bytes that its kernel held, at most
    errors: list[str]  # in the page after Run All
    findings: list[str]  # axe's, likewise
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
        file = self._hand_out(name)
        page = self._browser.new_page(viewport={"width": WIDE, "height": 900})
        page.set_default_timeout(60_000)
        open_notebook(page, self._lab, file.name)
        wait_until_idle(page)
        height = page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollHeight")
        run_all(page)
        save(page)
        notebook = nbformat.read(file, as_version=4)
        peak = int(notebook.cells.pop().outputs[0].text)
        errors = page.locator(ERRORS).or_(page.get_by_text("Error displaying widget")).all_text_contents()
        found = [found for theme in THEMES for found in findings(page, theme, OURS)]
        pictures = page.locator(".jp-Notebook img").evaluate_all("all => all.map(image => image.alt)")
        page.set_viewport_size({"width": NARROW, "height": 900})
        page.wait_for_timeout(1000)  # JupyterLab lays itself out anew
        tracks = page.locator(".noUi-base").evaluate_all("all => all.map(track => track.offsetWidth)")
        look = Look(height, notebook, peak, errors, found, pictures, tracks, page.evaluate(LOST), unreached(page))
        self._end_kernels(page)
        page.close()
        return look

    def _hand_out(self, name: str) -> Path:
        """Into the learner's folder, with a last cell that prints the kernel's memory."""
        notebook = nbformat.read(next(REPOSITORY.glob(f"notebooks/*/{name}.ipynb")), as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(PEAK, id="peak"))
        file = self._folder / f"{name}.ipynb"
        nbformat.write(notebook, file)
        return file

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


@pytest.fixture(scope="module")
def looks(browser: Browser, repository: Path, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looks]:
    folder = tmp_path_factory.mktemp("lab")
    with one_core(), no_extras(folder / "none"), running_lab(repository, work, folder, "none yet.ipynb") as lab:
        yield Looks(browser, lab, work)


@pytest.mark.parametrize("name", NAMES)
def test_run_all_goes_to_the_end_and_each_check_says_what_is_missing(looks: Looks, name: str) -> None:
    assert looks.of(name).errors == []
    assert_no_error_and_each_check_says_what_is_missing(looks.of(name).notebook)


@pytest.mark.parametrize("name", NAMES)
def test_little_memory_is_enough(looks: Looks, name: str) -> None:
    assert 0 < looks.of(name).peak < MEMORY_LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious(looks: Looks, name: str) -> None:
    assert looks.of(name).findings == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_no_higher_than_promised_as_it_opens(looks: Looks, name: str) -> None:
    assert 1_000 < looks.of(name).height <= HEIGHTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_in_the_page_has_words(looks: Looks, name: str) -> None:
    assert [words for words in looks.of(name).pictures if len(words.split()) < 8] == []


@pytest.mark.parametrize("name", NAMES)
def test_in_a_narrow_window_nothing_is_lost_and_sliders_can_be_dragged(looks: Looks, name: str) -> None:
    look = looks.of(name)
    assert look.lost == []
    assert [width for width in look.tracks if width < TRACK] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_keyboard_reaches_everything(looks: Looks, name: str) -> None:
    assert looks.of(name).unreached == []


def test_sliders_and_pictures_were_there_to_look_at(looks: Looks) -> None:
    assert len(looks.of("phase2_techniques").tracks) >= 6
    assert len(looks.of("phase1_overview").tracks) == 2
    assert len(looks.of("phase1_overview").pictures) >= 4
