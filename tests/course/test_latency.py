"""Tests of how a measured latency is judged.

Latencies are measured here on a clock that moves only when a model sleeps, or when a test says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn

from autograder.judge import transfer as carry
from autograder.judge.decoder import Decoder
from autograder.judge.encoder import Encoder
from gpt2_lib.course.faults import latency as timing
from gpt2_lib.course.faults.latency import Slow, latency_fault, speedup_fault


class Clock:
    """It goes on by each nap and, on a busy machine, by the next of ``late`` besides."""

    def __init__(self, late: list[float]) -> None:
        self.now, self.late, self.naps = 0.0, late, 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late[self.naps % len(self.late)]
        self.naps += 1


BUSY = [0.0, 0.031, 0.002, 0.013, 0.0, 0.007, 0.104]
MIXED = [0.012, 0.06, 0.0, 0.012]


@pytest.fixture(params=[[0.0], BUSY], ids=["idle", "busy"])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(request.param)
    monkeypatch.setattr(timing.time, "sleep", clock.sleep)
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: round(clock.now * 1e9))
    for margin in ("MORE", "LESS", "NEAR"):  # this clock is a fine one on Windows, too
        monkeypatch.setattr(timing, margin, getattr(timing, margin) - timing.COARSE)
    return clock


def timed(clock: Clock, model: nn.Module, ids: torch.Tensor, passes: int = 7) -> list[float]:
    """Seconds of each pass as a learner measures them: a little is added by the call."""
    seconds = []
    for _ in range(passes):
        started = clock.now
        model(ids)
        clock.now += 2e-5
        seconds.append(clock.now - started)
    return seconds


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_slow_models_message_has_the_time_of_its_passes(clock: Clock, mode: Callable) -> None:
    slow = Slow(nn.Identity(), [0.01, 0.02])
    with mode():
        for pages in (1, 3, 1):
            slow(torch.zeros(pages, 2))
    late = clock.late * 3
    assert slow.passes[:, 0].tolist() == [1, 3, 1]
    assert slow.seconds() == pytest.approx([0.01 + late[0], 0.01 + late[2]])
    assert slow.passes[1, 1].item() == pytest.approx((0.06 + late[1]) * 1e9)
    assert not slow.state_dict()


@pytest.mark.usefixtures("clock")
def test_the_passes_of_a_copy_are_told_too() -> None:
    slow = Slow(nn.Linear(2, 2), [0.01])
    twin = deepcopy(slow).half()
    assert twin.model.weight is not slow.model.weight
    twin(torch.zeros(1, 2).half())
    slow(torch.zeros(1, 2))
    assert len(slow.seconds()) == 2


@pytest.mark.usefixtures("clock")
def test_the_passes_come_back_from_a_sandbox() -> None:
    slow = Slow(nn.Linear(2, 2), [0.01])
    for passes in (2, 5):  # the second time there is a record already
        there = carry.unpack(carry.pack({"0": slow}))
        watched, encoder = carry.Watched(there), Encoder(strict=False)
        sent = there["0"]
        assert isinstance(sent, Slow)
        for _ in range(passes):
            sent(torch.zeros(1, 2))
        told = watched.after(encoder)
        carry.restore(slow, told["0"], Decoder(encoder.buffers))
    assert len(slow.seconds()) == 7


@pytest.mark.parametrize(
    "latency",
    [
        statistics.median,
        statistics.median_low,
        lambda seconds: statistics.median(seconds[2:]),
        lambda seconds: statistics.median_high(seconds[1:]),
        lambda seconds: round(statistics.median(seconds), 3),
    ],
    ids=["all", "the lower", "without two", "without one, the higher", "rounded"],
)
@pytest.mark.parametrize("pages", [1, 3])
def test_a_median_of_the_passes_has_no_fault_however_busy_the_machine(
    clock: Clock, latency: Callable, pages: int
) -> None:
    def measure(model: Slow, ids: torch.Tensor) -> float:
        model(ids)  # for the accuracy
        return latency(timed(clock, model, ids[:1]))

    assert latency_fault(measure, nn.Identity(), pages, MIXED) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda seconds: statistics.median(seconds) * 1000, "Seconds were asked, not milliseconds"),
        (statistics.mean, "the mean, not the median"),
        (min, "the fastest, not the median"),
        (max, "the slowest, not the median"),
        (lambda seconds: 1e-4 * len(seconds) - 0.002, "goes on while a program waits"),
        (lambda seconds: max(seconds) + 0.01, "What else happens"),
        (lambda seconds: float("nan"), "your latency is nan"),
    ],
    ids=["milliseconds", "mean", "fastest", "slowest", "computing", "more", "nan"],
)
@pytest.mark.parametrize("clock", [[0.0]], indirect=True, ids=["idle"])
def test_another_latency_is_told_what_it_is(clock: Clock, wrong: Callable, words: str) -> None:
    fault = latency_fault(lambda model, ids: wrong(timed(clock, model, ids)), nn.Identity(), 1, MIXED)
    assert words in str(fault)


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("clock", [[0.0]], indirect=True, ids=["idle"])
def test_a_single_pass_is_no_median(clock: Clock, number: int) -> None:
    """Whichever it is, slow and quick passes lie so that it is wrong once."""
    faults = [
        latency_fault(lambda model, ids: timed(clock, model, ids)[number], nn.Identity(), 1, naps)
        for naps in (MIXED, [0.06, 0.012, 0.012, 0.0])
    ]
    assert any(faults)


@pytest.mark.parametrize(("pages", "passes", "times"), [(1, 4, "4 times"), (3, 7, "0 times"), (1, 1001, "1001 times")])
def test_too_few_or_too_many_passes_over_the_first_page_are_counted(
    clock: Clock, pages: int, passes: int, times: str
) -> None:
    def measure(model: Slow, ids: torch.Tensor) -> float:
        return statistics.median(timed(clock, model, ids, passes))

    assert times in str(latency_fault(measure, nn.Identity(), pages, [0.02]))


def test_a_model_that_was_made_to_sleep_less_is_found_out(clock: Clock) -> None:
    def measure(model: Slow, ids: torch.Tensor) -> float:
        model.naps[:] = [0.0]
        clock.late = [0.0]
        return statistics.median(timed(clock, model, ids))

    assert "leave the model" in str(latency_fault(measure, nn.Identity(), 1, MIXED))


@pytest.mark.parametrize(("interrupted", "passes"), [(2, True), (3, False)])
def test_the_best_of_a_few_attempts_counts(clock: Clock, interrupted: int, passes: bool) -> None:
    """An interruption between the model's look at the clock and the learner's can't be told from a mistake."""
    attempts = []

    def measure(model: Slow, ids: torch.Tensor) -> float:
        attempts.append(statistics.median(timed(clock, model, ids)))
        return attempts[-1] + (0.02 if len(attempts) <= interrupted else 0)

    assert (latency_fault(measure, nn.Identity(), 1, [0.02]) is None) == passes
    assert len(attempts) == 3


