"""Photograph the notebooks in a real browser: the README's pictures, and a contact sheet of every exercise.

``make docs`` runs it where Chromium is installed; ``python docs/screens.py phase2_techniques`` makes one sheet,
``... explorer`` one of the README's pictures. An exercise is shown before anything is written, with a wrong answer of
tests/course/answers, and with the solution; wide and narrow, light and dark. Demonstrations are left out, since they
train and measure.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("", "tests/helpers", "tests/course") if str(ROOT / part) not in sys.path]

from answers import answers  # noqa: E402
from classroom import lay_artifacts, solutions  # noqa: E402
from lab_page import Lab, chromium, open_notebook, run_all, running_lab  # noqa: E402
from nbformat import NotebookNode  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402
from playwright.sync_api import Browser, Locator, Page  # noqa: E402

from autograder.authoring.sources import notebooks, to_notebook  # noqa: E402
from autograder.notebooks import read_notebook, to_text  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
STATES = ("before", "failing", "passing")
VIEWS = [(1280, "light"), (1280, "dark"), (800, "light"), (800, "dark")]  # width of the window, colour scheme
TALL = 2600  # pixels of the window: an exercise fits into it
SCALE = 0.22  # of a picture on a sheet
GAP = 8  # pixels around it
SHEET = "page_{}.png"
MARKERS = re.compile(r"^ *### (?:BEGIN|END) SOLUTION\n?", re.MULTILINE)

Shots = dict[str, dict[tuple[str, int, str], Image.Image]]  # exercise -> (state, width, scheme) -> picture


def variant(name: str, master: Path, state: str) -> NotebookNode:
    """The learner's notebook in one of STATES, without its demonstrations."""
    notebook = read_notebook(ROOT / "notebooks" / master.parent.name / f"{name}.ipynb")
    written = {"before": {}, "failing": wrong(name), "passing": right(master)}[state]
    kept, begun = [], False
    for cell in notebook.cells:
        role = cell.metadata.get("nbgrader", {})
        needed = bool(role) or not begun or "# Picture" in cell.source or cell.source.startswith("from gpt2_lib")
        begun = begun or bool(role.get("solution"))
        if cell.cell_type == "markdown" or needed:
            cell.source = written.get(cell.id, cell.source)
            kept.append(cell)
    notebook.cells = kept
    return notebook


def right(master: Path) -> dict[str, str]:
    """The solutions, as a learner would have written them."""
    return {name: MARKERS.sub("", code).rstrip() for name, code in solutions(to_notebook(master)).items()}


def wrong(name: str) -> dict[str, str]:
    """For each exercise the first wrong answer of tests/course/answers; the challenges' answers are files."""
    if name == "challenges":
        return {}
    return {exercise: next(iter(found.values()))[1] for exercise, found in answers(name)[0].items()}


@contextmanager
def laboratory(work: Path) -> Iterator[tuple[Lab, Browser]]:
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running_lab(ROOT, work, Path(folder), "none.ipynb") as lab,
        chromium() as browser,
    ):
        yield lab, browser


def opened(browser: Browser, lab: Lab, notebook: str) -> Page:
    """A page with the notebook, run, and without the sidebar."""
    page = browser.new_page(viewport={"width": 1280, "height": TALL})
    page.set_default_timeout(120_000)
    open_notebook(page, lab, notebook)
    run_all(page)
    page.keyboard.press("ControlOrMeta+b")
    return page


def end(page: Page, lab: Lab) -> None:
    """Close the page and end its kernel, which holds half a gigabyte."""
    address, token = f"http://127.0.0.1:{lab.port}/api/kernels", f"?token={lab.token}"
    for kernel in page.request.get(f"{address}{token}").json():
        page.request.delete(f"{address}/{kernel['id']}{token}")
    page.close()


