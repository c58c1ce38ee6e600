"""Pruning combined with training: gradual, and iterative with rewinding.

Both are training runs (`train.Run`) whose snapshots hold the masks too: a killed run continues to the
same result.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from ..gpt2 import GPT2
from ..train import Recipe, Run, fit
from ..training.step import USUAL, Means
from . import selection
from .masking import MaskKeeper, Masks
from .pruner import ModelPruner, prunable_weights
from .schedules import Schedule

Select = Callable[[Mapping[str, Tensor], float], Masks]  # weights, sparsity -> masks
# For a model that is trained already, imitating what it was before the cuts.
RECOVERY = Recipe(steps=600, batch=8, adam_lr=2e-3, muon_lr=0.007, warmup=20, distillation=0.8)


def sparsegpt_cuts(model: GPT2, windows: Tensor) -> Select:
    """Return a ``select`` for `GradualRun`: SparseGPT on ``windows`` (N, T), which corrects remaining weights too.

    Pruned weights stay pruned: the correction has taken it into account.
    """

    def sparsegpt(weights: Mapping[str, Tensor], sparsity: float) -> Masks:
        return ModelPruner(model).prune_sparsegpt(windows, sparsity)

    return sparsegpt


def admm_cuts(model: GPT2, windows: Tensor) -> Select:
    """Return a ``select`` for `GradualRun`: ADMM on ``windows`` (N, T), which corrects remaining weights too.

    Pruned weights stay pruned, as with `sparsegpt_cuts`; at high sparsity more of the quality is left after each cut.
    """

    def admm(weights: Mapping[str, Tensor], sparsity: float) -> Masks:
        return ModelPruner(model).prune_admm(windows, sparsity)

    return admm


class MaskedRun(Run):
    """A run that trains ``model`` with fixed ``masks``: recovery after pruning."""

    def __init__(
        self,
        model: GPT2,
        recipe: Recipe,
        masks: Mapping[str, Tensor] | None,
        snapshot: str | Path | None = None,
        teacher: GPT2 | None = None,
        means: Means = USUAL,
    ) -> None:
        self._masks = {name: zlib.crc32(mask.cpu().numpy().data) for name, mask in (masks or {}).items()}
        self._keeper_state: Mapping | None = None
        super().__init__(model, recipe, snapshot, teacher, means)  # restores a snapshot, if there is one
        self.keeper = MaskKeeper(model, self.optimizers, masks)
        if self._keeper_state is not None:
            self.keeper.load_state_dict(self._keeper_state)

    def identity(self) -> dict:
        return super().identity() | {"masks": self._masks}

    def state(self) -> dict:
        return super().state() | {"keeper": self.keeper.state_dict()}

    def before_clipping(self) -> None:
        self.keeper.zero_gradients()

    def restore(self, state: dict) -> None:
        super().restore(state)
        self._keeper_state = state["keeper"]


class GradualRun(MaskedRun):
    """A run that trains ``model`` while its attention and feed-forward weights are pruned along ``schedule``.

    Steps after the schedule's end are recovery: the masks stay as they are. ``select`` chooses the masks
    from the weights; a pruned weight can come back at a later cut (`masking.MaskKeeper`).
    """

    def __init__(
        self,
        model: GPT2,
        recipe: Recipe,
        schedule: Schedule,
        snapshot: str | Path | None = None,
        teacher: GPT2 | None = None,
        select: Select = selection.layer_masks,
        means: Means = USUAL,
    ) -> None:
        if schedule.start + schedule.steps >= recipe.steps:
            raise ValueError(
                f"The schedule ends at step {schedule.start + schedule.steps}, the training at {recipe.steps}: "
                "train longer, or prune in fewer steps, so that a step follows the last cut."
            )
        self.schedule, self.select = schedule, select
        super().__init__(model, recipe, None, snapshot, teacher, means)

    def identity(self) -> dict:
        schedule = asdict(self.schedule) | {"curve": self.schedule.curve.__name__}
        return super().identity() | {
            "schedule": schedule,
            "select": getattr(self.select, "__name__", repr(self.select)),
        }

    def train_one(self, ids: Tensor) -> float:
        if self.schedule.is_due(self.step):
            sparsity = self.schedule.sparsity(self.step)
            self.keeper.update(lambda weights: self.select(weights, sparsity), prunable_weights(self.model))
        return super().train_one(ids)


def prune_iteratively(
    model: GPT2,
    ids: Tensor,
    held_out: Tensor,
    recipe: Recipe,
    folder: Path,
    sparsity: float,
    rounds: int,
    rewind_to: Mapping[str, Tensor] | None = None,
    select: Select = selection.global_masks,
) -> list[dict]:
    """Prune, rewind and retrain, ``rounds`` times, up to ``sparsity``; in place (Renda et al., 2020, section 3).

    The learning rate is always rewound: each round starts the recipe's schedule anew. With ``rewind_to``,
    a state_dict from early in the model's training, the weights that are left go back to it as well
    (weight rewinding). Every round removes the same share of what is left.

    ``ids`` (n,) is the text to train on, ``held_out`` (N, T) the windows to measure on. Returns the last
    row of each round's log. ``folder`` takes a snapshot of each round: called again with the same
    arguments after a kill, it goes on where it was.
    """
    selection.check_sparsity(sparsity)
    if rounds < 1:
        raise ValueError(f"At least one round is needed; got {rounds}.")
    folder.mkdir(parents=True, exist_ok=True)
    if rewind_to is not None:  # a state_dict of this very model would change along with it
        rewind_to = {name: w.detach().clone() for name, w in rewind_to.items()}
    rows = []
    for number in range(1, rounds + 1):
        target = 1 - (1 - sparsity) ** (number / rounds)
        masks = select(prunable_weights(model), target)
        if rewind_to is not None:
            model.load_state_dict(rewind_to)
        run = MaskedRun(model, recipe, masks, folder / f"round_{number}.pt")
        fit(run, ids, held_out, every=max(1, recipe.steps // 4))
        run.keeper.remove()
        rows.append({"round": number, "sparsity": target} | run.log[-1])
    return rows
