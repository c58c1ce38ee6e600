"""Helpers for a lesson's cells: small tensors as text, faults in plain words, time limits, timed models."""

from __future__ import annotations

import signal
import statistics
import threading
import time
import traceback
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import FrameType, TracebackType

import numpy as np
import torch
from torch import Tensor, nn

from .answer_errors import in_words

ROWS = COLUMNS = 8  # of a tensor that `show` writes out
TICK = 0.1  # seconds between two readings of the clock
WAITING = 40  # how many times as long as computing may waiting take: a niced process may get a thirtieth of a processor
LONGER = [1.5**attempt for attempt in range(8)]  # how much longer the naps get of two models that are to be told apart
PASSES, MOST, ATTEMPTS = 5, 1000, 3  # a latency: the median of PASSES to MOST, measured so often at most
COARSE = time.get_clock_info("time").resolution  # next to nothing but on Windows
# How much more a learner's clock may tell than the model's, since the call itself takes time, and how much less.
MORE, LESS = 0.0003 + COARSE, 0.0001 + COARSE
NEAR = 0.001 + COARSE


@contextmanager
def when_written(exercise: str) -> Iterator[None]:
    """Run a demonstration that uses the learner's code; print which function is missing, if any.

    A function is missing that is not written yet, or whose cell was left out, as "going deeper" may be.
    """
    try:
        yield
    except (NotImplementedError, NameError) as error:
        missing = unwritten(error) if isinstance(error, NotImplementedError) else _left_out(error)
        written = f"{missing} ({exercise})" if missing else exercise
        print(f"This cell needs {written}: write it above, then run this cell again.")


def _left_out(error: NameError) -> str:
    """Return the name that a demonstration misses. Raises ``error`` again if a function that it calls misses one."""
    _, *frames = [
        frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)
    ]  # the first: when_written
    if error.name is None or any(name.isidentifier() for name in frames):
        raise error
    return error.name


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


