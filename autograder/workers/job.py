"""What a worker does: one submission, notebook bytes in, notebook bytes out. No gradebook, no folders of the course."""

from __future__ import annotations

import base64
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute, IgnorePattern, LimitOutput
from nbgrader.utils import is_grade

from ..sandbox.bubblewrap import Limits
from .execute import BrokenToolError, Report, SandboxedExecute, fail

ATTEMPTS = 3


@dataclass(frozen=True)
class Job:
    """A submission to run: sanitised notebooks, the cells of each that need not run, the files beside them."""

    notebooks: dict[str, str]
    skip: dict[str, frozenset[int]]
    extras: dict[str, bytes] = field(default_factory=dict)
    safe: bool = True  # False: without a sandbox, with nbgrader's own Execute
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Outcome:
    """Executed notebooks, and what a person should look at: (notebook, cell, reason)."""

    notebooks: dict[str, str]
    review: list[tuple[str, str, str]]
    judged: dict[str, list[str]]  # notebook -> checks that were decided outside of the sandbox
    seconds: float  # computing time in the sandbox


def run(job: Job) -> Outcome:
    """Run every notebook of a submission in a sandbox of its own. Raises BrokenToolError if the grader's tools fail."""
    done, review, judged, seconds = {}, [], {}, 0.0
    extras = {name: base64.b64encode(data).decode() for name, data in job.extras.items()}
    for name, text in job.notebooks.items():
        skipped = job.skip.get(name, frozenset())
        if job.safe:
            notebook, report = _in_sandbox(text, skipped, extras, job.limits)
        else:
            notebook, report = _unprotected(text, skipped, job.extras), Report()
        for tidy in (IgnorePattern(enabled=True, pattern="^"), LimitOutput()):
            notebook, _ = tidy.preprocess(notebook, {})
        done[name] = nbformat.writes(notebook)
        review += [(name, cell, reason) for cell, reason in report.review]
        judged[name] = report.judged
        seconds += report.seconds
    return Outcome(done, review, judged, seconds)


def _in_sandbox(
    text: str, skipped: frozenset[int], extras: dict[str, str], limits: Limits
) -> tuple[NotebookNode, Report]:
    for attempt in range(ATTEMPTS):
        notebook = nbformat.reads(text, as_version=4)
        execute = SandboxedExecute(allow_errors=True, timeout=None, record_timing=False)
        execute.limits, execute.extras, execute.skip = limits, extras, skipped
        try:
            execute.preprocess(notebook, {})
            break
        except BrokenToolError:
            if attempt == ATTEMPTS - 1:
                raise
    return notebook, execute.report


def _unprotected(text: str, skipped: frozenset[int], extras: dict[str, bytes]) -> NotebookNode:
    """With nbgrader's own Execute, on this machine: where no sandbox can be made and somebody insists."""
    notebook = nbformat.reads(text, as_version=4)
    execute = Execute(allow_errors=True, timeout=600, shutdown_kernel="immediate")
    for index in skipped:
        notebook.cells[index].metadata.tags = [execute.skip_cells_with_tag]
    with tempfile.TemporaryDirectory() as folder:
        for name, data in extras.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        try:
            execute.preprocess(notebook, {"metadata": {"path": folder}})
        except DeadKernelError:
            for cell in notebook.cells:
                if is_grade(cell) and cell.get("execution_count") is None:
                    fail(cell, "RuntimeError", "It was not run: the kernel died before.")
    for index in skipped:
        del notebook.cells[index].metadata["tags"]
    for cell in notebook.cells:
        if is_grade(cell):
            cell.outputs = [output for output in cell.get("outputs", []) if output.output_type != "execute_result"]
    return notebook


def start() -> None:
    """In a new worker: leave an interrupt to the grader, and end when it ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    grader = multiprocessing.parent_process()
    assert grader is not None
    if grader.pid != os.getppid():
        os._exit(1)  # the grader ended before: nobody would ever tell
