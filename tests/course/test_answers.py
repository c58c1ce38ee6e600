"""Tests that pages about the notebooks match the masters and the answers."""

from __future__ import annotations

import re

from classroom import NOTEBOOKS, REPOSITORY

from autograder.authoring.sources import to_notebook
from docs.grading import PAGE, page


def test_the_table_of_answers_is_as_answers_and_masters_have_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python docs/grading.py writes it again"


def test_the_readme_has_the_minutes_of_the_notebooks() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| \d · (\w+) \| (\d+) \|", readme, re.MULTILINE)
    found = []
    for name, path in NOTEBOOKS.items():
        minutes = re.search(r"\*\*(\d+) minutes,", to_notebook(path).cells[0].source)
        if minutes and "_" in name:  # the challenges are a part of Phase 3
            found.append((name.partition("_")[2], minutes[1]))
    assert told == found
