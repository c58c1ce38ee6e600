"""Checks of exercise 3.5, one a question: ready_1, ready_2, ..."""

from __future__ import annotations

from ..check import Check, check
from ..readiness import QUESTIONS, judge


def _question(number: int) -> Check:
    def answered(readiness):
        print(judge(number, readiness()))

    answered.__name__ = f"ready_{number}"
    return check(f"question {number} answered right")(answered)


globals().update({f"ready_{number}": _question(number) for number in range(1, len(QUESTIONS) + 1)})


def right_choice(name, answers, key):
    """Assert that the answer to the question of the check ``name`` is the letter in ``key``."""
    number = int(name.removeprefix("ready_"))
    assert answers[number].strip().lower() == key[number - 1], (
        f"Question {number}: another choice is right. {QUESTIONS[number - 1].explanation}"
    )
