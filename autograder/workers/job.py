"""A worker's job: one submission's files in, executed notebooks and points out."""

from __future__ import annotations

import base64
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute, IgnorePattern, LimitOutput
from nbgrader.preprocessors.execute import UnresponsiveKernelError
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, is_task

from ..course import Rules
from ..grading.explain import explain
from ..grading.plan import Plan
from ..grading.prepare import Prepared, prepare
from ..notebooks import grade_id
from ..sandbox.bubblewrap import Limits
from ..sandbox.privileges import die_with_parent
from ..sandbox.provisioner import zygote
from ..seeds import seed_of
from ..text import plain
from .outputs import Report, fail
from .setting import Account, BrokenToolError, Setting, as_text

ATTEMPTS = 3
GRACE = 60.0  # seconds after the end of a submission's time, then the worker itself ends: whatever holds it
# IPython's own exit() ends the kernel a moment later, when other code is running; it also rewrites `exit = ...`.
EXIT = "globals().update(dict.fromkeys(('exit', 'quit'), __import__('sys').exit))"
READING = 300.0  # seconds on the clock in which a notebook must be read; computing time is limited as well


@dataclass(frozen=True)
class Job:
    """A submission to run: its notebooks as submitted, their plans, its files and the instructor's beside them."""

    notebooks: Mapping[str, bytes]
    plans: Mapping[str, Plan]
    extras: Mapping[str, bytes] = field(default_factory=dict)
    given: Mapping[str, bytes] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    hidden: tuple[str, ...] = ()  # folders that no sandbox shows
    secret: str = ""  # that the seeds of its checks come from; "": each draws a new one
    safe: bool = True  # False: without a sandbox, with nbgrader's own Execute
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Outcome:
    """The result of a submission's run; all of it plain text and numbers.

    ``review`` is for a person, ``trouble`` lists errors of the grader: (notebook, cell, reason) each.
    """

    notebooks: Mapping[str, str] = field(default_factory=dict)  # executed
    scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)  # None: a person decides
    untouched: Mapping[str, frozenset[str]] = field(default_factory=dict)  # answers in which nothing was written
    refused: Mapping[str, str] = field(default_factory=dict)  # notebook -> why it could not be read
    notes: tuple[str, ...] = ()
    review: tuple[tuple[str, str, str], ...] = ()
    trouble: tuple[tuple[str, str, str], ...] = ()
    seconds: float = 0.0  # computing time in the sandbox
    clock: float = 0.0  # seconds for which it held the worker


def run(job: Job) -> Outcome:
    """Run every notebook of a submission in its own sandboxes. Raises BrokenToolError if the grader's tools fail."""
    begun = time.monotonic()
    last_resort = threading.Timer(job.limits.total + GRACE, os._exit, [70])
    last_resort.daemon = True
    last_resort.start()
    try:
        return _run_all(job, begun)
    finally:
        last_resort.cancel()


def _run_all(job: Job, begun: float) -> Outcome:
    account = Account(until=begun + job.limits.total)
    done, scores, untouched, refused, notes, review, trouble = {}, {}, {}, {}, [], [], []
    for name, data in job.notebooks.items():
        prepared, notebook, report = _run(name, data, job, account)
        if prepared.refused:
            refused[name] = plain(prepared.refused)
            continue
        explain(notebook, prepared.reasons)
        notes += [f"{name}.ipynb: {plain(note.text)}" for note in prepared.notes]
        review += [(name, note.cell, plain(note.text)) for note in prepared.notes if note.look]
        review += [(name, cell, plain(reason)) for cell, reason in report.review]
        trouble += [(name, cell, plain(reason)) for cell, reason in report.trouble]
        for tidy in (IgnorePattern(enabled=True, pattern="^"), LimitOutput()):
            notebook, _ = tidy.preprocess(notebook, {})
        done[name] = nbformat.writes(notebook).encode("utf-8", "replace").decode()  # no half of a surrogate pair
        scores[name] = {grade_id(cell): _score(cell) for cell in notebook.cells if is_grade(cell)}
        untouched[name] = frozenset(grade_id(cell) for cell in notebook.cells if _is_untouched(cell))
    notes += [f"{path} was left out: the instructor's files are there" for path in job.extras if _in_the_way(path, job)]
    clock = time.monotonic() - begun
    return Outcome(
        done, scores, untouched, refused, tuple(notes), tuple(review), tuple(trouble), account.seconds, clock
    )


