"""Tests of Phase 1 without a notebook: the sweep, its table and its command."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import matplotlib.image
import pytest
import torch
from tiny import TINY, random_ids, random_model, tokenizer

from gpt2_lib import GPT2, evaluate, save_pretrained
from gpt2_lib.course.experiments import BEYOND, METHODS, Point, draw, sweep, sweep_gradually, table
from gpt2_lib.pruning.pruner import prunable_weights


@pytest.fixture
def model() -> GPT2:
    model = random_model()
    model.tokenizer = tokenizer()
    return model


def test_a_sweep_measures_every_method_at_every_sparsity_and_leaves_the_model_alone(model: GPT2) -> None:
    before = deepcopy(model.state_dict())
    windows = random_ids(TINY, 3, 16)
    points = sweep(model, windows, sparsities=(0.0, 0.5))
    assert [(p.method, p.sparsity) for p in points] == [(m.name, s) for m in METHODS for s in (0.0, 0.5)]
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    dense = evaluate(model, windows)
    for point in points:
        if point.sparsity == 0:
            assert point.perplexity == pytest.approx(dense.perplexity)
            assert point.accuracy == dense.accuracy
        else:
            assert point.perplexity != pytest.approx(dense.perplexity)


@pytest.mark.parametrize("method", METHODS + BEYOND, ids=lambda m: m.name)
def test_every_method_removes_what_it_is_asked_to(model: GPT2, method) -> None:
    method.prune(model, 0.5, 0.5)
    weights = prunable_weights(model).values()
    zeros = sum(int((w == 0).sum()) for w in weights)
    assert zeros == sum(w.numel() for w in weights) // 2


def test_a_gradual_sweep_trains_between_its_cuts_and_leaves_the_model_alone(model: GPT2) -> None:
    before = deepcopy(model.state_dict())
    windows = random_ids(TINY, 3, 16)
    points = sweep_gradually(model, windows, sparsities=(0.5, 0.7, 0.9), steps=2, batch=2)
    assert [p.sparsity for p in points] == pytest.approx([0.5, 0.7, 0.9], abs=1e-3)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    (shot,) = sweep(model, windows, (0.5,), METHODS[:1])
    assert points[0].perplexity != pytest.approx(shot.perplexity)  # the same cut, and two steps


def test_the_table_has_a_line_for_each_point() -> None:
    point = Point("magnitude", 0.5, 1234.56, 0.25, 2.0, "text")
    lines = table([point, dataclasses.replace(point, sparsity=0.8)]).splitlines()
    assert len(lines) == 4
    assert lines[2] == "| magnitude | 50% | 1,234.6 | 25.0% | 2.000 |"


def test_the_curves_are_drawn_to_a_picture(tmp_path: Path) -> None:
    points = [Point("magnitude", s, 20 * (1 + s), 0.3 - s / 10, 2 + s, "") for s in (0.0, 0.5, 0.9)]
    path = tmp_path / "new" / "curves.png"
    draw(points, path)
    height, width, _ = matplotlib.image.imread(path).shape
    assert width > height > 100


@pytest.mark.slow
def test_the_command_prints_the_table_and_draws_the_picture(model: GPT2, tmp_path: Path) -> None:
    save_pretrained(model, tmp_path / "model")
    out = run("--model", str(tmp_path / "model"), "--windows", "2", "--out", str(tmp_path / "curves.png"))
    assert out.returncode == 0, out.stderr
    assert "| magnitude, global | 90% |" in out.stdout
    assert "| SparseGPT | 50% |" in out.stdout
    assert "| ADMM | 50% |" in out.stdout
    assert "| gradual, 10 steps a cut | 90% |" in out.stdout
    assert "pruning and measuring: 100%" in out.stderr
    assert (tmp_path / "curves.png").is_file()


def test_the_command_names_a_model_that_is_not_there() -> None:
    out = run("--model", "gpt3")
    assert out.returncode == 2
    assert "No model named 'gpt3'" in out.stderr


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "gpt2_lib.course.experiments", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
