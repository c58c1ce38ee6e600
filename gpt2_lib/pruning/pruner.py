"""The pruner: it prunes a model's weights in place, by any method.

`targets` defines what is prunable: the matrices of attention and feed-forward in a GPT-2, ours or
transformers', and the weights of the ``nn.Linear`` layers in any other module. Methods that cut by parts
(`prune_attention_layers`, `quick_magnitude_prune`) need a model whose parts are known: GPT-2s, and those that
call them ``self_attn`` and ``mlp``, as Llama does. Those that cut heads and neurons (`prune_structures`,
`remove_structures`) need this library's `GPT2`.

Each method computes all masks before it cuts, and refuses to empty a layer: if it raises an error, the
model is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from torch import Tensor, nn

from ..batches import readable_again
from ..gpt2 import GPT2
from ..modules import unwrap
from . import surgery
from .masking import Masks, apply_masks, check_masks
from .methods import one_shot
from .methods.one_shot import Batches, Choose, Own
from .methods.plan import Plan, Sparsity, make_plan
from .methods.registry import Method, check_needs, find_method, plan_of
from .statistics import ModelStatistics, model_statistics
from .structures import units
from .structures.units import Fractions
from .targets import (
    as_gpt2,
    attention_weights,
    check_has_data,
    feedforward_weights,
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

Module = TypeVar("Module", bound=nn.Module)


class ModelPruner:
    """Prunes a model step by step and keeps its masks.

    >>> pruner = ModelPruner(model)
    >>> pruner.prune_attention_layers(0.4)
    >>> pruner.prune_feedforward_layers(0.6)
    >>> pruner.get_model_statistics()["sparsity"]

    ``model``: a `GPT2`, or any module with nn.Linear layers; of one in torch.compile or DataParallel, the model
    inside. Every method returns the masks it applied, each of its parameter's shape.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = unwrap(model)
        if not prunable_weights(self.model):
            raise ValueError(f"This {type(self.model).__name__} has no nn.Linear layer: there is nothing to prune.")
        check_has_data(self.model)
        self.masks: Masks = {}

    def prune(
        self,
        method: str | Own | Method,
        sparsity: Sparsity | None = None,
        *,
        text: Batches | None = None,
        n_m: tuple[int, int] | None = None,
        ignore: Iterable[str] = (),
        names: Iterable[str] | None = None,
    ) -> Masks:
        """Prune with any method of `methods.registry.METHODS`, such as ``"sparsegpt"``, or by a function of your own.

        ``function(model)``, or ``function(model, text)``, returns {parameter name: scores or masks}, as `compare` takes
        it.

        ``sparsity`` for all layers, or {glob of names: sparsity}, as in `methods.plan.make_plan`; or ``n_m``, such as
        (2, 4). ``text``: what to calibrate on, for the methods that look at text: windows of token ids (N, T) or
        batches, for another model than a language model what ``model(batch)`` takes. Globs in ``names`` choose layers,
        those in ``ignore`` leave layers whole. ``"structured"`` removes the fraction ``sparsity`` of all heads and
        neurons. Raises ValueError for what doesn't fit together, and the model is as it was.
        """
        found = method if isinstance(method, Method) else find_method(method)
        check_needs(found, text is not None, n_m)
        if found.text == "no" and text is not None:
            raise ValueError(f"{found.name} uses no text: leave text= out.")
        plan = plan_of(self.model, found, sparsity, n_m, names, ignore)
        if found.choose is None:
            return self._prune_units(sparsity, text)
        return self._cut(found.choose, plan, text, found.by_block)

    def apply(self, masks: Masks) -> Masks:
        """Prune with your own masks, {parameter name: bool tensor of its shape, True = keep}."""
        check_masks(dict(self.model.named_parameters()), masks)
        return self._apply(masks)

    # The same, method by method. ``windows`` is the calibration text.

    def prune_attention_layers(self, sparsity: float) -> Masks:
        """Remove the smallest ``sparsity`` of every attention matrix."""
        return self.prune("magnitude", sparsity, names=attention_weights(self.model))

    def prune_feedforward_layers(self, sparsity: float) -> Masks:
        """Remove the smallest ``sparsity`` of every feed-forward matrix."""
        return self.prune("magnitude", sparsity, names=feedforward_weights(self.model))

    def prune_layers(self, sparsity: float, names: Iterable[str] | None = None) -> Masks:
        """Remove the smallest ``sparsity`` of each of the matrices ``names`` (all that are prunable)."""
        return self.prune("magnitude", sparsity, names=names)

    def prune_globally(self, sparsity: float, min_kept: float = 0.0) -> Masks:
        """Remove the smallest ``sparsity`` of all weights, ranked together; of each layer ``min_kept`` stays."""
        return self._cut(partial(one_shot.magnitude_global, min_kept=min_kept), make_plan(self.model, sparsity))

    def prune_n_m(self, n: int = 2, m: int = 4) -> Masks:
        """Keep the ``n`` largest of every ``m`` neighbours along the inputs."""
        return self.prune("magnitude", n_m=(n, m))

    def prune_rectangles(self, sparsity: float, block: tuple[int, int] = (16, 16)) -> Masks:
        """Remove whole rectangles of ``block`` entries (block sparsity), those of the lowest L2 norm."""
        return self._cut(partial(one_shot.rectangles, block=block), make_plan(self.model, sparsity))

    def prune_randomly(self, sparsity: float, seed: int = 0) -> Masks:
        """Remove a random ``sparsity`` of every matrix: the baseline for any method."""
        return self._cut(partial(one_shot.random, seed=seed), make_plan(self.model, sparsity))

    def prune_taylor(
        self,
        windows: Batches,
        sparsity: float,
        loss: Callable[..., Tensor] | None = None,
        globally: bool = False,
        min_kept: float = 0.0,
    ) -> Masks:
        """Remove the weights that change the loss on ``windows`` least, to first order (Molchanov et al., 2017, 2019).

        Layer by layer; with ``globally``, all weights are ranked together, since their scores have one unit, and
        of each layer ``min_kept`` stays.
        ``loss(model, batch)`` is a batch's mean loss, a scalar; that of a language model is known.
        """
        choose = partial(one_shot.taylor_global, min_kept=min_kept) if globally else one_shot.taylor
        return self._cut(partial(choose, loss=loss), make_plan(self.model, sparsity), windows)

    def prune_wanda(self, windows: Batches, sparsity: float | None = None, n_m: tuple[int, int] | None = None) -> Masks:
        """Prune by Wanda: |weight| times the norm of its input, compared within a row, or n:m (Sun et al., 2023)."""
        return self.prune("wanda", sparsity, text=windows, n_m=n_m)

    def prune_sparsegpt(
        self, windows: Batches, sparsity: float | None = None, n_m: tuple[int, int] | None = None
    ) -> Masks:
        """Prune by SparseGPT, which corrects the remaining weights of each matrix (Frantar & Alistarh, 2023)."""
        return self.prune("sparsegpt", sparsity, text=windows, n_m=n_m)

    def prune_admm(
        self, windows: Batches, sparsity: float | None = None, n_m: tuple[int, int] | None = None, by_row: bool = False
    ) -> Masks:
        """Prune by ADMM, which corrects each matrix while its mask is chosen (``by_row``: in each row) (Boža, 2024).

        In a language model, an output counts for more the more the loss depends on it.
        """
        plan = make_plan(self.model, sparsity, n_m)
        return self._cut(partial(one_shot.admm_, by_row=by_row), plan, windows, by_block=True)

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
        """Zero heads and neurons, biases included; the shapes stay, so that training can continue.

        With ``windows`` every ``c_proj`` is solved anew on what stays, its bias too, unless ``refit`` is False.
        """
        model = as_gpt2(self.model)
        keep_heads, keep_neurons = self._structures_to_keep(heads, neurons, windows)
        smaller = None
        if windows is not None and refit:
            smaller = units.refitted(model, keep_heads, keep_neurons, windows, own=False)
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
        """Remove heads and neurons, which makes matrices smaller, and refit as `prune_structures` does.

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
        one_shot.check_finite(dict(model.named_parameters()))
        return units.units_to_keep(model, heads, neurons, windows)

    def get_model_statistics(self) -> ModelStatistics:
        """Return the current counts, bytes and sparsity, as `statistics.model_statistics` does."""
        return model_statistics(self.model)

    def state_dict(self) -> dict[str, Masks]:
        """Return the masks, for torch.save; the weights are in ``model.state_dict()``."""
        return {"masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Masks]) -> None:
        """Load masks from `state_dict` and apply them to the model."""
        apply_masks(self.model, state["masks"])
        devices = {name: p.device for name, p in self.model.named_parameters()}
        self.masks = {name: mask.to(devices[name]) for name, mask in state["masks"].items()}

    def _cut(self, choose: Choose, plan: Plan, text: Batches | None = None, by_block: bool = False) -> Masks:
        masks = choose(self.model, plan, readable_again(text))
        if not by_block:
            return self._apply(masks)
        weights = prunable_weights(self.model)
        self.masks |= {name: weights[name].detach() != 0 for name in masks}  # SparseGPT may bring weights back
        return masks

    def _apply(self, masks: Masks) -> Masks:
        one_shot.check_nothing_is_empty(masks)
        apply_masks(self.model, masks)
        self.masks |= {name: mask & self.masks.get(name, mask) for name, mask in masks.items()}  # what is gone stays so
        return masks

    def _prune_units(self, fraction: Any, text: Batches | None) -> Masks:
        if text is not None and not isinstance(text, Tensor):
            raise ValueError("structured takes its text as one tensor of windows (N, T): make it with windows_of.")
        return self.prune_structures(fraction, fraction, text)


def quick_magnitude_prune(
    model: nn.Module, att_sparsity: float = 0.3, ff_sparsity: float = 0.5
) -> tuple[ModelPruner, ModelStatistics]:
    """Prune attention and feed-forward weights by magnitude, layer by layer, in place."""
    pruner = ModelPruner(model)
    sparsities = dict.fromkeys(attention_weights(model), att_sparsity)
    sparsities |= dict.fromkeys(feedforward_weights(model), ff_sparsity)
    pruner.prune("magnitude", sparsities)  # both or none are cut
    return pruner, pruner.get_model_statistics()


def apply_magnitude_pruning(model: Module, sparsity: float = 0.6) -> Module:
    """Prune every attention and feed-forward matrix to ``sparsity``, in place; returns ``model``."""
    quick_magnitude_prune(model, sparsity, sparsity)
    return model
