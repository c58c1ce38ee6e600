"""Notebooks executed as on Binder: one core, one thread, without the extras that the default installation lacks."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from autograder.notebooks import as_node

EXTRAS = ("coremltools", "executorch", "mlflow", "tensorrt", "tensorrt_rtx")
MEMORY_LIMIT = 1.2e9  # bytes: Binder gives 2 GB, and JupyterLab needs some of it

# Runs in the kernel. Not getrusage where Linux can say better: that one counts the process it was forked from too.
PEAK = """
import sys
from pathlib import Path
if sys.platform == "darwin":
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
elif sys.platform == "win32":
    import psutil
    print(psutil.Process().memory_info().peak_wset)
else:
    print(1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
"""


def execute(notebook: NotebookNode, folder: Path) -> tuple[NotebookNode, int]:
    """Run a notebook in ``folder``; returns it with its outputs, and its kernel's peak memory in bytes."""
    notebook = as_node(notebook)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    NotebookClient(notebook, timeout=1800, iopub_timeout=1800, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook, int(notebook.cells.pop().outputs[0].text)


@contextmanager
def one_core() -> Iterator[None]:
    """One thread and, where the system can pin processes, one core for this process and those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        if not hasattr(os, "sched_setaffinity"):  # macOS, Windows
            yield
            return
        cores = sorted(os.sched_getaffinity(0))
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])  # each of pytest's processes takes another
        os.sched_setaffinity(0, {cores[worker % len(cores)]})
        try:
            yield
        finally:
            os.sched_setaffinity(0, set(cores))


@contextmanager
def no_extras(folder: Path) -> Iterator[None]:
    """Kernels that start meanwhile don't find the extras' packages, installed or not; ``folder`` is made for that."""
    folder.mkdir()
    for package in EXTRAS:
        (folder / f"{package}.py").write_text(f"raise ImportError('No module named {package}')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield


def printed(notebook: NotebookNode) -> str:
    """What a notebook printed, and what it said in Markdown."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(o.text if o.output_type == "stream" else o.get("data", {}).get("text/markdown", "") for o in outputs)


def pictures(notebook: NotebookNode) -> list[str]:
    """The words of each picture that a notebook shows in HTML; one without words, or in another form, has "" here."""
    data = [o.data for cell in notebook.cells for o in cell.get("outputs", []) if "data" in o]
    tags = [tag for shown in data for tag in re.findall(r"<img\b[^>]*>", "".join(shown.get("text/html", "")))]
    bare = [kind for shown in data for kind in shown if kind.startswith("image/") and "text/html" not in shown]
    return [html.unescape("".join(re.findall(r"\balt='([^']*)'", tag))).strip() for tag in tags] + ["" for _ in bare]


def assert_no_error_and_each_check_says_what_is_missing(notebook: NotebookNode) -> None:
    """A learner's notebook with nothing written yet runs to its end as *Run All* has it, without an error's frames."""
    shown = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    assert [cell for cell, outputs in shown.items() for output in outputs if output.output_type == "error"] == []
    for cell in (cell.id for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")):
        words = [output.data["text/plain"] for output in shown[cell] if output.output_type == "display_data"]
        assert words[0][0] in "☐✘", f"{cell}: {words}"
        assert len(words[0].split()) > 8, f"{cell} fails without saying why"