@pytest.mark.parametrize("latency", [statistics.median, statistics.mean, min, max])
def test_a_ratio_of_any_latencies_is_a_speedup_however_busy_the_machine(clock: Clock, latency: Callable) -> None:
    def measure(*models: Slow) -> float:
        before, after = (latency(timed(clock, model, torch.zeros(1, 2))) for model in models)
        return before / after

    assert speedup_fault(measure, nn.Identity(), nn.Identity(), (0.03, 0.006)) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda before, after: before - after, "above 1 is faster"),
        (lambda before, after: 1000.0, "Latency over latency"),
        (lambda before, after: float("nan"), "your speedup is nan"),
    ],
    ids=["difference", "too much", "nan"],
)
def test_a_wrong_speedup_is_reported(clock: Clock, wrong: Callable, words: str) -> None:
    def measure(*models: Slow) -> float:
        return wrong(*(statistics.median(timed(clock, model, torch.zeros(1, 2))) for model in models))

    assert words in str(speedup_fault(measure, nn.Identity(), nn.Identity(), (0.03, 0.006)))


def test_a_speedup_without_a_pass_is_none() -> None:
    assert "never given" in str(speedup_fault(lambda *models: 5.0, nn.Identity(), nn.Identity(), (0.03, 0.006)))


@pytest.mark.parametrize("clock", [[0.0]], indirect=True, ids=["idle"])
@pytest.mark.parametrize("constant", [0.5, 1.0, 2.0])
def test_a_busy_machine_lets_no_constant_through(clock: Clock, constant: float) -> None:
    """A pass that took the faster model as long as the slower one makes any ratio look right, and decides nothing."""
    attempts = []

    def measure(*models: Slow) -> float:
        attempts.append(models)
        clock.late = [0.2, *[0.0] * 6] if len(attempts) < 4 else [0.0]
        for model in models:
            timed(clock, model, torch.zeros(1, 2))
        return constant

    ways = [(0.03, 0.006), (0.006, 0.03)]
    assert any(speedup_fault(measure, nn.Identity(), nn.Identity(), naps) for naps in ways)
