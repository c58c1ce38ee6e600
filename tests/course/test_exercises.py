"""Tests that the script's functions are the masters', and that the script runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from classroom import NOTEBOOKS

from autograder.authoring.sources import to_notebook
from gpt2_lib.course import exercises


def test_the_functions_are_those_of_the_masters() -> None:
    notebook = to_notebook(NOTEBOOKS["phase2_techniques"])
    answers = [cell.id for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    assert sorted(vars(exercises.reference())) == sorted(answers)
    assert len(answers) == 9
    mask = exercises.reference().magnitude_mask(torch.tensor([3.0, -1.0, 2.0, 0.5]), 0.5)
    assert mask.tolist() == [True, False, True, False]


def test_without_the_masters_the_script_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exercises.reference.cache_clear()
    monkeypatch.setattr(exercises, "MASTERS", tmp_path)
    with pytest.raises(SystemExit) as end:
        exercises.main([])
    assert end.value.code == 1
    assert "The reference solutions are the instructor's" in capsys.readouterr().err


@pytest.mark.slow
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
    chosen, uniform = numbers(r"2.5 budget of 60 %: perplexity ([\d.]+); 60 % of every layer: perplexity ([\d.]+)")
    assert dense < chosen < uniform / 2
    found = [float(p) for p in re.findall(r"^2\..* perplexity ([\d.]+)$", out, re.MULTILINE)]
    assert len(found) == 7
    assert all(dense < p < 2000 for p in found)  # worse than dense, better than a guess among all 2,048 tokens


def test_too_few_steps_of_training_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exercises.main(["--steps", "1"])
    assert "--steps must be at least 2" in capsys.readouterr().err
