"""Tests of what a notebook shows and does when a cell stopped: which cell to run first, and the end of *Run All*."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from autograder.authoring.sources import notebooks
from gpt2_lib.course.page import stopped
from gpt2_lib.training.autosave import Autosave

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "gpt2_lib/course/jupyterlab/ipython_kernel_config.json"
CELLS = {
    "setup": "import math\nfrom pathlib import Path as check",
    "first": "# A fold\nmodel, dense = 1, 2",
    "broken": "model = = 3",
    "again": "%time model = 3\ndef answer(x):\n    return later(x)",
    "now": "...",
    "below": "later = print",
}


class Shell(SimpleNamespace):
    """What is asked of IPython's shell: the names that exist, the request of the running cell, and tracebacks."""

    def __init__(self, cell: str | None, **names: object) -> None:
        metadata = {} if cell is None else {"cellId": cell}
        super().__init__(user_ns=names, get_parent=lambda: {"metadata": metadata}, shown=[])
        self.transform_cell = lambda source: source.replace("%time ", "")

    def showtraceback(self, error: tuple, **options: object) -> None:
        self.shown.append(repr(error[1]))

    def run(self, code: str) -> str:
        """All that is shown for a cell that stops with an error."""
        try:
            exec(code, self.user_ns)
        except Exception as error:
            shell: Any = self
            stopped.show(shell, type(error), error, error.__traceback__)
        return "\n".join(self.shown)


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a notebook of CELLS; what is displayed goes to the shell's list."""
    cells = [nbformat.v4.new_markdown_cell("# A title"), *map(nbformat.v4.new_code_cell, CELLS.values())]
    for cell, identity in zip(cells[1:], CELLS, strict=True):
        cell.id = identity
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "phase0.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path / "phase0.ipynb"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(cell: str | None, **names: object) -> Shell:
        made = Shell(cell, **names)
        monkeypatch.setattr(stopped, "display", lambda outcome: made.shown.append(repr(outcome)))
        return made

    return make


SET_UP = {"math": 0, "check": 0}
FIRST = "Run the notebook's first cell with code, the set-up, then this cell again."


@pytest.mark.parametrize("code", ["check.mask_count(1)", "dense + 1", "def f():\n    return math\nf()"])
def test_without_the_set_up_it_is_named(shell: Any, code: str) -> None:
    said = shell("now").run(code)
    assert said.startswith("☐ ")
    assert FIRST in said
    assert "NameError" not in said


def test_a_page_that_names_no_cell_is_told_of_the_set_up_alone(shell: Any) -> None:
    assert FIRST in shell(None).run("check")
    assert FIRST in shell("not saved yet").run("check")
    assert shell(None).run("dense").startswith("NameError")


def test_after_the_set_up_the_nearest_cell_above_is_named(shell: Any) -> None:
    assert 'the cell above that begins with "# A fold", then' in shell("now", **SET_UP).run("dense")
    assert 'the cell above that begins with "%time model = 3", then' in shell("now", **SET_UP).run("model")


@pytest.mark.parametrize("name", ["modle", "later", "x"])
def test_a_name_that_no_cell_above_makes_is_an_error_as_ever(shell: Any, name: str) -> None:
    assert shell("now", **SET_UP).run(name).startswith("NameError")


def test_a_name_that_other_files_miss_is_an_error_as_ever(shell: Any) -> None:
    library: dict[str, Any] = {}
    exec("def f():\n    return check", library)
    assert shell("now", f=library["f"]).run("f()").startswith("NameError")


def test_another_error_is_shown_as_ever(shell: Any) -> None:
    assert shell("now").run("1 / 0").startswith("ZeroDivisionError")
    assert shell("now").run("def f():\n    print(check)\n    check = 1\nf()").startswith("UnboundLocalError")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"cells": [{}]}'])
def test_a_notebook_that_cant_be_read_changes_nothing(shell: Any, page: Path, text: str) -> None:
    page.write_text(text)
    assert shell("now").run("check").startswith("NameError")


