"""Fingerprints of answers: a digest of the code without names and layout.

The grader itself parses no learner's code: this file runs as a process of its own, with limits, and is independent of
the course. It reads [[answer, handout], ...] as JSON and writes their digests.
"""

from __future__ import annotations

import ast
import json
import sys
import warnings
from collections.abc import Iterator
from hashlib import sha256

LONG = 100  # nodes and values of an answer's tree: who writes more than about six lines writes them in their own way
MOST = 20_000  # characters of an answer that is compared
END = "end of a list"
# The field of a node in which a name of the answer's own may stand; an attribute is never its own.
NAMES = {"Name": "id", "arg": "arg", "FunctionDef": "name", "AsyncFunctionDef": "name", "ClassDef": "name"}
NAMES |= {"alias": "asname", "ExceptHandler": "name", "MatchAs": "name", "MatchStar": "name"}
SECONDS, MEMORY = 60, 2 << 30  # of computing, bytes: for all answers of a class
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def fingerprint(source: str, handout: str = "") -> str:
    """Return a digest that is equal for answers that differ only in names and layout; "" if short or no Python.

    ``source`` is only parsed, never compiled or run.
    """
    if len(source) > MOST:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's warnings about a learner's code are not for the instructor
            tree = ast.parse(source)
            known = {ast.dump(step) for step in _steps(ast.parse(handout))}
        _strip(tree, known)
        own = _own_names(tree)
        parts = list(_parts(tree, own))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest() if len(parts) >= LONG else ""


def _steps(tree: ast.AST) -> Iterator[ast.stmt]:
    """Return the number of statements that contain no others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            yield node


def _strip(tree: ast.AST, known: set[str]) -> None:
    """Remove docstrings, the handout's code, and type annotations."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [step for step in block if not _is_text(step) and not _is_known(step, known)])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None


def _is_known(step: ast.AST, known: set[str]) -> bool:
    """Return whether a statement is the handout's. (Only those without others in them: each is dumped once.)"""
    return not hasattr(step, "body") and ast.dump(step) in known


def _is_text(step: ast.AST) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant) and isinstance(step.value.value, str)


def _own_names(tree: ast.AST) -> set[str]:
    """Return the names that an answer defines: functions, arguments, variables and imports."""
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
    """Yield the tree's nodes and values in order, with own names as numbers; without recursion, at any depth."""
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


def main() -> None:
    """Run on standard input and write to standard output."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    json.dump([fingerprint(source, handout) for source, handout in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
