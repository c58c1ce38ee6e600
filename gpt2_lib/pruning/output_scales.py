"""What an error of each output of a layer counts for: more where the loss depends more on it.

A one-shot method keeps the outputs of each layer close to what they were. They are not all worth the same to the
model, and the gradient says so (Molchanov et al., 2019, "Importance Estimation for Neural Network Pruning").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from . import calibration
from .targets import as_stored, prunable_weights

WINDOWS = 32  # of the calibration text, spread over it: the scales are steady already, and a backward pass is dear
FLOOR = 0.01  # of the largest scale, so that no output counts for nothing


def output_scales(
    model: nn.Module, windows: Tensor | Iterable[Any], loss: Callable[..., Tensor] | None = None
) -> dict[str, Tensor]:
    """{name: scale (out,)} for each prunable weight: the root of the norm of its row's gradient, at most 1.

    ``windows`` and ``loss`` as in `calibration.gradients`, and so the errors. {} for a model whose loss is neither
    known nor given.
    """
    if loss is None:
        try:
            loss = calibration.loss_of(model)
        except ValueError:
            return {}
    some = windows[:: max(1, len(windows) // WINDOWS)] if isinstance(windows, Tensor) else windows
    gradients = calibration.gradients(model, some, list(prunable_weights(model)), loss, order=2)
    by_output = as_stored(model, gradients)  # (out, in) each
    return {name: _scale(gradient.norm(dim=1)) for name, gradient in by_output.items()}


def _scale(norms: Tensor) -> Tensor:
    """The root, since a gradient speaks of small errors and these are not: at 70 % the norm itself does harm."""
    largest = norms.max()
    return (norms / largest).sqrt().clamp(min=FLOOR) if largest > 0 else torch.ones_like(norms)
