"""Every assertion of a check has a wrong answer that needs it, and every small change of a solution is caught.

The checks run here in this process, without nbgrader and without a kernel: a phase's locked cells, the reference
answers, one other answer, one check. The answers are in tests/answers/; what nbgrader makes of them is
tests/system/test_grading.py's part.

**Assertions.** A check shows learners its first part and hides the rest. `assert` and `raise AssertionError` count.

- A hidden assertion is there to decide: it is needed when some wrong answer passes the whole check without it. (The
  assignment right before it, which calls the answer, belongs to it.) Or it explains: without it, some wrong answer
  that it stops would meet no other assertion, but an error of Python's.
- A visible one is there to explain. It is needed when it is the one that speaks to some wrong answer. The locked
  helpers that read what an answer returned are held to the same.

Answers by accident (None, text) count as wrong answers here.

**Solutions.** Each reference answer is changed in one place at a time: a comparison, a sign, a constant, a line less.
Some check must fail. EQUIVALENT lists the changes that leave a right answer, each with the reason.

The random inputs of hidden tests come from one seed here, so that what is found can be found again.
"""

from __future__ import annotations

import ast
import contextlib
import io
import random
import traceback
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
import pytest
from answers import answers
from torch import Tensor

from autograder.authoring.sources import masters, to_notebook

# The challenges' checks measure files: tests/test_challenges.py has their wrong answers.
MASTERS = {m.stem: m for m in masters(Path(__file__).parent.parent) if m.stem != "challenges"}
DATA = (Tensor, list, dict)  # what an answer may change, to the harm of the next
HIDDEN = "### BEGIN HIDDEN TESTS"
ACCIDENTS = {  # "{}" is the function's name
    "accident: returns nothing": "def {}(*arguments, **names):\n    pass",
    "accident: returns text": "def {}(*arguments, **names):\n    return 'done'",
    "accident: returns three words": "def {}(*arguments, **names):\n    return 'all', 'is', 'done'",
}


@dataclass
class Assertion:
    """One assertion of a cell, and the answers that it stopped: by its words, or by an error when it called them."""

    line: int
    end: int
    call: int  # the line of the assignment right before it, else its own
    spoke_to: list[str] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)


class Cell:
    """A check, or a locked cell."""

    def __init__(self, identity: str, source: str) -> None:
        self.id, self.source = identity, source
        lines = source.splitlines()
        self.hidden_from = lines.index(HIDDEN) + 1 if HIDDEN in lines else len(lines) + 1
        self.assertions = [
            Assertion(
                node.lineno, node.end_lineno or 0, before.lineno if isinstance(before, ast.Assign) else node.lineno
            )
            for block in blocks(self.tree())
            for before, node in pairwise([ast.Pass(), *block])
            if is_assertion(node)
        ]

    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    def without(self, *lines: int) -> ast.Module:
        """The cell with ``pass`` in the place of the statements that begin in these lines."""
        tree = self.tree()
        for block in blocks(tree):
            block[:] = [ast.Pass() if statement.lineno in lines else statement for statement in block]
        return ast.fix_missing_locations(tree)

    def describe(self, assertion: Assertion) -> str:
        return f"{self.id}, line {assertion.line}: {self.source.splitlines()[assertion.line - 1].strip()}"


def blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """The lists of statements in a piece of code."""
    for node in list(ast.walk(tree)):
        for name in ("body", "orelse"):
            if isinstance(getattr(node, name, None), list):
                yield getattr(node, name)


def is_assertion(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise) and node.exc:
        return ast.unparse(node.exc).startswith("AssertionError(")
    return isinstance(node, ast.Assert)