def test_of_several_notebooks_the_one_that_runs_counts(shell: Any, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.with_name("notes.ipynb").write_text(json.dumps({"cells": []}))
    monkeypatch.setenv("JPY_SESSION_NAME", "notes.ipynb")
    assert shell("now").run("check").startswith("NameError")
    monkeypatch.setenv("JPY_SESSION_NAME", f"somewhere/{page.name}")
    assert FIRST in shell("now").run("check")


def test_each_notebook_has_the_set_up_first_and_it_makes_what_cells_begin_with() -> None:
    for path in notebooks(ROOT):
        notebook = nbformat.read(ROOT / "notebooks" / path.parent.name / path.name, as_version=4)
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        assert first.id == "setup"
        assert "import checks as check" in first.source


@pytest.mark.parametrize(("error", "dropped"), [(KeyboardInterrupt(), 1), (ValueError(), 0), (None, 0)])
def test_only_an_interrupt_drops_the_waiting_cells(
    monkeypatch: pytest.MonkeyPatch, error: BaseException | None, dropped: int
) -> None:
    calls = []
    kernel = SimpleNamespace(_abort_queues=lambda: calls.append(1))
    monkeypatch.setattr(stopped, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    result: Any = SimpleNamespace(error_in_exec=error)
    stopped.end_run_all(result)
    assert len(calls) == dropped


def test_an_interrupt_in_a_runs_last_step_drops_them_too_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    kernel = SimpleNamespace(_abort_queues=lambda: calls.append(1))
    monkeypatch.setattr(stopped, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    saved = []
    with Autosave(lambda: saved.append(1)).step():
        signal.raise_signal(signal.SIGINT)
    result: Any = SimpleNamespace(error_in_exec=None)
    stopped.end_run_all(result)
    stopped.end_run_all(result)
    assert (calls, saved) == ([1], [])


# In a kernel


class Page:
    """What JupyterLab sends to a kernel and gets from it."""

    def __init__(self, folder: Path) -> None:
        self.manager, self.client = start_new_kernel(
            startup_timeout=300, cwd=str(folder), extra_arguments=[f"--config={CONFIG}"]
        )
        self.asked: list[str] = []
        self.states: dict[str, str] = {}  # of requests that were answered

    def send(self, code: str, cell: str) -> None:
        """Send a cell with the tag raises-exception."""
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": False}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell})
        self.client.shell_channel.send(message)
        self.asked.append(message["header"]["msg_id"])

    def await_arrival(self) -> None:
        """Wait until the kernel has read all that was sent, though a cell runs: a subshell answers after it."""
        create = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(create)
        subshell = self.client.get_control_msg(timeout=300)["content"]["subshell_id"]
        after = self.client.session.msg("kernel_info_request", {})
        after["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(after)
        self.await_reply(after["header"]["msg_id"])

    def await_reply(self, request: str) -> None:
        while request not in self.states:
            message = self.client.get_shell_msg(timeout=300)
            self.states[message["parent_header"].get("msg_id", "")] = message["content"]["status"]

    def until(self, kind: str) -> dict:
        """The next message of a kind that a cell shows."""
        while True:
            message = self.client.get_iopub_msg(timeout=300)
            if message["msg_type"] == kind:
                return message["content"]

    def replies(self) -> list[str]:
        """The states of all cells that were sent, in their order."""
        for one in self.asked:
            self.await_reply(one)
        return [self.states[one] for one in self.asked]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows interrupts kernels in another way")
def test_in_a_kernel_the_set_up_is_asked_for_and_the_stop_button_ends_run_all(page: Path) -> None:
    kernel = Page(page.parent)
    manager: KernelManager = kernel.manager
    try:
        kernel.send("check", "now")
        assert FIRST in kernel.until("display_data")["data"]["text/plain"]
        kernel.send("from gpt2_lib.course.progress import progress\nprogress.begin('Phase 0', {})", "setup")
        kernel.send("1 / 0", "first")  # Run All goes on after it
        kernel.send("import time\nprint('sleeps', flush=True)\ntime.sleep(600)", "again")
        kernel.send("print('never')", "now")
        kernel.send("print('never')", "below")
        while "sleeps" not in kernel.until("stream")["text"]:
            pass
        kernel.await_arrival()
        manager.interrupt_kernel()
        assert kernel.replies() == ["error", "ok", "error", "error", "aborted", "aborted"]
        kernel.asked.clear()
        kernel.send("print('goes on')", "now")
        assert kernel.until("stream")["text"] == "goes on\n"
        assert kernel.replies() == ["ok"]
    finally:
        kernel.client.stop_channels()
        manager.shutdown_kernel(now=True)
