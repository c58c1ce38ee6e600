"""Magnitudes of the loss's gradients by each weight, and the loss of a language model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...batches import batches_for, is_language_model
from ...metrics import next_tokens
from ...modules import at_least_float32, map_tensors, to_device_of, unwrap
from ...system.progress import progress_bar
from .layers import check_statistics, evaluating, layers_of


def next_token_loss(model: nn.Module, windows: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of tokens 2 ... T of the ``windows`` (N, T), nats per token."""
    if windows.dim() != 2 or windows.size(1) < 2:
        raise ValueError(f"Windows must have shape (N, T) with T >= 2; got {tuple(windows.shape)}.")
    return F.cross_entropy(*next_tokens(model, windows))


def loss_of(model: nn.Module) -> Callable[..., Tensor]:
    """Return `next_token_loss` for a GPT-2 or a causal language model of transformers; ValueError for other models."""
    if not is_language_model(model):
        raise ValueError(
            f"A {type(unwrap(model)).__name__} has no loss that is known here: give one, a function loss(model, batch) "
            "of its mean over a batch."
        )
    return next_token_loss


def gradients(
    model: nn.Module,
    batches: Iterable[Any],
    names: Sequence[str],
    loss: Callable[..., Tensor] = next_token_loss,
    order: int = 1,
) -> dict[str, Tensor]:
    """Return the gradient's magnitude by each weight, of the weight's shape, float32: a mean over single examples.

    The loss of each example alone is differentiated, without dropout. ``order`` 1 averages the gradients'
    absolute values (Molchanov et al., 2017, section 2.2), ``order`` 2 their squares and takes the root
    (Molchanov et al., 2019, equation 8). The gradient of the mean loss would not do: at the end of training it
    is near 0 for every weight, needed or not, since the examples' gradients cancel out.

    ``loss(model, batch)`` is a batch's mean loss, a scalar. Each row of a tensor is an example, so is any
    other batch as a whole. A model in half precision is differentiated in float32, in which small gradients
    don't become zero. Raises ValueError for a name that isn't a layer's weight, a weight that the loss doesn't
    depend on, no examples, and gradients that are NaN or infinite.
    """
    if order not in (1, 2):
        raise ValueError(f"order is 1 (mean of absolute values) or 2 (root of the mean square); got {order!r}.")
    weights = {name: cast("Tensor", layer.weight) for name, layer in layers_of(model, names).items()}
    model = unwrap(model)
    sums = {name: torch.zeros_like(w, dtype=torch.float32, requires_grad=False) for name, w in weights.items()}
    reached: set[str] = set()

    def add(name: str, parameter: Tensor) -> None:
        """Add a gradient to its sum and drop it, so that the gradients of all weights are never in memory together."""
        assert parameter.grad is not None
        sums[name] += parameter.grad.abs() if order == 1 else parameter.grad.square()
        parameter.grad = None
        reached.add(name)

    count = 0
    with evaluating(model), torch.enable_grad(), _stand_ins(model, weights) as stand_ins:
        for name, parameter in stand_ins.items():
            parameter.register_post_accumulate_grad_hook(partial(add, name))
        total = len(batches) if isinstance(batches, Tensor) else None
        for example in progress_bar(_examples(model, batches), "gradients", "example", total):
            value = loss(model, example)
            if value.requires_grad:
                value.backward()
            for name in weights.keys() - reached:
                raise ValueError(f"The loss doesn't depend on {name}: leave it out.")
            count += 1
    if count == 0:
        raise ValueError("The calibration data is empty: give at least one batch.")
    check_statistics(sums, "gradients")
    for total in sums.values():  # in place: these are as large as the model
        total /= count
        if order == 2:
            total.sqrt_()
    return sums


def _examples(model: nn.Module, batches: Iterable[Any]) -> Iterator[Any]:
    """Yield each row of each tensor, or each other batch whole, on the model's device, in its stand-ins' precision."""
    for batch in batches_for(model, batches):
        rows = isinstance(batch, Tensor) and batch.dim() > 0
        for example in (batch.split(1) if batch.numel() else ()) if rows else (batch,):
            yield map_tensors(to_device_of(model, example), at_least_float32)


@contextmanager
def _stand_ins(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[dict[str, nn.Parameter]]:
    """Replace the model's parameters by copies of at least float32, and yield those of ``weights`` by name.

    Only these get gradients. They share their memory with the model's own unless these are in half precision.
    So the gradients, flags and hooks of the model's parameters are never touched.
    """
    wanted = {id(w) for w in weights.values()}
    places = [
        (module, leaf, tensor)
        for module in model.modules()
        for leaf, tensor in [*module._parameters.items(), *module._buffers.items()]
        if tensor is not None
    ]
    new: dict[int, Tensor] = {}
    for _, _, tensor in places:
        wide = at_least_float32(tensor.detach())
        if isinstance(tensor, nn.Parameter):
            wide = nn.Parameter(wide, requires_grad=id(tensor) in wanted)
        new.setdefault(id(tensor), wide)
    try:
        for module, leaf, tensor in places:
            setattr(module, leaf, new[id(tensor)])
        yield {name: cast("nn.Parameter", new[id(w)]) for name, w in weights.items()}
    finally:
        for module, leaf, tensor in places:
            setattr(module, leaf, tensor)