class Slow(nn.Module):
    """A wrapper that delays each pass of ``model`` by the next of ``naps``, in seconds a page, and then starts over.

    It keeps a record of what its passes really took, since on a busy machine each takes longer. The record is the
    buffer ``passes``, so it comes back from a sandbox: pages and nanoseconds of each pass, int64 (passes, 2). A copy of
    the model writes into the same record.
    """

    passes: Tensor

    def __init__(self, model: nn.Module, naps: list[float]) -> None:
        super().__init__()
        self.model, self.naps = model, naps
        self.register_buffer("passes", torch.zeros(0, 2, dtype=torch.int64), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        started, number = time.perf_counter_ns(), len(self.passes)
        time.sleep(self.naps[number % len(self.naps)] * len(ids))
        logits = self.model(ids)
        self.passes.resize_(number + 1, 2)
        self.passes[number, 0] = len(ids)
        self.passes[number, 1] = time.perf_counter_ns() - started  # last, since the learner's clock goes on
        return logits

    def __deepcopy__(self, memo: dict[int, object]) -> Slow:
        memo[id(self.passes)] = self.passes
        twin = memo[id(self)] = Slow.__new__(Slow)
        twin.__dict__ = deepcopy(self.__dict__, memo)
        return twin

    def seconds(self) -> list[float]:
        """Return the seconds of each pass over a single page."""
        return [nanoseconds / 1e9 for pages, nanoseconds in self.passes.tolist() if pages == 1]


def latency_fault(
    measure: Callable[[Slow, Tensor], float], model: nn.Module, pages: int, naps: list[float]
) -> str | None:
    """Return what is wrong with ``measure(model, ids)`` as the median time of a pass over the first page, or None.

    ``model``, made `Slow` by ``naps``, gets ``pages`` pages and times its own passes, so that a busy machine changes
    nothing. A process may still be interrupted between the model's reading of the clock and the learner's; of a few
    attempts the best counts.
    """
    for _ in range(ATTEMPTS):
        slow = Slow(model, [*naps])
        started = time.perf_counter_ns()
        latency = measure(slow, torch.zeros(pages, 6, dtype=torch.int64))
        whole = time.perf_counter_ns() - started
        fault = _latency_fault(latency, slow, naps, whole)
        if fault is None:
            break
    return fault


def _latency_fault(latency: float, slow: Slow, naps: list[float], whole: int) -> str | None:
    seconds = slow.seconds()
    if not PASSES <= len(seconds) <= MOST:
        return (
            f"The first page alone went through the model {len(seconds)} times; {PASSES} passes or more were asked, "
            "and a dozen are plenty. Is it model(test_data[:1]) that is timed, again and again?"
        )
    if sum(nanoseconds for _, nanoseconds in slow.passes.tolist()) > whole:
        return "The passes took longer than the whole function: leave the model's record as it is."
    for number, (pages, nanoseconds) in enumerate(slow.passes.tolist()):
        if nanoseconds / 1e9 < naps[number % len(naps)] * pages - NEAR:
            return "A pass took less time than this model needs: leave the model and the clock as they are."
    for median in _medians(seconds):
        if -LESS <= latency - median <= MORE or latency == round(median, 3):  # in whole milliseconds
            return None
    usual = statistics.median(seconds)
    others = {"the fastest": min(seconds), "the slowest": max(seconds), "the mean": statistics.mean(seconds)}
    others |= {f"that of pass {number}": taken for number, taken in enumerate(seconds, start=1)}
    if latency > 100 * usual:
        idea = "Seconds were asked, not milliseconds."
    elif latency < min(seconds) - NEAR:
        idea = "Is a clock read before and after model(...), one that goes on while a program waits?"
    elif latency > max(seconds) + NEAR:
        idea = "What else happens between the two looks at the clock?"
    else:
        nearest = min(others, key=lambda what: abs(latency - others[what]))
        near = abs(latency - others[nearest]) <= NEAR
        idea = f"It is about {nearest}, not the median." if near else "Is it the median of these passes alone?"
    return (
        f"{len(seconds)} passes over the first page took {min(seconds):.4f} to {max(seconds):.4f} s, the median is "
        f"{usual:.4f} s; your latency is {latency:.4f} s. {idea}"
    )


def _medians(seconds: list[float]) -> Iterator[float]:
    """Yield the median of each run of PASSES or more passes: a learner may leave out warm-up passes."""
    for first in range(len(seconds) - PASSES + 1):
        row = sorted(seconds[first : first + PASSES - 1])
        for following in seconds[first + PASSES - 1 :]:
            insort(row, following)
            low, high = row[(len(row) - 1) // 2], row[len(row) // 2]
            yield from (low, (low + high) / 2, high)


def speedup_fault(
    measure: Callable[[Slow, Slow], float], original: nn.Module, pruned: nn.Module, naps: tuple[float, float]
) -> str | None:
    """Return what is wrong with ``measure(original, pruned)`` as the ratio of their latencies, or None.

    ``naps``: seconds a page for each of them. Any latency between a model's fastest and slowest pass is accepted. On a
    busy machine the passes of the two models may overlap in time, so that wrong ratios would be accepted too: such an
    attempt decides nothing, and the next one takes longer naps.
    """
    fault, wrong = None, 0
    for longer in LONGER:
        models = Slow(original, [naps[0] * longer]), Slow(pruned, [naps[1] * longer])
        fault = _speedup_fault(measure(*models), *models)
        before, after = (model.seconds() for model in models)
        if before and after and min(before) <= max(after) and min(after) <= max(before):
            continue
        wrong += fault is not None
        if fault is None or wrong == ATTEMPTS:
            break
    return fault


def _speedup_fault(speedup: float, original: Slow, pruned: Slow) -> str | None:
    before, after = original.seconds(), pruned.seconds()
    if not before or not after:
        return "One of the models was never given the first page alone, so its latency was not measured."
    least = (min(before) - NEAR) / (max(after) + NEAR)
    most = (max(before) + NEAR) / max(min(after) - NEAR, 1e-9)
    if least <= speedup <= most:
        return None
    idea = "The original's time over the pruned model's: above 1 is faster." if speedup < 1 else "Latency over latency."
    return (
        f"A page took the original {statistics.median(before):.4f} s and the pruned model "
        f"{statistics.median(after):.4f} s, the median of their passes; your speedup is {speedup:.2f}. {idea}"
    )


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
