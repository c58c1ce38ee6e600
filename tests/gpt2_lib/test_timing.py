"""Tests of timing: the order of the calls, and the clock."""

from __future__ import annotations

import statistics
import time

import pytest

from gpt2_lib.system.timing import cpu_seconds, p95, p99, take_turns, turns, wall_seconds


def test_all_take_turns_and_another_goes_first_each_round():
    order = []
    seconds = take_turns({name: lambda n=name: order.append(n) for name in "abc"}, 3)
    assert [len(times) for times in seconds.values()] == [3, 3, 3]
    rounds = ["".join(order[i : i + 3]) for i in range(0, 12, 3)]
    assert rounds == ["cab", "abc", "bca", "cab"]


def test_the_warm_up_does_not_count():
    order = [("a", False), ("b", False), ("b", False), ("a", False), ("a", True), ("b", True)]
    assert list(turns("ab", 1, warm_up=2)) == order
    timings = iter([9.0, 1.0, 2.0])  # of the only one, three times
    assert take_turns({"a": lambda: None}, 2, timer=lambda _: next(timings)) == {"a": [1.0, 2.0]}


def test_nothing_to_time_takes_no_turns():
    assert take_turns({}, 5) == {}


def test_sleep_counts_on_the_clock_alone():
    nap = lambda: time.sleep(0.05)  # noqa: E731
    assert wall_seconds(nap) >= 0.05
    assert cpu_seconds(nap) < 0.05


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], [*range(101)]])
def test_percentiles_lie_between_their_neighbours(values: list[float]):
    assert statistics.median(values) <= p95(values) <= p99(values) <= max(values)
    if len(values) == 101:
        assert (p95(values), p99(values)) == (95, 99)
