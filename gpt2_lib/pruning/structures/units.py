"""The choice of a GPT-2's heads and neurons to keep, and the smaller, refitted model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ...gpt2 import GPT2
from .. import scores, selection, surgery
from ..calibration.input_statistics import block_by_block, hessians
from .refit import parts, refit_projections

Fractions: TypeAlias = float | Sequence[float]  # to remove: of every block, or one number for each
Keeps: TypeAlias = dict[int, Tensor]  # block -> ascending indices of the units that stay


def unit_scores(model: GPT2, windows: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
    """Return scores of each block's heads (N,) and of its neurons (n,), one tensor a block.

    With calibration ``windows`` (B, T) of token ids these are `scores.contribution`, without `scores.head` and
    `scores.neuron`. Raises ValueError for text that is too short.
    """
    attention, feedforward = [block.attn for block in model.h], [block.mlp for block in model.h]
    if windows is None:
        return (
            [scores.head(a.c_attn.weight, a.c_attn.bias, a.c_proj.weight, a.n_head) for a in attention],
            [scores.neuron(f.c_fc.weight, f.c_fc.bias, f.c_proj.weight) for f in feedforward],
        )
    units = {f"h.{i}.attn.c_proj.weight": a.n_head for i, a in enumerate(attention)}
    units |= {f"h.{i}.mlp.c_proj.weight": f.c_proj.in_features for i, f in enumerate(feedforward)}
    found: dict[str, Tensor] = {}
    for group, text in block_by_block(model, windows, list(units), "scores of heads and neurons"):
        for name, gram in hessians(model, text, group).items():
            found[name] = scores.contribution(gram, model.get_parameter(name), units[name])
    return [found[name] for name in units if ".attn." in name], [found[name] for name in units if ".mlp." in name]


def units_to_keep(
    model: GPT2, heads: Fractions, neurons: Fractions, windows: Tensor | None = None
) -> tuple[Keeps, Keeps]:
    """Return the heads and the neurons of each block to keep when these fractions are removed by `unit_scores`.

    Raises ValueError for fractions that aren't in [0, 1], or not one a block, and where nothing of a block would stay.
    """
    of_heads, of_neurons = unit_scores(model, windows)
    return _kept(of_heads, heads, "heads"), _kept(of_neurons, neurons, "neurons")


def refitted(model: GPT2, heads: Keeps, neurons: Keeps, windows: Tensor, own: bool = True) -> GPT2:
    """Return a smaller GPT2 with only these units (`surgery.shrink`), its ``c_proj`` refitted on ``windows``.

    Without ``own`` its embeddings are the model's: it takes less memory, and is not to be trained.
    """
    smaller = surgery.shrink(model, heads, neurons, () if own else ("wte.weight", "wpe.weight"))
    refit_projections(smaller, model, windows)
    return smaller


@torch.no_grad()
def put_back(smaller: GPT2, model: GPT2, heads: Keeps, neurons: Keeps) -> None:
    """Write the ``c_proj`` of ``smaller`` into ``model``, in place, at the columns of its units."""
    size = model.config.head_size
    for i, (small, whole) in enumerate(zip(smaller.h, model.h, strict=True)):
        of_heads = (heads[i][:, None] * size + torch.arange(size)).flatten()
        for columns, (_, source), (_, target) in zip((of_heads, neurons[i]), parts(small), parts(whole), strict=True):
            target.c_proj.weight[:, columns] = source.c_proj.weight
            target.c_proj.bias.copy_(source.c_proj.bias)


def _kept(units: Sequence[Tensor], fractions: Fractions, what: str) -> Keeps:
    given: Any = fractions
    several = isinstance(given, Sequence) and not isinstance(given, str)
    each: list[Any] = list(given) if several else [given] * len(units)
    if len(each) != len(units):
        raise ValueError(
            f"{what} is one fraction for all {len(units)} blocks, or {len(units)} of them; got {len(each)}."
        )
    return {i: selection.keep_units(u, fraction) for i, (u, fraction) in enumerate(zip(units, each, strict=True))}
