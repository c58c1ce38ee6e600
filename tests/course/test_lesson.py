"""Tests of the lessons' helpers: errors are shown, faults are described plainly, and endless loops end.

Latencies are measured here on a clock that moves only when a model sleeps, or when a test says so.
"""

from __future__ import annotations

import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from autograder.judge import transfer as carry
from autograder.judge.decoder import Decoder
from autograder.judge.encoder import Encoder
from gpt2_lib.course import lesson
from gpt2_lib.course.lesson import (
    WAITING,
    Slow,
    latency_fault,
    mask_fault,
    show,
    speedup_fault,
    tensor_fault,
    time_limit,
    when_written,
)


def test_an_unwritten_function_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with when_written("exercise 1.1"):
        raise NotImplementedError
    assert "exercise 1.1" in capsys.readouterr().out


def test_a_function_whose_cell_was_left_out_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    exec("with when_written('exercise 3.2'):\n    [quantize_int8(w) for w in range(2)]", {"when_written": when_written})
    assert capsys.readouterr().out.startswith("This cell needs quantize_int8 (exercise 3.2)")


def test_a_name_that_the_learners_function_misspells_shows() -> None:
    cell = "def pack(w):\n    return sum(wieght for _ in w)\nwith when_written('exercise 3.1'):\n    pack([1])"
    with pytest.raises(NameError, match="wieght"):
        exec(cell, {"when_written": when_written})


def test_any_other_error_shows() -> None:
    with pytest.raises(ZeroDivisionError), when_written("exercise 1.1"):
        raise ZeroDivisionError


# Tensors as text


def test_a_small_tensor_is_an_aligned_table() -> None:
    assert show(torch.tensor([[0.5, -1.25], [10.0, 0.0]])).splitlines() == ["  0.5  -1.25", "   10      0"]


def test_marked_entries_have_a_star_and_stay_aligned() -> None:
    table = show(torch.tensor([1.0, -2.0, 3.0]), mark=torch.tensor([False, True, False]))
    assert table == " 1   -2*   3 "


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_every_dtype_is_shown(dtype: torch.dtype) -> None:
    assert show(torch.tensor([0, 1]).to(dtype)).split() == (["False", "True"] if dtype == torch.bool else ["0", "1"])


def test_a_big_tensor_is_shown_by_its_first_rows_and_columns() -> None:
    lines = show(torch.zeros(100, 200)).splitlines()
    assert len(lines) == 10
    assert lines[0].endswith("...")
    assert lines[-2:] == ["...", "(shape (100, 200))"]


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (None, "None"),
        ([1.5, 2.0], "1.5    2"),
        (np.array([[True]]), "True"),
        (torch.tensor(3.0), "3"),
        (torch.zeros(0, 3), "(empty, shape (0, 3))"),
        ([[1], [2, 3]], "[[1], [2, 3]]"),
        ("x" * 1000, "'" + "x" * 299 + " ..."),
        (torch.ones(2, requires_grad=True), "1  1"),
        (torch.ones(2).to_sparse(), None),
        (Unprintable(), "<Unprintable>"),
    ],
)
def test_anything_can_be_shown(thing: object, text: str | None) -> None:
    assert show(thing) == text or text is None


def test_a_mask_of_another_shape_does_no_harm() -> None:
    assert isinstance(show(torch.ones(2), mark=torch.ones(3, dtype=torch.bool)), str)


# Faults


WEIGHT = torch.ones(2, 4)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, "return"),
        (np.ones((2, 4), dtype=bool), "NumPy"),
        ([[True] * 4] * 2, "A list came back"),
        (torch.ones(8, dtype=torch.bool), r"\(8,\).*\(2, 4\)"),
        (torch.ones(2, 4), "torch.float32.*torch.bool"),
        (torch.ones(2, 4, dtype=torch.int64), "torch.int64.*torch.bool"),
    ],
)
def test_a_wrong_mask_is_explained(mask: object, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(mask_fault(mask, WEIGHT))


def test_a_good_mask_has_no_fault() -> None:
    assert mask_fault(WEIGHT > 0, WEIGHT) is None
    assert mask_fault(WEIGHT.t() > 0, WEIGHT.t()) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "return"),
        (np.ones(2), "NumPy"),
        (1.0, "A float came back"),
        (torch.ones(1, 2), r"\(1, 2\).*\(2,\)"),
        (torch.ones(2).double(), "torch.float64.*torch.float32"),
    ],
)
def test_a_wrong_tensor_is_explained(value: object, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(tensor_fault(value, (2,), like=torch.ones(1)))


def test_without_a_model_any_floating_point_tensor_will_do() -> None:
    assert tensor_fault(torch.ones(2).half(), (2,)) is None
    assert "torch.int64" in str(tensor_fault(torch.ones(2, dtype=torch.int64), (2,)))


# A model that takes its time, and what its passes took


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
    monkeypatch.setattr(lesson.time, "sleep", clock.sleep)
    monkeypatch.setattr(lesson.time, "perf_counter_ns", lambda: round(clock.now * 1e9))
    for margin in ("MORE", "LESS", "NEAR"):  # this clock is a fine one on Windows, too
        monkeypatch.setattr(lesson, margin, getattr(lesson, margin) - lesson.COARSE)
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


# The time limit

interrupting = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer that interrupts")


@interrupting
def test_an_endless_loop_is_stopped_even_if_it_swallows_errors() -> None:
    def endless() -> None:
        with time_limit(0.2):
            while True:
                try:  # noqa: SIM105
                    sum(range(100))
                except:  # noqa: E722
                    pass

    with pytest.raises(AssertionError, match="loop that never ends"):
        endless()


@interrupting
def test_waiting_for_ever_is_stopped_too() -> None:
    with pytest.raises(AssertionError, match="loop that never ends"), time_limit(0.5 / WAITING):
        time.sleep(1000)


def test_a_busy_machine_costs_nothing() -> None:
    """Only computing counts, up to WAITING times the limit."""
    with time_limit(0.2):
        time.sleep(2.5)


@interrupting
@pytest.mark.timeout(method="thread")  # else the timer is pytest's
def test_the_earlier_timer_is_set_again() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ValueError, match="mine"), time_limit(explain=False):
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_error_of_the_learners_own_code_is_told_apart_from_a_wrong_result() -> None:
    with pytest.raises(AssertionError, match=r"stopped with KeyError: 'h\.0'.*input that the visible"), time_limit():
        raise KeyError("h.0")
    with pytest.raises(AssertionError, match=r"^7 of 12$"), time_limit():
        raise AssertionError("7 of 12")


@interrupting
def test_a_limit_in_a_limit_leaves_the_outer_one_running() -> None:
    def endless() -> None:
        with time_limit(0.3):
            with time_limit(10):
                pass
            while True:
                pass

    with pytest.raises(AssertionError, match=r"more than 0\.3 seconds"):
        endless()


def test_under_a_limit_torch_computes_on_one_thread_and_on_as_many_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        inside = []
        with pytest.raises(AssertionError, match="stopped with KeyError"), time_limit():
            {}[inside.append(torch.get_num_threads())]
        assert (inside, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_another_thread_has_no_limit_but_does_the_work() -> None:
    done = []

    def work() -> None:
        with time_limit(0.01):
            done.append(sum(range(10_000)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(done) == 1
