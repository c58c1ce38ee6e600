"""Statistics of a pruned model: counts, bytes and sparsity, for the whole and for each prunable matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, cast

import torch
from torch import Tensor, nn

from .. import metrics
from ..gpt2 import GPT2
from ..modules import unwrap
from ..storage.packed import packed_bytes
from .targets import attention_weights, feedforward_weights, has_parts, prunable_weights


class LayerStatistics(TypedDict):
    """Statistics of one prunable matrix."""

    parameters: int
    zeros: int
    sparsity: float
    bytes_dense: int
    bytes_packed: int
    flops: int  # of a `GPT2` alone


class ModelStatistics(TypedDict):
    """Statistics of a model, as `model_statistics` explains; a dict whose keys have types."""

    parameters: int
    zeros: int
    prunable: int
    sparsity: float
    whole_model_sparsity: float
    bytes_dense: int
    bytes_packed: int
    layers: dict[str, LayerStatistics]
    attention_sparsity: float  # where the parts are known
    feedforward_sparsity: float
    flops: int  # of a `GPT2` alone


def model_statistics(model: nn.Module) -> ModelStatistics:
    """Return the current counts, bytes and sparsity of a model and of its prunable matrices.

    Of the whole model: ``parameters``, ``zeros``, ``whole_model_sparsity`` = zeros / parameters. Of the
    prunable weights: their number ``prunable``, ``sparsity`` = their zeros / prunable,
    ``bytes_dense`` in memory and ``bytes_packed`` as bitmask and non-zero values. Where the parts are known
    (`targets`) also ``attention_sparsity`` and ``feedforward_sparsity``; for a `GPT2` of this library
    ``flops`` of a forward pass over one full context, which zeros don't change. ``layers`` has, for each
    prunable matrix, parameters, zeros, sparsity, bytes_dense, bytes_packed and, for a `GPT2`, flops.
    """
    model = unwrap(model)
    weights = prunable_weights(model)
    layers = {name: _layer(w.detach()) for name, w in weights.items()}
    every = list(model.parameters())
    parameters = sum(p.numel() for p in every)
    zeros = parameters - sum(int(torch.count_nonzero(p)) for p in every)

    def share(names: Iterable[str]) -> float:
        some = [layers[name] for name in names]
        return sum(layer["zeros"] for layer in some) / sum(layer["parameters"] for layer in some)

    found = {
        "parameters": parameters,
        "zeros": zeros,
        "prunable": sum(layer["parameters"] for layer in layers.values()),
        "sparsity": share(weights),
        "whole_model_sparsity": zeros / parameters,
        "bytes_dense": sum(layer["bytes_dense"] for layer in layers.values()),
        "bytes_packed": sum(layer["bytes_packed"] for layer in layers.values()),
        "layers": layers,
    }
    statistics = cast(ModelStatistics, found)
    if has_parts(model):
        statistics["attention_sparsity"] = share(attention_weights(model))
        statistics["feedforward_sparsity"] = share(feedforward_weights(model))
    if isinstance(model, GPT2):
        flops = metrics.flops(model, model.config.n_positions)
        for name, layer in layers.items():
            layer["flops"] = flops[name]
        statistics["flops"] = sum(flops.values())
    return statistics


def _layer(weight: Tensor) -> LayerStatistics:
    zeros = weight.numel() - int(torch.count_nonzero(weight))
    found = {
        "parameters": weight.numel(),
        "zeros": zeros,
        "sparsity": zeros / weight.numel(),
        "bytes_dense": weight.numel() * weight.element_size(),
        "bytes_packed": packed_bytes(weight),
    }
    return cast(LayerStatistics, found)
