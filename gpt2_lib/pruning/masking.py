"""Training with masks: pruned weights stay exactly zero, with any optimiser.

A pruned weight still has a gradient, which, with the momentum of earlier ones, would move it off zero at the
next step. So its gradient is zeroed before every step (no momentum builds up) and the weight itself after it.
The values of pruned weights are remembered, so that new masks can restore them: a gradual schedule may
revise its choice (Zhu & Gupta, 2017, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..modules import unwrap
from .targets import prunable_weights

Masks = dict[str, Tensor]  # parameter name -> bool tensor of its shape, True = keep


@torch.no_grad()
def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Write zeros where a mask is False. Raises ValueError for a mask that doesn't fit, before any change."""
    parameters = dict(unwrap(model).named_parameters())
    check_masks(parameters, masks)
    for name, mask in masks.items():
        parameters[name].masked_fill_(~mask.to(parameters[name].device), 0.0)


def check_masks(parameters: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless every mask is a bool tensor of its parameter's shape."""
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"The model has no parameter {name!r}.")
        if mask.dtype != torch.bool:
            raise ValueError(f"The mask of {name} must be a bool tensor, True = keep; got {mask.dtype}.")
        if mask.shape != parameters[name].shape:
            raise ValueError(
                f"The mask of {name} has shape {tuple(mask.shape)}; {tuple(parameters[name].shape)} is needed."
            )


def masks_of_zeros(model: nn.Module) -> Masks:
    """Return the masks of a model that was pruned earlier, from its zeros, for each prunable matrix that has any.

    Use them to continue training after loading: ``MaskKeeper(model, [optimizer], masks_of_zeros(model))``.
    """
    masks = {name: w.detach() != 0 for name, w in prunable_weights(model).items()}
    return {name: mask for name, mask in masks.items() if not bool(mask.all())}


def inner_optimizer(optimizer: Any) -> torch.optim.Optimizer:
    """Return the optimiser inside a wrapper such as accelerate's: the inner one's steps are those really made.

    Raises ValueError for what is no optimiser.
    """
    found = optimizer
    while isinstance(inside := getattr(found, "optimizer", None), torch.optim.Optimizer):
        found = inside
    if not isinstance(found, torch.optim.Optimizer):
        raise ValueError(f"An optimiser of torch, or one in a wrapper, is needed; got a {type(optimizer).__name__}.")
    return found


