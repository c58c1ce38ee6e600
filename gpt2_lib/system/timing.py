"""Timing of calls that take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from tqdm.auto import tqdm

Timer = Callable[[Callable[[], object]], float]  # the seconds that one call takes


def wall_seconds(call: Callable[[], object]) -> float:
    """Return the wall-clock seconds of a call, the work of an accelerator included."""
    start = time.perf_counter()
    call()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call in this process: other programs don't count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def turns(names: Sequence[str], repeats: int, warm_up: int = 1) -> Iterator[tuple[str, bool]]:
    """Yield all ``names`` in each round, rotated by one each time, and False in the first ``warm_up`` rounds."""
    for i in range(-warm_up, repeats):
        first = i % len(names) if names else 0
        for name in [*names[first:], *names[:first]]:
            yield name, i >= 0


def take_turns(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    timer: Timer = cpu_seconds,
    warm_up: int = 1,
    title: str | None = None,
) -> dict[str, list[float]]:
    """Return the seconds of ``repeats`` calls of each, after ``warm_up`` untimed ones; ``title``: of a progress bar."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    total = (warm_up + repeats) * len(calls)
    for name, counts in tqdm(turns([*calls], repeats, warm_up), title, total, disable=title is None):
        took = timer(calls[name])
        if counts:
            seconds[name].append(took)
    return seconds


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile, interpolated. Of few values it is close to the largest."""
    return percentile(values, 95)


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile, interpolated: of fewer than 100 values it is close to the largest."""
    return percentile(values, 99)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile (1 to 99), interpolated."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
