"""The names of the learner's notebook that a check uses, found in the instructor's cells."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = re.compile(r"^([ \t]*)[%!].*$", re.MULTILINE)


@dataclass(frozen=True)
class Names:
    """The names that a check takes from the learner: ``wanted`` with their values, ``touched`` if they are functions.

    ``touched`` are answers that the check itself binds or deletes; this also affects the learner's code.
    """

    wanted: Sequence[str]
    touched: Sequence[str]


def names_of(check: str, cells: tuple[str, ...], tools: frozenset[str], answers: frozenset[str]) -> Names:
    """Return the names that ``check`` and the instructor's ``cells`` use and do not define.

    ``tools`` are names that earlier checks have defined. ``answers`` are the names that answers have to define: the
    learner's code learns no other name of a check.
    """
    used, bound = _used_and_bound([check])
    more, made = _used_and_bound(cells)
    theirs = {name for name in (used | more) - made - set(dir(builtins)) if not name.startswith("__")}
    return Names(sorted(theirs - bound - tools), sorted(theirs & bound & answers))


def without_magic(source: str) -> str:
    """Return a cell's Python, with commands to IPython and to the shell replaced by `pass`."""
    return MAGIC.sub(r"\1pass", source)


def _used_and_bound(sources: Sequence[str]) -> tuple[set[str], set[str]]:
    used, bound = set(), set()
    for source in sources:
        for node in ast.walk(_parsed(source)):
            if isinstance(node, ast.Name):
                (bound if isinstance(node.ctx, ast.Store) else used).add(node.id)
                bound |= {node.id} if isinstance(node.ctx, ast.Del) else set()
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                bound.add(node.name)
    return used, bound


def _parsed(source: str) -> ast.Module:
    """Return the instructor's cell as a syntax tree, an empty one if it is no Python."""
    try:
        return ast.parse(without_magic(source))
    except SyntaxError:
        return ast.Module([], [])
