"""Which models can be exported: a GPT2, without its wrappers, whose parameters are plain numbers."""

from __future__ import annotations

from torch import nn

from ...checkpoints import plain_parameters
from ...gpt2 import GPT2
from ...modules import unwrap


def exportable(model: nn.Module) -> GPT2:
    """Return the GPT2 inside torch.compile, DataParallel and the like.

    Raises ValueError for another kind of model, for weights that are NaN or infinite, and for layers that are not
    plain, by name and with the way out: an exporter that reads ``weight`` would lose an adapter, or take what
    torch.nn.utils.prune computed at the last pass. NotImplementedError for weights without values.
    """
    inner = unwrap(model)
    if not isinstance(inner, GPT2):
        raise ValueError(f"Only a GPT2 of this library can be exported; got {type(inner).__name__}.")
    check_finite(inner)
    plain_parameters(inner, "exported")
    return inner


def check_finite(model: GPT2) -> None:
    """Raise ValueError for weights that are NaN or infinite, NotImplementedError for weights without values."""
    for name, weight in model.named_parameters():
        if weight.is_meta:
            raise NotImplementedError(f"{name} has no values (it is on the device meta): load the weights first.")
        if not weight.float().isfinite().all():
            raise ValueError(f"{name} has NaN or infinite entries in float32: no model can be made of it.")
