"""The verbs: prune a model's weights, in place.

What is prunable is said in `targets`: the matrices of attention and feed-forward in a GPT-2, ours or
transformers', and the weights of the ``nn.Linear`` layers in any other module. Verbs that cut by parts
(`prune_attention_layers`, `quick_magnitude_prune`) need a model whose parts are known: GPT-2s, and those that
call them ``self_attn`` and ``mlp``, as Llama does. Those that cut heads and neurons (`prune_structures`,
`remove_structures`) need this library's `GPT2`.

A verb computes all masks before it cuts, and refuses to empty a layer: where it raises an error, the
model is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from ..gpt2 import GPT2
from ..modules import restored_on_error, unwrap
from . import calibration, scores, selection, surgery
from .admm import admm
from .masking import Masks, apply_masks
from .sparsegpt import sparsegpt
from .statistics import model_statistics
from .structures import units
from .structures.units import Fractions
from .targets import (
    as_gpt2,
    as_stored,
    attention_weights,
    check_has_data,
    feedforward_weights,
    matrices,
    prunable_weights,
)

__all__ = [
    "ModelPruner",
    "apply_magnitude_pruning",
    "attention_weights",
    "feedforward_weights",
    "prunable_weights",
    "quick_magnitude_prune",
]

Batches: TypeAlias = Tensor | Iterable[Any]  # a language model's windows of token ids (N, T), or what another takes
Module = TypeVar("Module", bound=nn.Module)


class ModelPruner:
    """Prunes a model step by step and remembers its masks.

    >>> pruner = ModelPruner(model)
    >>> pruner.prune_attention_layers(0.4)
    >>> pruner.prune_feedforward_layers(0.6)
    >>> pruner.get_model_statistics()["sparsity"]

    ``model``: a `GPT2`, or any module with nn.Linear layers; of one in torch.compile or DataParallel, the model
    inside. Every verb returns the masks it applied, each of its parameter's shape.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = unwrap(model)
        if not prunable_weights(self.model):
            raise ValueError(f"This {type(self.model).__name__} has no nn.Linear layer: there is nothing to prune.")
        check_has_data(self.model)
        self.masks: Masks = {}

    # By magnitude.

    def prune_attention_layers(self, sparsity: float) -> Masks:
        """Remove the smallest ``sparsity`` of every attention matrix."""
        return self._apply(selection.layer_masks(attention_weights(self.model), sparsity))

    def prune_feedforward_layers(self, sparsity: float) -> Masks:
        """Remove the smallest ``sparsity`` of every feed-forward matrix."""
        return self._apply(selection.layer_masks(feedforward_weights(self.model), sparsity))

    def prune_layers(self, sparsity: float, names: Iterable[str] | None = None) -> Masks:
        """Remove the smallest ``sparsity`` of each of the matrices ``names`` (all that are prunable)."""
        return self._apply(selection.layer_masks(prunable_weights(self.model, names), sparsity))

    def prune_globally(self, sparsity: float, min_kept: float = 0.0) -> Masks:
        """Remove the smallest ``sparsity`` of all weights, ranked together; of each layer ``min_kept`` stays."""
        return self._apply(selection.global_masks(prunable_weights(self.model), sparsity, min_kept))

    def prune_n_m(self, n: int = 2, m: int = 4) -> Masks:
        """Keep the ``n`` largest of every ``m`` neighbours along the inputs."""
        return self._apply(as_stored(self.model, selection.n_m_masks(matrices(self.model), n, m)))

    def prune_rectangles(self, sparsity: float, block: tuple[int, int] = (16, 16)) -> Masks:
        """Remove whole rectangles of ``block`` entries (block sparsity), those of the lowest L2 norm."""
        return self._apply(as_stored(self.model, selection.block_masks(matrices(self.model), sparsity, block)))

    # By other scores. ``windows`` (N, T) is the calibration text for a GPT-2, token ids; any other module
    # gets an iterable of what ``model(batch)`` takes.

    def prune_randomly(self, sparsity: float, seed: int = 0) -> Masks:
        """Remove a random ``sparsity`` of every matrix: what any method has to beat."""
        weights = prunable_weights(self.model)
        _check_finite(weights)
        return self._apply(selection.layer_masks(scores.random(weights, seed), sparsity))

    def prune_taylor(
        self,
        windows: Batches,
        sparsity: float,
        loss: Callable[..., Tensor] | None = None,
        globally: bool = False,
        min_kept: float = 0.0,
    ) -> Masks:
        """Remove what changes the loss on ``windows`` least, to first order (Molchanov et al., 2017 and 2019).

        Layer by layer; with ``globally``, all weights are ranked together, since their scores have one unit, and
        of each layer ``min_kept`` stays.
        ``loss(model, batch)`` is a batch's mean loss, a scalar; that of a language model is known.
        """
        loss = loss or calibration.loss_of(self.model)
        weights = prunable_weights(self.model)
        _check_finite(weights)
        sizes = calibration.gradients(self.model, windows, list(weights), loss)
        found: dict[str, Tensor] = {}
        for name, w in weights.items():  # one by one, so that the model is not held three times
            found |= scores.taylor({name: w}, {name: sizes.pop(name)})
        if globally:
            return self._apply(selection.global_masks(found, sparsity, min_kept))
        return self._apply(selection.layer_masks(found, sparsity))

    def prune_wanda(self, windows: Batches, sparsity: float | None = None, n_m: tuple[int, int] | None = None) -> Masks:
        """Wanda: |weight| times the norm of its input, compared within a row, or n:m (Sun et al., 2023)."""
        select = _row_pattern(sparsity, n_m)

        def solve(names: list[str]) -> Masks:
            norms = calibration.input_norms(self.model, windows, names)
            masks = as_stored(self.model, select(scores.wanda(matrices(self.model, names), norms)))
            apply_masks(self.model, masks)
            return masks

        return self._one_after_another(solve)

    def prune_sparsegpt(
        self, windows: Batches, sparsity: float | None = None, n_m: tuple[int, int] | None = None
    ) -> Masks:
        """SparseGPT: prunes and corrects what is left of each matrix (Frantar & Alistarh, 2023)."""
        self._check_pattern(sparsity, n_m)
        return self._solve(windows, lambda _, weight, hessian: sparsegpt(weight, hessian, sparsity, n_m))

    def prune_admm(
        self, windows: Batches, sparsity: float | None = None, n_m: tuple[int, int] | None = None, by_row: bool = False
    ) -> Masks:
        """ADMM: corrects each matrix while it chooses what goes, in each row alone if ``by_row`` (Boža, 2024).

        In a language model, an output counts for more the more the loss depends on it.
        """
        self._check_pattern(sparsity, n_m)
        _check_finite(prunable_weights(self.model))
        counts = self._outputs_count(windows)
        return self._solve(windows, lambda name, w, hessian: admm(w, hessian, sparsity, n_m, by_row, counts.get(name)))

    # By structure: whole heads and neurons, the fractions ``heads`` and ``neurons`` of every block's, or one number
    # for each block, as `structures.budget.fractions_within` finds them. With calibration ``windows`` those go that
    # add least to the residual stream, and what stays is refitted (`structures.refit`); without, those of the smallest
    # weights, which is a much worse guess (docs/benchmarks.md).

    def prune_structures(
        self,
        heads: Fractions = 0.25,
        neurons: Fractions = 0.25,
        windows: Tensor | None = None,
        refit: bool = True,
    ) -> Masks:
        """Zero heads and neurons, biases too; the shapes stay, so that training can go on.

        With ``windows`` every ``c_proj`` is solved anew on what stays, its bias too, unless ``refit`` is False.
        """
        model = as_gpt2(self.model)
        keep_heads, keep_neurons = self._structures_to_keep(heads, neurons, windows)
        smaller = None
        if windows is not None and refit:
            smaller = units.refitted(model, keep_heads, keep_neurons, windows)
        masks = self._apply(surgery.silencing_masks(model, heads=keep_heads, neurons=keep_neurons))
        if smaller is not None:
            units.put_back(smaller, model, keep_heads, keep_neurons)
        return masks

    def remove_structures(
        self,
        heads: Fractions = 0.25,
        neurons: Fractions = 0.25,
        windows: Tensor | None = None,
        refit: bool = True,
    ) -> GPT2:
        """Really remove them, and refit as `prune_structures` does.

        Returns the smaller model, ``pruner.model`` from now on; the one given stays as it is.
        """
        model = as_gpt2(self.model)
        keep_heads, keep_neurons = self._structures_to_keep(heads, neurons, windows)
        if windows is not None and refit:
            self.model = units.refitted(model, keep_heads, keep_neurons, windows)
        else:
            self.model = surgery.shrink(model, heads=keep_heads, neurons=keep_neurons)
        parameters = dict(self.model.named_parameters())
        self.masks = {name: parameters[name].detach() != 0 for name in self.masks}
        return self.model

    def _structures_to_keep(
        self, heads: Fractions, neurons: Fractions, windows: Tensor | None
    ) -> tuple[units.Keeps, units.Keeps]:
        model = as_gpt2(self.model)
        _check_finite(dict(model.named_parameters()))
        return units.units_to_keep(model, heads, neurons, windows)

    def get_model_statistics(self) -> dict[str, Any]:
        """Counts, bytes and sparsity now, as `statistics.model_statistics` tells them."""
        return model_statistics(self.model)

    def state_dict(self) -> dict[str, Masks]:
        """The masks, for torch.save; the weights are in ``model.state_dict()``."""
        return {"masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Masks]) -> None:
        """Take masks from `state_dict` and apply them to the model."""
        apply_masks(self.model, state["masks"])
        devices = {name: p.device for name, p in self.model.named_parameters()}
        self.masks = {name: mask.to(devices[name]) for name, mask in state["masks"].items()}

    def _apply(self, masks: Masks) -> Masks:
        _check_nothing_is_empty(masks)
        apply_masks(self.model, masks)
        self.masks |= {name: mask & self.masks.get(name, mask) for name, mask in masks.items()}  # what is gone stays so
        return masks

    def _check_pattern(self, sparsity: float | None, n_m: tuple[int, int] | None) -> None:
        """Complain, by the layer's name, before anything is cut."""
        select = _row_pattern(sparsity, n_m)
        if n_m is not None:
            select(matrices(self.model))

    def _outputs_count(self, windows: Batches) -> dict[str, Tensor]:
        """{name: what an error of each output counts for (out,)}; {} for a model without a loss that is known."""
        try:
            loss = calibration.loss_of(self.model)
        except ValueError:
            return {}
        some = windows[:: max(1, len(windows) // 32)] if isinstance(windows, Tensor) else windows  # all would be slow
        gradients = calibration.gradients(self.model, some, list(prunable_weights(self.model)), loss, order=2)
        return {name: scores.outputs(g) for name, g in as_stored(self.model, gradients).items()}  # each (out, in)

    def _solve(self, windows: Batches, solver: Callable[[str, Tensor, Tensor], Tensor]) -> Masks:
        """Put ``solver(name, weight (out, in), hessian)`` in the place of each weight."""

        @torch.no_grad()
        def solve(names: list[str]) -> Masks:
            masks: Masks = {}
            for name, hessian in calibration.hessians(self.model, windows, names).items():
                weight = matrices(self.model, [name])[name]
                masks[name] = weight.copy_(solver(name, weight, hessian)) != 0
            return as_stored(self.model, masks)

        return self._one_after_another(solve)

    def _one_after_another(self, solve: Callable[[list[str]], Masks]) -> Masks:
        """``solve`` one group of layers after the other, so that each is calibrated on what is pruned before it."""
        weights = prunable_weights(self.model)
        _check_finite(weights)
        masks: Masks = {}
        with restored_on_error(weights):
            for names in calibration.layer_groups(self.model, list(weights)):
                masks |= solve(names)
            _check_nothing_is_empty(masks)
        self.masks |= {name: weights[name].detach() != 0 for name in masks}  # SparseGPT may bring weights back
        return masks


def _row_pattern(sparsity: float | None, n_m: tuple[int, int] | None) -> Callable[[Mapping[str, Tensor]], Masks]:
    if n_m is not None and sparsity is None:
        return partial(selection.n_m_masks, n=n_m[0], m=n_m[1])
    if sparsity is not None and n_m is None:
        return partial(selection.row_masks, sparsity=selection.check_sparsity(sparsity))
    raise ValueError("Give either sparsity, such as 0.5, or n_m, such as (2, 4).")


def _check_finite(weights: Mapping[str, Tensor]) -> None:
    for name, w in weights.items():
        if not w.isfinite().all():
            raise ValueError(f"{name} has entries that are NaN or infinite: check how the model was loaded or trained.")


def _check_nothing_is_empty(masks: Masks) -> None:
    empty = [name for name, mask in masks.items() if not bool(mask.any())]
    if empty:
        raise ValueError(
            f"This would leave nothing of {', '.join(empty)}, and the model would no longer hear its input: lower the "
            "sparsity, or keep some of every layer with min_kept where all are ranked together."
        )


def quick_magnitude_prune(
    model: nn.Module, att_sparsity: float = 0.3, ff_sparsity: float = 0.5
) -> tuple[ModelPruner, dict[str, Any]]:
    """Prune attention and feed-forward weights by magnitude, layer by layer, in place."""
    pruner = ModelPruner(model)
    masks = selection.layer_masks(attention_weights(model), att_sparsity)
    masks |= selection.layer_masks(feedforward_weights(model), ff_sparsity)
    pruner._apply(masks)  # pyright: ignore[reportPrivateUsage]  both or none are cut
    return pruner, pruner.get_model_statistics()


def apply_magnitude_pruning(model: Module, sparsity: float = 0.6) -> Module:
    """Prune every attention and feed-forward matrix to ``sparsity``, in place; returns ``model``."""
    quick_magnitude_prune(model, sparsity, sparsity)
    return model
