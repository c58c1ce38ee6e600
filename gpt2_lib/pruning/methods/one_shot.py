"""The choice of weights by each method, as a function ``(model, plan, text)`` that returns masks.

Methods that rank scores leave the model unchanged. Those that work block by block (`by_block`) prune it in place, so
that each block is calibrated on the pruned blocks before it; if they raise an error, the model is restored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from .. import scores, selection
from ..admm import admm
from ..calibration.input_statistics import block_by_block, hessians, input_norms
from ..calibration.loss_gradients import gradients, loss_of
from ..calibration.tensor_store import restored_on_error
from ..masking import Masks, apply_masks
from ..sparsegpt import sparsegpt
from ..targets import as_stored, matrices, prunable_weights
from .plan import Plan, nothing_left

Batches: TypeAlias = Tensor | Iterable[Any]  # a language model's windows of token ids (N, T), or what another takes
Choose: TypeAlias = Callable[[nn.Module, Plan, Any], Masks]
Own: TypeAlias = Callable[..., Mapping[str, Tensor]]  # (model) or (model, text) -> {parameter name: scores or a mask}


def magnitude(model: nn.Module, plan: Plan, _: object) -> Masks:
    """Prune the smallest weights of each matrix (Han et al., 2015)."""
    return _layer_by_layer(model, prunable_weights(model, plan.names), plan)


def magnitude_global(model: nn.Module, plan: Plan, _: object, min_kept: float = 0.0) -> Masks:
    """Prune the smallest weights of all matrices together; of each layer ``min_kept`` stays."""
    fraction = plan.one_fraction("A ranking of all layers together")
    return selection.global_masks(prunable_weights(model, plan.names), fraction, min_kept)


def rectangles(model: nn.Module, plan: Plan, _: object, block: tuple[int, int] = (16, 16)) -> Masks:
    """Prune whole rectangles of the lowest L2 norm."""
    masks: Masks = {}
    for name, weight in matrices(model, plan.names).items():
        masks |= selection.block_masks({name: weight}, plan.fraction(name), block)
    return as_stored(model, masks)


def random(model: nn.Module, plan: Plan, _: object, seed: int = 0) -> Masks:
    """Prune random weights: the baseline for any method."""
    weights = prunable_weights(model, plan.names)
    check_finite(weights)
    return _layer_by_layer(model, scores.random(weights, seed), plan)


def taylor(model: nn.Module, plan: Plan, text: Batches, loss: Callable[..., Tensor] | None = None) -> Masks:
    """Prune the weights that change the loss least, in each matrix (Molchanov et al., 2017 and 2019)."""
    return _layer_by_layer(model, _taylor_scores(model, plan, text, loss), plan)


def taylor_global(
    model: nn.Module, plan: Plan, text: Batches, loss: Callable[..., Tensor] | None = None, min_kept: float = 0.0
) -> Masks:
    """Prune the weights that change the loss least, of all matrices together: their scores share a unit."""
    fraction = plan.one_fraction("A ranking of all layers together")
    return selection.global_masks(_taylor_scores(model, plan, text, loss), fraction, min_kept)


def wanda(model: nn.Module, plan: Plan, text: Batches) -> Masks:
    """Prune by |weight| times the norm of its input, compared within a row, or n:m (Sun et al., 2023)."""

    def solve(names: list[str], text: Batches) -> Masks:
        norms = input_norms(model, text, names)
        masks = as_stored(model, _row_by_row(scores.wanda(matrices(model, names), norms), plan))
        apply_masks(model, masks)
        return masks

    return by_block(model, plan, text, solve, "Wanda")


def sparsegpt_(model: nn.Module, plan: Plan, text: Batches) -> Masks:
    """Prune each matrix and correct its remaining weights (Frantar & Alistarh, 2023)."""
    return _solve(model, plan, text, lambda name, w, h: sparsegpt(w, h, plan.sparsities[name], plan.n_m), "SparseGPT")


def admm_(model: nn.Module, plan: Plan, text: Batches, by_row: bool = False) -> Masks:
    """Correct each matrix while its mask is chosen, in each row alone if ``by_row`` (Boža, 2024)."""
    check_finite(prunable_weights(model))
    counts = _outputs_count(model, plan, text)

    def solver(name: str, w: Tensor, h: Tensor) -> Tensor:
        return admm(w, h, plan.sparsities[name], plan.n_m, by_row, counts.get(name))

    return _solve(model, plan, text, solver, "ADMM")


def own(model: nn.Module, plan: Plan, text: Batches | None, function: Own, with_text: bool) -> Masks:
    """Prune by what ``function(model)`` returns for each matrix: masks (bool, True = keep), or scores.

    ``with_text``: it is called with ``text=text``, too. Of scores the lowest go, layer by layer or n:m, as the plan has
    it; masks are taken as they are. Layers that the plan leaves whole stay whole. Raises ValueError where a matrix of
    the plan has neither, or one of another shape.
    """
    found: object = function(model, text=text) if with_text else function(model)
    if not isinstance(found, Mapping):
        raise ValueError(f"A method's function returns {{parameter name: tensor}}; got a {type(found).__name__}.")
    given: Masks = {}
    for name, w in prunable_weights(model, plan.names).items():
        tensor = found.get(name)
        if not isinstance(tensor, Tensor) or tensor.shape != w.shape:
            kind = "missing" if tensor is None else f"a {type(tensor).__name__}, no tensor"
            got = f"of shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else kind
            raise ValueError(f"A method's function gives scores or a mask {tuple(w.shape)} of {name}; it is {got}.")
        given[name] = tensor
    scored = {name: _never_negative(name, tensor) for name, tensor in given.items() if tensor.dtype != torch.bool}
    return given | _layer_by_layer(model, scored, plan)


def _never_negative(name: str, score: Tensor) -> Tensor:
    """Return scores in the same order and never negative: `selection` ranks by absolute value."""
    if score.is_complex():
        raise ValueError(f"The scores of {name} are complex numbers: give real ones, of which the lowest go.")
    if not bool((score < 0).any()) or not bool(score.isfinite().all()):  # of infinite ones, it says so itself
        return score
    return score.unique(return_inverse=True)[1].double()  # their ranks; equal scores have one rank


def by_block(
    model: nn.Module, plan: Plan, text: Batches, solve: Callable[[list[str], Batches], Masks], title: str
) -> Masks:
    """Call ``solve(names, text)`` for one group of layers after the other, each calibrated after earlier pruning."""
    check_finite(prunable_weights(model))
    masks: Masks = {}
    with restored_on_error(prunable_weights(model, plan.names)):
        for names, reached in block_by_block(model, text, plan.names, title):
            masks |= solve(names, reached)
        check_nothing_is_empty(masks)
    return masks


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError, with the name, for weights that are NaN or infinite."""
    for name, w in weights.items():
        if not w.isfinite().all():
            raise ValueError(f"{name} has entries that are NaN or infinite: check how the model was loaded or trained.")


