"""The checks of a phase, run in this process without nbgrader, kernel or sandbox.

A phase's locked cells and its reference answers are run once. A check's cell calls a function of a file in
gpt2_lib/course/checks/, which is looked at like a cell. Then one other answer at a time takes the place of a
reference answer, and one check looks at it. The random inputs of hidden tests come from one seed here, so that what is
found can be found again.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import random
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
from clock import no_sleep
from torch import Tensor

from autograder.authoring.sources import notebooks, to_notebook
from gpt2_lib.course import checks as library

# The challenges' checks measure files: tests/course/test_challenges.py has their wrong answers.
NOTEBOOKS = {path.stem: path for path in notebooks(Path(__file__).parents[2]) if path.stem != "challenges"}
DATA = (Tensor, list, dict)  # what an answer may change, to the harm of the next
HIDDEN = "### BEGIN HIDDEN TESTS"


@dataclass
class Assertion:
    """One assertion of a cell, and the answers that it stopped: by its words, or by an error when it called them."""

    line: int
    end: int
    call: int  # the line of the assignment right before it, else its own
    spoke_to: list[str] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)


class Cell:
    """A check, a locked cell, or a file of checks."""

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

    def visible(self) -> ast.Module:
        """The part that learners see."""
        tree = self.tree()
        tree.body = [statement for statement in tree.body if statement.lineno < self.hidden_from]
        return tree

    @property
    def hides(self) -> bool:
        """Whether it has a hidden part."""
        return self.hidden_from <= len(self.source.splitlines())

    def hidden(self, *without: int) -> ast.Module:
        """The part that decides alone, where there is one; `without` the statements that begin in these lines."""
        tree = self.without(*without)
        if self.hides:
            tree.body = [statement for statement in tree.body if statement.lineno > self.hidden_from]
        return tree

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
    """The checks of one notebook, and a namespace to run them in."""

    def __init__(self, name: str) -> None:
        self.solutions: dict[str, str] = {}  # exercise -> its reference answer
        self.checks: dict[str, list[Cell]] = {}  # exercise -> its checks
        self.locked: list[Cell] = []
        self._names: dict[str, object] = {"__name__": "__main__"}
        backend = plt.get_backend()
        plt.switch_backend("template")  # draws nothing
        for cell in to_notebook(NOTEBOOKS[name]).cells:
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
                plt.close("all")  # as a notebook does after each cell
        plt.switch_backend(backend)
        self._clean = dict(self._names)
        called = {inspect.getfile(vars(library)[check.id].__wrapped__) for of in self.checks.values() for check in of}
        self.files = [Cell(path, Path(path).read_text(encoding="utf-8")) for path in sorted(called)]

    @property
    def cells(self) -> list[Cell]:
        return [*self.locked, *self.files, *(check for checks in self.checks.values() for check in checks)]

    def error(self, name: str, *steps: str | ast.Module | Callable[[dict], object]) -> BaseException | None:
        """What stops these ``steps`` of the check ``name``: an answer's code, the check or a part of it, ..."""
        error = self.told(name, *steps)
        while error and error.__cause__:  # the checks put an answer's own errors in words
            error = error.__cause__
        return error

    def told(self, name: str, *steps: str | ast.Module | Callable[[dict], object]) -> BaseException | None:
        """As `error`, but as learners are told of it: with its ``outcome`` where a check made one."""
        self._names.clear()  # the same dict: it holds the reference answers' globals
        self._names |= {
            key: deepcopy(thing) if isinstance(thing, DATA) and key != "__builtins__" else thing
            for key, thing in self._clean.items()
        }
        output = io.StringIO()
        with (
            no_sleep(),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            warnings.catch_warnings(action="ignore"),
            mock.patch.object(random, "SystemRandom", return_value=random.Random(0)),
        ):
            try:
                for step in steps:
                    if callable(step):
                        step(self._names)
                    else:
                        exec(compile(step, "answer" if isinstance(step, str) else name, "exec"), self._names)
            except Exception as error:
                return error
        return None
