"""Tests of single checks, with a judge and a learner's function, each in a sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doubling import GOOD, small_course
from nbformat.v4 import new_code_cell, new_notebook
from odd_cells import ODD

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


def test_an_untransferable_argument_is_a_failed_check_and_a_flag() -> None:
    for value in ("object()", "[double, open]", "type('A', (), {})()", "iter(int, 1)"):
        outcome = graded_by(f"try:\n    double({value})\nexcept Exception:\n    pass", "def double(x):\n    return x")
        assert outcome.scores == {"n": {"check": 0.0}}, value
        assert len(outcome.review) == 1, value
        assert "'double'" not in outcome.review[0][2]


def test_an_untransferable_result_is_reported_and_a_wrong_one_is_not() -> None:
    """A function that a check hands over can't come back, and need not."""
    check = "assert double(lambda: 3) == 6"
    assert graded_by(check, "def double(f):\n    return 2 * f()").scores == {"n": {"check": 2.0}}
    assert graded_by(check, "def double(f):\n    return f()").review == ()
    [(_, _, reason)] = graded_by(check, "def double(f):\n    return lambda: 6").review
    assert "function can't be transferred" in reason


@pytest.mark.parametrize(
    "check", ["import os; os._exit(1)", "exec('x = 1')", "raise KeyError('of the check itself')", "raise SystemExit"]
)
def test_a_check_without_a_verdict_is_an_error_of_the_grader(check: str) -> None:
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


@pytest.mark.parametrize(
    ("value", "points"),
    [("double(1) / 4", 0.5), ("double(1) * 4", 0.0), ("double(-1)", 0.0), ("double(1) * float('nan')", 0.0)],
)
@pytest.mark.parametrize("kind", ["", "np.float64", "torch.tensor"])
def test_a_check_that_gives_part_of_its_points_gives_that_part(value: str, points: float, kind: str) -> None:
    """More than there are nbgrader refuses; below 0 and no number at all is none."""
    outcome = graded_by(f"import numpy as np, torch\n{kind}({value})")
    assert outcome.scores == {"n": {"check": points}}
    assert bool(outcome.review) == ("-1" in value or "nan" in value), outcome.review


def test_a_last_value_that_is_no_number_counts_as_with_nbgrader_and_is_flagged() -> None:
    for value in ("'many'", "True", "[2]"):
        outcome = graded_by(f"double(1)\n{value}")
        assert outcome.scores == {"n": {"check": 2.0}}
        assert "nbgrader takes numbers" in outcome.review[0][2]
    assert graded_by("double(1)\nNone").review == ()


def test_a_name_that_a_check_deletes_or_replaces_is_so_for_the_learner_too() -> None:
    answer = "def one(x):\n    return x\n\ndef double(x):\n    return one(x) + one(x)"
    gone = (
        "kept = one\ndel one\ntry:\n    double(1)\nexcept NameError:\n    pass\nelse:\n    raise AssertionError('no')\n"
    )
    other = "one = lambda x: 5\nassert double(1) == 10\n"
    asked = ("double", "one")
    outcome = graded_by(f"{gone}one = kept\nassert double(2) == 4\n{other}", answer, answers=asked)
    assert outcome.scores == {"n": {"check": 2.0}}
    outcome = graded_by(gone, "def one(x):\n    return x\n\ndef double(x):\n    return 2 * x", answers=asked)
    assert outcome.scores == {"n": {"check": 0.0}}


@pytest.mark.parametrize(
    "answer",
    [
        "def wanted(): pass\n\ndef double(x):\n    return wanted",
        "def reference(x): pass\n\ndef double(x):\n    return reference(x)",
        "def double(x):\n    return globals()['wanted']",
    ],
)
def test_nothing_of_a_check_reaches_the_learner_but_what_the_function_is_given(answer: str) -> None:
    """Not even where the learner has something of the same name, unless it is an answer that was asked for."""
    check = "def reference(x):\n    return x + x\n\nwanted = reference(7)\nassert double(7) == wanted"
    assert graded_by(check, answer, answers=("double",)).scores == {"n": {"check": 0.0}}


def several(sources: dict[str, str], answer: str, answers: tuple[str, ...] = ("double",)) -> dict[str, float | None]:
    """The points for checks that come one after the other, 2 each."""
    cells = [Cell("double", "code", "", "", False, True, None)]
    cells += [Cell(name, "code", source, "", True, False, 2.0) for name, source in sources.items()]
    written = [new_code_cell(answer, id="double"), *(new_code_cell(s, id=name) for name, s in sources.items())]
    plan = Plan("n", tuple(cells), answers=answers)
    outcome = run(Job({"n": to_text(new_notebook(cells=written)).encode()}, {"n": plan}))
    return dict(outcome.scores["n"])


def test_names_of_an_earlier_check_stay_the_checks_own() -> None:
    checks = {
        "first": "from numpy.testing import assert_equal\n\ndef close(a, b):\n    return a == b\nassert_equal(1, 1)",
        "second": "assert_equal(double(2), 4)\nassert close(double(3), 6)",
    }
    cheat = "def assert_equal(*a): pass\n\ndef close(a, b): return True\n\ndef double(x): return None"
    assert several(checks, cheat) == {"first": 2.0, "second": 0.0}
    assert several(checks, GOOD) == {"first": 2.0, "second": 2.0}


