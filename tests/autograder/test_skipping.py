"""Tests of skipping: unused demonstrations of the instructor are skipped; all cells of the learner run."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from autograder.grading.skip import names_made, skip

SHOWN = "demonstration = compute(model)\nplot(demonstration)"


def locked(source: str) -> NotebookNode:
    return _cell(source, locked=True)


def answer(source: str) -> NotebookNode:
    return _cell(source, solution=True)


def check(source: str) -> NotebookNode:
    return _cell(source, grade=True, locked=True, points=1)


def graded_by_hand(source: str) -> NotebookNode:
    return _cell(source, grade=True, solution=True, points=1)


def _cell(source: str, **role: object) -> NotebookNode:
    plain = {"grade": False, "locked": False, "solution": False, "schema_version": 3, "task": False, "grade_id": "x"}
    return new_code_cell(source, metadata={"nbgrader": plain | role})


def own(source: str) -> NotebookNode:
    return new_code_cell(source)


def skipped(*cells: NotebookNode, shown: tuple[str, ...] = (SHOWN,), taken: tuple[str, ...] = ()) -> set[str]:
    """The sources of the cells that need not run; ``shown`` are the demonstrations that were handed out."""
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    demonstrations = {source: sorted(names_made(source)) for source in shown}
    return {cells[index].source for index in skip(notebook, demonstrations, taken)}


# Which cells run


def test_an_unused_demonstration_is_skipped() -> None:
    cells = locked("import torch"), own(SHOWN), answer("def f(x): return x"), check("f(torch.ones(1))")
    assert skipped(*cells, taken=("f",)) == {SHOWN}


def test_a_demonstration_that_the_learner_changed_runs() -> None:
    assert skipped(own(SHOWN + " "), own(SHOWN.replace("plot", "print"))) == set()


@pytest.mark.parametrize("make", [locked, answer, check, graded_by_hand, own])
def test_no_other_cell_is_skipped_even_if_nobody_uses_it(make: Callable[[str], NotebookNode]) -> None:
    assert skipped(make("unused = 1"), own(SHOWN)) == {SHOWN}


@pytest.mark.parametrize("make", [locked, answer, check, graded_by_hand])
def test_a_demonstrations_text_in_a_cell_of_another_kind_is_no_demonstration(
    make: Callable[[str], NotebookNode],
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[make(SHOWN)])
    assert skip(notebook, {SHOWN: []}, ()) == set()


@pytest.mark.parametrize("make", [own, answer, locked, graded_by_hand])
@pytest.mark.parametrize(
    "code",
    [
        "print(demonstration)",
        "def f(x=demonstration):\n    return x",
        "x = f'{demonstration.shape}'",
        "exec('demonstration')",
        "globals()['demonstration']",
        "%timeit -n 1 demonstration",
        "%%timeit\ndemonstration",
        "!echo $demonstration",
    ],
)
def test_a_demonstration_whose_name_a_running_cell_mentions_runs(
    make: Callable[[str], NotebookNode], code: str
) -> None:
    assert skipped(own(SHOWN), make(code)) == set()
    assert skipped(make(code), own(SHOWN)) == set()


@pytest.mark.parametrize(
    "code",
    ["demonstrations = 1", "a_demonstration = 1", "demonstration2 = 1", "x.demonstration = 1", "Demonstration()", ""],
)
def test_other_names_and_names_of_attributes_do_not_count(code: str) -> None:
    assert skipped(own(SHOWN), answer(code)) == {SHOWN}


def test_an_attribute_of_a_modules_is_no_use_of_a_name() -> None:
    shown = "zeros = count(model)"
    assert skipped(own(shown), answer("x = torch.zeros(1)"), shown=(shown,)) == {shown}
    assert skipped(own(shown), answer("x = zeros"), shown=(shown,)) == set()


def test_a_demonstration_that_a_needed_one_uses_runs_too() -> None:
    chain = ("a = 1", "b = a", "c = b", "d = c", "e = 1")
    assert skipped(*map(own, chain), answer("print(c)"), shown=chain) == {"d = c", "e = 1"}


def test_names_in_a_skipped_demonstration_do_not_count() -> None:
    shown = ("a = 1", "b = a")
    assert skipped(*map(own, shown), answer("c = 1"), shown=shown) == set(shown)


def test_a_demonstration_that_sets_a_part_of_what_is_used_runs() -> None:
    change = "model.weight = 5\nother['x'] = 1"
    assert skipped(own(change), answer("model"), shown=(change,)) == set()
    assert skipped(own(change), answer("other"), shown=(change,)) == set()
    assert skipped(own(change), answer("weight"), shown=(change,)) == {change}


def test_checks_do_not_run_in_the_kernel_so_their_words_do_not_count() -> None:
    assert skipped(own(SHOWN), check("assert demonstration")) == {SHOWN}


def test_a_demonstration_that_makes_what_a_check_takes_runs() -> None:
    assert skipped(own(SHOWN), check("assert demonstration"), taken=("demonstration",)) == set()
    shown = ("a = 1", "b = a", "c = b")
    assert skipped(*map(own, shown), shown=shown, taken=("b",)) == {"c = b"}


@pytest.mark.parametrize("make", [new_markdown_cell, new_raw_cell])
def test_text_is_no_code(make: Callable[[str], NotebookNode]) -> None:
    assert skipped(make("demonstration"), own(SHOWN)) == {SHOWN}
    assert skipped(make(SHOWN)) == set()


STRANGE = {
    "no Python": "def f(:",
    "no Python to compile": "def f(a, a): pass",
    "a NUL": "x = '\0'\0",
    "many commands": "!true\n" * 490,
    "many magics": "%timeit -n 1 f()\n" * 490,
    "many assignments": "a=b\n" * 50_000,
    "deep parentheses": "(" * 50_000 + ")" * 50_000,
    "deep functions": "\n".join(" " * depth + "def f():" for depth in range(150)),
    "half a surrogate pair": "x = '\ud800'",
    "one long word": "x" * 200_000,
    "one long number": "9" * 200_000,
    "dots": "." * 200_000,
    "a form feed": "\f x = 1\x1a",
}


@pytest.mark.parametrize("make", [own, answer])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "many assignments" else []) for name in STRANGE]
)
def test_a_learners_cell_is_only_searched_for_words(make: Callable[[str], NotebookNode], name: str) -> None:
    assert skipped(own(SHOWN), make(STRANGE[name])) == {SHOWN}
    assert skipped(own(SHOWN), make(STRANGE[name] + "\ndemonstration")) == set()


# The names that a demonstration makes


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("a = 1", "a"),
        ("a = b = c", "a b"),
        ("a, (b, *c) = d", "a b c"),
        ("[a, b] = c", "a b"),
        ("a: int = b", "a"),
        ("a += b", "a"),
        ("(a := b)", "a"),
        ("del a", "a"),
        ("a.b.c = d", "a"),
        ("a[b] = c", "a"),
        ("a.b[c].d += e", "a"),
        ("del a[b]", "a"),
        ("f(a).b = c", ""),
        ("for a in b:\n    c = a\nelse:\n    d = 1", "a c d"),
        ("for a, b[c] in d: pass", "a b"),
        ("while a:\n    b = 1", "b"),
        ("with a as b, c as (d, e): f = 1", "b d e f"),
        ("if a:\n    b = 1\nelse:\n    c = 1", "b c"),
        ("try:\n    a = 1\nexcept E:\n    b = 1\nelse:\n    c = 1\nfinally:\n    d = 1", "a b c d"),
        ("match a:\n    case 1:\n        b = 1", "b"),
        ("def f(a, b=c):\n    d = a", "f"),
        ("async def f(a):\n    d = a", "f"),
        ("class C(B):\n    a = 1\n    def m(self): self.x = 1", "C"),
        ("import a", "a"),
        ("import a.b.c", "a"),
        ("import a.b as c, d", "c d"),
        ("from a import b, c as d", "b d"),
        ("from . import a", "a"),
        ("f = lambda a: (b := a)", "f"),
        ("x = [a for a in b]", "x"),
        ("x = {a: c for a, c in b}, {a for a in b}, (a for a in b)", "x"),
        ("print(a, b.c, d[e])", ""),
        ("", ""),
        ("# only a comment", ""),
        ("%matplotlib inline\na = 1", ""),
        ("def f(:", ""),
        ("a = 1\0", ""),
    ],
)
def test_the_names_that_a_demonstration_makes(source: str, made: str) -> None:
    assert names_made(source) == set(made.split())


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("[last := x for x in data]", "last"),
        (
            "match point:\n    case [a, *b]: pass\n    case {'k': c, **d}: pass\n    case Point(x=e) as f: pass",
            "a b c d e f",
        ),
    ],
    ids=["the walrus in a comprehension", "patterns"],
)
def test_less_common_ways_to_make_a_name_count_too(source: str, made: str) -> None:
    assert names_made(source) == set(made.split())


def test_letters_that_python_takes_for_the_same_are_the_same() -> None:
    """Python reads U+00B5 as U+03BC."""
    shown = "\u00b5 = 1"
    for letter in "\u00b5\u03bc":
        assert skipped(own(shown), answer(f"print({letter})"), shown=(shown,)) == set()
