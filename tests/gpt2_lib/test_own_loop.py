"""Tests of custom loops: optimisers, schedulers, accumulation, autocast, callbacks, accelerate, Trainer: zeros stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, in_transformers, random_ids, random_model
from torch import nn

from gpt2_lib import CheckpointError, KeepMasks, MaskKeeper, ModelPruner, metrics
from gpt2_lib.deploy.tracking import tensorboard
from gpt2_lib.pruning.gradual import GradualRun, MaskedRun
from gpt2_lib.pruning.schedules import Schedule
from gpt2_lib.pruning.targets import prunable_weights
from gpt2_lib.train import Means, Recipe, Run, fit

IDS = random_ids(TINY, 1, 400)[0]
HELD_OUT = random_ids(TINY, 2, 16, seed=1)
RECIPE = Recipe(steps=6, batch=4)
SCHEDULE = Schedule(final=0.6, steps=4, every=2)


def sparsity(model: nn.Module) -> float:
    return metrics.sparsity(prunable_weights(model).values())


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)


# The library's loop, with your own means


def test_an_own_optimiser_scheduler_accumulation_and_autocast_train_and_keep_the_zeros() -> None:
    model = random_model()
    optimizer = adamw(model)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    means = Means([optimizer], [scheduler], accumulation=3, autocast=torch.bfloat16)
    run = GradualRun(model, RECIPE, SCHEDULE, means=means)
    before = model.wte.weight.detach().clone()
    rows: list[dict[str, Any]] = []
    fit(run, IDS, HELD_OUT, every=2, callbacks=[lambda run, row: rows.append(row)])
    assert run.optimizers == [optimizer]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.5**6)
    assert sparsity(model) == pytest.approx(0.6, abs=1e-3)
    assert not torch.equal(model.wte.weight, before)
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert rows == run.log


def test_without_a_scheduler_an_own_learning_rate_follows_the_recipe() -> None:
    model = random_model()
    run = Run(model, RECIPE, means=Means([adamw(model)]))
    rates = []
    for _ in range(RECIPE.steps):
        run.advance(IDS)
        rates.append(run.optimizers[0].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-2 * (1 - step / 6) for step in range(6)])


def test_a_batch_in_parts_takes_the_same_step_as_the_whole() -> None:
    runs = [Run(random_model(), RECIPE, means=Means(accumulation=parts)) for parts in (1, 3, 4, 99)]
    losses = [run.advance(IDS) for run in runs]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-5)
    for run in runs[1:]:
        for p, q in zip(run.model.parameters(), runs[0].model.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5)


def test_autocast_computes_in_half_precision_and_keeps_float32_weights() -> None:
    model = random_model()
    seen = []
    model.h[0].mlp.c_fc.register_forward_hook(lambda *call: seen.append(call[2].dtype))  # type: ignore[attr-defined]
    Run(model, RECIPE, means=Means(autocast=torch.bfloat16)).advance(IDS)
    assert seen == [torch.bfloat16]
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_killed_run_with_own_means_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    def made(snapshot: Path | None) -> MaskedRun:
        model = random_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        means = Means([optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)])
        return MaskedRun(model, RECIPE, ModelPruner(random_model()).prune("magnitude", 0.5), snapshot, means=means)

    whole, first = made(None), made(tmp_path / "run.pt")
    for _ in range(6):
        whole.advance(IDS)
    for _ in range(3):
        first.advance(IDS)
    first.save()
    second = made(tmp_path / "run.pt")
    assert second.step == 3
    for _ in range(3):
        second.advance(IDS)
    for p, q in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    assert (
        second.optimizers[0].param_groups[0]["lr"] == whole.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-4)
    )


def test_a_snapshot_goes_on_only_with_its_own_settings_and_text(tmp_path: Path) -> None:
    path = str(tmp_path / "run.pt")  # text will do for a path
    run = Run(random_model(), RECIPE, path)
    fit(run, IDS, HELD_OUT, every=6)
    model = random_model()
    with pytest.raises(CheckpointError, match="belongs to a run with other settings"):
        Run(model, RECIPE, path, means=Means([adamw(model)]))
    with pytest.raises(CheckpointError, match="belongs to a run on another text"):
        fit(Run(random_model(), RECIPE, path), IDS[1:], HELD_OUT, every=6)
    Path(path).write_bytes(b"no snapshot")
    with pytest.raises(CheckpointError, match="is no snapshot of a run, or is damaged"):
        Run(random_model(), RECIPE, path)


@pytest.mark.parametrize(
    ("means", "message"),
    [
        (lambda: Means(accumulation=0), "accumulation is the number of parts of a batch, at least 1; got 0"),
        (lambda: Means(autocast=torch.float16), "autocast takes torch.bfloat16; got torch.float16"),
        (lambda: Means(schedulers=[object()]), "schedulers belong to optimisers of your own"),  # type: ignore[list-item]
        (lambda: Run(random_model(), RECIPE, means=Means([adamw(random_model())])), "not this model's"),
        (lambda: MaskKeeper(random_model(), [object()], None), "An optimiser of torch.* is needed; got a object"),  # type: ignore[list-item]
    ],
)
def test_means_that_do_not_fit_are_refused(means: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        means()


def test_the_curves_are_in_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    run = GradualRun(random_model(), RECIPE, SCHEDULE)
    with SummaryWriter(tmp_path) as writer:
        fit(run, IDS, HELD_OUT, every=2, callbacks=[tensorboard(writer)])
    curves = EventAccumulator(str(tmp_path)).Reload()
    assert {*curves.Tags()["scalars"]} == {*run.log[0], "sparsity"} - {"step"}
    assert [(e.step, e.value) for e in curves.Scalars("held_out_loss")] == [
        (row["step"], pytest.approx(row["held_out_loss"])) for row in run.log
    ]
    assert curves.Scalars("sparsity")[-1].value == pytest.approx(0.6, abs=1e-3)


# Others' loops


def test_a_keeper_works_with_accelerates_optimiser_and_its_accumulation() -> None:
    from accelerate import Accelerator

    model = random_model()
    masks = ModelPruner(model).prune("magnitude", 0.5)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    trained, optimizer = accelerator.prepare(model, adamw(model))
    before = model.wte.weight.detach().clone()
    with pytest.raises(AttributeError):  # what made it fail: the wrapper is an optimiser without an optimiser's hooks
        optimizer.register_step_pre_hook(lambda *_: None)
    keeper = MaskKeeper(trained, [optimizer], masks)
    for _ in range(4):
        with accelerator.accumulate(trained):
            accelerator.backward(trained(HELD_OUT).square().mean())
            optimizer.step()
            optimizer.zero_grad()
    assert not torch.equal(model.wte.weight, before)
    assert sparsity(model) == pytest.approx(0.5, abs=1e-3)
    keeper.remove()


@pytest.mark.parametrize("known", [True, False], ids=["masks given", "masks read from the zeros"])
def test_the_callback_keeps_the_zeros_in_transformers_trainer(tmp_path: Path, known: bool) -> None:
    from transformers import Trainer, TrainingArguments

    model = in_transformers(random_model())
    masks = ModelPruner(model).prune("magnitude", 0.5)
    before = model.transformer.wte.weight.detach().clone()
    callback = KeepMasks(masks if known else None)
    arguments = TrainingArguments(
        str(tmp_path),
        max_steps=3,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        weight_decay=0.1,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    rows: Any = [{"input_ids": row, "labels": row} for row in random_ids(TINY, 12, 16)]
    Trainer(model, arguments, train_dataset=rows, callbacks=[callback]).train()
    assert not torch.equal(model.transformer.wte.weight, before)
    assert sparsity(model) == pytest.approx(0.5, abs=1e-3)
    assert all(not bool((p != 0)[~masks[name]].any()) for name, p in prunable_weights(model).items())


def test_the_callback_without_anything_to_keep_says_so() -> None:
    with pytest.raises(ValueError, match="nothing to keep: the model has no zeros"):
        KeepMasks().on_train_begin(None, None, None, model=random_model(), optimizer=None)
