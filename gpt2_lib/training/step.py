"""One optimiser step: the loss of a batch, optionally in parts or in half precision, its gradient, and the update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..gpt2 import GPT2
from ..modules import at_least_float32, device_of, to_device_of, unwrap
from .muon import Muon


@dataclass(frozen=True)
class Recipe:
    """All hyperparameters of a training run."""

    steps: int
    batch: int = 16  # windows a step
    adam_lr: float = 3e-3  # embeddings, biases, LayerNorm
    muon_lr: float = 0.02  # the blocks' matrices
    weight_decay: float = 0.1  # of the blocks' matrices
    warmup: int = 100  # steps
    seed: int = 0
    distillation: float = 0.0  # share of the loss that is imitating a teacher


@dataclass(frozen=True)
class Means:
    """How a run computes its steps where that is not Muon and AdamW on whole batches in float32.

    ``optimizers``: your own, over parameters of the run's model. Their learning rates are scaled as the recipe says
    (warm-up, then down to zero), unless ``schedulers`` are given, each of which makes a step after every step.
    ``accumulation``: into how many parts a batch is divided, one after the other; the gradient is that of the whole
    batch, and less memory is needed. ``autocast``: torch.bfloat16 computes the model's products in it; weights and
    losses stay float32.
    """

    optimizers: Sequence[torch.optim.Optimizer] = ()
    schedulers: Sequence[torch.optim.lr_scheduler.LRScheduler] = ()
    accumulation: int = 1
    autocast: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.accumulation < 1:
            raise ValueError(f"accumulation is the number of parts of a batch, at least 1; got {self.accumulation}.")
        if self.autocast not in (None, torch.bfloat16):
            raise ValueError(
                f"autocast takes torch.bfloat16; got {self.autocast}. float16 needs scaled gradients: for it, write a "
                "loop of your own with MaskKeeper and torch.amp.GradScaler."
            )
        if self.schedulers and not self.optimizers:
            raise ValueError("schedulers belong to optimisers of your own: give optimizers, too.")

    def identity(self) -> dict[str, Any]:
        """Return the kinds and settings that a snapshot must match, as plain values, without the parameters."""
        plain = (str, int, float, bool, type(None), tuple)
        return {
            "optimizers": [
                [type(optimizer).__name__]
                + [
                    {name: value for name, value in group.items() if name != "params" and isinstance(value, plain)}
                    for group in optimizer.param_groups
                ]
                for optimizer in self.optimizers
            ],
            "schedulers": [type(scheduler).__name__ for scheduler in self.schedulers],
            "accumulation": self.accumulation,
            "autocast": str(self.autocast),
        }


USUAL = Means()


def optimizers(model: GPT2, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside the blocks and AdamW for all other parameters."""
    qkv, matrices, rest = [], [], []
    for name, p in unwrap(model).named_parameters():
        inside = name.startswith("h.") and p.dim() == 2
        (rest if not inside else qkv if "c_attn" in name else matrices).append(p)
    groups = [{"params": qkv, "parts": 3}, {"params": matrices}]
    return [
        Muon(groups, lr=recipe.muon_lr, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(rest, lr=recipe.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def check_optimizers(model: GPT2, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Raise ValueError for an optimiser that holds another model's parameters and would train nothing."""
    ours = {id(p) for p in model.parameters()}
    for optimizer in optimizers:
        if any(id(p) not in ours for group in optimizer.param_groups for p in group["params"]):
            raise ValueError(
                f"The {type(optimizer).__name__} has parameters that are not this model's: make it from the model that "
                "is trained, with model.parameters()."
            )


def lr_scale(step: int, recipe: Recipe) -> float:
    """Return the factor on every learning rate: a linear rise over the warm-up, then a linear fall to zero."""
    warmup = min(recipe.warmup, recipe.steps // 10)
    return min(1.0, (step + 1) / (warmup + 1)) * (1.0 - step / recipe.steps)


def train_step(
    model: GPT2,
    inputs: Tensor,
    targets: Tensor,
    optimizers: Sequence[torch.optim.Optimizer],
    teacher: GPT2 | None = None,
    distillation: float = 0.0,
    before_clipping: Callable[[], None] = lambda: None,
    means: Means = USUAL,
) -> float:
    """Train one step on ``inputs`` and ``targets`` (B, T); returns the loss, nats per token.

    With a ``teacher``, the share ``distillation`` of the loss is the cross-entropy to its probabilities
    instead of to the text (Hinton et al., 2015, "Distilling the Knowledge in a Neural Network").
    ``before_clipping`` may change the gradients before their norm is clipped to 1. Of ``means``, this reads
    ``accumulation`` and ``autocast``.
    """
    model.train()
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    parts = min(means.accumulation, len(inputs))
    total = 0.0
    for some, wanted in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
        share = len(some) / len(inputs)
        loss = share * _loss(model, some, wanted, teacher, distillation, means.autocast)
        loss.backward()
        total += loss.item()
    before_clipping()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return total


def _loss(
    model: GPT2,
    inputs: Tensor,
    targets: Tensor,
    teacher: GPT2 | None,
    distillation: float,
    autocast: torch.dtype | None,
) -> Tensor:
    inputs, targets = to_device_of(model, (inputs, targets))
    with nullcontext() if autocast is None else torch.autocast(device_of(model).type, dtype=autocast):
        logits = model(inputs).flatten(0, 1)
    logits = at_least_float32(logits)  # (B T, V); a sum in half precision would be too coarse
    loss = F.cross_entropy(logits, targets.flatten())
    if teacher is None:
        return loss
    with torch.no_grad():
        imitated = at_least_float32(teacher(to_device_of(teacher, inputs)).flatten(0, 1))  # (B T, V)
    return (1 - distillation) * loss + distillation * F.cross_entropy(logits, imitated.softmax(-1).to(logits))
