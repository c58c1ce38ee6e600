"""The precision of weights: read in any, computed in float32, written as they are in memory or as is asked."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

HALVES = (torch.float16, torch.bfloat16)


def half_of(dtypes: Iterable[torch.dtype]) -> str | None:
    """Return ``"float16"`` or ``"bfloat16"`` where all ``dtypes`` are this one, else None."""
    found = set(dtypes)
    return name_of(found.pop()) if len(found) == 1 and found <= {*HALVES} else None


def name_of(dtype: torch.dtype) -> str:
    """Return a dtype's name in config.json: ``"float16"``."""
    return str(dtype).removeprefix("torch.")


def dtype_of(name: str | None) -> torch.dtype:
    """Return the dtype that `half_of` named; float32 for None."""
    return torch.float32 if name is None else getattr(torch, name)


def check_fits(name: str, weight: Tensor, rounded: Tensor) -> None:
    """Raise ValueError, with the parameter's name, for finite numbers that became infinite in another dtype."""
    if weight.dtype != rounded.dtype and bool((~rounded.isfinite() & weight.isfinite()).any()):
        raise ValueError(f"{name} has numbers that are too large for {rounded.dtype}: save it as torch.float32.")


@torch.no_grad()
def check_all_fit(model: nn.Module, dtype: torch.dtype) -> None:
    """Raise ValueError, with the parameter's name, for a model with numbers that ``dtype`` has no room for."""
    for name, p in model.named_parameters():
        check_fits(name, p, p.to(dtype))


@torch.no_grad()
def round_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Round the parameters in place to numbers that ``dtype`` has, in their own dtype: as if saved in it and loaded.

    Raises ValueError as `check_all_fit` does, before any is changed.
    """
    check_all_fit(model, dtype)
    for p in model.parameters():
        p.copy_(p.to(dtype))
