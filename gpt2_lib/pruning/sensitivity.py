"""Which layers can spare their weights? Prune one at a time, measure the whole model.

(Han et al., 2015, "Learning both Weights and Connections", figure 6.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..gpt2 import GPT2
from ..metrics import evaluate
from .pruner import prunable_weights
from .selection import check_sparsity, layer_masks


@dataclass(frozen=True)
class LayerPoint:
    """The whole model's quality with one layer pruned and all others as they were."""

    layer: str  # parameter name
    method: str
    sparsity: float  # of that layer
    loss: float  # mean negative log-likelihood, nats per token
    loss_rise: float  # above the unpruned model's


def scan(
    model: GPT2,
    windows: Tensor,
    scores: Mapping[str, Mapping[str, Tensor]],
    sparsities: Iterable[float] = (0.3, 0.5, 0.7, 0.9),
) -> list[LayerPoint]:
    """Prune each layer alone, with each method, to each sparsity, and measure on ``windows`` (N, T).

    ``scores``: {method: {parameter name: scores of that weight's shape}}, such as
    ``{"magnitude": scores.magnitude(prunable_weights(model))}``; the names in it are the layers scanned.
    The model is left as it was.
    """
    weights = prunable_weights(model)
    for method, layers in scores.items():
        unknown = sorted(set(layers) - set(weights))
        if unknown:
            raise ValueError(f"{method} scores {unknown[0]!r}, which is no prunable layer of this model.")
        for name, s in layers.items():
            if s.shape != weights[name].shape:
                raise ValueError(
                    f"{method} has scores of shape {tuple(s.shape)} for {name}; {tuple(weights[name].shape)} is needed."
                )
    sparsities = [check_sparsity(s) for s in sparsities]
    dense = evaluate(model, windows).loss
    jobs = [
        (name, method, sparsity)
        for name in weights
        for method, layers in scores.items()
        if name in layers
        for sparsity in sparsities
    ]
    points = []
    for name, method, sparsity in tqdm(jobs, desc="pruning one layer at a time"):
        mask = layer_masks({name: scores[method][name]}, sparsity)[name]
        before = weights[name].detach().clone()
        try:
            with torch.no_grad():
                weights[name].masked_fill_(~mask.to(weights[name].device), 0.0)
            loss = evaluate(model, windows).loss
        finally:
            with torch.no_grad():
                weights[name].copy_(before)
        points.append(LayerPoint(name, method, sparsity, loss, loss - dense))
    return points
