"""Training with masks: what is pruned stays exactly zero, whatever the optimiser does.

A pruned weight still has a gradient, which, with the momentum of earlier ones, would move it off zero at the
next step. So its gradient is zeroed before every step (no momentum builds up) and the weight itself after it.
What a weight was when it was pruned is remembered, so that new masks can bring it back: a gradual schedule is
allowed to change its mind (Zhu & Gupta, 2017, section 3).
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
    """Write zeros where a mask is False. Raises ValueError for a mask that doesn't fit, before anything is cut."""
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
    """The masks of a model that was pruned before, read from its zeros: of each prunable matrix that has any.

    With them training goes on after loading: ``MaskKeeper(model, [optimizer], masks_of_zeros(model))``.
    """
    masks = {name: w.detach() != 0 for name, w in prunable_weights(model).items()}
    return {name: mask for name, mask in masks.items() if not bool(mask.all())}


def inner_optimizer(optimizer: Any) -> torch.optim.Optimizer:
    """The optimiser inside a wrapper such as accelerate's, which skips steps; those that are made are the inner one's.

    Raises ValueError for what is no optimiser.
    """
    found = optimizer
    while isinstance(inside := getattr(found, "optimizer", None), torch.optim.Optimizer):
        found = inside
    if not isinstance(found, torch.optim.Optimizer):
        raise ValueError(f"An optimiser of torch, or one in a wrapper, is needed; got a {type(optimizer).__name__}.")
    return found


class MaskKeeper:
    """Holds a model to its masks while ``optimizers`` train it: any of torch's, also in accelerate's wrapper.

    >>> keeper = MaskKeeper(model, [optimizer], pruner.masks)
    >>> ...                        # train as ever: optimizer.step() keeps the zeros
    >>> keeper.remove()
    """

    def __init__(self, model: nn.Module, optimizers: Iterable[torch.optim.Optimizer], masks: Mapping[str, Tensor]):
        if isinstance(optimizers, torch.optim.Optimizer) or not isinstance(masks, Mapping):
            raise TypeError("MaskKeeper(model, [optimizer], masks) is the order: a list of optimisers, then the masks.")
        self.parameters = dict(unwrap(model).named_parameters())
        check_masks(self.parameters, masks)  # before the optimisers are touched
        self.optimizers = [inner_optimizer(optimizer) for optimizer in optimizers]
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
        self.set_masks(masks)

    @torch.no_grad()
    def set_masks(self, masks: Mapping[str, Tensor]) -> None:
        """Hold the model to new masks: prune, bring back what they keep, clear the optimisers' state of the rest.

        A weight that comes back has the value it had when it was pruned, and no momentum.
        """
        check_masks(self.parameters, masks)
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
        """What new masks are chosen from: each weight as it is, or as it was when it was pruned."""
        weights = {}
        for name in names:
            w = self.parameters[name].detach().clone()
            if name in self.masks:
                torch.where(self.masks[name], w, self.remembered[name], out=w)
            weights[name] = w
        return weights

    def update(self, select: Callable[[dict[str, Tensor]], Mapping[str, Tensor]], names: Iterable[str]) -> None:
        """Choose masks for ``names`` anew: ``select`` gets the candidates, pruned ones among them."""
        self.set_masks(select(self.candidates(names)))

    def remove(self) -> None:
        """Let go of the optimisers; the zeros stay until the next step of an optimiser moves them."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict[str, Masks]:
        """Masks and remembered weights, for a snapshot."""
        return {"masks": dict(self.masks), "remembered": dict(self.remembered)}

    def load_state_dict(self, state: Mapping[str, Masks]) -> None:
        """Continue from a snapshot; the model's and the optimisers' own state is loaded by their own means."""
        check_masks(self.parameters, state["masks"])
        self.masks = self._where_they_belong(state["masks"])
        self.remembered = self._where_they_belong(state["remembered"])
        self._factors = {name: mask.to(self.parameters[name]) for name, mask in self.masks.items()}

    def _where_they_belong(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each on its parameter's device: a snapshot may come from another."""
        return {name: tensor.to(self.parameters[name].device) for name, tensor in tensors.items()}

    def zero_gradients(self) -> None:
        """Zero the gradients of pruned weights. Every step does; clipping by a norm wants it done before."""
        self._zero_gradients(self.masks)

    def _own(self, optimizer: torch.optim.Optimizer) -> list[str]:
        """The masked parameters that ``optimizer`` trains."""
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
