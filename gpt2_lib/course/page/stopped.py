"""What happens when a cell stops: an outcome is shown instead of a traceback, and an interrupt ends *Run All*."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from IPython import get_ipython
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.display import display

from ...training.autosave import Autosave
from .cells import made_by
from .outcome import Outcome
from .runs import runs

EVENT = "post_run_cell"


def prepare(shell: InteractiveShell) -> None:
    """Let ``shell`` show outcomes instead of tracebacks, and end *Run All* at an interrupt. Twice changes nothing."""
    handler: Callable[..., None] = show
    shell.set_custom_exc((AssertionError, NotImplementedError, NameError), handler)
    if end_run_all not in shell.events.callbacks[EVENT]:
        shell.events.register(EVENT, end_run_all)


def show(shell: InteractiveShell, kind: type[BaseException], error: BaseException, frames: Any, **options: Any) -> None:
    """Show an error's ``outcome``, a stub's message, or which cell to run first; other errors' tracebacks as ever."""
    outcome = vars(error).get("outcome")
    if outcome is None and isinstance(error, NotImplementedError):
        outcome = Outcome("not begun", str(error) or "Nothing here yet.")
    if outcome is None and type(error) is NameError:
        outcome = _which_first(shell, error)
    if outcome is None:
        shell.showtraceback((kind, error, frames), **options)
    else:
        display(outcome)


def _which_first(shell: InteractiveShell, error: NameError) -> Outcome | None:
    """Return which cell above makes the missing name; None where no cell does, or another file's code misses it."""
    code = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if error.name is None or not code or code[-1].f_globals is not shell.user_ns:
        return None
    stopped_by = runs.outdated(error.name)
    if stopped_by is not None:
        return Outcome(
            "failed",
            f"{error.name} does not exist: its cell stopped with {stopped_by}.",
            "Mend that cell and run it, then this one.",
        )
    try:
        maker = made_by(error.name, shell)
    except Exception:  # the notebook's file may be anything
        return None
    if maker is None:
        return None
    return Outcome(
        "not begun",
        f"{error.name} does not exist yet.",
        f"Run {maker}, then this cell again. Run > Run All Above Selected Cell runs all that it needs.",
    )


def end_run_all(result: ExecutionResult) -> None:
    """Drop the cells that wait to be run if this one was interrupted.

    Jupyter goes on after an error where a cell has the tag ``raises-exception``, as all cells here have for unwritten
    answers, and to the kernel the stop button is an error like others. In a run's last step it is none at all.
    """
    interrupted = isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt) or Autosave.held
    Autosave.held = False
    if not interrupted:
        return
    kernel = getattr(get_ipython(), "kernel", None)
    drop = getattr(kernel, "_abort_queues", None)  # ipykernel's own, for errors without the tag: it has no public name
    if drop is not None:
        drop()