def check_nothing_is_empty(masks: Masks) -> None:
    """Raise ValueError, with the names, for masks that keep nothing."""
    empty = [name for name, mask in masks.items() if not bool(mask.any())]
    if empty:
        raise nothing_left(empty)


def _layer_by_layer(model: nn.Module, found: Mapping[str, Tensor], plan: Plan) -> Masks:
    """Return masks of scores that have their parameters' shapes."""
    if plan.n_m is not None:
        return as_stored(model, selection.n_m_masks(as_stored(model, found), *plan.n_m))  # to (out, in), and back
    masks: Masks = {}
    for name, score in found.items():
        masks |= selection.layer_masks({name: score}, plan.fraction(name))
    return masks


def _row_by_row(found: Mapping[str, Tensor], plan: Plan) -> Masks:
    """Return masks of scores (out, in)."""
    if plan.n_m is not None:
        return selection.n_m_masks(found, *plan.n_m)
    masks: Masks = {}
    for name, score in found.items():
        masks |= selection.row_masks({name: score}, plan.fraction(name))
    return masks


def _taylor_scores(
    model: nn.Module, plan: Plan, text: Batches, loss: Callable[..., Tensor] | None
) -> dict[str, Tensor]:
    loss = loss or loss_of(model)
    weights = prunable_weights(model, plan.names)
    check_finite(weights)
    sizes = gradients(model, text, list(weights), loss)
    found: dict[str, Tensor] = {}
    for name, w in weights.items():  # one by one, so that the model is not held three times
        found |= scores.taylor({name: w}, {name: sizes.pop(name)})
    return found


def _outputs_count(model: nn.Module, plan: Plan, text: Batches) -> dict[str, Tensor]:
    """Return {name: weight of an error of each output (out,)}; {} for a model without a known loss."""
    try:
        loss = loss_of(model)
    except ValueError:
        return {}
    some = text[:: max(1, len(text) // 32)] if isinstance(text, Tensor) else text  # all would be slow
    found = gradients(model, some, plan.names, loss, order=2)
    return {name: scores.outputs(g) for name, g in as_stored(model, found).items()}  # each (out, in)


def _solve(
    model: nn.Module, plan: Plan, text: Batches, solver: Callable[[str, Tensor, Tensor], Tensor], title: str
) -> Masks:
    """Replace each weight by ``solver(name, weight (out, in), hessian)``."""

    @torch.no_grad()
    def solve(names: list[str], text: Batches) -> Masks:
        masks: Masks = {}
        for name, hessian in hessians(model, text, names).items():
            weight = matrices(model, [name])[name]
            masks[name] = weight.copy_(solver(name, weight, hessian)) != 0
        return as_stored(model, masks)

    return by_block(model, plan, text, solve, title)
