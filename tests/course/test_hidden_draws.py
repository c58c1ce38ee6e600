"""Tests that hidden tests draw their inputs from the grader's seed: a rerun repeats them, a new hand-in has others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "source"
MASTERS = [path for path in sorted(SOURCE.rglob("*.py")) if "BEGIN HIDDEN TESTS" in path.read_text(encoding="utf-8")]
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.DOTALL)
RANDOM = re.compile(
    r"\b(?:random\.|secrets\.|torch\.(?:rand|randn|randint|randperm)\w*\(|np\.random|numpy\.random|uuid)"
)
SEEDED = re.compile(r"\bmanual_seed\((?P<seed>[^()]*)\)")


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_hidden_tests_draw_from_the_graders_seed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "SystemRandom" not in text
    for hidden in HIDDEN.findall(text):
        for line in filter(RANDOM.search, hidden.splitlines()):
            rest = line.replace("draw.random.", "draw.")
            assert not RANDOM.search(rest) or "generator=" in rest, f"{line.strip()} draws from no seed"
        for found in SEEDED.finditer(hidden):
            assert re.search(r"\b(?:draw|seed|chance)\b", found["seed"]), f"{found[0]} is the same for everybody"
        assert "for draw.seed" not in hidden, "draw.seed is the grader's, no count"


def test_the_masters_have_hidden_tests_that_draw() -> None:
    assert len([path for path in MASTERS if "draw." in path.read_text(encoding="utf-8")]) > 10
