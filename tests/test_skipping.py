"""A demonstration is skipped only where nothing that runs can tell that it did not run."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograder.grading.skip import skip

SHOWN = "demonstration = compute(model)\nplot(demonstration)"


def locked(source: str) -> NotebookNode:
    return _cell(source, locked=True)


def answer(source: str) -> NotebookNode:
    return _cell(source, solution=True)


def check(source: str) -> NotebookNode:
    return _cell(source, grade=True, locked=True, points=1)


def _cell(source: str, **role: object) -> NotebookNode:
    plain = {"grade": False, "locked": False, "solution": False, "schema_version": 3, "task": False, "grade_id": "x"}
    return new_code_cell(source, metadata={"nbgrader": plain | role})


def own(source: str) -> NotebookNode:
    return new_code_cell(source)


def skipped(*cells: NotebookNode, shown: str = SHOWN) -> set[str]:
    """The sources of the cells that need not run; ``shown`` is the demonstration that was handed out."""
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    return {cells[index].source for index in skip(notebook, frozenset({shown}))}


def test_an_unchanged_demonstration_that_nothing_builds_on_is_skipped() -> None:
    assert skipped(locked("import torch"), own(SHOWN), answer("def f(x): return x"), check("f(torch.ones(1))")) == {
        SHOWN
    }


def test_a_changed_demonstration_and_the_learners_own_cells_run() -> None:
    assert skipped(own(SHOWN + " "), own("print(1)"), answer("f = 1")) == set()


def test_answers_and_checks_always_run() -> None:
    assert skipped(answer("x = 1"), check("pass"), answer("y = 1")) == set()


def test_a_locked_cell_that_nothing_uses_is_skipped_and_one_that_is_used_runs() -> None:
    assert skipped(locked("unused = 1"), locked("used = 1"), check("assert used")) == {"unused = 1"}


def test_what_a_needed_cell_needs_runs_too() -> None:
    chain = [locked("a = 1"), locked("b = a"), locked("c = b"), locked("d = 1")]
    assert skipped(*chain, check("assert c")) == {"d = 1"}


USES = {
    "read": "print(demonstration)",
    "in a function": "def f():\n    return demonstration",
    "in a function in a function": "def f():\n    def g():\n        return demonstration\n    return g",
    "in a class": "class C:\n    x = demonstration",
    "in a method": "class C:\n    def m(self):\n        return demonstration",
    "as a default": "def f(x=demonstration): return x",
    "in a decorator": "@demonstration\ndef f(): pass",
    "in an annotation": "def f(x: demonstration): pass",
    "in a lambda": "f = lambda: demonstration",
    "in a comprehension": "[demonstration for _ in range(3)]",
    "as a comprehension's source": "[x for x in demonstration]",
    "in a comprehension's condition": "[x for x in range(3) if demonstration]",
    "in an f-string": "print(f'{demonstration}')",
    "as an attribute's owner": "demonstration.shape",
    "as an item's owner": "demonstration[0]",
    "by an attribute set": "demonstration.x = 1",
    "by an item set": "demonstration[0] = 1",
    "added to": "demonstration += 1",
    "deleted": "del demonstration",
    "after it may have been made": "if 0:\n    demonstration = 1\nprint(demonstration)",
    "after a loop that may not run": "for i in []:\n    demonstration = 1\nprint(demonstration)",
    "after a comprehension's variable": "[demonstration for demonstration in 'ab']\nprint(demonstration)",
    "after another comprehension's": "{demonstration: {demonstration for demonstration in 'ab'}}",
    "before it is made": "print(demonstration)\ndemonstration = 1",
    "declared global": "def f():\n    global demonstration\n    demonstration += 1",
    "in a with": "with demonstration as x: pass",
    "in a for": "for x in demonstration: pass",
    "in a while": "while demonstration: break",
    "in a try": "try:\n    demonstration\nexcept NameError:\n    pass",
    "in an except": "try:\n    pass\nexcept demonstration:\n    pass",
    "in a finally": "try:\n    pass\nfinally:\n    demonstration",
    "in an else": "for i in []:\n    pass\nelse:\n    demonstration",
    "in a match": "match demonstration:\n    case _: pass",
    "in a match's guard": "match 1:\n    case x if demonstration: pass",
    "by the walrus": "if (x := demonstration): pass",
    "in a magic's line": "%timeit -n 1 demonstration",
    "in an await": "await demonstration",
    "with a star": "print(*demonstration)",
}


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("make", [own, answer])
def test_a_demonstration_that_is_used_runs(name: str, make: Callable[[str], NotebookNode]) -> None:
    assert skipped(own(SHOWN), make(USES[name])) == set()


@pytest.mark.parametrize("name", [name for name, code in USES.items() if not code.startswith("%")])
def test_a_demonstration_that_a_check_uses_runs(name: str) -> None:
    assert skipped(own(SHOWN), check(USES[name])) == set()


UNUSED = {
    "made before it is used": "demonstration = 1\nprint(demonstration)",
    "a parameter": "def f(demonstration): return demonstration",
    "a local variable": "def f():\n    demonstration = 1\n    return demonstration",
    "a comprehension's variable": "[demonstration for demonstration in range(3)]",
    "a loop's variable": "for demonstration in range(3):\n    print(demonstration)",
    "an attribute of something else": "x = 1\nx.demonstration",
    "a named argument": "dict(demonstration=1)",
    "text": "'demonstration'",
    "a comment": "x = 1  # demonstration",
    "imported before": "import demonstration\ndemonstration.x",
    "made by a with": "with open('x') as demonstration:\n    demonstration",
    "a function's name": "def demonstration(): pass\ndemonstration()",
}


@pytest.mark.parametrize("name", UNUSED)
def test_another_thing_of_the_same_name_is_no_use(name: str) -> None:
    assert skipped(own(SHOWN), answer(UNUSED[name])) == {SHOWN}


HIDDEN = {
    "exec": "exec('demonstration')",
    "eval": "eval('demonstration.T')",
    "compile": "run(compile('demonstration', '', 'eval'))",
    "globals": "globals()['demonstration']",
    "globals in a function": "def f():\n    return globals()['demonstration']",
    "locals": "locals()['demonstration']",
    "vars": "vars()['demonstration']",
    "get_ipython": "get_ipython().user_ns['demonstration']",
    "__import__": "__import__('__main__').demonstration",
    "__builtins__": "__builtins__.eval('demonstration')",
    "builtins": "import builtins\nbuiltins.eval('demonstration')",
    "from builtins": "from builtins import eval as e\ne('demonstration')",
    "importlib": "import importlib as i\ni.import_module('__main__').demonstration",
    "inspect": "from inspect import currentframe as c\nc().f_back.f_back.demonstration",
    "sys.modules": "import sys\nsys.modules['__main__'].demonstration",
    "modules of sys": "from sys import modules as m\nm['__main__'].demonstration",
    "__main__": "import __main__ as me\nme.demonstration",
    "_getframe": "import sys\nsys._getframe().f_globals['demonstration']",
    "__globals__": "f.__globals__['demonstration']",
    "%run": "%run -i demonstration",
    "%%timeit": "%%timeit\ndemonstration",
    "!": "!echo $demonstration",
}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("make", [own, answer])
def test_where_names_are_reached_in_hidden_ways_every_word_counts(
    name: str, make: Callable[[str], NotebookNode]
) -> None:
    assert skipped(locked("unused = 1"), own(SHOWN), make(HIDDEN[name])) == {"unused = 1"}


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()  # demonstration",
        "import re\nre.compile('demonstration')",
        "torch.compile(model, 'demonstration')",
        "print('globals() demonstration')",
        "def f(:\n    globals() demonstration",
    ],
)
def test_harmless_namesakes_of_hidden_ways_do_not_make_words_count(code: str) -> None:
    assert skipped(own(SHOWN), answer(code)) == {SHOWN}


def test_in_the_instructors_own_checks_words_do_not_count() -> None:
    assert skipped(own(SHOWN), check("import inspect  # demonstration")) == {SHOWN}


def test_a_demonstration_that_changes_what_is_used_runs() -> None:
    change = "model.weight = 5\nother['x'] = 1"
    assert skipped(locked("model = make()"), own(change), check("assert model"), shown=change) == set()


def test_a_demonstration_that_calls_the_answer_is_skipped() -> None:
    shown = "print(f(model))"
    assert skipped(locked("model = 1"), answer("def f(x): return x"), own(shown), check("f(1)"), shown=shown) == {
        "model = 1",
        shown,
    }


def test_cells_that_are_no_python_run_and_hide_nothing() -> None:
    assert skipped(own(SHOWN), answer("def f(:"), check("f()")) == {SHOWN}


def test_markdown_is_no_code() -> None:
    assert skipped(new_markdown_cell("demonstration"), own(SHOWN)) == {SHOWN}
