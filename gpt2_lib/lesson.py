"""What a lesson's cells need: small tensors as text, faults in plain words, a limit on time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import numpy as np
import torch
from torch import Tensor, nn

ROWS = COLUMNS = 8  # of a tensor that `show` writes out
TICK = 0.1  # seconds between two looks at the time


@contextmanager
def when_written(exercise: str) -> Iterator[None]:
    """Run a demonstration that uses the learner's code; say so when that is not written yet."""
    try:
        yield
    except NotImplementedError:
        print(f"This comes alive once you have written {exercise}: fill it in above and run this cell again.")


def show(tensor: object, mark: Tensor | None = None) -> str:
    """A small tensor as an aligned table, for messages; entries where ``mark`` is True get a *.

    Of a big one only the first rows and columns. Takes anything and never raises: what is no tensor is
    shown as Python shows it.
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
    """What is wrong with ``mask`` as a mask of ``weight``, in a sentence; None for a bool tensor of its shape."""
    fault = _type_fault(mask) or _shape_fault(mask, tuple(weight.shape), "one entry for each weight")
    if fault or mask.dtype == torch.bool:
        return fault
    return f"The mask holds {mask.dtype}; a mask is a tensor of torch.bool, True where a weight stays."


def tensor_fault(value: object, shape: tuple[int, ...], like: Tensor | None = None) -> str | None:
    """What is wrong with ``value`` as a float tensor of this ``shape`` (and ``like``'s dtype), None when nothing is."""
    fault = _type_fault(value) or _shape_fault(value, tuple(shape))
    if fault:
        return fault
    if like is not None and value.dtype != like.dtype:
        return f"The tensor that came back holds {value.dtype}; {like.dtype} was expected, as in what went in."
    if not value.is_floating_point():
        return f"The tensor that came back holds {value.dtype}; floating-point numbers were expected."
    return None


def _type_fault(value: object) -> str | None:
    if isinstance(value, Tensor):
        return None
    if value is None:
        return "Nothing came back (None): does every way through the function end with `return ...`?"
    if isinstance(value, np.ndarray):
        return "A NumPy array came back; a torch tensor was expected: torch.from_numpy(...) makes one of it."
    return f"A {type(value).__name__} came back; a torch tensor was expected."


def _shape_fault(value: Tensor, shape: tuple[int, ...], why: str = "") -> str | None:
    if tuple(value.shape) == shape:
        return None
    return f"A tensor of shape {tuple(value.shape)} came back; {shape} was expected{why and ', ' + why}."


class Slow(nn.Module):
    """``model`` that takes its time: before its passes it sleeps, in turn, so many seconds a page as ``naps`` says."""

    def __init__(self, model: nn.Module, naps: list[float]) -> None:
        super().__init__()
        self.model, self.naps, self.passes = model, naps, 0

    def forward(self, ids: Tensor) -> Tensor:
        time.sleep(self.naps[self.passes % len(self.naps)] * len(ids))
        self.passes += 1
        return self.model(ids)


class _OutOfTime(BaseException):
    """No Exception, so that `except Exception` in a learner's loop does not swallow it."""


class time_limit:
    """``with time_limit(seconds):`` stops what runs longer, by an AssertionError that says so.

    What counts is the computing time of this thread, so that a busy machine does no harm; somebody who only
    waits is stopped after ten times as long. It works in the main thread on Unix, where notebooks run. Elsewhere
    (Windows, other threads) Python can't interrupt itself: nothing is limited, and an endless loop runs until the
    kernel is interrupted by hand or by nbgrader's own limit.

    PyTorch computes on one thread meanwhile, as it does where submissions are graded: over small tensors several only
    wait for each other, on a busy machine so long that a measured time is wrong.

    Around hidden tests it also says, where a function raises an error of its own, that this is what went wrong
    (``explain``): a learner who only reads "KeyError: 3" would not know where to look.
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
                f"Your code stopped with {type(error).__name__}: {error}. "
                "It got an input that the visible check doesn't have."
            ) from error

    def _look(self, _: int, frame: FrameType) -> None:
        computed, waited = time.thread_time() - self._computed, time.monotonic() - self._waited
        on_its_way_out = frame.f_globals.get("__name__") in ("contextlib", __name__)
        if (computed > self.seconds or waited > 10 * self.seconds) and not on_its_way_out:
            # Again and again, should a bare `except:` swallow it: in the end one comes outside of the `try`.
            signal.setitimer(signal.ITIMER_REAL, TICK / 100, TICK / 100)
            raise _OutOfTime