class MaskKeeper:
    """Keeps a model's masks while ``optimizers`` train it: any of torch's, also in accelerate's wrapper.

    >>> keeper = MaskKeeper(model, [optimizer], pruner.masks)
    >>> ...                        # train as usual: optimizer.step() keeps the zeros
    >>> keeper.remove()

    ``masks``: {parameter name: bool tensor, True = keep}; None where `update` chooses the first ones. Raises
    ValueError for masks that don't fit or are none at all, and for optimisers that train none of their parameters.
    """

    def __init__(
        self, model: nn.Module, optimizers: Iterable[torch.optim.Optimizer], masks: Mapping[str, Tensor] | None
    ) -> None:
        if isinstance(optimizers, torch.optim.Optimizer) or not (masks is None or isinstance(masks, Mapping)):
            raise TypeError("MaskKeeper(model, [optimizer], masks) is the order: a list of optimisers, then the masks.")
        self.parameters = dict(unwrap(model).named_parameters())
        self.optimizers = [inner_optimizer(optimizer) for optimizer in optimizers]
        if masks is not None:
            self._check(masks)  # before the optimisers are touched
        self.masks: Masks = {}  # as they are now, True = keep
        self._factors: dict[str, Tensor] = {}  # the same as 0 and 1, with which a product is several times as fast
        self.remembered: dict[str, Tensor] = {}  # weights as they are, or were when they were pruned
        self._hooks = [
            hook
            for optimizer in self.optimizers
            for hook in (
                optimizer.register_step_pre_hook(lambda optimizer, *_: self._zero_gradients(self._own(optimizer))),
                optimizer.register_step_post_hook(lambda optimizer, *_: self._zero_weights(self._own(optimizer))),
            )
        ]
        if masks is not None:
            self.set_masks(masks)

    @torch.no_grad()
    def set_masks(self, masks: Mapping[str, Tensor]) -> None:
        """Apply new masks: prune, restore the weights that they keep, clear the optimisers' state of the others.

        A restored weight has the value from when it was pruned, and no momentum.
        """
        self._check(masks)
        masks = self._where_they_belong(masks)
        weights = self.candidates(masks)
        for name, mask in masks.items():
            self.remembered[name], self.masks[name] = weights[name], mask.clone()
            self._factors[name] = mask.to(self.parameters[name])
            self.parameters[name].copy_(weights[name].masked_fill(~mask, 0.0))
            for optimizer in self.optimizers:
                for state in optimizer.state.get(self.parameters[name], {}).values():
                    if isinstance(state, Tensor) and state.shape == mask.shape:
                        state.masked_fill_(~mask, 0.0)

    @torch.no_grad()
    def candidates(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return the weights from which new masks are chosen: a pruned weight has its value from before that."""
        weights = {}
        for name in names:
            w = self.parameters[name].detach().clone()
            if name in self.masks:
                torch.where(self.masks[name], w, self.remembered[name], out=w)
            weights[name] = w
        return weights

    def update(self, select: Callable[[dict[str, Tensor]], Mapping[str, Tensor]], names: Iterable[str]) -> None:
        """Choose new masks for ``names``: ``select`` gets the candidates, pruned weights included."""
        self.set_masks(select(self.candidates(names)))

    def remove(self) -> None:
        """Remove the hooks from the optimisers; the zeros stay until an optimiser's next step."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict[str, Masks]:
        """Return the masks and the remembered weights, for a snapshot."""
        return {"masks": dict(self.masks), "remembered": dict(self.remembered)}

    def load_state_dict(self, state: Mapping[str, Masks]) -> None:
        """Continue from a snapshot; load the states of the model and the optimisers separately."""
        check_masks(self.parameters, state["masks"])
        self.masks = self._where_they_belong(state["masks"])
        self.remembered = self._where_they_belong(state["remembered"])
        self._factors = {name: mask.to(self.parameters[name]) for name, mask in self.masks.items()}

    def _check(self, masks: Mapping[str, Tensor]) -> None:
        """Raise ValueError for masks that don't fit, and where there is nothing to keep or no way to keep it."""
        if not masks:
            raise ValueError("There are no masks to keep: prune the model first. Has it any zeros?")
        check_masks(self.parameters, masks)
        one = next(iter(masks))
        ours = {id(p) for p in self.parameters.values()}
        held: set[int] = set()
        for optimizer in self.optimizers:
            trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
            if not trained & ours:
                raise ValueError(
                    f"A {type(optimizer).__name__} trains no parameter of this model, such as {one}: make the "
                    "optimiser of the model itself, not of a copy."
                )
            held |= trained
        if not any(id(self.parameters[name]) in held for name in masks):
            raise ValueError(
                f"The optimisers hold none of the masked parameters, such as {one}: give those that train them."
            )

    def _where_they_belong(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each tensor on its parameter's device: a snapshot may come from another."""
        return {name: tensor.to(self.parameters[name].device) for name, tensor in tensors.items()}

    def zero_gradients(self) -> None:
        """Zero the gradients of pruned weights. Each step does so; call it before clipping by a norm."""
        self._zero_gradients(self.masks)

    def _own(self, optimizer: torch.optim.Optimizer) -> list[str]:
        """Return the names of the masked parameters that ``optimizer`` trains."""
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
        return [name for name in self.masks if id(self.parameters[name]) in trained]

    def _zero_gradients(self, names: Iterable[str]) -> None:
        for name in names:
            gradient = self.parameters[name].grad
            if gradient is not None:
                gradient.mul_(self._factors[name])

    @torch.no_grad()
    def _zero_weights(self, names: Iterable[str]) -> None:
        for name in names:
            self.parameters[name].mul_(self._factors[name])
