"""Tests that no text of a stranger makes a regular expression, or the reading of a name, take long.

A test here does not look at a clock: where a pattern has exponentially many ways to read a text, it never ends.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import random
import re
from collections.abc import Iterator
from pathlib import Path
from re import _constants as op  # pyright: ignore[reportAttributeAccessIssue]
from re import _parser as parser  # pyright: ignore[reportAttributeAccessIssue]

import pytest

import autograder
from autograder.intake.names import base_name, looks_like, notebook_of

REPEATS = {op.MAX_REPEAT, op.MIN_REPEAT}
TIMES = 60  # 2**60 ways would take years
CLASSES = {
    op.CATEGORY_DIGIT: "17",
    op.CATEGORY_SPACE: " \n",
    op.CATEGORY_WORD: "a1_",
    op.CATEGORY_NOT_DIGIT: "a -",
    op.CATEGORY_NOT_SPACE: "a1-",
    op.CATEGORY_NOT_WORD: " -",
}
ANY = "a1-_ .,"


def patterns() -> Iterator[re.Pattern]:
    """Yield the compiled patterns of all modules, and those that are written where they are used."""
    for found in pkgutil.walk_packages(autograder.__path__, "autograder."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        yield from (value for value in vars(module).values() if isinstance(value, re.Pattern))
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                of, first = node.func.value, node.args[0]
                if isinstance(of, ast.Name) and of.id == "re" and isinstance(first, ast.Constant):
                    yield re.compile(str(first.value))


def sample(tree: list, draw: random.Random) -> str:
    """Return a text that a parsed pattern reads, or nearly: what it looks around at is left out."""
    text = ""
    for kind, about in tree:
        if kind is op.LITERAL:
            text += chr(about)
        elif kind in (op.ANY, op.NOT_LITERAL):
            text += draw.choice(ANY)
        elif kind is op.IN:
            text += one_of(about, draw)
        elif kind is op.BRANCH:
            text += sample(draw.choice(about[1]), draw)
        elif kind is op.SUBPATTERN:
            text += sample(about[3], draw)
        elif kind is op.ATOMIC_GROUP:
            text += sample(about, draw)
        elif kind in REPEATS:
            least, most, inner = about
            text += "".join(sample(inner, draw) for _ in range(draw.randint(least, min(most, least + 2))))
    return text


def one_of(about: list, draw: random.Random) -> str:
    if about[0][0] is op.NEGATE:
        refused = {chr(value) for kind, value in about if kind is op.LITERAL}
        return draw.choice([char for char in ANY if char not in refused])
    kind, value = draw.choice(about)
    if kind is op.LITERAL:
        return chr(value)
    return chr(draw.choice(value)) if kind is op.RANGE else draw.choice(CLASSES[value])


def repeated(tree: list, before: list) -> Iterator[tuple[list, list]]:
    """Yield (what comes before, what is repeated) for each part of a pattern that has no or a large limit."""
    before = [*before]
    for kind, about in tree:
        if kind in REPEATS and about[1] > 12:
            yield before, about[2]
        inner = {op.SUBPATTERN: lambda a: [a[3]], op.BRANCH: lambda a: a[1], op.ATOMIC_GROUP: lambda a: [a]}
        inner |= dict.fromkeys(REPEATS, lambda a: [a[2]])
        for part in inner[kind](about) if kind in inner else ():
            yield from repeated(list(part), before)
        before.append((kind, about))


def attacks(pattern: re.Pattern, draw: random.Random) -> Iterator[str]:
    """Yield texts that repeat each repeated part, and part of it, and end as no text does that the pattern reads."""
    text = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    tree = list(parser.parse(text, pattern.flags & ~re.DEBUG))
    for before, part in repeated(tree, []):
        for _ in range(12):
            start, unit = sample(before, draw), sample(part, draw) + sample(part, draw)
            yield from (start + unit * TIMES + end for end in ("\x00", "-x", "!\n"))


@pytest.mark.parametrize("pattern", sorted({*patterns()}, key=str), ids=str)
def test_no_text_is_read_in_exponentially_many_ways(pattern: re.Pattern) -> None:
    for text in attacks(pattern, random.Random(0)):
        given = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
        found = [pattern.search(given), pattern.match(given), pattern.fullmatch(given)]
        assert all(one is None or one.end() <= len(given) for one in found)


def test_the_attacks_of_a_pattern_repeat_what_it_repeats() -> None:
    """The pattern that once was in `names`: with few repeats, since this one does read them in all ways."""
    once = re.compile(r"(?:[-_ .]+(?:v\d+|final)\d*)+$")
    assert any(re.search(r"(?:[-_ .]+v\d\d+){9}", text) for text in attacks(once, random.Random(0)))


@pytest.mark.parametrize(
    "unit", ["-v11", "(1)", "-version  ", " (1)-copy 1", "-1", " final ", "_v1.v2", "copy of ", "-", "1"]
)
@pytest.mark.parametrize("end", ["-x", "", "(", "-v"])
def test_a_name_of_many_marks_is_read(unit: str, end: str) -> None:
    name = f"lab{unit * 90}{end}"
    found = notebook_of(f"{name}.ipynb", ["lab"])
    assert found is None or found[0] == "lab"
    assert base_name(f"{name}.ipynb").startswith("lab")
    assert not looks_like(name, "other")


@pytest.mark.parametrize(
    ("file", "whose"),
    [
        ("lab-v2-final.ipynb", ""),
        ("lab_ada-v2.ipynb", "ada"),
        ("lab_ada - final version 3.ipynb", "ada"),
        ("lab_ada_v11_latest (2).ipynb", "ada"),
        ("lab (1)(2).ipynb", ""),
        ("Copy of lab_ada.ipynb", "ada"),
    ],
)
def test_marks_of_versions_name_no_owner(file: str, whose: str) -> None:
    assert notebook_of(file, ["lab"]) == ("lab", whose)


def test_a_name_that_is_nothing_but_marks_stays() -> None:
    assert base_name("(1)(2).csv") == "(1).csv"
    assert base_name("edge (1)-2.gpt2pack") == "edge.gpt2pack"
