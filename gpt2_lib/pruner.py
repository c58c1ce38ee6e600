"""The verbs: prune a GPT-2's attention and feed-forward weights, in place.

What is prunable: the weight matrices of every block's attention (``c_attn``, ``c_proj``) and
feed-forward part (``c_fc``, ``c_proj``). Never biases, LayerNorm or embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from . import scores, selection
from .gpt2 import GPT2

Masks = dict[str, Tensor]  # parameter name -> bool tensor of its shape, True = keep


def attention_weights(model: GPT2) -> dict[str, Tensor]:
    """{parameter name: weight (out, in)} of all attention matrices, in block order."""
    return _weights(model, "attn")


def feedforward_weights(model: GPT2) -> dict[str, Tensor]:
    """{parameter name: weight (out, in)} of all feed-forward matrices, in block order."""
    return _weights(model, "mlp")


def prunable_weights(model: GPT2) -> dict[str, Tensor]:
    """All attention and feed-forward matrices, in the order of the model's parameters."""
    wanted = attention_weights(model) | feedforward_weights(model)
    return {name: p for name, p in model.named_parameters() if name in wanted}


def _weights(model: GPT2, part: str) -> dict[str, Tensor]:
    return {
        name: p
        for name, p in model.named_parameters()
        if name.startswith("h.") and f".{part}." in name and name.endswith(".weight")
    }


@torch.no_grad()
def apply_masks(model: GPT2, masks: Mapping[str, Tensor]) -> None:
    """Write zeros where a mask is False."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"The model has no parameter {name!r}.")
        if mask.shape != parameters[name].shape:
            raise ValueError(
                f"The mask of {name} has shape {tuple(mask.shape)}; {tuple(parameters[name].shape)} is needed."
            )
        parameters[name].masked_fill_(~mask, 0.0)


class ModelPruner:
    """Prunes a model step by step and remembers its masks.

    >>> pruner = ModelPruner(model)
    >>> pruner.prune_attention_layers(0.4)
    >>> pruner.prune_feedforward_layers(0.6)
    >>> pruner.get_model_statistics()["sparsity"]
    """

    def __init__(self, model: GPT2) -> None:
        self.model = model
        self.masks: Masks = {}

    def prune_attention_layers(self, sparsity: float) -> Masks:
        """Remove the smallest ``sparsity`` of every attention matrix; returns their masks."""
        return self._prune(attention_weights(self.model), sparsity, selection.layer_masks)

    def prune_feedforward_layers(self, sparsity: float) -> Masks:
        """Remove the smallest ``sparsity`` of every feed-forward matrix; returns their masks."""
        return self._prune(feedforward_weights(self.model), sparsity, selection.layer_masks)

    def prune_globally(self, sparsity: float) -> Masks:
        """Remove the smallest ``sparsity`` of all prunable weights, ranked together."""
        return self._prune(prunable_weights(self.model), sparsity, selection.global_masks)

    def _prune(self, weights: dict[str, Tensor], sparsity: float, select: Callable[..., Masks]) -> Masks:
        masks = select(scores.magnitude(weights), sparsity)
        apply_masks(self.model, masks)
        self.masks |= masks
        return masks

    def get_model_statistics(self) -> dict:
        """Counts and sparsity now.

        ``parameters`` and ``zeros`` count the whole model, ``prunable`` the attention and
        feed-forward weights; ``sparsity`` is zeros / prunable over those weights,
        ``whole_model_sparsity`` zeros / parameters; ``layers`` gives each matrix's sparsity.
        """
        weights = prunable_weights(self.model)
        zeros = {name: w.numel() - int(torch.count_nonzero(w)) for name, w in weights.items()}
        prunable = sum(w.numel() for w in weights.values())
        every = list(self.model.parameters())
        parameters = sum(p.numel() for p in every)
        all_zeros = parameters - sum(int(torch.count_nonzero(p)) for p in every)
        return {
            "parameters": parameters,
            "zeros": all_zeros,
            "prunable": prunable,
            "sparsity": sum(zeros.values()) / prunable,
            "whole_model_sparsity": all_zeros / parameters,
            "attention_sparsity": _share(zeros, attention_weights(self.model)),
            "feedforward_sparsity": _share(zeros, feedforward_weights(self.model)),
            "layers": {name: zeros[name] / w.numel() for name, w in weights.items()},
        }


def _share(zeros: dict[str, int], weights: dict[str, Tensor]) -> float:
    return sum(zeros[name] for name in weights) / sum(w.numel() for w in weights.values())


def quick_magnitude_prune(model: GPT2, att_sparsity: float = 0.3, ff_sparsity: float = 0.5) -> tuple[ModelPruner, dict]:
    """Prune attention and feed-forward weights by magnitude, layer by layer, in place."""
    selection.check_sparsity(att_sparsity)  # both, before anything is cut
    selection.check_sparsity(ff_sparsity)
    pruner = ModelPruner(model)
    pruner.prune_attention_layers(att_sparsity)
    pruner.prune_feedforward_layers(ff_sparsity)
    return pruner, pruner.get_model_statistics()


def apply_magnitude_pruning(model: GPT2, sparsity: float = 0.6) -> GPT2:
    """Prune every attention and feed-forward matrix to ``sparsity``, in place; returns ``model``."""
    quick_magnitude_prune(model, sparsity, sparsity)
    return model
