"""Tests of the checks: every assertion has a wrong answer that needs it, and every mutation of a solution is caught.

The checks run in this process (`checks`). The answers are in tests/course/answers/; what nbgrader makes of them is
tests/system/test_grading.py's part.

**Assertions.** A check shows learners its first part and hides the rest. `assert` and `raise AssertionError` count.

- A hidden assertion is there to decide: it is needed when some wrong answer passes the hidden part without it. (That
  part is looked at alone: an answer may know by heart what is seen. The assignment right before the assertion, which
  calls the answer, belongs to it.) Or it explains: without it, some wrong answer that it stops would meet no other
  assertion, but an error of Python's.
- A visible one is there to explain. It is needed when it is the one that speaks to some wrong answer. The locked
  helpers that read what an answer returned are held to the same.

Answers by accident (None, text) count as wrong answers here.

**Solutions.** Each reference answer is changed in one place at a time: a comparison, a sign, a constant, a line less.
Some check must fail. EQUIVALENT lists the changes that leave a right answer, each with the reason.
"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest
from answers import answers
from checks import NOTEBOOKS, Assertion, Cell
from checks import Phase as Checks

LINES = 12  # of a failed check, at most
ACCIDENTS = {  # "{}" is the function's name
    "accident: returns nothing": "def {}(*arguments, **names):\n    pass",
    "accident: returns text": "def {}(*arguments, **names):\n    return 'done'",
    "accident: returns three words": "def {}(*arguments, **names):\n    return 'all', 'is', 'done'",
}


class Phase(Checks):
    """The checks of one master, and the wrong answers that each of their assertions stops."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.wrong, _ = answers(name)
        self.words: dict[str, str] = {}  # "check, answer" -> what the part that learners see says
        self._listen()

    def spoken(self, error: BaseException) -> bool:
        """Return whether an assertion of a cell raised the error."""
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
                parts = [check.visible(), check.hidden()] if check.hides else [check.visible()]
                for (answer, code), part in product(self.wrong_answers(exercise).items(), parts):
                    error = told = self.told(check.id, code, part)
                    if error is None:
                        continue
                    if part is parts[0]:
                        self.words[f"{check.id}, {answer}"] = repr(vars(told)["outcome"])
                    while error.__cause__:
                        error = error.__cause__
                    place = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in cells][-1]
                    for assertion in cells[place.filename].assertions:
                        if assertion.call <= (place.lineno or 0) <= assertion.end:
                            (assertion.spoke_to if self.spoken(error) else assertion.broke).append(answer)

    def is_needed(self, exercise: str, check: Cell, assertion: Assertion) -> bool:
        """Return whether a wrong answer passes the hidden part without the assertion, or gets no message."""
        codes = self.wrong_answers(exercise)
        for answer in assertion.spoke_to:
            error = self.error(check.id, codes[answer], check.hidden(assertion.line))
            if error is None or not self.spoken(error):
                return True
        without_call = check.hidden(assertion.line, assertion.call)
        return any(self.error(check.id, codes[answer], without_call) is None for answer in assertion.broke)


EACH = [  # the first notebook is the sample of `make test`
    pytest.param(
        name, marks=[pytest.mark.xdist_group(f"hidden tests of {name}"), *([pytest.mark.slow] if after else [])]
    )
    for after, name in enumerate(NOTEBOOKS)
]


@cache
def phase(name: str) -> Phase:
    return Phase(name)


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


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_hidden_test_hands_over_a_function_of_its_own(name: str) -> None:
    """It would run in the learner's process, where its bytecode can be looked into."""
    checks = [check for found in phase(name).checks.values() for check in found]
    assert len(checks) >= 4
    handed: list[str] = []
    for check in checks:
        steps = [*ast.walk(check.tree())]
        own = {step.name for step in steps if isinstance(step, ast.FunctionDef)}
        own |= {
            target.id
            for step in steps
            if isinstance(step, ast.Assign) and isinstance(step.value, ast.Lambda)
            for target in step.targets
            if isinstance(target, ast.Name)
        }
        for call in steps:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in phase(name).checks:
                given = [*call.args, *(keyword.value for keyword in call.keywords)]
                handed += [
                    f"{check.id}: {ast.unparse(thing)}"
                    for thing in given
                    if isinstance(thing, ast.Lambda) or (isinstance(thing, ast.Name) and thing.id in own)
                ]
    assert handed == []


@pytest.mark.parametrize("name", EACH)
def test_a_check_that_fails_says_so_in_a_few_lines_and_names_no_file_of_the_course(name: str) -> None:
    words = phase(name).words
    assert len(words) > 40
    assert {answer: said for answer, said in words.items() if len(said.splitlines()) > LINES} == {}
    ours = {
        answer: re.sub(r"https?://\S+", "", said) for answer, said in words.items()
    }  # a source may be a file on the web
    assert {answer: said for answer, said in ours.items() if re.search(r"gpt2_lib[/\\]|\.py\b|File \"", said)} == {}


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
    """Yield the nodes that a small mistake may put in the place of ``node``."""
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
    """Return a function without its docstring and types."""
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
            if not any(phase(name).error(check.id, code, check.tree()) for check in checks)
        }
        for exercise, checks in phase(name).checks.items()
    }
    assert survivors == {exercise: set(EQUIVALENT.get(exercise, {})) for exercise in survivors}
