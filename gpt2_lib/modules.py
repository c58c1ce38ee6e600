"""Any nn.Module: what is inside its wrappers, on which device it is, and inputs brought there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside torch.compile, DataParallel and DistributedDataParallel; any other module as it is."""
    while True:
        compiled = model._modules.get("_orig_mod")  # its class is not imported: that would load the compiler
        if compiled is not None:
            model = compiled
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = cast("nn.Module", model.module)
        else:
            return model


def device_of(model: nn.Module) -> torch.device:
    """Where a model takes its inputs: the device of its first parameter, which in a language model is the embedding."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def map_tensors(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """``batch`` with each of its tensors changed; they may lie in tuples, lists and dictionaries."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        items = cast("Mapping[Any, Any]", batch)
        return {key: map_tensors(item, change) for key, item in items.items()}
    if type(batch) in (tuple, list):  # not a namedtuple, which is built in another way
        return type(batch)(map_tensors(item, change) for item in batch)
    return batch


def to_device_of(model: nn.Module, batch: Any) -> Any:
    """``batch`` with its tensors where ``model`` takes its inputs."""
    device = device_of(model)
    return map_tensors(batch, lambda tensor: tensor.to(device))


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision as float32, in which sums and products neither overflow nor vanish; all else as it is."""
    wide = torch.promote_types(tensor.dtype, torch.float32)
    return tensor.to(wide) if tensor.is_floating_point() else tensor
