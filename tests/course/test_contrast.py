"""Tests of contrast: all text and bars in HTML are visible on light and on dark pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from colour import contrast

import gpt2_lib.course
from autograder.reports import display

COLOUR = re.compile(r"#(?:[0-9a-f]{6}|[0-9a-f]{3})\b", re.IGNORECASE)
LIGHT, DARK = "#ffffff", "#111111"  # JupyterLab's cells
WORDS, SEEN = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11
# Where each of the course's colours stands: those beside words of the theme, on whichever page; words on their own
# ground; grounds. A new colour is entered here.
BARS = {"#1a7f37", "#cf3a30", "#768390", "#2a78d0", "#8c959f"}
ON = {("#1f2328", "#cfe3f7"), ("#57606a", "#fff")}
CARD = {"#1f2328", "#57606a", "#0b5cad", "#1a7f37"}  # words and boxes on a white picture


def used(folder: Path, pattern: str) -> dict[str, set[str]]:
    return {
        path.name: {colour.lower() for colour in COLOUR.findall(path.read_text(encoding="utf-8"))}
        for path in folder.rglob(pattern)
    }


def test_every_colour_in_the_notebooks_pages_is_entered_here() -> None:
    found = set().union(*used(Path(gpt2_lib.course.__file__).parent, "*.py").values())
    assert found == BARS | {colour for pair in ON for colour in pair} | CARD


@pytest.mark.parametrize("page", [LIGHT, DARK])
def test_bars_and_frames_are_seen_in_both_themes(page: str) -> None:
    assert {bar: contrast(bar, page) for bar in BARS if contrast(bar, page) < SEEN} == {}


def test_words_on_a_ground_of_their_own_are_read() -> None:
    assert [pair for pair in ON if contrast(*pair) < WORDS] == []
    assert [colour for colour in CARD if contrast(colour, LIGHT) < WORDS] == []


def palettes() -> dict[str, dict[str, str]]:
    """The variables of the pages about grades, in each scheme."""
    page = Path(display.__file__).parent / "templates" / "page.html"
    light, dark = re.findall(r":root \{([^}]*)\}", page.read_text(encoding="utf-8"))
    return {scheme: dict(re.findall(r"--(\w+): (#\w+)", text)) for scheme, text in (("light", light), ("dark", dark))}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_on_the_pages_about_grades_are_read(scheme: str) -> None:
    colours = palettes()[scheme]
    assert colours.keys() == {"page", "text", "soft", "line", "box", "good", "bad", "bar"}
    words = ("text", "soft", "good", "bad", "bar")  # links have the bar's colour
    pale = {(w, on): contrast(colours[w], colours[on]) for w in words for on in ("page", "box")}
    assert {pair: ratio for pair, ratio in pale.items() if ratio < WORDS} == {}


def test_the_pages_about_grades_have_no_colours_but_those() -> None:
    variables = {colour.lower() for colours in palettes().values() for colour in colours.values()}
    found = used(Path(display.__file__).parent / "templates", "*.html")
    assert {name: colours - variables for name, colours in found.items() if colours - variables} == {}
