"""`make lab` as a learner meets it: JupyterLab in a real browser. The explorer of Phase 1 dragged; an
exercise of Phase 2 answered and checked, its demos dragged; one of Phase 3, its quiz answered and its server asked.
"""

from __future__ import annotations

import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab_page import (
    ERRORS,
    START_LIMIT,
    Lab,
    chromium,
    open_notebook,
    run_all,
    run_all_above,
    run_cell,
    running_lab,
    shown,
    wait_until_idle,
    write,
)
from playwright.sync_api import Browser, Locator, Page, expect

# Counts how often the explorer's figure changes, and the frames that the page draws.
WATCH = """explorer => {
    const seen = window.explorer = {frames: 0, changes: 0};
    new MutationObserver(changes => {
        const added = changes.flatMap(change => [...change.addedNodes]);
        seen.changes += added.filter(node => node.nodeName === 'IMG').length;
    }).observe(explorer, {childList: true, subtree: true});
    const tick = () => {
        seen.frames++;
        requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
}"""
DRAWN = 5  # frames of a drag in twenty steps: a page that its kernel blocked would draw none until the end
PICTURE = "figure => figure.src"  # the picture itself, in base64


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The learner's folder."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def lab(repository: Path, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for the tests that don't say otherwise."""
    with running_lab(repository, work, tmp_path_factory.mktemp("lab"), "none yet.ipynb") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def screenshots(repository: Path) -> Path:
    folder = repository / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(browser: Browser, screenshots: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page; how it looked at the end of the test is kept, also when the test failed."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    yield page
    page.screenshot(path=screenshots / f"end_of_{request.node.name}.png")
    page.close()


def test_the_explorer_of_phase_1_follows_the_mouse(
    repository: Path, work: Path, lab: Lab, page: Page, screenshots: Path
) -> None:
    name = "phase1_overview.ipynb"
    shutil.copy(repository / "notebooks" / "phase1_overview" / name, work)
    cells = nbformat.read(work / name, as_version=4).cells
    open_notebook(page, lab, name)
    wait_until_idle(page)
    cell = shown(page, cells, "explorer = Explorer(")
    run_all_above(page, cell)
    run_cell(page, cell)
    explorer = cell.locator(".gpt2-explorer")
    explorer.scroll_into_view_if_needed()
    figure = explorer.locator("img.gpt2-figure")
    handle = explorer.locator(".gpt2-explorer-feedforward .noUi-handle")
    before = figure.evaluate(PICTURE)
    explorer.screenshot(path=screenshots / "explorer_before.png")
    status = explorer.locator(".gpt2-status").inner_text()

    explorer.evaluate(WATCH)
    drag(page, explorer.locator(".gpt2-explorer-feedforward"), to=0.8)
    dragged = page.evaluate("window.explorer.frames")
    assert dragged >= DRAWN, "the page stands still while the slider is dragged"
    page.wait_for_function("window.explorer.changes > 0")
    wait_until_measured(page)
    assert figure.evaluate(PICTURE) != before
    assert explorer.locator(".gpt2-status").inner_text() != status
    explorer.screenshot(path=screenshots / "explorer_after.png")

    for _ in range(2):
        before = figure.evaluate(PICTURE)
        step(page, handle)
        assert figure.evaluate(PICTURE) != before
    expect(page.get_by_text("Error displaying widget")).to_have_count(0)


def drag(page: Page, slider: Locator, to: float) -> None:
    """Take a slider's handle with the mouse and move it, in a second, to the fraction ``to`` of its track."""
    track = slider.locator(".noUi-base").bounding_box()
    start = slider.locator(".noUi-handle").bounding_box()
    assert track is not None
    assert start is not None
    x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    end = track["x"] + to * track["width"]
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 21):
        page.mouse.move(x + (end - x) * step / 20, y)
        page.wait_for_timeout(50)
    page.mouse.up()


