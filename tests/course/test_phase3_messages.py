"""Tests of what the checks of Phase 3 say to usual mistakes: the mistake's own words, or none."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from answers import answers

from gpt2_lib.course import challenges
from gpt2_lib.course.challenges.log import read_log
from gpt2_lib.course.checks import analysis, metrics, pack, quantize
from gpt2_lib.course.checks.metrics import mistaken, pages_to_guess, tiny_gpt2
from gpt2_lib.course.readiness import judge

WRONG, RIGHT = answers("phase3_production")


def answer(exercise: str, name: str) -> Callable:
    """Return the function of a wrong answer."""
    return answer_of(WRONG[exercise][name][1], exercise)


def answer_of(code: str, exercise: str) -> Callable:
    names: dict = {"torch": torch, "np": np, "math": math, "time": time, "statistics": statistics}
    exec(code, names)
    return names[exercise]


def test_each_usual_mistake_gives_another_accuracy_than_the_right_one_and_than_the_others() -> None:
    pages = pages_to_guess()
    with torch.no_grad():
        guesses = tiny_gpt2()(pages).argmax(-1)
    values = [value for value, _ in mistaken(guesses, pages)]
    values.append(float((guesses[:, :-1] == pages[:, 1:]).double().mean()))
    assert len({round(value, 5) for value in values}) == len(values) == 15


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("each guess against the token it saw", "held against the token that it saw"),
        ("guesses shifted the other way", "held against the token before it"),
        ("guesses shifted by two", "Shifted by two places: "),
        ("guesses shifted by two, the other way", "Shifted by two places, the wrong way"),
        ("shifted across pages", "the next page's first token"),
        ("the first token counts as missed", "first token is not guessed: 15 of its 16 tokens count"),
        ("the first page alone", "the share of the first page alone"),
        ("the last page alone", "the share of the last page alone"),
        ("the last place alone", "the share of the last place of each page alone"),
        ("pages in twos, and the last of an odd number is forgotten", "the first 4 of 5 pages alone"),
        ("how many, not which share", "a number of guesses"),
        ("the share of wrong guesses", "the share of wrong guesses"),
        ("percent", "not percent"),
        ("dropout is on", "Dropout is for training"),
    ],
)
def test_a_wrong_accuracy_is_told_which_mistake_it_is(name: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        metrics.metrics_accuracy(answer("evaluate_production_metrics", name))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("guesses shifted the other way", "held against the token before it"),
        ("the first page alone", "the share of the first page alone"),
        ("the last place alone", "the share of the last place of each page alone"),
    ],
)
def test_a_wrong_quality_is_told_which_mistake_it_is(name: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        analysis.analysis_quality(answer("deployment_analysis", name))


def test_values_are_counted_in_their_own_precision() -> None:
    with pytest.raises(AssertionError, match="need not have four bytes"):
        analysis.analysis_compression(answer("deployment_analysis", "four bytes a value, whatever it is stored in"))


def test_the_other_rows_scale_is_named() -> None:
    with pytest.raises(AssertionError, match="the other row's scale"):
        quantize.int8_nearest(answer("quantize_int8", "one scale for all rows, returned for each"))


def test_bits_that_are_not_cut_off_are_named() -> None:
    right = answer_of(RIGHT["pack"]["NumPy's packbits"], "pack")
    with pytest.raises(AssertionError, match="the last is filled up with zeros, so cut the bits"):
        pack.unpack_exact(answer("unpack", "the filled-up bits are not cut off"), right)


def test_another_error_of_unpack_is_told_with_its_line_and_what_was_given() -> None:
    def unpack(bitmask: torch.Tensor, values: torch.Tensor, shape: tuple) -> torch.Tensor:
        return values.view(shape)

    right = answer_of(RIGHT["pack"]["NumPy's packbits"], "pack")
    with pytest.raises(
        AssertionError, match=r"It happened in: return values.view\(shape\)\nIt was given:\n  the bitmask"
    ):
        pack.unpack_exact(unpack, right)


@pytest.mark.parametrize(
    "read", [challenges.packed, challenges.exported, lambda f: challenges.tracked(lambda: (f(), f()))]
)
def test_an_empty_file_is_said_to_be_empty(read: Callable) -> None:
    with pytest.raises(AssertionError, match="is empty: was the cell that writes it stopped"):
        read(lambda: b"")


def test_an_accuracy_in_percent_is_told_so() -> None:
    log = b"step,sparsity,loss,accuracy\n1,0.2,3.1,34.6\n2,0.5,3.0,34.7\n"
    with pytest.raises(AssertionError, match="accuracy is a share from 0 to 1, not percent"):
        read_log(log)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (None, "end the function with `return"),
        ({"1": "c"}, 'The keys are numbers, without quotes: {1: "a"}, not {"1": "a"}'),
        ({2: "c"}, "Question 1 is not answered yet"),
        (["c"], "a list came back"),
    ],
)
def test_answers_to_the_quiz_in_another_form_are_told_which(answers: object, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        judge(1, answers)