def seen(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": TALL})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.wait_for_timeout(2500)  # JupyterLab loads its style and lays itself out


def taken(page: Page, first: Locator, last: Locator) -> Image.Image:
    """The page from one cell to another, at most as high as the window."""
    first.evaluate("cell => cell.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(300)
    top, bottom = first.bounding_box(), last.bounding_box()
    assert top is not None
    assert bottom is not None
    height = min(bottom["y"] + bottom["height"], TALL - 30) - top["y"]
    shot = Image.open(BytesIO(page.screenshot()))
    left, upper = round(top["x"]), round(top["y"])
    box = (left, upper, left + round(top["width"]), upper + round(max(height, 40)))
    return shot.crop(box).convert("RGB")


def exercises(notebook: NotebookNode) -> dict[str, tuple[int, int]]:
    """Exercise -> its first cell, the words above the answer, and its last check."""
    found: dict[str, tuple[int, int]] = {}
    current = ""
    for place, cell in enumerate(notebook.cells):
        role = cell.metadata.get("nbgrader", {})
        if role.get("solution"):
            current = cell.id
            found[current] = (place - 1, place)
        elif role.get("grade") and current:
            found[current] = (found[current][0], place)
    return found


def photograph(name: str, master: Path) -> Shots:
    """Every exercise of a notebook, in all STATES and VIEWS."""
    shots: Shots = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with laboratory(work) as (lab, browser):
            for state in STATES:
                notebook = variant(name, master, state)
                if name == "challenges" and state == "passing":
                    lay_artifacts(work)
                file = f"{name}-{state}.ipynb"
                (work / file).write_text(to_text(notebook), encoding="utf-8")
                page = opened(browser, lab, file)
                cells = page.locator(".jp-Notebook .jp-Cell")
                for width, scheme in VIEWS:
                    seen(page, width, scheme)
                    for exercise, (first, last) in exercises(notebook).items():
                        shots.setdefault(exercise, {})[state, width, scheme] = taken(
                            page, cells.nth(first), cells.nth(last)
                        )
                end(page, lab)
                (work / ".progress.json").unlink(missing_ok=True)
    return shots


def sheet(shots: Shots) -> Image.Image:
    """All shots of a notebook on one sheet: a row an exercise, a column a state, a width and a theme."""
    columns = [(state, width, scheme) for state in STATES for width, scheme in VIEWS]
    rows = {name: {key: thumb(picture) for key, picture in of.items()} for name, of in shots.items()}
    heights = {name: max(picture.height for picture in of.values()) for name, of in rows.items()}
    widths = [max(of[key].width for of in rows.values()) + GAP for key in columns]
    lefts = [GAP + sum(widths[:column]) for column in range(len(columns))]
    made = Image.new("RGB", (GAP + sum(widths), 34 + sum(h + 34 for h in heights.values())), "#d0d7de")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(15)
    for left, (state, width, scheme) in zip(lefts, columns, strict=True):
        draw.text((left, GAP), f"{state} · {width} · {scheme}", "#1f2328", font)
    top = 34
    for name, of in rows.items():
        draw.text((GAP, top + 6), name, "#1f2328", font)
        for left, key in zip(lefts, columns, strict=True):
            made.paste(of[key], (left, top + 30))
        top += heights[name] + 34
    return made.quantize(method=Image.Quantize.FASTOCTREE)  # keeps the bars' colours, few as their pixels are


def thumb(picture: Image.Image) -> Image.Image:
    size = (math.ceil(picture.width * SCALE), math.ceil(picture.height * SCALE))
    return picture.resize(size, Image.Resampling.LANCZOS)


def exercise() -> None:
    """For the README: an exercise whose answer ranks by value, so that a check fails; in both themes."""
    (master,) = [path for path in notebooks(ROOT) if path.stem == "phase2_techniques"]
    notebook = variant("phase2_techniques", master, "before")
    first, last = exercises(notebook)["magnitude_mask"]
    notebook.cells = notebook.cells[: last + 1]
    notebook.cells[first + 1].source = right(master)["magnitude_mask"].replace(".detach().abs()", ".detach()")
    cells = (first - 2, last - 3)  # from the demonstration to the first check that fails
    shoot(notebook, "exercise", 1000, lambda page: [page.locator(".jp-Notebook .jp-Cell").nth(n) for n in cells])


def explorer() -> None:
    """For the README: the explorer, in both themes."""
    notebook = read_notebook(ROOT / "notebooks" / "phase1_overview" / "phase1_overview.ipynb")
    sources = [cell.source for cell in notebook.cells]
    place = next(i for i, source in enumerate(sources) if source.startswith("from gpt2_lib.course.widgets"))
    notebook.cells = notebook.cells[: place + 1]
    shoot(notebook, "explorer", 1240, lambda page: [page.locator(".gpt2-explorer")] * 2)


def shoot(notebook: NotebookNode, name: str, width: int, ends: Callable[[Page], list[Locator]]) -> None:
    """Run a notebook and save what lies between two places of its page, as docs/pictures/readme_<name>_<theme>.png."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{name}.ipynb").write_text(to_text(notebook), encoding="utf-8")
        with laboratory(Path(folder)) as (lab, browser):
            page = opened(browser, lab, f"{name}.ipynb")
            for scheme in ("light", "dark"):
                seen(page, width, scheme)
                first, last = ends(page)
                save(taken(page, first, last), f"readme_{name}_{scheme}.png")
            end(page, lab)


def save(picture: Image.Image, name: str) -> None:
    picture.save(PICTURES / name, optimize=True)
    print(f"Wrote docs/pictures/{name}, {(PICTURES / name).stat().st_size / 1e3:.0f} kB")


def main(names: list[str]) -> None:
    for picture in (exercise, explorer):
        if not names or picture.__name__ in names:
            picture()
    for master in notebooks(ROOT):
        if not names or master.stem in names:
            made = sheet(photograph(master.stem, master))
            path = PICTURES / SHEET.format(master.stem)
            made.save(path, optimize=True)
            print(f"Wrote docs/pictures/{path.name}, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
