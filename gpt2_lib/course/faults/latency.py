"""Judgement of a measured latency: a model whose passes are timed, and what is wrong with the learner's figure."""

from __future__ import annotations

import statistics
import time
from bisect import insort
from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn

LONGER = [1.5**attempt for attempt in range(8)]  # how much longer the naps get of two models that are to be told apart
PASSES, MOST, ATTEMPTS = 5, 1000, 3  # a latency: the median of PASSES to MOST, measured so often at most
COARSE = time.get_clock_info("time").resolution  # next to nothing but on Windows
# How much more a learner's clock may tell than the model's, since the call itself takes time, and how much less.
MORE, LESS = 0.0003 + COARSE, 0.0001 + COARSE
NEAR = 0.001 + COARSE


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
