"""Tests of the pool of workers: crashes, errors of the grader, and errors of a single submission."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest

from autograder.grading.grade import _waits_for
from autograder.sandbox.bubblewrap import Limits
from autograder.workers import pool
from autograder.workers.job import Job, Outcome
from autograder.workers.pool import CRASHES, Workers

FINE = Outcome({"n": "{}"}, clock=10.0)
TROUBLE = replace(FINE, trouble=(("n", "check", "no verdict"),))


class Scripted(Executor):
    """Gives each job the next of its results, and notes how many were under way."""

    def __init__(self, results: dict[str, list[object]]) -> None:
        self.results = results
        self.given: list[tuple[str, float]] = []

    def submit(self, fn: Callable, /, *args: object, **kwargs: object) -> Future:
        (job,) = args
        assert isinstance(job, Job)
        (name,) = job.notebooks
        self.given.append((name, job.limits.total))
        future: Future = Future()
        result = self.results[name].pop(0)
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
        return future


def graded(
    results: dict[str, list[object]], total: float = 900.0
) -> tuple[dict[str, Outcome | str], list[tuple[str, float]]]:
    executor = Scripted(results)
    workers = Workers(lambda: executor, 2)
    limits = Limits(total=total)
    return dict(workers.run_all([*results], lambda name: Job({name: b""}, {}, limits=limits))), executor.given


def test_trouble_of_the_graders_is_tried_once_more_at_the_end_with_the_time_that_is_left() -> None:
    outcomes, given = graded({"a": [TROUBLE, FINE], "b": [FINE], "c": [TROUBLE, TROUBLE], "d": [FINE]})
    assert outcomes == {"a": FINE, "b": FINE, "c": TROUBLE, "d": FINE}
    assert [name for name, _ in given[:4]] == ["a", "b", "c", "d"]
    assert sorted(given[4:]) == [("a", 890.0), ("c", 890.0)]


def test_an_error_is_one_submissions_own() -> None:
    odd: list[object] = [RuntimeError("\x1b[2Kodd\n") for _ in range(2)]
    outcomes, _ = graded({"a": odd, "b": [FINE]})
    assert outcomes == {"a": "the grader failed on it (RuntimeError: odd); please report this", "b": FINE}


def test_an_error_that_another_submission_may_have_caused_is_none_at_the_end() -> None:
    outcomes, given = graded({"a": [RuntimeError("odd"), FINE], "b": [FINE], "c": [FINE]})
    assert outcomes == {"a": FINE, "b": FINE, "c": FINE}
    assert [name for name, _ in given] == ["a", "b", "c", "a"]


def test_after_a_crash_all_that_were_under_way_run_alone() -> None:
    outcomes, given = graded({"a": [BrokenProcessPool(), FINE], "b": [BrokenProcessPool(), FINE], "c": [FINE]})
    assert outcomes == {"a": FINE, "b": FINE, "c": FINE}
    assert sorted(name for name, _ in given) == ["a", "a", "b", "b", "c"]


def test_a_submission_that_crashes_workers_repeatedly_is_given_up() -> None:
    crashes: list[object] = [BrokenProcessPool() for _ in range(CRASHES + 1)]
    outcomes, _ = graded({"a": crashes, "b": [FINE, FINE]})
    assert outcomes["a"] == "the processes that graded it died repeatedly"
    assert outcomes["b"] == FINE


@pytest.mark.parametrize("failing", ["a", "b"])
def test_the_order_of_hand_ins_does_not_matter(failing: str) -> None:
    results: dict[str, list[object]] = {name: [FINE] for name in "abc"}
    results[failing] = [ValueError(), ValueError()]
    outcomes, _ = graded(results)
    assert {name for name, outcome in outcomes.items() if isinstance(outcome, str)} == {failing}


def test_one_that_holds_a_worker_until_that_ends_runs_alone_once() -> None:
    crash = BrokenProcessPool("died")
    outcomes, given = graded({"a": [crash, crash, FINE], "b": [crash, FINE]}, total=-1.0)
    assert outcomes == {"a": "it used a worker for longer than the limit for a submission", "b": FINE}
    assert len(given) == 4


def test_a_second_try_takes_no_flag_of_the_first_away() -> None:
    flagged = replace(TROUBLE, review=(("n", "check", "forged"),))
    outcomes, _ = graded({"a": [flagged, FINE]})
    assert outcomes == {"a": replace(FINE, review=flagged.review)}


class Interrupted(Executor):
    def submit(self, fn: Callable, /, *args: object, **kwargs: object) -> Future:
        raise KeyboardInterrupt


def test_an_interruption_is_answered_before_anything_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    workers = Workers(Interrupted, 1, close=lambda: said.append(capsys.readouterr().err))
    with pytest.raises(KeyboardInterrupt):
        list(workers.run_all(["a"], lambda name: Job({name: b""}, {})))
    assert said == ["Stopping, as soon as the submissions that run now have ended.\n"]


def test_the_bar_names_the_submissions_that_are_waited_for() -> None:
    assert _waits_for([]) == ""
    assert _waits_for(["ada lab"]) == "waits for ada lab"
    assert _waits_for(["ada lab", "bob lab", "eve lab"]) == "waits for ada lab, bob lab and 1 more"


@pytest.mark.skipif(sys.platform == "win32", reason="grading needs Linux")
def test_new_processes_leave_ctrl_c_to_the_grader_before_they_run_anything() -> None:
    """One that dies of it breaks the pool, and the command then hangs."""
    with pool._Processes(1, mp_context=multiprocessing.get_context("spawn")) as executor:  # without `start`
        assert signal.SIGINT in executor.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