def wait_until_measured(page: Page) -> None:
    """Until the explorer says that it has measured where the sliders stand."""
    page.wait_for_function(
        "document.querySelector('.gpt2-explorer .gpt2-status').textContent.includes('measured in')",
        timeout=1000 * START_LIMIT,
    )


def step(page: Page, handle: Locator) -> None:
    """Move the slider by one step with the keyboard, and wait for the new figure."""
    handle.focus()
    page.evaluate("window.explorer.changes = 0")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("window.explorer.changes > 0", timeout=1000 * START_LIMIT)
    wait_until_measured(page)


ANSWER = """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    order = weight.abs().flatten().argsort(stable=True)
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[order[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""".strip()
DEMOS = {  # what a cell begins with -> its class in the page, and how far along its first slider is dragged
    "ThresholdDemo(": ("gpt2-threshold", 0.9),
    "NeuronDemo(": ("gpt2-neurons", 0.3),
    "ScheduleDemo(": ("gpt2-schedule", 0.4),
    "GlobalDemo(": ("gpt2-global", 0.8),
}


def test_an_exercise_of_phase_2_is_answered_and_checked_and_every_demo_follows_the_mouse(
    repository: Path, work: Path, lab: Lab, page: Page, screenshots: Path
) -> None:
    name = "phase2_techniques.ipynb"
    shutil.copy(repository / "notebooks" / "phase2_techniques" / name, work)  # the learner's, with nothing written yet
    cells = nbformat.read(work / name, as_version=4).cells
    open_notebook(page, lab, name)
    wait_until_idle(page)
    answer, check = shown(page, cells, "magnitude_mask"), shown(page, cells, "mask_count")
    write(page, answer, ANSWER)
    run_all_above(page, check)
    progress = page.get_by_role("group", name="your progress").first
    expect(progress).to_contain_text("0 of 43 points")
    run_cell(page, check)
    expect(check).to_contain_text("✔ exactly as many weights go as were asked for")
    expect(progress).to_contain_text("2 of 43 points")
    check.screenshot(path=screenshots / "phase2_check.png")
    progress.screenshot(path=screenshots / "phase2_progress.png")

    for begins, (css, to) in DEMOS.items():
        cell = shown(page, cells, begins)
        run_cell(page, cell)
        demo = cell.locator(f".{css}")
        figure, status = demo.locator("img.gpt2-figure"), demo.locator(".gpt2-status")
        figure.scroll_into_view_if_needed()
        before, text = figure.evaluate(PICTURE), status.inner_text()
        demo.screenshot(path=screenshots / f"{css}_before.png")
        drag(page, demo.locator(".widget-hslider").first, to)
        expect(figure).not_to_have_attribute("src", before)
        expect(status).not_to_contain_text("...")  # drawing ...
        expect(status).not_to_have_text(text)
        expect(figure).to_have_attribute("alt", re.compile(r"\d"))
        demo.screenshot(path=screenshots / f"{css}_after.png")
    assert page.locator(ERRORS).all_text_contents() == []
    expect(page.get_by_text("Error displaying widget")).to_have_count(0)


PACK = """
def pack(weight):
    kept = weight != 0
    return torch.from_numpy(np.packbits(kept)), weight[kept]
""".strip()


