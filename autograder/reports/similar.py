"""Answers that are equal once names and layout are taken away: something to look at, and no proof of anything.

Two answers are equal where their syntax trees are, with every name of their own numbered in the order of its coming,
without comments, texts that document, annotations, and the lines that the handout gave. Short answers are equal by
themselves, so they are not compared.
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from ..course import Course
from ..notebooks import grade_id, read_notebook
from .summary import Cell, Row, Summary

LONG = 100  # nodes and values of an answer's tree: who writes more than about six lines writes them in their own way
MOST = 20_000  # characters of an answer that is compared
END = "end of a list"
# The field of a node in which a name of the answer's own may stand; an attribute is never its own.
NAMES = {"Name": "id", "arg": "arg", "FunctionDef": "name", "AsyncFunctionDef": "name", "ClassDef": "name"}
NAMES |= {"alias": "asname", "ExceptHandler": "name", "MatchAs": "name", "MatchStar": "name"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Alike:
    """Students whose answers to an exercise are equal but for names and layout."""

    exercise: str
    students: tuple[str, ...]


def similar(course: Course, summary: Summary, rows: list[Row]) -> list[Alike]:
    """The groups of an assignment, exercise by exercise; who handed in for others counts once."""
    given = {name: _sources(course, "release", summary, ".", name) for name in {name for name, _ in summary.exercises}}
    groups: dict[Cell, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.grading.shared:
            continue
        for name, handout in given.items():
            for exercise, source in _sources(course, "autograded", summary, row.student, name).items():
                asked = (name, exercise) in summary.exercises and (name, exercise) not in row.empty
                if asked and (mark := fingerprint(source, handout.get(exercise, ""))):
                    groups[name, exercise][mark].append(row.name)
    found = [(exercise, sorted(who)) for exercise in summary.exercises for who in groups[exercise].values()]
    return [Alike(exercise[1], tuple(who)) for exercise, who in found if len(who) > 1]


def fingerprint(source: str, handout: str = "") -> str:
    """The same for all answers that differ in names and layout only; "" for what is short, or no Python.

    Only read, never run: nothing of ``source`` becomes code.
    """
    if len(source) > MOST:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of a learner's code is for the learner
            tree = ast.parse(source)
            known = {ast.dump(step) for step in _steps(ast.parse(handout))}
        _strip(tree, known)
        own = _own_names(tree)
        parts = list(_parts(tree, own))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest() if len(parts) >= LONG else ""


def _sources(course: Course, step: str, summary: Summary, student: str, notebook: str) -> dict[str, str]:
    """Cell -> its source, of one notebook; none where it is not there."""
    path = course.folder(step, summary.assignment, student) / f"{notebook}.ipynb"
    cells = read_notebook(path).cells if path.exists() else []
    return {grade_id(cell): cell.source for cell in cells if cell.cell_type == "code"}


def _steps(tree: ast.AST) -> Iterator[ast.stmt]:
    """All statements that hold no others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            yield node


def _strip(tree: ast.AST, known: set[str]) -> None:
    """Take away what documents, what the handout gave, and what says a type."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [step for step in block if not _is_text(step) and ast.dump(step) not in known])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None


def _is_text(step: ast.AST) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant) and isinstance(step.value.value, str)


def _own_names(tree: ast.AST) -> set[str]:
    """The names that an answer makes itself: those of functions, arguments and variables, and what it imports as."""
    own = set()
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS):
            own.add(node.name)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            own.add(node.id)
        elif isinstance(node, ast.alias) and node.asname:
            own.add(node.asname)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            own.add(node.name)
    return own


def _parts(tree: ast.AST, own: set[str]) -> Iterator[str]:
    """The tree's nodes and values in order, with each own name as its number; without recursion, however deep it is."""
    numbers: dict[str, str] = {}
    waiting: list[object] = [tree]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, ast.AST) and not isinstance(thing, ast.expr_context):
            yield type(thing).__name__
            names = NAMES.get(type(thing).__name__, "")
            if names and isinstance(name := getattr(thing, names), str) and name in own:
                yield numbers.setdefault(name, f"#{len(numbers)}")
                waiting += [getattr(thing, field, None) for field in reversed(thing._fields) if field != names]
            else:
                waiting += [getattr(thing, field, None) for field in reversed(thing._fields)]
        elif isinstance(thing, list):
            waiting += [END, *reversed(thing)]
        elif thing is not None and not isinstance(thing, ast.expr_context):
            yield repr(thing)
