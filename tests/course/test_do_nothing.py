"""Tests that no check gives points to an answer that does nothing.

Every check gets answers that take no thought: they return nothing, an argument as it came, a constant, zeros in the
right form; they raise an error; they empty what they were given. The hidden part of a check has to stop each of them
alone, without the part that learners see, since an answer may know by heart what is seen. (test_challenges.py has the
same for the challenges' files.)

RIGHT_BY_NATURE lists what passes nevertheless, with the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from functools import cache

import pytest
import torch
from checks import NOTEBOOKS, Cell, Phase
from torch import Tensor, nn
from torch.optim import Optimizer

pytestmark = pytest.mark.slow
PHASES = tuple(NOTEBOOKS)
CLOCK = {"metrics_latency", "analysis_speedup"}  # their models sleep


# What comes back. A function of the reference answer and of the arguments.

Result = Callable[[Callable, tuple], object]


def constant(value: object) -> Result:
    return lambda right, arguments: deepcopy(value)


def argument(number: int) -> Result:
    return lambda right, arguments: arguments[number] if number < len(arguments) else None


def raises(error: type[Exception]) -> Result:
    def result(right: Callable, arguments: tuple) -> object:
        raise error("no")

    return result


def like_tensors(fill: float, dtype: torch.dtype | None, count: int) -> Result:
    """Tensors like the first ``count`` of the arguments, full of one number; one of them comes alone."""

    def result(right: Callable, arguments: tuple) -> object:
        found = [torch.full_like(a, fill, dtype=dtype) for a in arguments if isinstance(a, Tensor)][:count]
        return found[0] if len(found) == 1 else tuple(found)

    return result


def like_entries(fill: float) -> Result:
    """A mask for each entry of the first argument, a dict or a model, full of one value."""

    def result(right: Callable, arguments: tuple) -> object:
        first = arguments[0] if arguments else None
        entries = dict(first.named_parameters()) if isinstance(first, nn.Module) else first
        if not isinstance(entries, dict):
            return None
        return {name: torch.full_like(tensor, fill, dtype=torch.bool) for name, tensor in entries.items()}

    return result


def in_the_right_form(fill: float | str) -> Result:
    """What the reference returns for copies of the arguments, all of it overwritten by one value."""
    return lambda right, arguments: filled(right(*deepcopy(arguments)), fill)


def filled(value: object, fill: float | str) -> object:
    if isinstance(value, Tensor):
        return None if isinstance(fill, str) else torch.full_like(value, fill)
    if isinstance(value, dict):
        return {key: filled(entry, fill) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(filled(entry, fill) for entry in value)
    return fill


CONSTANTS: list[object] = [None, 0, 1, -1, 0.0, 0.5, 1.0, True, False, float("nan"), float("inf"), "", "done", b""]
CONSTANTS += [(), [], {}, set(), (None, None), (None, None, None), [[True], 1]]
EMPTY = torch.zeros(0)
FORM = "in the right form, all "
RESULTS: dict[str, Result] = {repr(value): constant(value) for value in CONSTANTS}
RESULTS |= {f"{n} empty tensors": constant((EMPTY,) * n if n > 1 else EMPTY) for n in (1, 2, 3)}
RESULTS |= {f"the tensor {number}": constant(torch.tensor(number)) for number in (0.0, 1.0)}
RESULTS |= {f"argument {number}": argument(number) for number in range(5)}
RESULTS |= {"all arguments": lambda right, arguments: arguments}
RESULTS |= {f"the first {n} arguments": lambda right, arguments, n=n: arguments[:n] for n in (2, 3)}
RESULTS |= {
    f"{fill} like the first {count} tensors, {dtype}": like_tensors(fill, dtype, count)
    for fill, count, dtype in itertools.product((0, 1), (1, 2, 3), (None, torch.bool))
}
RESULTS |= {f"masks of {fill}": like_entries(fill) for fill in (0, 1)}
RESULTS |= {f"{FORM}{fill}": in_the_right_form(fill) for fill in (0, 1, -1, 0.5, 2, float("nan"), *"abcd")}
RESULTS |= {
    error.__name__: raises(error)
    for error in (NotImplementedError, ValueError, TypeError, AssertionError, KeyError, IndexError, RuntimeError)
}


# What is done to the arguments.


def fill(arguments: tuple, number: float) -> None:
    """Set every entry of every tensor to ``number``."""
    for thing in arguments:
        tensors = [thing] if isinstance(thing, Tensor) else []
        tensors += thing.values() if isinstance(thing, dict) else []
        tensors += thing.parameters() if isinstance(thing, nn.Module) else []
        with torch.no_grad():
            for tensor in tensors:
                tensor.fill_(number)


def empty(arguments: tuple) -> None:
    """Tensors without entries, models without parameters, lists, dicts and optimisers without anything."""
    for thing in arguments:
        if isinstance(thing, Tensor):
            thing.data = torch.zeros(0, dtype=thing.dtype)
        elif isinstance(thing, nn.Module):
            for module in thing.modules():
                module._parameters.clear()
        elif isinstance(thing, Optimizer):
            thing.param_groups.clear()
            thing.state.clear()
        elif isinstance(thing, dict | list):
            thing.clear()


def empty_parameters(arguments: tuple) -> None:
    for thing in arguments:
        if isinstance(thing, nn.Module):
            for parameter in thing.parameters():
                parameter.data = torch.zeros(0)


def delete_parts(arguments: tuple) -> None:
    for thing in arguments:
        if isinstance(thing, nn.Module):
            thing._modules.clear()


def delete_the_blocks(arguments: tuple) -> None:
    for thing in arguments:
        if isinstance(thing, nn.Module) and hasattr(thing, "h"):
            thing.h = nn.ModuleList()


DEEDS: dict[str, Callable[[tuple], object]] = {
    "zeroes all": lambda arguments: fill(arguments, 0.0),
    "ones everywhere": lambda arguments: fill(arguments, 1.0),
    "empties all": empty,
    "empties parameters": empty_parameters,
    "deletes a model's parts": delete_parts,
    "deletes the blocks": delete_the_blocks,
}
AFTER_DEEDS = ("None", "0", "{}", "argument 0", "all arguments", f"{FORM}0", f"{FORM}1", "masks of 0", "masks of 1")

Answer = tuple[Result, Callable[[tuple], object]]
ANSWERS: dict[str, Answer] = {f"returns {name}": (result, lambda _: None) for name, result in RESULTS.items()}
ANSWERS |= {f"{deed}, returns {name}": (RESULTS[name], DEEDS[deed]) for deed in DEEDS for name in AFTER_DEEDS}


# The answers that pass all the same: (check, answer) -> why.

LETTERS = "a question with four letters: whoever answers with one and the same has some right"
RIGHT_BY_NATURE: dict[tuple[str, str], str] = {
    (check, f"returns {FORM}{letter}"): LETTERS
    for check, letter in {"ready_1": "c", "ready_2": "a", "ready_3": "d", "ready_4": "b", "ready_5": "c"}.items()
}


def answering(exercise: str, answer: Answer) -> Callable[[dict], None]:
    """Put the answer in the place of the reference."""
    result, deed = answer

    def put(names: dict) -> None:
        right = names[exercise]

        def degenerate(*arguments: object) -> object:
            returned = result(right, arguments)
            deed(arguments)
            return returned

        degenerate.__name__ = exercise
        names[exercise] = degenerate

    return put


@cache
def phase(name: str) -> Phase:
    return Phase(name)


def every_check() -> list:
    """Parameters (phase, exercise, check)."""
    found = []
    for name in PHASES:
        for exercise, checks in phase(name).checks.items():
            found += [
                pytest.param(name, exercise, check, id=check.id, marks=pytest.mark.xdist_group(f"do nothing {name}"))
                for check in checks
            ]
    return found


@pytest.mark.parametrize(("name", "exercise", "check"), every_check())
def test_no_answer_that_does_nothing_passes(name: str, exercise: str, check: Cell) -> None:
    assert phase(name).error(check.id, check.hidden()) is None, "the hidden part can't stand alone"
    passed = {
        text
        for text, answer in ANSWERS.items()
        if not (check.id in CLOCK and ", returns " + FORM in text)  # each takes its time
        and phase(name).error(check.id, answering(exercise, answer), check.hidden()) is None
    }
    assert passed == {text for identity, text in RIGHT_BY_NATURE if identity == check.id}


@pytest.mark.parametrize(("name", "exercise", "check"), every_check())
def test_an_answer_that_returns_nothing_is_reported_in_the_visible_part(name: str, exercise: str, check: Cell) -> None:
    for text in ("returns None", "returns 'done'", "returns NotImplementedError"):
        assert phase(name).error(check.id, answering(exercise, ANSWERS[text]), check.visible()) is not None, text
