"""The script's functions are the notebook's, and the script runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gpt2_lib.course import exercises

PHASE = Path(__file__).parents[2] / "source" / "phase2_techniques"
CELL = re.compile(r'^# %% exercise="(\w+)"\n(.*?)(?=^# %%)', re.MULTILINE | re.DOTALL)


def solutions() -> dict[str, str]:
    """Exercise -> the code of its reference solution, without the marks around it."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PHASE.rglob("*.py")))
    marks = re.compile(r"^ *### (BEGIN|END) SOLUTION\n", re.MULTILINE)
    return {name: marks.sub("", code).strip() for name, code in CELL.findall(text)}


def test_the_notebook_has_eight_exercises() -> None:
    assert len(solutions()) == 8


@pytest.mark.parametrize("name", solutions())
def test_the_script_has_the_notebooks_solution(name: str) -> None:
    assert inspect.getsource(getattr(exercises, name)).strip() == solutions()[name]


def test_the_script_prunes_the_real_model_with_each_technique(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.main(["--steps", "2"])
    out = capsys.readouterr().out

    def numbers(pattern: str) -> list[float]:
        found = re.search(pattern, out)
        assert found is not None, pattern
        return [float(number.replace(",", "")) for number in found.groups()]

    (dense,) = numbers(r"as trained: perplexity ([\d.]+)")
    assert "884,736 of 1,769,472 weights in 16 matrices gone" in out
    before, after = numbers(r"2.2 structured: ([\d,]+) -> ([\d,]+)")
    assert after < before
    assert "2.3 80% gradual, 2 steps of training" in out
    assert "2.4 global: half of all weights gone" in out
    found = [float(p) for p in re.findall(r"^2\..* perplexity ([\d.]+)$", out, re.MULTILINE)]
    assert len(found) == 6
    assert all(dense < p < 2000 for p in found)  # worse than dense, better than a guess among all 2,048 tokens


def test_too_few_steps_of_training_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exercises.main(["--steps", "1"])
    assert "--steps must be at least 2" in capsys.readouterr().err
