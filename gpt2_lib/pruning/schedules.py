"""Schedules: the sparsity at each step of a training run.

The three curves share one signature: ``steps`` is how many steps pruning takes from ``start`` on,
``initial`` and ``final`` are sparsities in [0, 1]. Before ``start`` they give ``initial``, after the
end ``final``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .selection import check_sparsity


def one_shot_sparsity(step: int, start: int, steps: int, initial: float, final: float) -> float:
    """Return the sparsity of a single cut at ``start``."""
    return initial if step < start else final


def linear_sparsity(step: int, start: int, steps: int, initial: float, final: float) -> float:
    """Return a sparsity that rises by the same amount at every step."""
    progress = _progress(step, start, steps)
    return (1 - progress) * initial + progress * final  # exactly final at the end


def cubic_sparsity(step: int, start: int, steps: int, initial: float, final: float) -> float:
    """Return a sparsity that rises fast at first, more slowly at the end (Zhu & Gupta, 2017, equation 1).

    s_t = s_f + (s_i - s_f) (1 - (t - t_0) / n)^3, with n (here ``steps``) counted in training steps. The paper writes
    n Δt: its n counts the cuts, one every Δt steps (here ``Schedule.every``).
    """
    return final + (initial - final) * (1 - _progress(step, start, steps)) ** 3


def _progress(step: int, start: int, steps: int) -> float:
    if steps < 1:
        raise ValueError(f"A schedule takes at least one step; got steps={steps}.")
    return min(max((step - start) / steps, 0.0), 1.0)


@dataclass(frozen=True)
class Schedule:
    """The times and sizes of the cuts in a training run: one ``every`` so many steps, along ``curve``."""

    final: float  # sparsity at the end
    steps: int  # from the first cut to the last
    start: int = 0  # step of the first cut
    initial: float = 0.0
    every: int = 10
    curve: Callable[[int, int, int, float, float], float] = cubic_sparsity

    def __post_init__(self) -> None:
        check_sparsity(self.initial)
        check_sparsity(self.final)
        if self.final < self.initial:
            raise ValueError(f"Sparsity can't fall: initial is {self.initial}, final {self.final}.")
        if self.steps < 1 or self.every < 1 or self.start < 0:
            raise ValueError(f"steps and every must be at least 1 and start at least 0; got {self}.")

    def sparsity(self, step: int) -> float:
        """Return the sparsity of the curve at ``step``."""
        return self.curve(step, self.start, self.steps, self.initial, self.final)

    def is_due(self, step: int) -> bool:
        """Return whether masks are computed before ``step``: every ``every`` steps, and at the end."""
        into = step - self.start
        return 0 <= into <= self.steps and (into % self.every == 0 or into == self.steps)
