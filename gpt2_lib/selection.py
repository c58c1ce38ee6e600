"""Scores to keep-masks: which entries stay.

Tensors in, tensors out: nothing here knows of models. A mask is a bool tensor of the weight's
shape, True = keep. ``sparsity`` is the fraction removed, in [0, 1]; exactly ``round(sparsity * n)``
entries go, the lowest scores first, and among equal scores the earlier position goes first.

A further selection (N:M, rows, heads) is a further function here: dicts in, dicts out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

import torch
from torch import Tensor


def check_sparsity(sparsity: float) -> float:
    """Return ``sparsity`` as a float, or raise ValueError when it is no fraction in [0, 1]."""
    number = isinstance(sparsity, Real) and not isinstance(sparsity, bool)
    if not number or not 0 <= sparsity <= 1:
        hint = f" Did you mean {sparsity / 100:g}?" if number and 1 < sparsity <= 100 else ""
        raise ValueError(f"sparsity is the fraction to remove, from 0 to 1; got {sparsity!r}.{hint}")
    return float(sparsity)


def layer_masks(scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Prune every tensor on its own to ``sparsity`` (local, or layer-wise, pruning)."""
    sparsity = check_sparsity(sparsity)
    return {name: _keep_highest(s.flatten(), round(sparsity * s.numel())).view(s.shape) for name, s in scores.items()}


def global_masks(scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Rank all entries of all tensors together and prune the lowest (global pruning).

    Ties go by the tensors' order, then by position. Layers end up with different sparsities.
    """
    sparsity = check_sparsity(sparsity)
    if not scores:
        return {}
    together = torch.cat([s.flatten() for s in scores.values()])
    keep = _keep_highest(together, round(sparsity * together.numel()))
    parts = keep.split([s.numel() for s in scores.values()])
    return {name: part.view(s.shape) for (name, s), part in zip(scores.items(), parts, strict=True)}


def _keep_highest(scores: Tensor, pruned: int) -> Tensor:
    """Bool mask (n,) with exactly ``pruned`` False entries, at the lowest of ``scores`` (n,)."""
    keep = torch.ones_like(scores, dtype=torch.bool)
    if pruned == 0:
        return keep
    threshold = scores.kthvalue(pruned).values
    if math.isnan(threshold) or bool(scores.isnan().any()):
        raise ValueError("Cannot rank scores that are NaN; check the weights.")
    below = scores < threshold
    keep[below] = False
    ties = (scores == threshold).nonzero().flatten()[: pruned - int(below.sum())]
    keep[ties] = False
    return keep
