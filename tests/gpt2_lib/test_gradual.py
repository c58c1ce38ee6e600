"""Tests of pruning during training: the schedule is met exactly, and a killed run continues to the same result."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import TINY, random_ids, random_model

from gpt2_lib import CheckpointError, metrics
from gpt2_lib.pruning import gradual
from gpt2_lib.pruning.gradual import GradualRun, MaskedRun, admm_cuts, prune_iteratively, sparsegpt_cuts
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.schedules import Schedule, linear_sparsity
from gpt2_lib.pruning.selection import global_masks, layer_masks
from gpt2_lib.train import Recipe, fit

CONFIG = replace(TINY, dropout=0.1)  # so that a step's random numbers matter
IDS = random_ids(TINY, 1, 400)[0]
HELD_OUT = random_ids(TINY, 2, 16, seed=1)
RECIPE = Recipe(steps=12, batch=2)
SCHEDULE = Schedule(final=0.6, steps=8, start=1, every=3)  # cuts before steps 1, 4, 7 and 9
CUTS = (1, 4, 7, 9)


def model(seed: int = 0):
    return random_model(CONFIG, seed)


def zeros(m) -> dict[str, int]:
    return {name: int((w == 0).sum()) for name, w in prunable_weights(m).items()}


def assert_same(one: MaskedRun, other: MaskedRun) -> None:
    """The same weights, masks, remembered weights and optimiser state, bit by bit."""
    for (name, p), q in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(p, q), name
    a, b = one.keeper.state_dict(), other.keeper.state_dict()
    assert a["masks"].keys() == b["masks"].keys()
    for name in a["masks"]:
        assert torch.equal(a["masks"][name], b["masks"][name]), name
        assert torch.equal(a["remembered"][name], b["remembered"][name]), name
    for x, y in zip(one.optimizers, other.optimizers, strict=True):
        for s, t in zip(x.state_dict()["state"].values(), y.state_dict()["state"].values(), strict=True):
            for key in s:
                assert torch.equal(s[key], t[key])


# Gradual


@pytest.mark.parametrize("curve", ["cubic", "linear"])
def test_after_every_step_the_sparsity_is_exactly_that_of_the_last_cut(curve):
    schedule = SCHEDULE if curve == "cubic" else replace(SCHEDULE, curve=linear_sparsity)
    run = GradualRun(model(), RECIPE, schedule)
    sizes = {name: w.numel() for name, w in prunable_weights(run.model).items()}
    expected = dict.fromkeys(sizes, 0)
    while run.step < RECIPE.steps:
        step = run.step
        if step in CUTS:
            share = (min(step - 1, 8)) / 8
            sparsity = 0.6 - 0.6 * (1 - share) ** 3 if curve == "cubic" else 0.6 * share
            expected = {name: round(sparsity * n) for name, n in sizes.items()}
        run.advance(IDS)
        assert zeros(run.model) == expected, f"after step {step}"
    assert metrics.sparsity(prunable_weights(run.model).values()) == pytest.approx(0.6, abs=1e-3)


def test_only_attention_and_feed_forward_weights_are_pruned():
    run = GradualRun(model(), RECIPE, SCHEDULE)
    fit(run, IDS, HELD_OUT, every=12)
    prunable = prunable_weights(run.model)
    for name, p in run.model.named_parameters():
        assert (p == 0).any() == (name in prunable), name


def test_all_layers_can_be_ranked_together():
    run = GradualRun(model(), RECIPE, SCHEDULE, select=global_masks)
    fit(run, IDS, HELD_OUT, every=12)
    sizes = {name: w.numel() for name, w in prunable_weights(run.model).items()}
    assert sum(zeros(run.model).values()) == round(0.6 * sum(sizes.values()))
    assert len({zeros(run.model)[name] / n for name, n in sizes.items()}) > 1


def test_weights_that_were_pruned_come_back_with_the_value_they_had():
    run = GradualRun(model(), replace(RECIPE, muon_lr=0.1), SCHEDULE)
    gone: dict[str, torch.Tensor] = {}
    back = 0
    select = run.select

    def spy(weights, sparsity):
        nonlocal back
        masks = select(weights, sparsity)
        for name, mask in masks.items():
            if name in gone:
                returning = mask & ~torch.isnan(gone[name])
                assert torch.equal(weights[name][returning], gone[name][returning])
                back += int(returning.sum())
            gone[name] = weights[name].masked_fill(mask, float("nan"))  # only what is pruned has a number
        return masks

    run.select = spy
    while run.step < RECIPE.steps:
        run.advance(IDS)
    assert back > 0


@pytest.mark.parametrize("killed_at", [0, 3, 4, 5, 9, 12])
def test_a_run_killed_at_any_step_ends_as_one_that_was_not(tmp_path, killed_at):
    whole = GradualRun(model(), RECIPE, SCHEDULE, tmp_path / "run.pt")
    while whole.step < RECIPE.steps:
        if whole.step == killed_at:
            whole.save()
            shutil.copy(tmp_path / "run.pt", tmp_path / "killed.pt")
        whole.advance(IDS)
    if killed_at == RECIPE.steps:
        whole.save()
        shutil.copy(tmp_path / "run.pt", tmp_path / "killed.pt")

    resumed = GradualRun(model(seed=7), RECIPE, SCHEDULE, tmp_path / "killed.pt")
    assert resumed.step == killed_at
    while resumed.step < RECIPE.steps:
        resumed.advance(IDS)
    assert_same(resumed, whole)
    assert sum(zeros(resumed.model).values()) == pytest.approx(0.6 * 13824, abs=4)


@pytest.mark.parametrize("cuts", [sparsegpt_cuts, admm_cuts])
def test_correcting_cuts_while_a_teacher_is_imitated_are_exact_final_and_survive_a_kill(cuts, tmp_path):
    windows = random_ids(TINY, 4, 32)
    recipe = replace(RECIPE, distillation=0.8)

    def new(seed: int, path: Path) -> GradualRun:
        student = model(seed)
        return GradualRun(student, recipe, SCHEDULE, path, model(), cuts(student, windows))

    whole, before = new(0, tmp_path / "run.pt"), {}
    while whole.step < recipe.steps:
        if whole.step == 5:
            whole.save()
            shutil.copy(tmp_path / "run.pt", tmp_path / "killed.pt")
        whole.advance(IDS)
        for name, mask in whole.keeper.masks.items():
            assert not (mask & ~before.get(name, mask)).any(), "what is pruned stays pruned"
        before = whole.keeper.masks
    for name, w in prunable_weights(whole.model).items():
        assert torch.equal(w != 0, before[name])
        assert (w == 0).sum() == round(0.6 * w.numel())

    resumed = new(7, tmp_path / "killed.pt")
    assert resumed.step == 5
    while resumed.step < recipe.steps:
        resumed.advance(IDS)
    assert_same(resumed, whole)


def test_fit_takes_snapshots_that_hold_the_masks(tmp_path):
    run = GradualRun(model(), RECIPE, SCHEDULE, tmp_path / "run.pt")
    fit(run, IDS, HELD_OUT, every=5)
    again = GradualRun(model(seed=7), RECIPE, SCHEDULE, tmp_path / "run.pt")
    assert [row["held_out_loss"] for row in again.log] == [row["held_out_loss"] for row in run.log]
    assert [row["step"] for row in again.log] == [5, 10, 12]
    assert_same(again, run)


def test_a_resumed_run_still_holds_the_zeros(tmp_path):
    run = GradualRun(model(), RECIPE, SCHEDULE, tmp_path / "run.pt")
    for _ in range(10):
        run.advance(IDS)
    run.save()
    resumed = GradualRun(model(), RECIPE, SCHEDULE, tmp_path / "run.pt")
    before = zeros(resumed.model)
    resumed.advance(IDS)
    assert zeros(resumed.model) == before == zeros(run.model)


@pytest.mark.parametrize(
    "other",
    [
        {"schedule": replace(SCHEDULE, final=0.7)},
        {"schedule": replace(SCHEDULE, every=2)},
        {"schedule": replace(SCHEDULE, curve=linear_sparsity)},
        {"select": global_masks},
        {"recipe": replace(RECIPE, muon_lr=0.01)},
    ],
    ids=["sparsity", "every", "curve", "select", "recipe"],
)
def test_a_snapshot_of_a_run_with_other_settings_is_refused(tmp_path, other):
    settings = {"recipe": RECIPE, "schedule": SCHEDULE, "select": layer_masks}
    GradualRun(model(), snapshot=tmp_path / "run.pt", **settings).save()
    with pytest.raises(CheckpointError, match="belongs to a run with other settings"):
        GradualRun(model(), snapshot=tmp_path / "run.pt", **(settings | other))


@pytest.mark.parametrize(("start", "steps"), [(0, 13), (5, 8), (0, 12), (4, 8)])
def test_a_schedule_whose_last_cut_no_step_would_make_is_refused(start, steps):
    with pytest.raises(ValueError, match=r"schedule ends at step 1[23], the training at 12: train longer"):
        GradualRun(model(), RECIPE, Schedule(final=0.6, steps=steps, start=start))


def test_a_last_cut_before_the_last_step_is_made():
    run = GradualRun(model(), RECIPE, Schedule(final=0.6, steps=11, every=4))
    while run.step < RECIPE.steps:
        run.advance(IDS)
    assert metrics.sparsity(prunable_weights(run.model).values()) == pytest.approx(0.6, abs=1e-3)


def test_without_a_snapshot_file_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(GradualRun(model(), RECIPE, SCHEDULE), IDS, HELD_OUT, every=6)
    assert list(tmp_path.iterdir()) == []


# Recovery with masks that stay


def test_recovery_keeps_the_masks_and_learns(tmp_path):
    m = model()
    masks = layer_masks(prunable_weights(m), 0.5)
    start = {name: p.detach().clone() for name, p in m.named_parameters()}
    run = MaskedRun(m, RECIPE, masks, tmp_path / "run.pt")
    fit(run, IDS, HELD_OUT, every=6)
    for name, w in prunable_weights(m).items():
        assert torch.equal(w != 0, masks[name])
        assert (w[masks[name]] != start[name][masks[name]]).any()


def test_a_recovery_that_is_killed_ends_as_one_that_was_not(tmp_path):
    masks = layer_masks(prunable_weights(model()), 0.5)
    whole = MaskedRun(model(), RECIPE, masks, tmp_path / "run.pt")
    for _ in range(5):
        whole.advance(IDS)
    whole.save()
    resumed = MaskedRun(model(), RECIPE, masks, tmp_path / "run.pt")
    assert resumed.step == 5
    for run in (whole, resumed):
        while run.step < RECIPE.steps:
            run.advance(IDS)
    assert_same(resumed, whole)


@pytest.mark.parametrize("sparsity", [0.5, 0.6], ids=["as many zeros elsewhere", "more zeros"])
def test_a_snapshot_of_other_masks_is_refused(tmp_path, sparsity):
    MaskedRun(model(), RECIPE, layer_masks(prunable_weights(model()), 0.5), tmp_path / "run.pt").save()
    others = layer_masks(prunable_weights(model(seed=7)), sparsity)
    with pytest.raises(CheckpointError, match="belongs to a run with other settings"):
        MaskedRun(model(), RECIPE, others, tmp_path / "run.pt")


# Iterative, with rewinding

SHORT = Recipe(steps=4, batch=2)


def iterate(m, folder: Path, **options) -> list[dict]:
    return prune_iteratively(m, IDS, HELD_OUT, SHORT, folder, **({"sparsity": 0.657, "rounds": 3} | options))


@pytest.mark.parametrize("rewind", [False, True], ids=["learning rate", "weights too"])
def test_each_round_starts_from_where_it_should(tmp_path, monkeypatch, rewind):
    early = {name: p.clone() for name, p in model(seed=3).state_dict().items()}
    starts, ends, scales = [], [], []

    def watched(run, *args, **options):
        starts.append(({n: p.detach().clone() for n, p in run.model.named_parameters()}, run.keeper.masks))
        assert run.step == 0  # so the learning rate starts anew
        assert not any(optimizer.state for optimizer in run.optimizers)
        fit(run, *args, **options)
        scales.append(run.optimizers[0].param_groups[0]["lr"])
        ends.append({n: p.detach().clone() for n, p in run.model.named_parameters()})

    monkeypatch.setattr(gradual, "fit", watched)
    m = model()
    given = {name: p.detach().clone() for name, p in m.named_parameters()}
    rows = iterate(m, tmp_path, rewind_to=early if rewind else None)

    total = sum(w.numel() for w in prunable_weights(m).values())
    assert [row["round"] for row in rows] == [1, 2, 3]
    for i, (row, (start, masks)) in enumerate(zip(rows, starts, strict=True)):
        assert row["sparsity"] == pytest.approx(1 - (1 - 0.657) ** ((i + 1) / 3))
        assert sum(int((~mask).sum()) for mask in masks.values()) == round(row["sparsity"] * total)
        source = early if rewind else (given, *ends)[i]
        for name, p in start.items():
            assert torch.equal(p, source[name] * masks.get(name, 1)), name
        chosen = global_masks({name: (given, *ends)[i][name] for name in masks}, row["sparsity"])
        for name, mask in masks.items():
            assert torch.equal(mask, chosen[name])
            assert not (ends[i][name][~mask] != 0).any()
            if i > 0:
                assert not (mask & ~starts[i - 1][1][name]).any(), "what went in a round before must stay away"
    assert len(set(scales)) == 1
    assert metrics.sparsity(prunable_weights(m).values()) == pytest.approx(0.657, abs=1e-3)


class Killed(Exception):
    pass


@pytest.mark.parametrize("rewind", [False, True], ids=["learning rate", "weights too"])
@pytest.mark.parametrize("killed_after", [2, 6])  # steps in all: in the first and the second round
def test_rounds_that_are_killed_end_as_if_they_had_not_been(tmp_path, monkeypatch, rewind, killed_after):
    early = {name: p.clone() for name, p in model(seed=3).state_dict().items()} if rewind else None
    whole = model()
    rows = iterate(whole, tmp_path / "whole", rewind_to=early)

    advance, taken = MaskedRun.advance, 0

    def die(self, ids):
        nonlocal taken
        if taken == killed_after:
            raise Killed
        taken += 1
        return advance(self, ids)

    with monkeypatch.context() as patch:
        patch.setattr(MaskedRun, "advance", die)
        with pytest.raises(Killed):
            iterate(model(), tmp_path / "killed", rewind_to=early)
    resumed = model()
    again = iterate(resumed, tmp_path / "killed", rewind_to=early)
    for (name, p), q in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q), name
    for key in ("round", "sparsity", "step", "held_out_loss", "accuracy"):
        assert [row[key] for row in again] == [row[key] for row in rows]


def test_after_the_rounds_the_model_trains_freely(tmp_path):
    m = model()
    iterate(m, tmp_path)
    pruned = zeros(m)
    MaskedRun(m, SHORT, None).advance(IDS)
    assert sum(zeros(m).values()) < sum(pruned.values())


@pytest.mark.parametrize(("bad", "message"), [({"rounds": 0}, "At least one round"), ({"sparsity": 1.5}, "fraction")])
def test_rounds_or_a_sparsity_that_make_no_sense_are_refused_before_anything_happens(tmp_path, bad, message):
    m = model()
    before = {name: p.detach().clone() for name, p in m.named_parameters()}
    with pytest.raises(ValueError, match=message):
        iterate(m, tmp_path / "new", **bad)
    for name, p in m.named_parameters():
        assert torch.equal(p, before[name])
    assert not (tmp_path / "new").exists()