def _run(name: str, data: bytes, job: Job, account: Account) -> tuple[Prepared, NotebookNode, Report]:
    """Read and run one notebook; again if the grader's own processes died."""
    from .execute import Run  # imports PyTorch, which the process that distributes jobs does not need

    for attempt in range(ATTEMPTS):
        try:
            prepared = _prepared(data, job.plans[name], job)
            if prepared.refused:
                return prepared, NotebookNode(), Report()
            notebook = nbformat.reads(prepared.text, as_version=4)
            if job.safe:
                return prepared, notebook, Run(notebook, _setting(prepared, job, name), account).go()
            return prepared, _unprotected(notebook, prepared.skip, job), Report()
        except BrokenToolError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError


def _prepared(data: bytes, plan: Plan, job: Job, again: bool = True) -> Prepared:
    """Return the notebook as it will run; retry once if the reading process was ended, by a kill say."""
    if not job.safe:
        return prepare(data, plan)
    tools = zygote(job.rules.warm)
    request = {"target": "autograder.grading.prepare:main", "data": base64.b64encode(data).decode()}
    try:
        process = tools.fork({**request, "plan": asdict(plan)})
    except OSError as error:
        raise BrokenToolError(f"the zygote died: {error}") from error
    try:
        found = process.outcome(READING)
        return Prepared.of(found) if isinstance(found, dict) else Prepared(refused="could not be read")
    except RuntimeError as error:
        if not tools.alive():
            raise BrokenToolError("the zygote died") from error
        if again:
            return _prepared(data, plan, job, again=False)
        last = str(error).splitlines()[0] if str(error) else "no reason"
        return Prepared(refused=f"could not be read within the limits ({last[:200]})")
    finally:
        process.close()


def _setting(prepared: Prepared, job: Job, name: str) -> Setting:
    given = as_text(job.given)
    return Setting(
        limits=job.limits,
        files=as_text({path: data for path, data in job.extras.items() if not _in_the_way(path, job)}) | given,
        given=given,
        skip=frozenset(prepared.skip),
        imports=job.plans[name].imports,
        asked=job.plans[name].asked,
        warm=job.rules.warm,
        own_work=job.rules.own_work,
        hidden=job.hidden,
        seeds={check: seed_of(job.secret, name, check) for check in job.plans[name].asked} if job.secret else {},
    )


def _in_the_way(path: str, job: Job) -> bool:
    """Return whether a learner's file has the name of an instructor's folder, or the reverse."""
    return any(ours.startswith(f"{path}/") or path.startswith(f"{ours}/") for ours in job.given)


def _score(cell: NotebookNode) -> float | None:
    """Return nbgrader's score; a number above the check's maximum is 0."""
    try:
        return determine_grade(cell)[0]
    except (KeyError, ValueError):
        return 0.0


def _is_untouched(cell: NotebookNode) -> bool:
    same = (is_solution(cell) or is_task(cell)) and cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)
    return same and not is_task(cell)


def _unprotected(notebook: NotebookNode, skipped: tuple[int, ...], job: Job) -> NotebookNode:
    """Run with nbgrader's own Execute, on this machine, where no sandbox can be made and the user insists."""
    kernel = [
        "--log-level=ERROR",  # no warnings about TCP between the progress lines
        f"--IPKernelApp.exec_lines={EXIT}",
    ]
    execute = Execute(
        allow_errors=True, timeout=600, iopub_timeout=600, shutdown_kernel="immediate", extra_arguments=kernel
    )
    for index in skipped:
        notebook.cells[index].metadata.tags = [execute.skip_cells_with_tag]
    with tempfile.TemporaryDirectory() as folder:
        for name, data in {**job.extras, **job.given}.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        try:
            execute.preprocess(notebook, {"metadata": {"path": folder}})
        except (DeadKernelError, UnresponsiveKernelError):
            for cell in notebook.cells:
                if cell.cell_type == "code" and is_grade(cell) and cell.get("execution_count") is None:
                    fail(cell, "RuntimeError", "It was not run: the kernel died before.")
    for index in skipped:
        del notebook.cells[index].metadata["tags"]
    return notebook


def start() -> None:
    """Initialise a new worker: it leaves interrupts to the grader, and ends when the grader ends, in any way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # `pool` had it wait
    if sys.platform == "linux":
        die_with_parent()
    grader = multiprocessing.parent_process()
    assert grader is not None
    if grader.pid != os.getppid():
        os._exit(1)  # the grader ended earlier: no signal would ever come
