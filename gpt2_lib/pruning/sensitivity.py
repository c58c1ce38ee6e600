"""Sensitivity of each layer: prune one layer at a time and measure the whole model.

(Han et al., 2015, "Learning both Weights and Connections", figure 6.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..gpt2 import GPT2
from ..metrics import evaluate
from .pruner import prunable_weights
from .selection import check_sparsity, layer_masks


@dataclass(frozen=True)
class LayerPoint:
    """The whole model's quality with one layer pruned and all others unchanged."""

    layer: str  # parameter name
    method: str
    sparsity: float  # of that layer
    loss: float  # mean negative log-likelihood, nats per token
    loss_rise: float  # above the unpruned model's
    weights: int = 1  # entries of that layer


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
        points.append(LayerPoint(name, method, sparsity, loss, loss - dense, weights[name].numel()))
    return points


def allocate(points: Iterable[LayerPoint], mean: float) -> dict[str, float]:
    """Return sparsities {layer: fraction} with the weighted ``mean`` over the scanned layers, for `ModelPruner.prune`.

    Weights are removed where the scan shows the least loss for each: between two measured sparsities of a layer, the
    loss is assumed to rise linearly, and the rises of the layers to add up. The result is an estimate to be measured.
    Raises ValueError for points of several methods, and for a mean above what was scanned.
    """
    mean = check_sparsity(mean)
    points = list(points)
    methods = sorted({point.method for point in points})
    if len(methods) != 1:
        raise ValueError(f"The points of one method are needed; got those of {', '.join(methods) or 'none'}.")
    curves: dict[str, list[tuple[float, float]]] = {}
    sizes = {point.layer: point.weights for point in points}
    for point in points:
        curves.setdefault(point.layer, [(0.0, 0.0)]).append((point.sparsity, point.loss_rise))
    steps = [(slope / sizes[layer], layer, width) for layer, curve in curves.items() for slope, width in _steps(curve)]
    left = mean * sum(sizes.values())  # weights that are still to go
    sparsities = dict.fromkeys(curves, 0.0)
    for _, layer, width in sorted(steps, key=lambda step: step[0]):
        more = min(width, max(0.0, left) / sizes[layer])
        sparsities[layer] += more
        left -= more * sizes[layer]
    if left > 1e-6 * sum(sizes.values()):
        raise ValueError(f"A mean of {mean:g} is more than was scanned: scan higher sparsities.")
    return {layer: min(1.0, sparsity) for layer, sparsity in sparsities.items()}


def _steps(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return (slope, width) of each piece of the lower convex hull, from left to right: slopes rise."""
    hull: list[tuple[float, float]] = []
    for x, y in sorted(dict(curve).items()):
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-2], (x, y)):
            hull.pop()
        hull.append((x, y))
    return [(_slope(a, b), b[0] - a[0]) for a, b in pairwise(hull)]


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])
