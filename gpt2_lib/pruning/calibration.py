"""What a model says about its weights when it reads some text: input norms, Hessians, gradients.

Works for any nn.Module with nn.Linear layers. ``batches`` is an iterable of what ``model(batch)``
takes. A tensor is cut along its first dimension into batches of at most 4096 entries: for a GPT-2 it
is windows of token ids (N, T). ``names`` are names of weights, such as ``h.0.attn.c_attn.weight``.
Whatever happens, the model is left as it was: its weights, gradients, hooks, and what trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..gpt2 import GPT2

TOKENS_PER_BATCH = 4096


def input_norms(model: nn.Module, batches: Iterable[Any], names: Sequence[str]) -> dict[str, Tensor]:
    """L2 norm (in,), over all tokens, of each input of each weight (Sun et al., 2023, equation 1).

    Raises ValueError for a name that isn't an nn.Linear's weight, for fewer tokens than the widest
    of the layers has inputs, and for inputs that are NaN or infinite.
    """
    layers = _linears(model, names)
    squares = {name: layer.weight.new_zeros(layer.in_features, dtype=torch.float64) for name, layer in layers.items()}

    def add(name: str, x: Tensor) -> None:
        squares[name] += x.norm(dim=0).double().square()

    _read(model, batches, layers, add)
    _check_finite(squares, "inputs")
    return {name: total.sqrt().float() for name, total in squares.items()}


def hessians(model: nn.Module, batches: Iterable[Any], names: Sequence[str]) -> dict[str, Tensor]:
    """X^T X (in, in), float64, of the inputs X (tokens, in) of each weight: a sum over tokens, not a mean.

    Half the Hessian of the layer's squared output error by each row of the weight (Frantar &
    Alistarh, 2023, section 3.1). Raises ValueError as `input_norms` does.
    """
    layers = _linears(model, names)
    sums = {
        name: layer.weight.new_zeros(layer.in_features, layer.in_features, dtype=torch.float64)
        for name, layer in layers.items()
    }

    def add(name: str, x: Tensor) -> None:
        sums[name] += x.t() @ x

    _read(model, batches, layers, add)
    _check_finite(sums, "inputs")
    return sums


def next_token_loss(model: GPT2, windows: Tensor) -> Tensor:
    """Mean negative log-likelihood of tokens 2 ... T of each of the ``windows`` (N, T), nats per token."""
    if windows.dim() != 2 or windows.size(1) < 2:
        raise ValueError(f"Windows must have shape (N, T) with T >= 2; got {tuple(windows.shape)}.")
    return F.cross_entropy(model(windows)[:, :-1].flatten(0, 1), windows[:, 1:].flatten())


def gradients(
    model: nn.Module,
    batches: Iterable[Any],
    names: Sequence[str],
    loss: Callable[..., Tensor] = next_token_loss,
) -> dict[str, Tensor]:
    """Gradient of the mean loss by each weight, of the weight's shape, without dropout.

    ``loss(model, batch)`` is a batch's mean loss, a scalar. Batches that are tensors count by their
    length, others all the same. Raises ValueError for a name that isn't an nn.Linear's weight, a
    weight that the loss doesn't depend on, no batches, and gradients that are NaN or infinite.
    """
    weights = {name: layer.weight for name, layer in _linears(model, names).items()}
    sums = {name: torch.zeros_like(w, requires_grad=False) for name, w in weights.items()}
    rows = 0
    trains = {w: w.requires_grad for w in weights.values()}
    with _evaluating(model), torch.enable_grad():
        try:
            for w in trains:
                w.requires_grad_(True)
            for batch in _split(batches):
                count = len(batch) if isinstance(batch, Tensor) else 1
                found = torch.autograd.grad(loss(model, batch), list(weights.values()), allow_unused=True)
                for name, gradient in zip(weights, found, strict=True):
                    if gradient is None:
                        raise ValueError(f"The loss doesn't depend on {name}: leave it out.")
                    sums[name] += count * gradient
                rows += count
        finally:
            for w, trained in trains.items():
                w.requires_grad_(trained)
    if rows == 0:
        raise ValueError("The calibration data is empty: give at least one batch.")
    _check_finite(sums, "gradients")
    return {name: total / rows for name, total in sums.items()}


def layer_groups(model: nn.Module, names: Sequence[str]) -> list[list[str]]:
    """The order in which to calibrate and prune, each group after the earlier ones are pruned.

    So that a layer is fitted to the inputs that it will really get, as in the code of both papers: a
    GPT-2 goes block by block, any other model one nn.Linear at a time in the order of its modules.
    """
    _linears(model, names)
    ordered = [name for name, _ in model.named_parameters(remove_duplicate=False) if name in set(names)]
    if not isinstance(model, GPT2):
        return [[name] for name in ordered]
    blocks: dict[int, list[str]] = {}
    for name in ordered:
        blocks.setdefault(_block(name), []).append(name)
    return list(blocks.values())


def _block(name: str) -> int:
    """The number of the transformer block in a GPT-2 that a weight belongs to."""
    return int(name.split(".")[1])


def _linears(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Linear]:
    """The nn.Linear that owns each of the weights."""
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    layers = {}
    for name in names:
        if name not in known:
            raise ValueError(f"The model has no parameter {name!r}.")
        owner, _, leaf = name.rpartition(".")
        layer = model.get_submodule(owner)
        if leaf != "weight" or not isinstance(layer, nn.Linear):
            raise ValueError(f"{name} isn't the weight of an nn.Linear: only those can be calibrated.")
        layers[name] = layer
    if not layers:
        raise ValueError("No weights are named: there is nothing to calibrate.")
    return layers


@torch.inference_mode()
def _read(
    model: nn.Module, batches: Iterable[Any], layers: Mapping[str, nn.Linear], see: Callable[[str, Tensor], None]
) -> None:
    """Run the batches through the model; ``see(name, x)`` gets every input x (tokens, in) of every layer."""
    tokens = dict.fromkeys(layers, 0)

    def hook(name: str) -> Callable[..., None]:
        def pre_forward(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else kwargs["input"]
            x = x.reshape(-1, x.size(-1)).float()  # (tokens, in)
            tokens[name] += len(x)
            see(name, x)

        return pre_forward

    handles = []
    with _evaluating(model):
        try:
            for name, layer in layers.items():
                handles.append(layer.register_forward_pre_hook(hook(name), with_kwargs=True))
            if isinstance(model, GPT2):
                last = model.h[max(map(_block, layers))]
                handles.append(last.register_forward_hook(_stop))
            for batch in _split(batches):
                with suppress(_Seen):
                    # A GPT-2's head is never asked for: its logits would be most of the memory.
                    model.hidden(batch) if isinstance(model, GPT2) else model(batch)
        finally:
            for handle in handles:
                handle.remove()
    _check_enough(tokens, layers)


class _Seen(Exception):
    """All that was asked for has been seen: the rest of the forward pass is not needed."""


def _stop(*_: object) -> None:
    raise _Seen


def _split(batches: Iterable[Any]) -> Iterator[Any]:
    if not isinstance(batches, Tensor):
        return iter(batches)
    if batches.numel() == 0:
        return iter(())
    return iter(batches.split(max(1, TOKENS_PER_BATCH // batches[0].numel())))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module is back in the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _check_enough(tokens: Mapping[str, int], layers: Mapping[str, nn.Linear]) -> None:
    if not any(tokens.values()):
        raise ValueError("The calibration data is empty, or never reaches the layers: give at least one batch.")
    widest = max(layers, key=lambda name: layers[name].in_features)
    needed = layers[widest].in_features
    for name, count in tokens.items():
        if count < needed:
            raise ValueError(
                f"The calibration data is too short: {name} saw {count} tokens, and at least {needed} are needed, as "
                f"many as {widest} has inputs. Give more text."
            )


def _check_finite(statistics: Mapping[str, Tensor], what: str) -> None:
    for name, value in statistics.items():
        if not value.isfinite().all():
            raise ValueError(f"The {what} of {name} are NaN or infinite: check the model's weights and the data.")