class Phase:
    """The checks of one master, and a namespace to run them in."""

    def __init__(self, name: str) -> None:
        self.wrong, _ = answers(name)
        self.solutions: dict[str, str] = {}  # exercise -> its reference answer
        self.checks: dict[str, list[Cell]] = {}  # exercise -> its checks
        self.locked: list[Cell] = []
        self._names: dict[str, object] = {"__name__": "__main__"}
        for cell in to_notebook(MASTERS[name]).cells:
            role = cell.metadata.get("nbgrader", {})
            if role.get("grade"):
                self.checks.setdefault(list(self.solutions)[-1], []).append(Cell(cell.id, cell.source))
            elif role:
                if role["solution"]:
                    self.solutions[cell.id] = cell.source
                else:
                    self.locked.append(Cell(cell.id, cell.source))
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(cell.source, cell.id, "exec"), self._names)
        self._clean = dict(self._names)
        self._listen()

    @property
    def cells(self) -> list[Cell]:
        return [*self.locked, *(check for checks in self.checks.values() for check in checks)]

    def error(self, answer: str, check: ast.Module, name: str) -> BaseException | None:
        """What stops the check ``name`` when the reference answer of one exercise is overwritten by ``answer``."""
        self._names.clear()  # the same dict: it holds the reference answers' globals
        self._names |= {
            name: deepcopy(thing) if isinstance(thing, DATA) and name != "__builtins__" else thing
            for name, thing in self._clean.items()
        }
        output = io.StringIO()
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            warnings.catch_warnings(action="ignore"),
            mock.patch.object(random, "SystemRandom", return_value=random.Random(0)),
        ):
            try:
                exec(compile(answer, "answer", "exec"), self._names)
                exec(compile(check, name, "exec"), self._names)
            except Exception as error:
                first: BaseException = error
                while first.__cause__:  # the checks put an answer's own errors in words
                    first = first.__cause__
                return first
        return None

    def spoken(self, error: BaseException) -> bool:
        """Whether an assertion of a cell raised it."""
        place = traceback.extract_tb(error.__traceback__)[-1].filename
        return isinstance(error, AssertionError) and place in {cell.id for cell in self.cells}

    def wrong_answers(self, exercise: str) -> dict[str, str]:
        accidents = {name: code.format(exercise) for name, code in ACCIDENTS.items()}
        return {name: code for name, (_, code) in self.wrong[exercise].items()} | accidents

    def _listen(self) -> None:
        """Give every check every wrong answer, and note where it stops."""
        cells = {cell.id: cell for cell in self.cells}
        for exercise, checks in self.checks.items():
            for check in checks:
                for answer, code in self.wrong_answers(exercise).items():
                    error = self.error(code, check.tree(), check.id)
                    if error is None:
                        continue
                    place = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in cells][-1]
                    for assertion in cells[place.filename].assertions:
                        if assertion.call <= (place.lineno or 0) <= assertion.end:
                            (assertion.spoke_to if self.spoken(error) else assertion.broke).append(answer)

    def is_needed(self, exercise: str, check: Cell, assertion: Assertion) -> bool:
        """Whether some wrong answer passes, or is left without an explanation, when the assertion is gone."""
        codes = self.wrong_answers(exercise)
        for answer in assertion.spoke_to:
            error = self.error(codes[answer], check.without(assertion.line), check.id)
            if error is None or not self.spoken(error):
                return True
        without_call = check.without(assertion.line, assertion.call)
        return any(self.error(codes[answer], without_call, check.id) is None for answer in assertion.broke)


EACH = [pytest.param(name, marks=pytest.mark.xdist_group(f"hidden tests of {name}")) for name in MASTERS]


@cache
def phase(name: str) -> Phase:
    return Phase(name)


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    backend = plt.get_backend()
    plt.switch_backend("template")  # draws nothing
    yield
    plt.switch_backend(backend)


@pytest.mark.parametrize("name", EACH)
def test_every_visible_assertion_speaks_to_some_wrong_answer(name: str) -> None:
    silent = [
        cell.describe(assertion)
        for cell in phase(name).cells
        for assertion in cell.assertions
        if assertion.line < cell.hidden_from and not assertion.spoke_to
    ]
    assert not silent, "no wrong answer hears:\n" + "\n".join(silent)


@pytest.mark.parametrize("name", EACH)
def test_every_hidden_assertion_is_needed_by_some_wrong_answer(name: str) -> None:
    idle = [
        check.describe(assertion)
        for exercise, checks in phase(name).checks.items()
        for check in checks
        for assertion in check.assertions
        if assertion.line > check.hidden_from and not phase(name).is_needed(exercise, check, assertion)
    ]
    assert not idle, "no wrong answer passes without:\n" + "\n".join(idle)


# Small changes of the solutions

