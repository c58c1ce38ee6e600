"""Tests of PyTorch's frequent errors in plain words: each is raised by the PyTorch that is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gpt2_lib.course.faults.errors import FREQUENT, READ_AS_TUPLE, in_words, misread_indices, with_note

MATRIX = torch.ones(2, 3)


def trainable() -> Tensor:
    return torch.nn.Parameter(torch.ones(2, 2))


def loss_without_gradient() -> None:
    with torch.no_grad():
        loss = trainable().sum()
    loss.backward()


def write_into_a_row() -> None:
    trainable()[0] = 0.0


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "bfloat16": (lambda: np.asarray(MATRIX.bfloat16()), "with .float()"),
    "in place": (lambda: trainable().mul_(0), "write inside `with torch.no_grad():`"),
    "in place, a row": (write_into_a_row, "write inside `with torch.no_grad():`"),
    "no gradient": (loss_without_gradient, "only the writing of zeros belongs in there"),
    "a list compared": (lambda: ([MATRIX] == 0).sum(), "Of a list, compare each tensor."),  # type: ignore[attr-defined]
    "no brackets": (lambda: 3 / MATRIX.size, "A method without its brackets"),  # type: ignore[operator]
    "no brackets, in a sum": (lambda: sum([MATRIX.size]), "A method without its brackets"),  # type: ignore[list-item]
    "a shape": (lambda: 3 + MATRIX.size(), "the number of entries is t.numel()"),  # type: ignore[operator]
    "shapes of a product": (lambda: MATRIX @ MATRIX, ".t() turns a matrix"),
    "types of a product": (lambda: MATRIX @ MATRIX.t().double(), "a.to(b.dtype)"),
    "an index too high": (lambda: MATRIX[2], "Indices go from 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_frequent_error_is_told_its_meaning(name: str) -> None:
    mistake, words = MISTAKES[name]
    with pytest.raises((RuntimeError, TypeError, AttributeError, IndexError)) as error:
        mistake()
    assert in_words(error.value).startswith(f"{type(error.value).__name__}: ")
    assert words in in_words(error.value)


def test_each_meaning_has_a_mistake() -> None:
    assert all(any(words in meaning for _, words in MISTAKES.values()) for meaning in FREQUENT.values())


def test_any_other_error_stays_as_it_is() -> None:
    assert in_words(KeyError("h.0")) == "KeyError: 'h.0'"
    assert in_words(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize("count", [1, 2])
def test_a_list_of_tensors_as_an_index_is_noticed_even_where_it_finds_something(count: int) -> None:
    index = [*torch.tensor([0, 1])[:count]]
    with misread_indices() as notes:
        assert MATRIX[index].dim() < 2
    assert notes == [READ_AS_TUPLE]


def test_numbers_and_other_warnings_are_left_alone() -> None:
    def notes_of_a_warning() -> list[str]:
        with misread_indices() as notes:
            assert MATRIX[[0, 1]].shape == (2, 3)
            warnings.warn("mine", stacklevel=1)
        return notes

    with pytest.warns(UserWarning, match="mine"):
        assert notes_of_a_warning() == []


def test_a_note_stands_below_the_first_line() -> None:
    assert with_note("first\nsecond", ["note"]) == "first\nnote\nsecond"
    assert with_note("first", []) == "first"