def test_an_answer_that_an_earlier_check_has_replaced_is_the_learners_again() -> None:
    checks = {"first": "kept, double = double, None\nassert kept(1) == 2", "second": "assert double(2) == 4"}
    assert several(checks, GOOD) == {"first": 2.0, "second": 2.0}


def test_two_checks_that_say_the_same_are_two() -> None:
    checks = {"first": "print('a')\ndouble(1)", "second": "print('a')\ndouble(1)"}
    assert several(checks, GOOD) == {"first": 2.0, "second": 2.0}


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("Counter('aab')", "x.most_common(1)[0][0]"),
        ("OrderedDict(a=1, b=2)", "x.move_to_end('a') or [*x][1]"),
        ("defaultdict(lambda: 'a')", "x['new']"),
        ("deque('abc')", "x.popleft()"),
        ("bytearray(b'a')", "chr(x.pop())"),
        ("torch.Size([97])", "chr(x.numel())"),
        ("[same, same]", "(x[0].append('a'), x[1][0])[1]"),
        ("Net()", "'a' if x(torch.ones(1)) == 1 else 'b'"),
    ],
)
def test_arguments_arrive_as_what_they_are(given: str, answer: str) -> None:
    check = (
        "import torch\nfrom collections import Counter, OrderedDict, defaultdict, deque\n"
        f"same = []\nassert double({given}) == 'a'"
    )
    net = "import torch\n\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return x\n"
    cells = (
        Cell("net", "code", net, "", True, False, None),
        Cell("double", "code", "", "", False, True, None),
        Cell("check", "code", check, "", True, False, 2.0),
    )
    function = f"import torch\n\ndef double(x):\n    return {answer}"
    notebook = new_notebook(
        cells=[new_code_cell(net, id="net"), new_code_cell(function, id="double"), new_code_cell(check, id="check")]
    )
    outcome = run(Job({"n": to_text(notebook).encode()}, {"n": Plan("n", cells, answers=("double",))}))
    assert outcome.scores == {"n": {"check": 2.0}}, outcome


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (  # what it prints
            "import io\nfrom contextlib import redirect_stdout\n"
            "with redirect_stdout(io.StringIO()) as out:\n    double(1)\n"
            "assert out.getvalue() == 'hello\\n'",
            "def double(x):\n    print('hello')",
        ),
        (  # the check's seeds
            "import random, numpy as np, torch\n"
            "torch.manual_seed(1); random.seed(1); np.random.seed(1)\nfirst = double(1)\n"
            "torch.manual_seed(1); random.seed(1); np.random.seed(1)\nassert double(1) == first",
            "import random, numpy as np, torch\n\ndef double(x):\n"
            "    return torch.rand(1).item(), random.random(), np.random.rand()",
        ),
        (  # what becomes of arguments
            "inner = [1]\nouter = [inner]\ndouble(outer)\n"
            "assert outer == [[1, 2], 3] and outer[0] is inner and inner == [1, 2]",
            "def double(x):\n    x[0].append(2)\n    x.append(3)",
        ),
        (
            "from collections import deque\nmany = deque([1, 2])\ndouble(many)\nassert many == deque([2])",
            "def double(x):\n    x.popleft()",
        ),
        (  # gradients
            "import torch\nws = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]\n"
            "sum(w.sum() for w in ws).backward()\n"
            "double(ws)\nassert all(w.tolist() == [0, 0] and w.grad.tolist() == [5, 5] for w in ws)",
            "import torch\n\ndef double(ws):\n    for w in ws:\n        with torch.no_grad():\n"
            "            w -= w.grad\n        w.grad.fill_(5)",
        ),
        (
            "import torch\nx = torch.ones(2, requires_grad=True)\nx.sum().backward()\nassert double(x) == 2",
            "def double(x):\n    return x.grad.sum().item()",
        ),
    ],
)
def test_side_effects_of_a_call_are_seen(check: str, answer: str) -> None:
    outcome = graded_by(check, answer, answers=("double",))
    assert outcome.scores == {"n": {"check": 2.0}}, outcome
    assert outcome.review == outcome.trouble == ()


def test_an_endless_answer_is_flagged() -> None:
    outcome = graded_by(
        "assert next(double(1)) == 1", "import itertools\n\ndef double(x):\n    return itertools.count(x)"
    )
    assert outcome.scores == {"n": {"check": 0.0}}
    assert "can't be transferred" in str(outcome.review) or "more than" in str(outcome.review)


def test_an_answer_of_another_type_is_a_wrong_answer_and_no_trouble() -> None:
    outcome = graded_by("import torch\nassert torch.equal(double(1), torch.ones(1))", "def double(x):\n    pass")
    assert outcome.scores == {"n": {"check": 0.0}}
    assert outcome.review == outcome.trouble == ()


def test_a_check_sees_plain_values_and_imported_modules_of_the_notebook() -> None:
    assert graded_by("assert answer == [1, 2]", "answer = [1, 2]").scores == {"n": {"check": 2.0}}
    assert graded_by("assert np.array(double(1)) == 2", imports="import numpy as np").scores == {"n": {"check": 2.0}}


def test_an_odd_cell_affects_only_its_own_points(tmp_path: Path) -> None:
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
