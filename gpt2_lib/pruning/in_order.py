"""Prune a model group by group, each calibrated on what is pruned before it; all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from . import calibration
from .masking import Masks
from .targets import as_stored, matrices, prunable_weights

Solver = Callable[[str, Tensor, Tensor], Tensor]  # name, weight (out, in), X^T X (in, in) -> pruned weight (out, in)


def in_order(model: nn.Module, solve: Callable[[list[str]], Masks]) -> Masks:
    """The masks of all weights: ``solve`` returns those of a group of names, in the order of `layer_groups`."""
    masks: Masks = {}
    for names in calibration.layer_groups(model, list(prunable_weights(model))):
        masks |= solve(names)
    return masks


@torch.no_grad()
def solve_group(model: nn.Module, windows: Iterable[Any], solver: Solver, names: list[str]) -> Masks:
    """Put what ``solver`` returns in the place of each of the weights ``names``; their masks, as they are stored."""
    masks: Masks = {}
    for name, hessian in calibration.hessians(model, windows, names).items():
        weight = matrices(model, [name])[name]
        solved = solver(name, weight, hessian)
        masks[name] = solved != 0
        weight.copy_(solved)
    return as_stored(model, masks)


@contextmanager
def restored_on_error(weights: Mapping[str, Tensor]) -> Generator[None]:
    """Put the weights back as they were where the block inside raises."""
    before = {name: w.detach().clone() for name, w in weights.items()}
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for name, w in weights.items():
                w.copy_(before[name])
        raise
