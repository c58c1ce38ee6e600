"""Tests of the snapshots that a run takes by itself: an interrupted loop loses neither a step nor a row of its log."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import TINY, random_ids, random_model

from gpt2_lib.pruning.gradual import GradualRun
from gpt2_lib.pruning.schedules import Schedule
from gpt2_lib.train import Recipe, Run
from gpt2_lib.training import autosave

RECIPE = Recipe(steps=6, batch=2)
IDS = random_ids(TINY, 1, 400)[0]


def gradual(snapshot: Path | None, seed: int = 0) -> GradualRun:
    return GradualRun(random_model(replace(TINY, dropout=0.1), seed), RECIPE, Schedule(0.6, 3, every=1), snapshot)


def interrupt(run: Run, step: int, times: int = 1) -> None:
    """Interrupt ``run`` in the middle of a step, as Ctrl-C does."""
    usual = run.before_clipping

    def before_clipping() -> None:
        usual()
        if run.step == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    run.before_clipping = before_clipping


def train(run: Run) -> None:
    """Train as a learner's loop does, with a row a step."""
    while run.step < RECIPE.steps:
        loss = run.advance(IDS)
        run.log.append({"step": run.step, "loss": loss})


def test_an_interrupted_run_is_saved_with_its_log_and_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole, stopped = gradual(None), gradual(tmp_path / "run.pt")
    train(whole)
    interrupt(stopped, 2)
    with pytest.raises(KeyboardInterrupt, match="saved"):
        train(stopped)
    resumed = gradual(tmp_path / "run.pt", seed=1)
    assert resumed.step == 3
    assert resumed.log == whole.log[:3]
    train(resumed)
    assert resumed.log == whole.log
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_is_saved_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(autosave.time, "monotonic", lambda: now)
    run, saved = gradual(tmp_path / "run.pt"), []
    for _ in range(RECIPE.steps):
        run.advance(IDS)
        now += 25
        saved.append(gradual(tmp_path / "run.pt").step)
    assert saved == [0, 0, 0, 3, 3, 3]


@pytest.mark.parametrize(("snapshot", "times"), [(None, 1), ("run.pt", 2)])
def test_without_a_snapshot_and_at_the_second_interrupt_it_stops_at_once(
    tmp_path: Path, snapshot: str | None, times: int
) -> None:
    run = gradual(tmp_path / snapshot if snapshot else None)
    interrupt(run, 2, times)
    with pytest.raises(KeyboardInterrupt):
        train(run)
    assert run.step == 2
    assert not (tmp_path / "run.pt").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
