"""The cells that grading can skip: the instructor's unchanged demonstrations on which no other cell depends.

An unchanged cell that learners may edit is skipped unless a cell that runs, or a check, uses a name that it defines.
Where the names that a cell uses can't be determined, every word in it counts as one.
"""

from __future__ import annotations

import ast
import re
import symtable
import sys
import unicodedata
from collections.abc import Collection, Mapping

from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_locked, is_solution

WORD = re.compile(r"[^\W\d]\w*")
# Calls that reach names which the analysis does not see; `model.eval()` and `re.compile()` are not among them.
HIDDEN = re.compile(
    r"(?<!\.)\b(?:exec|eval|compile|globals|locals|vars)\b"
    r"|\b(?:get_ipython|__import__|__builtins__|builtins|gc|importlib|inspect|IPython(?!\.display\b)|__main__|modules|user_ns|_getframe)\b"
    r"|\b(?:f_globals|f_locals|__globals__)\b"
)

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
SCOPES += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
if sys.version_info >= (3, 12):
    SCOPES += (ast.TypeAlias,)


def skip(notebook: NotebookNode, demonstrations: Mapping[str, Collection[str]], taken: Collection[str]) -> set[int]:
    """Return the indices of the cells that need not run.

    ``demonstrations``: source -> the names that it makes. ``taken``: names that checks take from the notebook.
    """
    code = {index: cell for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"}
    shown = {i for i, cell in code.items() if _is_plain(cell) and cell.source in demonstrations}
    running = {i for i, cell in code.items() if i not in shown and not (is_grade(cell) and not is_solution(cell))}
    used = set(taken).union(*(names_used(code[index].source) for index in running))
    while True:
        needed = {index for index in shown - running if used.intersection(demonstrations[code[index].source])}
        if not needed:
            return shown - running
        running |= needed
        for index in needed:
            used |= names_used(code[index].source) - set(demonstrations[code[index].source])


def _is_plain(cell: NotebookNode) -> bool:
    return not (is_grade(cell) or is_solution(cell) or is_locked(cell))


def names_used(source: str) -> set[str]:
    """Return the notebook's names that a cell reads, in functions too; every word of it where that is unclear."""
    source = unicodedata.normalize("NFKC", source)  # as Python does with names
    if HIDDEN.search(source):
        return set(WORD.findall(source))
    used: set[str] = set()
    made: set[str] = set()
    try:
        for step in ast.parse(source).body:
            new = names_bound(step)
            # What a loop or a `with` binds it reads afterwards; the right side of `x = x + 1` comes first.
            first = isinstance(step, ast.Assign | ast.AugAssign | ast.AnnAssign)
            used |= _read(step) - made - (set() if first else new)
            made |= new
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(WORD.findall(source))
    return used


def _read(step: ast.stmt) -> set[str]:
    nodes = list(ast.walk(step))
    used = {n.target.id for n in nodes if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
    if not any(isinstance(node, SCOPES) for node in nodes):
        return used | {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    tables = [symtable.symtable(ast.unparse(step), "<cell>", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        top = table.get_type() == "module"
        used |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
        used |= {s.get_name() for s in table.get_symbols() if s.is_declared_global()}  # `x += 1` reads, too
    return used


def can_be_told(source: str) -> bool:
    """Return whether `names_made` finds all that a cell changes."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    stars = (alias for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names)
    return not HIDDEN.search(source) and all(alias.name != "*" for alias in stars)


def names_made(source: str) -> set[str]:
    """Return the notebook's names that an instructor's cell binds or changes; none if it is no Python."""
    try:
        return names_bound(ast.parse(source))
    except (SyntaxError, ValueError):
        return set()


def names_bound(tree: ast.AST) -> set[str]:
    """Return the names that parsed statements bind."""
    nodes, made = [tree], set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(node.name)
            continue  # what is bound inside is its own
        if isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            made.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            made.add(node.rest)
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            base: ast.expr = node
            while isinstance(base, ast.Attribute | ast.Subscript):
                base = base.value
            made |= {base.id} if isinstance(base, ast.Name) else set()
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            named = [inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)]
            made |= set(named)  # `:=` binds outside
        elif not isinstance(node, ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    return {unicodedata.normalize("NFKC", name) for name in made}
