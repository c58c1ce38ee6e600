"""Which cells need not run to grade a notebook: the instructor's own demonstrations, unchanged, that nothing builds on.

They take most of a notebook's time and give no points. A cell is skipped only if the instructor wrote it and no
cell that runs uses a name that it makes, so that what is graded can't tell the difference. Where the learner's code
may reach names without naming them to Python (``exec``, ``globals``, ``get_ipython``), every word that stands in that
cell, in text and comments too, counts as a name that it uses.
"""

from __future__ import annotations

import ast
import re
import symtable
from functools import lru_cache

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_locked, is_solution

# Not `eval` and `compile` as attributes: `model.eval()` and `re.compile()` are harmless and common.
NAMES = {"exec", "eval", "compile", "globals", "locals", "vars", "get_ipython", "__import__", "__builtins__"}
MODULES = {"builtins", "gc", "importlib", "inspect", "IPython", "__main__"}
ATTRIBUTES = {"modules", "user_ns", "get_ipython", "_getframe", "f_globals", "f_locals", "__globals__", "__builtins__"}
WORD = re.compile(r"[^\W\d]\w*")


def skip(notebook: NotebookNode, demonstrations: frozenset[str]) -> set[int]:
    """The indices of the cells that need not run."""
    cells = notebook.cells
    code = {index: _names(cell.source) for index, cell in enumerate(cells) if cell.cell_type == "code"}
    instructors = {
        index
        for index in code
        if (is_locked(cells[index]) and not is_grade(cells[index]))
        or (_is_own(cells[index]) and cells[index].source in demonstrations)
    }
    running = set(code) - instructors
    theirs = [cells[index].source for index in running if not is_grade(cells[index])]
    said = {word for source in theirs if _reaches_hidden_names(source) for word in WORD.findall(source)}
    while True:
        wanted = said.union(*(code[index][0] for index in running))
        needed = {index for index in instructors - running if code[index][1] & wanted}
        if not needed:
            return instructors - running
        running |= needed


def _is_own(cell: NotebookNode) -> bool:
    return not (is_grade(cell) or is_solution(cell) or is_locked(cell))


@lru_cache(maxsize=2000)  # most cells of a class are the same
def _names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """The notebook's names that a cell uses, less those it has made itself by then, and those that it makes or changes.

    Both empty where it is no Python.
    """
    tree = _parsed(source)
    used: set[str] = set()
    _follow(tree.body, set(), used)
    return frozenset(used), frozenset(_made(tree))


def _parsed(source: str) -> ast.Module:
    """The cell as Python, with generators for comprehensions; empty where it is none."""
    try:
        return _Generators().visit(ast.parse(TransformerManager().transform_cell(source)))
    except SyntaxError:
        return ast.Module([], [])


class _Generators(ast.NodeTransformer):
    """Since Python 3.12 `symtable` mixes a comprehension's own names with those around it, but never a generator's."""

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.AST:
        return self.generic_visit(ast.GeneratorExp(node.elt, node.generators))

    visit_SetComp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        return self.generic_visit(ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators))


@lru_cache(maxsize=2000)
def _reaches_hidden_names(source: str) -> bool:
    """Does this code have the means to read the notebook's names without Python's grammar showing which?"""
    for node in ast.walk(_parsed(source)):
        match node:
            case ast.Name(id=name) if name in NAMES | MODULES:
                return True
            case ast.Attribute(attr=name) if name in ATTRIBUTES:
                return True
            case ast.Import(names=names) if any(alias.name.partition(".")[0] in MODULES for alias in names):
                return True
            case ast.ImportFrom(module=module, names=names) if (module or "").partition(".")[0] in MODULES or any(
                alias.name in ATTRIBUTES for alias in names
            ):
                return True
    return False


def _follow(statements: list[ast.stmt], bound: set[str], used: set[str]) -> None:
    """Add to ``used`` what the statements use of the notebook's; ``bound`` grows by what they surely bind."""
    for statement in statements:
        match statement:
            case ast.With(items=items, body=body):  # runs once, from first to last
                for item in items:
                    used |= _loads(item.context_expr) - bound
                    bound |= _targets(item.optional_vars)
                _follow(body, bound, used)
            case ast.For(target=target, iter=values, body=body, orelse=orelse):
                used |= _loads(values) - bound
                _follow(body, bound | _targets(target), used)
                _follow(orelse, set(bound), used)
            case ast.If(test=test, body=body, orelse=orelse) | ast.While(test=test, body=body, orelse=orelse):
                used |= _loads(test) - bound
                _follow(body, set(bound), used)
                _follow(orelse, set(bound), used)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                inside = set(bound)
                _follow([*body, *orelse], inside, used)
                for handler in handlers:
                    used |= (_loads(handler.type) if handler.type else set()) - bound
                    _follow(handler.body, bound | {handler.name or ""}, used)
                _follow(final, set(bound), used)
                bound |= inside
            case _:
                used |= _loads(statement) - bound
                bound |= _made(ast.Module([statement], []), changed=False)


def _targets(target: ast.expr | None) -> set[str]:
    return {n.id for n in ast.walk(target) if isinstance(n, ast.Name)} if target is not None else set()


def _loads(node: ast.AST) -> set[str]:
    """The global names that this code reads, in nested functions too."""
    tables = [symtable.symtable(ast.unparse(node), "<cell>", "exec")]
    found = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        top = table.get_type() == "module"
        found |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    for inner in ast.walk(node):  # these need that there is something before, and are no references to Python
        match inner:
            case ast.AugAssign(target=ast.Name(id=name)) | ast.Name(id=name, ctx=ast.Del()):
                found.add(name)
    return found


def _made(tree: ast.Module, changed: bool = True) -> set[str]:
    """The notebook's names that this code binds and, if ``changed``, those whose parts it sets (``a.b = ...``)."""
    table = symtable.symtable(ast.unparse(tree), "<cell>", "exec")
    made = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    for node in ast.walk(tree) if changed else ():
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            base = node.value
            while isinstance(base, ast.Attribute | ast.Subscript):
                base = base.value
            made |= {base.id} if isinstance(base, ast.Name) else set()
    return made
