"""Helpers for any nn.Module: unwrapping, its device, and inputs on that device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)  # what they wrap is their ``module``


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside torch.compile, (Distributed)DataParallel or AveragedModel; any other unchanged.

    Raises TypeError for what is no module.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]  of who uses no type checker
        raise TypeError(f"A model, a torch.nn.Module, is needed; got a {type(model).__name__}. Were arguments swapped?")
    while True:
        compiled = model._modules.get("_orig_mod")  # its class is not imported: that would load the compiler
        if compiled is not None:
            model = compiled
        elif isinstance(model, WRAPPERS):
            model = cast("nn.Module", model.module)
        else:
            return model


def way_to_a_parameter(layer: nn.Module, leaf: str) -> str | None:
    """Return the call that turns ``leaf`` (weight, bias) of a layer back into a parameter, where a function of
    torch.nn.utils computes it from other tensors at each pass; None where no such call is known."""
    if parametrize.is_parametrized(layer, leaf):
        return f"torch.nn.utils.parametrize.remove_parametrizations(layer, {leaf!r})"
    if hasattr(layer, f"{leaf}_mask"):
        return f"torch.nn.utils.prune.remove(layer, {leaf!r})"
    if f"{leaf}_g" in layer._parameters:
        return f"torch.nn.utils.remove_weight_norm(layer, {leaf!r})"
    if f"{leaf}_orig" in layer._parameters:
        return f"torch.nn.utils.remove_spectral_norm(layer, {leaf!r})"
    return None


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's inputs: that of its first parameter, in a language model the embedding."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def map_tensors(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return ``batch`` with ``change`` applied to each tensor, in nested tuples, lists and mappings too."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        items = cast("Mapping[Any, Any]", batch)
        return {key: map_tensors(item, change) for key, item in items.items()}
    if type(batch) in (tuple, list):  # not a namedtuple, which is built in another way
        return type(batch)(map_tensors(item, change) for item in batch)
    return batch


def to_device_of(model: nn.Module, batch: Any) -> Any:
    """Return ``batch`` with its tensors on the device of the inputs of ``model``."""
    device = device_of(model)
    return map_tensors(batch, lambda tensor: tensor.to(device))


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return half precision as float32, which avoids overflow and underflow; return other dtypes unchanged."""
    wide = torch.promote_types(tensor.dtype, torch.float32)
    return tensor.to(wide) if tensor.is_floating_point() else tensor
