"""Checks of exercise 3.5: five questions."""

from __future__ import annotations

from ..check import check
from ..readiness import explain


@check("question 1 answered")
def ready_1(readiness):
    print(explain(1, readiness()))


@check("question 2 answered")
def ready_2(readiness):
    print(explain(2, readiness()))


@check("question 3 answered")
def ready_3(readiness):
    print(explain(3, readiness()))


@check("question 4 answered")
def ready_4(readiness):
    print(explain(4, readiness()))


@check("question 5 answered")
def ready_5(readiness):
    print(explain(5, readiness()))
