"""Checks of exercises: `check` decorates a function that gets the learner's answers and asserts what is true of them.

    @check("exactly as many weights go as were asked for")
    def mask_count(magnitude_mask):
        ...plain assertions, whose texts are what the learner reads...

In a notebook a check is one line, and hidden tests below it look at random cases:

    check.mask_count(magnitude_mask)
    ### BEGIN HIDDEN TESTS
    with check.hidden() as draw:
        ...
    ### END HIDDEN TESTS

The parameters have the names of the answers. A check that has passed shows its label.
"""

from __future__ import annotations

import functools
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import torch

from .lesson import time_limit
from .progress import progress


class Check(Protocol):
    """A function that `check` has decorated. ``??`` in a notebook shows its code."""

    __name__: str
    __wrapped__: Callable[..., object]
    label: str

    def __call__(self, *answers: object) -> object:
        """Run the check; returns what hidden tests need, if anything. Raises AssertionError with words for learners."""
        ...


def check(label: str) -> Callable[[Callable[..., object]], Check]:
    """Return a decorator for checks: it limits the answers' time, rejects library calls and explains their errors."""

    def decorate(function: Callable[..., object]) -> Check:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]

        @functools.wraps(function)
        def checked(*answers: object) -> object:
            notebook = sys._getframe(1).f_globals
            with progress.check(function.__name__, label, dict(zip(names, answers, strict=True)), notebook):
                return function(*answers)

        made = cast(Check, checked)
        made.label = label
        return made

    return decorate


class Draw:
    """Random cases of a hidden test, from one ``seed`` that its messages name.

    The grader sets a seed for each learner and check, so that the cases can be repeated; elsewhere the seed is random.
    """

    def __init__(self) -> None:
        self.seed = int(os.environ.get("CHECK_SEED") or random.SystemRandom().randrange(10**6))
        self.random = random.Random(self.seed)
        self.generator = torch.Generator().manual_seed(self.seed)


@contextmanager
def hidden(seconds: float = 15.0) -> Iterator[Draw]:
    """Run the hidden part of a check: it limits the answers' CPU time and adds the seed to a message."""
    draw = Draw()
    try:
        with time_limit(seconds):
            yield draw
    except AssertionError as error:
        error.args = (f"{error} (seed {draw.seed})",)
        raise
