"""Tests of training: a killed run continues to the same result, and each part of a step does its work."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tiny import TINY, random_ids, random_model

from gpt2_lib import CheckpointError, train
from gpt2_lib.train import Recipe, Run, fit, lr_scale, optimizers, train_step, write_log
from gpt2_lib.training.muon import Muon, orthogonalise

CONFIG = replace(TINY, dropout=0.1)
RECIPE = Recipe(steps=7, batch=2)
IDS = random_ids(TINY, 1, 400)[0]
HELD_OUT = random_ids(TINY, 2, 16, seed=1)


def new_run(snapshot: Path, recipe: Recipe = RECIPE) -> Run:
    return Run(random_model(CONFIG), recipe, snapshot)


def assert_same_weights(one, other) -> None:
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q), name


def train_to_the_end(snapshot: str) -> None:
    fit(new_run(Path(snapshot)), IDS, HELD_OUT, every=2)


def train_and_be_killed(snapshot: str) -> None:
    """Die in step 6, after the snapshot of step 4."""
    run = new_run(Path(snapshot))
    advance = run.advance

    def advance_or_die(ids):
        if run.step == 5:
            os.kill(os.getpid(), 9)
        return advance(ids)

    run.advance = advance_or_die
    fit(run, IDS, HELD_OUT, every=2)


def in_a_process(function, snapshot: Path) -> subprocess.CompletedProcess:
    """A process of its own: in one that has run other tests before, the last bits of a sum may differ."""
    here = Path(__file__).parent
    script = f"import sys; sys.path[:0] = {[str(here), str(here.parent / 'helpers')]}\nimport test_train\n"
    script += f"test_train.{function.__name__}(sys.argv[1])"
    command = [sys.executable, "-c", script, str(snapshot)]
    return subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_weights_as_one_that_was_not(tmp_path):
    died = in_a_process(train_and_be_killed, tmp_path / "killed.pt")
    assert died.returncode == (9 if sys.platform == "win32" else -9), died.stderr
    assert new_run(tmp_path / "killed.pt").step == 4
    for snapshot in ("killed.pt", "whole.pt"):
        ended = in_a_process(train_to_the_end, tmp_path / snapshot)
        assert ended.returncode == 0, ended.stderr

    resumed, whole = new_run(tmp_path / "killed.pt"), new_run(tmp_path / "whole.pt")
    assert resumed.step == whole.step == 7
    assert_same_weights(resumed.model, whole.model)
    assert [row["step"] for row in resumed.log] == [row["step"] for row in whole.log] == [2, 4, 6, 7]
    assert [row["held_out_loss"] for row in resumed.log] == [row["held_out_loss"] for row in whole.log]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.pt", "whole.pt"]


def test_a_finished_run_is_not_trained_further_and_says_so(tmp_path, capsys):
    run = new_run(tmp_path / "run.pt")
    fit(run, IDS, HELD_OUT, every=7)
    again = new_run(tmp_path / "run.pt")
    assert "finished" not in capsys.readouterr().err
    fit(again, IDS, HELD_OUT, every=7)
    assert_same_weights(run.model, again.model)
    assert "This run is finished: 7 of 7 steps" in capsys.readouterr().err


def test_another_seed_gives_another_model(tmp_path):
    runs = [new_run(tmp_path / f"{seed}.pt", replace(RECIPE, seed=seed)) for seed in (0, 1)]
    for run in runs:
        run.advance(IDS)
    assert not torch.equal(runs[0].model.wte.weight, runs[1].model.wte.weight)


@pytest.mark.parametrize(
    ("config", "recipe"),
    [(CONFIG, replace(RECIPE, steps=8)), (CONFIG, replace(RECIPE, muon_lr=0.01)), (TINY, RECIPE)],
    ids=["steps", "learning rate", "dropout"],
)
def test_a_snapshot_of_a_run_with_other_settings_is_refused(tmp_path, config, recipe):
    new_run(tmp_path / "run.pt").save()
    with pytest.raises(CheckpointError, match=r"belongs to a run with other settings.*another folder, or delete"):
        Run(random_model(config), recipe, tmp_path / "run.pt")


def test_every_step_draws_its_own_batch(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(train, "train_step", lambda model, inputs, *_: drawn.append(inputs.tolist()))
    run = new_run(tmp_path / "run.pt")
    for _ in range(3):
        run.advance(IDS)
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_training_learns(tmp_path):
    run = new_run(tmp_path / "run.pt", Recipe(steps=60, batch=8, adam_lr=2e-2))
    ids = torch.arange(10).repeat(20)  # each token tells the next
    losses = [run.advance(ids) for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]


def test_the_learning_rate_rises_then_falls_to_nearly_nothing():
    recipe = Recipe(steps=1000, warmup=100)
    scales = [lr_scale(step, recipe) for step in range(1000)]
    assert scales[0] == pytest.approx(1 / 101)
    assert max(scales) == scales[100] == pytest.approx(0.9)
    assert all(a < b for a, b in pairwise(scales[:101]))
    assert all(a > b for a, b in pairwise(scales[100:]))
    assert scales[-1] == pytest.approx(0.001)


def test_a_short_run_warms_up_for_a_tenth_of_it():
    scales = [lr_scale(step, Recipe(steps=20, warmup=100)) for step in range(20)]
    assert scales.index(max(scales)) == 2


def test_every_parameter_has_one_optimizer_and_only_the_blocks_matrices_have_muon():
    model = random_model()
    muon, adam = optimizers(model, RECIPE)
    by_muon = [p for group in muon.param_groups for p in group["params"]]
    by_adam = [p for group in adam.param_groups for p in group["params"]]
    assert sorted(map(id, by_muon + by_adam)) == sorted(map(id, model.parameters()))
    assert {id(p) for p in by_muon} == {id(p) for n, p in model.named_parameters() if n[:2] == "h." and p.dim() == 2}
    assert muon.param_groups[0]["parts"] == 3
    assert [id(p) for p in muon.param_groups[0]["params"]] == [id(block.attn.c_attn.weight) for block in model.h]


def test_a_step_returns_the_loss_it_started_from_and_lowers_it():
    model, ids = random_model(), random_ids(TINY, 4, 9)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    expected = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
    steps = optimizers(model, RECIPE)
    losses = [train_step(model, inputs, targets, steps) for _ in range(5)]
    assert losses[0] == pytest.approx(expected, rel=1e-5)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    scale = max(1.0, shape[0] / shape[1]) ** 0.5
    values = torch.linalg.svdvals(orthogonalise(matrix)) / scale
    assert values.min() > 0.3
    assert values.max() < 1.4


def test_muon_treats_stacked_matrices_one_by_one():
    together = torch.nn.Parameter(torch.zeros(12, 4))
    together.grad = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    parts = [torch.nn.Parameter(torch.zeros(4, 4)) for _ in range(3)]
    for part, grad in zip(parts, together.grad.chunk(3), strict=True):
        part.grad = grad.clone()
    Muon([{"params": [together], "parts": 3}]).step()
    Muon(parts).step()
    torch.testing.assert_close(together.data, torch.cat([part.data for part in parts]))


def test_the_log_is_written_as_csv(tmp_path):
    rows = [{"step": 2, "train_loss": 3.5}, {"step": 4, "train_loss": 3.25}]
    write_log(rows, tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{k: str(v) for k, v in row.items()} for row in rows]
