"""JupyterLab in a real browser, as `make lab` opens it, and what a person does there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
from needs import CHROMIUM
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

FLAGS = (
    "--no-sandbox",  # Chromium's own sandbox does not run as root, which containers are
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SETTINGS = {  # all cells in the page at once, no question about news
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/themes": {"adaptive-theme": True},  # dark where the browser is
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
START_LIMIT = 180  # seconds until JupyterLab answers, a page shows or a kernel is ready, on a busy machine
RUN_LIMIT = 1800  # seconds for the whole notebook, likewise

ERRORS = ".jp-OutputArea-output[data-mime-type$='stderr']"  # tracebacks are of this type, too

expect.set_options(timeout=1000 * START_LIMIT)


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    port: int
    token: str

    def address(self, notebook: str) -> str:
        return f"http://127.0.0.1:{self.port}/lab/tree/{notebook}?reset&token={self.token}"


@contextmanager
def running_lab(repository: Path, work: Path, folder: Path, notebook: str, *arguments: str) -> Iterator[Lab]:
    """JupyterLab, started by `make lab` in the folder ``work``; its settings and files are in a new ``folder``."""
    for plugin, settings in SETTINGS.items():
        file = folder / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")} | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    variables = {
        "python": sys.executable,  # .venv's, where make runs this test; -o: it needs no setting up
        "folder": work,
        "PHASE_1": work / notebook,
        "LAB_ARGS": " ".join(("--no-browser", *arguments)),
    }
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["make", "lab", "-o", ".venv/lab", *(f"{name}={value}" for name, value in variables.items())],
            cwd=repository,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        info = _server_info(process, folder / "runtime", log)
        yield Lab(info["port"], info["token"])
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _server_info(process: subprocess.Popen, runtime: Path, log: Path) -> dict:
    """Port and token, from the file that a Jupyter server writes, as soon as it answers."""
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            with suppress(ValueError, OSError):  # written in part; not listening yet
                info = json.loads(file.read_text())
                socket.create_connection(("127.0.0.1", info["port"])).close()
                return info
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    path = next(filter(None, map(shutil.which, CHROMIUM)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def open_notebook(page: Page, lab: Lab, notebook: str) -> None:
    page.goto(lab.address(notebook))
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=1000 * START_LIMIT)


def wait_until_idle(page: Page, seconds: float = START_LIMIT) -> None:
    """Until the status bar calls the kernel idle; the toolbar's indicator says so before there is a kernel."""
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=1000 * seconds)


def run_all(page: Page) -> None:
    """Run > Run All Cells, and wait until the last cell has run."""
    wait_until_idle(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(
        """errors => {
            const open = '.jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)';  // a folded cell shows no number
            const prompts = [...document.querySelectorAll(open)].map(p => p.textContent);
            return prompts.length && prompts.every(p => /\\[\\d+\\]/.test(p)) || document.querySelector(errors);
        }""",
        arg=ERRORS,
        timeout=1000 * RUN_LIMIT,
    )
    wait_until_idle(page, RUN_LIMIT)


def save(page: Page) -> None:
    """File > Save Notebook, and wait until it is on the disk."""
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_role("menuitem", name="Save Notebook").first.click()  # then Save Notebook As
    expect(page.locator(".lm-DockPanel .lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)


def shown(page: Page, cells: list[nbformat.NotebookNode], wanted: str) -> Locator:
    """In the page, the cell with this id, or else the first with a line that begins so."""
    named = [number for number, cell in enumerate(cells) if cell.id == wanted]
    lines = [number for number, cell in enumerate(cells) if f"\n{wanted}" in f"\n{cell.source}"]
    assert named or lines, f"no cell {wanted!r}"
    return page.locator(".jp-Notebook .jp-Cell").nth((named or lines)[0])


def run_all_above(page: Page, cell: Locator) -> None:
    cell.locator(".cm-content").click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Above Selected Cell", exact=True).click()


def write(page: Page, cell: Locator, code: str) -> None:
    """Replace what is in a cell by ``code``, with the keyboard."""
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(code)


def run_cell(page: Page, cell: Locator) -> None:
    """Run one cell, and wait until it has run, and what is queued before it. A folded one is unfolded first."""
    cell.scroll_into_view_if_needed()
    folded = cell.locator(".jp-Placeholder-content").first
    if folded.is_visible():
        folded.click()
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+Enter")
    expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=1000 * RUN_LIMIT)