def test_in_phase_3_an_exercise_and_the_quiz_are_answered_and_a_pruned_model_is_served(
    repository: Path, work: Path, lab: Lab, page: Page, screenshots: Path
) -> None:
    name = "phase3_production.ipynb"
    shutil.copy(repository / "notebooks" / "phase3_production" / name, work)
    cells = nbformat.read(work / name, as_version=4).cells
    open_notebook(page, lab, name)
    wait_until_idle(page)

    answer, check = shown(page, cells, "pack"), shown(page, cells, "pack_bits")
    write(page, answer, PACK.replace("packbits(kept)", "packbits(~kept)"))
    run_all_above(page, check)
    progress = page.get_by_role("group", name="your progress").first
    expect(progress).to_contain_text("0 of 29 points")
    run_cell(page, check)
    expect(check).to_contain_text("Is it the other way round?")
    expect(progress).to_contain_text("0 of 29 points")
    write(page, answer, PACK)
    run_cell(page, answer)
    run_cell(page, check)
    expect(check).to_contain_text("✔ one bit an entry, eight to a byte")
    expect(progress).to_contain_text("2 of 29 points")

    for needed in ("smaller = ", "from gpt2_lib.deploy.extras import DeployError"):
        run_cell(page, shown(page, cells, needed))
    served = shown(page, cells, "from gpt2_lib import deploy_to_production")
    run_cell(page, served)
    expect(served).to_contain_text("To be, or not to be ")
    expect(served).to_contain_text("20 requests of 32 tokens, none of them failed")
    served.screenshot(path=screenshots / "phase3_served.png")

    questions, letters = shown(page, cells, "questions"), shown(page, cells, "readiness")
    first, second = shown(page, cells, "ready_1"), shown(page, cells, "ready_2")
    run_cell(page, questions)
    expect(questions.get_by_role("radio")).to_have_count(20)
    run_cell(page, letters)
    run_cell(page, first)
    expect(first).to_contain_text("Nothing here yet")
    questions.get_by_label("a: global magnitude pruning").focus()
    page.keyboard.press("Space")
    expect(questions.get_by_role("status")).to_contain_text("1 of 5 chosen")
    run_cell(page, letters)
    expect(letters).to_contain_text('return {1: "a"}')
    run_cell(page, first)
    expect(first).to_contain_text("Another choice is right. TensorRT does not prune.")
    expect(progress).to_contain_text("2 of 29 points")
    run_cell(page, second)
    expect(second).to_contain_text("Question 2 is not answered yet")
    write(page, letters, 'def readiness():\n    return {1: "c", 2: "a", 3: "d", 4: "b", 5: "c"}')
    run_cell(page, letters)
    expect(questions.get_by_label("c: none; if it is told to")).to_be_checked()
    run_cell(page, first)
    expect(first).to_contain_text("You chose c: none; if it is told to")
    expect(first).to_contain_text("TensorRT does not prune.")
    run_cell(page, second)
    expect(second).to_contain_text("You chose a: matrices get smaller")
    expect(progress).to_contain_text("4 of 29 points")
    questions.screenshot(path=screenshots / "phase3_questions.png")
    assert page.locator(ERRORS).all_text_contents() == []


def notebook_of(kernel: str, code: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code)],
        metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
    )


def test_the_kernel_is_the_virtual_environments_and_work_stays_as_it_was(work: Path, lab: Lab, page: Page) -> None:
    nbformat.write(notebook_of("python3", "import sys, gpt2_lib; print(sys.prefix)"), work / "work.ipynb")
    before = (work / "work.ipynb").read_bytes()
    open_notebook(page, lab, "work.ipynb")
    assert (work / "work.ipynb").read_bytes() == before
    run_all(page)
    assert page.locator(".jp-OutputArea-output").inner_text().strip() == sys.prefix


def test_a_notebook_of_a_kernel_that_is_not_there_can_be_given_python_3(work: Path, lab: Lab, page: Page) -> None:
    nbformat.write(notebook_of("no-such-kernel", "print(6 * 7)"), work / "other.ipynb")
    open_notebook(page, lab, "other.ipynb")
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("Select Kernel")
    dialog.locator("select").select_option(label="Python 3 (ipykernel)")
    dialog.get_by_role("button", name="Select", exact=False).last.click()
    run_all(page)
    assert page.locator(".jp-OutputArea-output").inner_text().strip() == "42"


def test_a_port_in_use_is_left_alone_and_the_next_one_taken(repository: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    nbformat.write(notebook_of("python3", ""), work / "work.ipynb")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_lab(repository, work, tmp_path, "work.ipynb", f"--port={port}") as lab:  # when it answers
            assert lab.port != port
