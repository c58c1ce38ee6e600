"""Tests of the lessons' helpers: errors are shown, faults are described plainly, and endless loops end."""

from __future__ import annotations

import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch

from gpt2_lib.course.lesson import (
    WAITING,
    mask_fault,
    show,
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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("return sum(wieght for _ in w)", "pack() stopped with NameError: name 'wieght' is not defined."),
        ("return 1 / 0", "pack() stopped with ZeroDivisionError: division by zero."),
        ("return None", "this cell stopped, with what came back, with TypeError"),
    ],
)
def test_a_demonstration_whose_answer_stops_says_so_and_the_cell_goes_on(
    answer: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = f"def pack(w):\n    {answer}\nwith when_written('exercise 3.1'):\n    1 + pack([1])\nprint('the rest')"
    exec(cell, {"when_written": when_written})
    printed = capsys.readouterr().out
    assert printed.startswith(f"Left out (exercise 3.1): {said}")
    assert printed.endswith("What do its checks say?\nthe rest\n")


def test_an_interrupt_ends_a_demonstration() -> None:
    with pytest.raises(KeyboardInterrupt), when_written("exercise 1.1"):
        raise KeyboardInterrupt


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
