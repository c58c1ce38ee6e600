"""One check at a time, with its judge and a learner's function, each in a sandbox: what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doubling import GOOD, small_course
from nbformat.v4 import new_code_cell, new_notebook
from odd import ODD

from autograder.grading.grade import grade
from autograder.grading.plan import Cell, Plan
from autograder.notebooks import to_text
from autograder.workers.job import Job, Outcome, run
from autograder.workers.pool import processes


def graded_by(check: str, double: str = GOOD, **changes: Any) -> Outcome:
    """What comes of a notebook with one exercise, whose check is this."""
    cells = (
        Cell("double", "code", "", "", False, True, None),
        Cell("check", "code", check, "", True, False, 2.0),
    )
    notebook = new_notebook(cells=[new_code_cell(double, id="double"), new_code_cell(check, id="check")])
    return run(Job({"n": to_text(notebook).encode()}, {"n": Plan("n", cells, **changes)}))


def test_a_check_can_hand_over_and_take_back_most_things() -> None:
    outcome = graded_by(
        "import torch\nassert [double(1), double((1.5, 2)), double({}), double('a')] == [2, (1.5, 2) * 2, {}, 'aa']\n"
        "assert list(double(x for x in 'ab')) == ['a', 'b']\nassert double({1, 2}) == {1, 2}",
        "def double(x):\n    return x * 2 if isinstance(x, int | str | tuple) else x",
    )
    assert outcome.scores == {"n": {"check": 2.0}}, outcome
    assert outcome.review == outcome.trouble == ()


def test_what_cant_travel_is_a_failed_check_and_a_flag() -> None:
    for value in ("object()", "[double, open]", "type('A', (), {})()", "iter(int, 1)"):
        outcome = graded_by(f"try:\n    double({value})\nexcept Exception:\n    pass", "def double(x):\n    return x")
        assert outcome.scores == {"n": {"check": 0.0}}, value
        assert len(outcome.review) == 1, value
        assert "'double'" not in outcome.review[0][2]


def test_a_result_that_cant_travel_is_told_and_a_wrong_one_is_not() -> None:
    """A function that a check hands over can't come back, and need not."""
    check = "assert double(lambda: 3) == 6"
    assert graded_by(check, "def double(f):\n    return 2 * f()").scores == {"n": {"check": 2.0}}
    assert graded_by(check, "def double(f):\n    return f()").review == ()
    [(_, _, reason)] = graded_by(check, "def double(f):\n    return lambda: 6").review
    assert "function can't be carried" in reason


@pytest.mark.parametrize(
    "check", ["import os; os._exit(1)", "exec('x = 1')", "raise KeyError('of the check itself')", "raise SystemExit"]
)
def test_what_ends_a_check_without_a_verdict_is_the_graders_trouble(check: str) -> None:
    outcome = graded_by(f"assert double(1) == 2\n{check}")
    assert outcome.scores == {"n": {"check": 0.0}}
    assert [where[:2] for where in outcome.trouble] == [("n", "check")], outcome


@pytest.mark.parametrize(
    "answer",
    ["1 +", "", "double = 5", "def double(x):\n    return y", "def double(x):\n    raise OSError", "del double"],
)
def test_an_error_of_the_learners_is_no_trouble_of_the_graders(answer: str) -> None:
    outcome = graded_by("assert double(1) == 2", answer)
    assert outcome.scores == {"n": {"check": 0.0}}
    assert outcome.trouble == (), outcome


def test_nothing_is_compiled_after_a_judge_has_started() -> None:
    """Whatever a message makes Python do: only what is installed, and the checks, are code."""
    ways = ("compile('1', 'x', 'eval')", "eval('1')", "exec('1')", "__import__('marshal').loads(b'i1234')")
    ways += (
        "type((lambda: 0).__code__)",
        "(lambda: 0).__code__.replace(co_name='x')",
        "__import__('pickle').loads(b'cos\\nsystem\\n.')",
    )
    made = [way for way in ways if not graded_by(f"assert double(1) == 2\n{way}\n1").trouble]
    assert made == ["type((lambda: 0).__code__)"]  # to look at a type makes nothing


def test_a_check_that_gives_part_of_its_points_gives_that_part() -> None:
    assert graded_by("double(1) / 4").scores == {"n": {"check": 0.5}}
    assert graded_by("double(1) * 4").scores == {"n": {"check": 0.0}}  # more than there are: nbgrader refuses it


def test_a_name_that_a_check_deletes_or_replaces_is_so_for_the_learner_too() -> None:
    answer = "def one(x):\n    return x\n\ndef double(x):\n    return one(x) + one(x)"
    gone = (
        "kept = one\ndel one\ntry:\n    double(1)\nexcept NameError:\n    pass\nelse:\n    raise AssertionError('no')\n"
    )
    other = "one = lambda x: 5\nassert double(1) == 10\n"
    assert graded_by(f"{gone}one = kept\nassert double(2) == 4\n{other}", answer).scores == {"n": {"check": 2.0}}
    assert graded_by(gone, "def one(x):\n    return x\n\ndef double(x):\n    return 2 * x").scores == {
        "n": {"check": 0.0}
    }


def test_a_check_sees_plain_values_and_imported_modules_of_the_notebook() -> None:
    assert graded_by("assert answer == [1, 2]", "answer = [1, 2]").scores == {"n": {"check": 2.0}}
    assert graded_by("assert np.array(double(1)) == 2", imports="import numpy as np").scores == {"n": {"check": 2.0}}


def test_an_odd_cell_costs_nobody_anything_but_itself(tmp_path: Path) -> None:
    """Each as a cell of the learner's own, before and after a right answer; all of them as the answer of somebody."""
    room = small_course(tmp_path)
    for number, source in enumerate(ODD.values()):
        made = room.written("doubling", {"double": GOOD}, whole=True)
        made.cells.insert(0, new_code_cell(source, id="odd"))
        made.cells.append(new_code_cell(source, id="odd-too"))
        room.submit(f"own{number:02}", "doubling", json.dumps(made))
    for number, source in enumerate([*ODD.values()][::8]):
        made = room.written("doubling", {"double": source}, whole=True)
        room.submit(f"answer{number}", "doubling", json.dumps(made))
    room.hand_in("zoe", "doubling", {"double": GOOD})
    graded = grade(room.root, workers=processes(2))
    what = dict(zip((f"own{n:02}" for n in range(len(ODD))), ODD, strict=True))
    lost = {what[s.student]: s for s in graded if s.student in what and (s.points != 3 or s.review or s.failure)}
    assert lost == {}
    assert {s.points for s in graded if s.student == "zoe"} == {3}
    assert {(s.points, s.failure, s.review) for s in graded if s.student.startswith("answer")} == {(0.0, "", ())}
