"""Helpers for a lesson's cells: small tensors as text, faults in plain words, time limits."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import numpy as np
import torch
from torch import Tensor

from .faults.errors import in_words
from .faults.latency import latency_fault, speedup_fault
from .page.runs import runs

__all__ = [
    "latency_fault",
    "mask_fault",
    "show",
    "speedup_fault",
    "tensor_fault",
    "time_limit",
    "unwritten",
    "when_written",
]

ROWS = COLUMNS = 8  # of a tensor that `show` writes out
TICK = 0.1  # seconds between two readings of the clock
WAITING = 40  # how many times as long as computing may waiting take: a niced process may get a thirtieth of a processor


@contextmanager
def when_written(exercise: str) -> Iterator[None]:
    """Run a demonstration that uses the learner's code; leave it out where that code is missing or stops, and say so.

    A function is missing that is not written yet, or whose cell was left out, as "going deeper" may be, or stopped.
    """
    try:
        yield
    except Exception as error:  # a learner's function may do anything
        print(_left_out(error, exercise))


def _left_out(error: Exception, exercise: str) -> str:
    """Return why a demonstration is left out."""
    _, *frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]  # the first: when_written
    functions = [f for f in frames if f.f_code.co_name.isidentifier() and f.f_globals is frames[0].f_globals]
    missing = None
    if isinstance(error, NotImplementedError):
        missing = unwritten(error)
    elif isinstance(error, NameError) and not any(f.f_code.co_name.isidentifier() for f in frames):
        missing = error.name
    if missing is not None:
        needed = f"This cell needs {f'{missing} ({exercise})' if missing else exercise}"
        stopped_by = runs.outdated(missing)
        if stopped_by is not None:
            return f"{needed}, whose cell stopped with {stopped_by}: mend it and run it, then run this cell again."
        return f"{needed}: write it above, then run this cell again."
    where = f"{functions[-1].f_code.co_name}() stopped" if functions else "this cell stopped, with what came back,"
    return f"Left out ({exercise}): {where} with {in_words(error).rstrip('.')}. What do its checks say?"


def unwritten(error: NotImplementedError) -> str:
    """Return the name of the unwritten function that raised ``error``; "" where no function did."""
    name = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return name if name.isidentifier() else ""


def show(tensor: object, mark: Tensor | None = None) -> str:
    """Return a small tensor as an aligned table, for messages; entries where ``mark`` is True get a *.

    Of a big tensor only the first rows and columns are shown. Any other object is shown by its repr; nothing is
    ever raised.
    """
    try:
        return _table(torch.as_tensor(tensor).detach().cpu(), mark)
    except Exception:  # what a learner's function returned may be anything
        try:
            text = repr(tensor)
        except Exception:
            text = f"<{type(tensor).__name__}>"
        return text if len(text) <= 300 else text[:300] + " ..."


def _table(tensor: Tensor, mark: Tensor | None) -> str:
    grid = tensor.reshape(-1, tensor.size(-1)) if tensor.dim() > 1 else tensor.reshape(1, -1)  # (rows, columns)
    marked = torch.zeros(grid.shape, dtype=torch.bool) if mark is None else mark.cpu().reshape(grid.shape)
    if grid.numel() == 0:
        return f"(empty, shape {tuple(tensor.shape)})"
    cells = [
        [
            _entry(value) + ("*" if starred else " " if mark is not None else "")
            for value, starred in zip(*row, strict=True)
        ]
        for row in zip(grid[:ROWS, :COLUMNS].tolist(), marked[:ROWS, :COLUMNS].tolist(), strict=True)
    ]
    width = max(len(cell) for row in cells for cell in row)
    lines = ["  ".join(cell.rjust(width) for cell in row) for row in cells]
    if grid.size(1) > COLUMNS:
        lines = [f"{line}  ..." for line in lines]
    if grid.size(0) > ROWS:
        lines.append("...")
    if tensor.dim() > 2 or grid.size(0) > ROWS or grid.size(1) > COLUMNS:
        lines.append(f"(shape {tuple(tensor.shape)})")
    return "\n".join(lines)


def _entry(value: float | int | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def mask_fault(mask: object, weight: Tensor) -> str | None:
    """Return a sentence on what is wrong with ``mask`` as a mask of ``weight``; None if it is a fitting bool tensor."""
    if not isinstance(mask, Tensor):
        return _type_fault(mask)
    fault = _shape_fault(mask, tuple(weight.shape), "one entry for each weight")
    if fault or mask.dtype == torch.bool:
        return fault
    return f"The mask holds {mask.dtype}; a mask is a tensor of torch.bool, True where a weight stays."


def tensor_fault(value: object, shape: tuple[int, ...], like: Tensor | None = None) -> str | None:
    """Return what is wrong with ``value`` as a float tensor of ``shape`` (and ``like``'s dtype), or None."""
    if not isinstance(value, Tensor):
        return _type_fault(value)
    fault = _shape_fault(value, tuple(shape))
    if fault:
        return fault
    if like is not None and value.dtype != like.dtype:
        return f"The tensor that came back holds {value.dtype}; {like.dtype} was expected, as in what went in."
    if not value.is_floating_point():
        return f"The tensor that came back holds {value.dtype}; floating-point numbers were expected."
    return None


def _type_fault(value: object) -> str:
    if value is None:
        return "Nothing came back (None): does every way through the function end with `return ...`?"
    if isinstance(value, np.ndarray):
        return "A NumPy array came back; a torch tensor was expected: torch.from_numpy(...) makes one of it."
    return f"A {type(value).__name__} came back; a torch tensor was expected."


def _shape_fault(value: Tensor, shape: tuple[int, ...], why: str = "") -> str | None:
    if tuple(value.shape) == shape:
        return None
    return f"A tensor of shape {tuple(value.shape)} came back; {shape} was expected{why and ', ' + why}."


class _OutOfTime(BaseException):
    """Raised at a time limit. Not an Exception, so that `except Exception` in a learner's loop misses it."""


class time_limit:
    """Stop the body after ``seconds`` with an AssertionError that says so.

    The limit is on this thread's CPU time, so that a busy machine changes nothing; code that only waits is stopped
    after WAITING times as long. It works in the main thread on Unix, where notebooks run. Elsewhere (Windows, other
    threads) Python can't interrupt itself: nothing is limited, and an endless loop runs until the kernel is
    interrupted by hand or by nbgrader's own limit.

    PyTorch computes on one thread meanwhile, as in grading: on small tensors several threads only wait for each
    other, on a busy machine so long that a measured time is wrong.

    Around hidden tests (``explain``) it also reports an error of the learner's function as such: a learner who only
    reads "KeyError: 3" would not know where to look.
    """

    def __init__(self, seconds: float = 15.0, explain: bool = True) -> None:
        self.seconds, self.explain = seconds, explain

    def __enter__(self) -> None:
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._works = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        if self._works:
            self._computed, self._waited = time.thread_time(), time.monotonic()
            self._handler = signal.signal(signal.SIGALRM, self._look)
            self._timer = signal.setitimer(signal.ITIMER_REAL, TICK, TICK)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._works:
            signal.setitimer(signal.ITIMER_REAL, *self._timer)
            signal.signal(signal.SIGALRM, self._handler)
        torch.set_num_threads(self._threads)
        if kind is _OutOfTime:
            raise AssertionError(
                f"This took more than {self.seconds:g} seconds and was stopped. Is there a loop that never ends?"
            ) from error
        if self.explain and isinstance(error, Exception) and not isinstance(error, AssertionError):
            raise AssertionError(
                f"Your code stopped with {in_words(error).rstrip('.')}. "
                "It got an input that the visible check doesn't have."
            ) from error

    def _look(self, _: int, frame: FrameType | None) -> None:
        computed, waited = time.thread_time() - self._computed, time.monotonic() - self._waited
        on_its_way_out = frame is not None and frame.f_globals.get("__name__") in ("contextlib", __name__)
        if (computed > self.seconds or waited > WAITING * self.seconds) and not on_its_way_out:
            # Repeatedly, since a bare `except:` may swallow it: in the end one is raised outside of the `try`.
            signal.setitimer(signal.ITIMER_REAL, TICK / 100, TICK / 100)
            raise _OutOfTime