# exercise -> the changed line -> why the answer is still right
EQUIVALENT = {
    "sparsity": {
        "pass": "a list was asked for: tensors is one already",
        "tensors = tensors": "the same",
        "zeros = sum(((t == 0).sum() for t in tensors))": "a tensor without dimensions is a number",
    },
    "perplexity": {
        "log_p = torch.log_softmax(logits, dim=-1)": "exact enough in half precision, and no overflow",
        "return math.exp(-right.double().mean())": "math.exp takes a tensor of one entry",
        "return math.exp(-right.mean().item())": "a mean in float32 is exact enough",
    },
    "magnitude_mask": {
        "order = weight.abs().flatten().argsort(stable=True)": "positions have no gradient",
    },
    "quantize_int8": {
        "pass": "half precision is exact enough",
        "weight = weight": "half precision is exact enough",
        "scale = torch.where(largest > 0, largest / 127, 2.0)": "any finite scale does for a row of zeros",
    },
    "evaluate_production_metrics": {
        "return {'latency': statistics.median(times), 'memory': sum((p.numel() * p.element_size() for p in "
        "model.parameters())), 'accuracy': (guesses == test_data[:, 1:]).double().mean()}": "one entry is a number",
        "times = []; for _ in range(9):; started = time.perf_counter(); model(test_data[:1]); times.append("
        "time.perf_counter() - started); guesses = model(test_data)[:, :-1].argmax(-1)": "gradients do no harm",
        "for _ in range(8):": "enough passes",
        "for _ in range(10):": "enough passes",
    },
    "train_step_with_masks": {"return loss": "a tensor without dimensions is a number"},
    "global_masks": {
        "sizes = torch.cat([w.abs().flatten() for w in weights.values()])": "positions have no gradient",
    }
    | dict.fromkeys(
        (
            "return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}",
            "return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts, strict=False)}",
        ),
        "there is one part for each weight",
    ),
}
COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
}
OPERATIONS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
OPERATIONS |= {ast.FloorDiv: ast.Div, ast.BitAnd: ast.BitOr}
MODULES = ("torch", "math", "optimizer")  # torch.cat(x) can't be mistaken for torch


def alternatives(node: ast.AST) -> Iterator[ast.AST | list[ast.stmt]]:
    """What may stand in the place of ``node`` by a small mistake."""
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Compare(left=left, ops=ops, comparators=right):
            for number, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:number], COMPARISONS[type(op)](), *ops[number + 1 :]], right)
        case ast.BinOp(left=left, op=op, right=right):
            yield from (ast.BinOp(left, OPERATIONS[type(op)](), right), left, right)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from values
        case ast.Slice(lower=lower, upper=upper) if lower or upper:
            yield from (ast.Slice(), ast.Slice(upper, lower))
        case ast.Subscript(value=value):
            yield value
        case ast.With(body=body):
            yield body
        case ast.If(body=body):
            yield body
        case ast.Call(func=function, args=arguments, keywords=keywords):
            for number in range(len(keywords)):
                yield ast.Call(function, arguments, keywords[:number] + keywords[number + 1 :])
            match function:
                case ast.Attribute(value=ast.Name(id=name)) if name in MODULES:
                    yield from arguments
                case ast.Attribute(value=value):
                    yield value
                case ast.Name():
                    yield from arguments
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.If | ast.For | ast.With):
        yield ast.Pass()


def changes(source: str) -> Iterator[tuple[str, str]]:
    """(the lines that are new, the whole code) for each small change of a function."""
    plain = ast.unparse(undressed(source))
    seen = {plain}
    for place, node in enumerate(ast.walk(undressed(source))):
        for number in range(len(list(alternatives(node)))):
            tree = undressed(source)  # a new one each time: what is changed shares parts with what was there
            old = list(ast.walk(tree))[place]
            code = ast.unparse(replaced(tree, old, list(alternatives(old))[number]))
            if code not in seen:
                seen.add(code)
                yield "; ".join(line.strip() for line in code.splitlines() if line not in plain.splitlines()), code


def undressed(source: str) -> ast.Module:
    """A function without its docstring and types."""
    tree = ast.parse(source)
    function = tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    function.body, function.returns = function.body[1:], None
    for argument in function.args.args:
        argument.annotation = None
    return tree


def replaced(tree: ast.Module, old: ast.AST, new: ast.AST | list[ast.stmt]) -> ast.Module:
    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
            return new if node is old else self.generic_visit(node)

    changed = Replace().visit(tree)
    assert isinstance(changed, ast.Module)
    return ast.fix_missing_locations(changed)


@pytest.mark.parametrize("name", EACH)
def test_every_small_change_of_a_solution_is_caught(name: str) -> None:
    survivors = {
        exercise: {
            new
            for new, code in changes(phase(name).solutions[exercise])
            if not any(phase(name).error(code, check.tree(), check.id) for check in checks)
        }
        for exercise, checks in phase(name).checks.items()
    }
    assert survivors == {exercise: set(EQUIVALENT.get(exercise, {})) for exercise in survivors}
