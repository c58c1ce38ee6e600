"""What a model says about its weights when it reads some text: input norms, Hessians, gradients.

Works for any nn.Module with nn.Linear layers, and for transformers' Conv1D. ``batches`` is an iterable of
what ``model(batch)`` takes. A tensor is cut along its first dimension into batches of at most 4096 entries:
for a GPT-2 it is windows of token ids (N, T). Padding of batches with ``input_ids`` and ``attention_mask`` is
taken out (`batches.token_batches`). Tensors go where the model is. ``names`` are names of weights,
such as ``h.0.attn.c_attn.weight``. Whatever happens, the model is left as it was: its weights, gradients,
hooks, and what trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..batches import token_batches
from ..gpt2 import GPT2
from ..metrics import next_tokens
from ..modules import at_least_float32, map_tensors, to_device_of, unwrap
from .targets import check_plain, gpt2_block, is_matrix_layer, matrix

TOKENS_PER_BATCH = 4096


def input_norms(model: nn.Module, batches: Iterable[Any], names: Sequence[str]) -> dict[str, Tensor]:
    """L2 norm (in,), float32, over all tokens, of each input of each weight (Sun et al., 2023, equation 1).

    Raises ValueError for a name that isn't the weight of an nn.Linear or a Conv1D, for fewer tokens than the
    widest of the layers has inputs, and for inputs that are NaN or infinite.
    """
    layers = _layers(model, names)
    squares = {name: torch.zeros(matrix(layer).size(1), dtype=torch.float64) for name, layer in layers.items()}

    def add(name: str, x: Tensor) -> None:
        squares[name] += x.norm(dim=0).cpu().double().square()  # on the CPU: not every device has float64

    _read(model, batches, layers, add)
    _check_finite(squares, "inputs")
    return {name: total.sqrt().float().to(matrix(layers[name]).device) for name, total in squares.items()}


def hessians(model: nn.Module, batches: Iterable[Any], names: Sequence[str]) -> dict[str, Tensor]:
    """X^T X (in, in), float64 and on the CPU, of the inputs X (tokens, in) of each weight: a sum over tokens.

    Half the Hessian of the layer's squared output error by each row of the weight (Frantar &
    Alistarh, 2023, section 3.1). Raises ValueError as `input_norms` does.
    """
    layers = _layers(model, names)
    sums = {name: torch.zeros(2 * [matrix(layer).size(1)], dtype=torch.float64) for name, layer in layers.items()}

    def add(name: str, x: Tensor) -> None:
        sums[name] += (x.t() @ x).cpu()

    _read(model, batches, layers, add)
    _check_finite(sums, "inputs")
    return sums


def next_token_loss(model: nn.Module, windows: Tensor) -> Tensor:
    """Mean negative log-likelihood of tokens 2 ... T of each of the ``windows`` (N, T), nats per token."""
    if windows.dim() != 2 or windows.size(1) < 2:
        raise ValueError(f"Windows must have shape (N, T) with T >= 2; got {tuple(windows.shape)}.")
    return F.cross_entropy(*next_tokens(model, windows))


def loss_of(model: nn.Module) -> Callable[..., Tensor]:
    """`next_token_loss` for a GPT-2 and for the causal language models of transformers; else ValueError."""
    name = type(unwrap(model)).__name__
    if not isinstance(unwrap(model), GPT2) and not name.endswith(("LMHeadModel", "ForCausalLM")):
        raise ValueError(
            f"A {name} has no loss that is known here: give one, a function loss(model, batch) of its mean over a "
            "batch."
        )
    return next_token_loss


def gradients(
    model: nn.Module,
    batches: Iterable[Any],
    names: Sequence[str],
    loss: Callable[..., Tensor] = next_token_loss,
    order: int = 1,
) -> dict[str, Tensor]:
    """Size of the gradient by each weight, of the weight's shape, float32: a mean over single examples.

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
    weights = {name: cast("Tensor", layer.weight) for name, layer in _layers(model, names).items()}
    model = unwrap(model)
    sums = {name: torch.zeros_like(w, dtype=torch.float32, requires_grad=False) for name, w in weights.items()}
    reached: set[str] = set()

    def add(name: str, parameter: Tensor) -> None:
        """Take a gradient as soon as it is there, so that those of all weights are never held together."""
        assert parameter.grad is not None
        sums[name] += parameter.grad.abs() if order == 1 else parameter.grad.square()
        parameter.grad = None
        reached.add(name)

    count = 0
    with _evaluating(model), torch.enable_grad(), _stand_ins(model, weights) as stand_ins:
        for name, parameter in stand_ins.items():
            parameter.register_post_accumulate_grad_hook(partial(add, name))
        for example in _examples(model, batches):
            value = loss(model, example)
            if value.requires_grad:
                value.backward()
            for name in weights.keys() - reached:
                raise ValueError(f"The loss doesn't depend on {name}: leave it out.")
            count += 1
    if count == 0:
        raise ValueError("The calibration data is empty: give at least one batch.")
    _check_finite(sums, "gradients")
    for total in sums.values():  # in place: these are as large as the model
        total /= count
        if order == 2:
            total.sqrt_()
    return sums


def layer_groups(model: nn.Module, names: Sequence[str]) -> list[list[str]]:
    """The order in which to calibrate and prune, each group after the earlier ones are pruned.

    So that a layer is fitted to the inputs that it will really get, as in the code of both papers: a GPT-2,
    ours or transformers', goes block by block, any other model one layer at a time in the order of its modules.
    """
    _layers(model, names)
    groups: dict[str, list[str]] = {}
    for name, _ in unwrap(model).named_parameters(remove_duplicate=False):
        if name in set(names):
            groups.setdefault(gpt2_block(model, name) or name, []).append(name)
    return list(groups.values())


def _layers(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The nn.Linear or Conv1D that owns each of the weights."""
    model = unwrap(model)
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    layers: dict[str, nn.Module] = {}
    for name in names:
        owner, _, leaf = name.rpartition(".")
        layer = modules.get(owner)
        if layer is not None and leaf == "weight" and is_matrix_layer(layer):
            check_plain(owner, layer)
            layers[name] = layer
        elif name in known:
            raise ValueError(f"{name} isn't the weight of an nn.Linear: only those can be calibrated.")
        else:
            raise ValueError(f"The model has no parameter {name!r}.")
    if not layers:
        raise ValueError("No weights are named: there is nothing to calibrate.")
    return layers


@torch.inference_mode()
def _read(
    model: nn.Module, batches: Iterable[Any], layers: Mapping[str, nn.Module], see: Callable[[str, Tensor], None]
) -> None:
    """Run the batches through the model; ``see(name, x)`` gets every input x (tokens, in) of every layer."""
    model = unwrap(model)
    tokens = dict.fromkeys(layers, 0)

    def hook(name: str) -> Callable[..., None]:
        def pre_forward(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else next(iter(kwargs.values()))
            x = x.reshape(-1, x.size(-1)).float()  # (tokens, in)
            tokens[name] += len(x)
            see(name, x)

        return pre_forward

    handles = []
    with _evaluating(model):
        try:
            for name, layer in layers.items():
                handles.append(layer.register_forward_pre_hook(hook(name), with_kwargs=True))
            last = _last_block(model, layers)
            if last is not None:
                handles.append(last.register_forward_hook(_stop))
            for batch in _split(batches):
                with suppress(_Seen):
                    # A GPT-2's head is never asked for: its logits would be most of the memory.
                    model(to_device_of(model, batch))
        finally:
            for handle in handles:
                handle.remove()
    _check_enough(tokens, layers)


def _last_block(model: nn.Module, names: Iterable[str]) -> nn.Module | None:
    """The last block of a GPT-2 that has one of the weights; None for other models, and a head by name."""
    blocks = [gpt2_block(model, name) for name in names]
    known = [block for block in blocks if block is not None]
    if len(known) < len(blocks):
        return None
    return model.get_submodule(max(known, key=lambda block: int(block.rpartition(".")[2])))


class _Seen(Exception):
    """All that was asked for has been seen: the rest of the forward pass is not needed."""


def _stop(*_: object) -> None:
    raise _Seen


def _split(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, without padding; one tensor that is all of them in pieces."""
    whole = isinstance(batches, Tensor)
    for batch in token_batches(batches):
        if whole:
            yield from batch.split(max(1, TOKENS_PER_BATCH // batch[0].numel())) if batch.numel() else ()
        else:
            yield batch


def _examples(model: nn.Module, batches: Iterable[Any]) -> Iterator[Any]:
    """Each row of each tensor, each other batch as a whole, where the model is and in its stand-ins' precision."""
    for batch in token_batches(batches):
        rows = isinstance(batch, Tensor) and batch.dim() > 0
        for example in (batch.split(1) if batch.numel() else ()) if rows else (batch,):
            yield map_tensors(to_device_of(model, example), at_least_float32)


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


@contextmanager
def _stand_ins(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[dict[str, nn.Parameter]]:
    """Parameters, float32 at least, in the place of the model's own, and those of ``weights`` by name.

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


def _check_enough(tokens: Mapping[str, int], layers: Mapping[str, nn.Module]) -> None:
    if not any(tokens.values()):
        raise ValueError("The calibration data is empty, or never reaches the layers: give at least one batch.")
    widest = max(layers, key=lambda name: matrix(layers[name]).size(1))
    needed = matrix(layers[widest]).size(1)
    for name, count in tokens.items():
        if count == 0:
            raise ValueError(f"The calibration data never reaches {name}: a forward pass doesn't call its layer.")
        if count < needed:
            raise ValueError(
                f"The calibration data is too short: {name} saw {count} tokens, and at least {needed} are needed, as "
                f"many as {widest} has inputs. Give more text."
            )


def _check_finite(statistics: Mapping[str, Tensor], what: str) -> None:
    for name, value in statistics.items():
        if not value.isfinite().all():
            raise ValueError(f"The {what} of {name} are NaN or infinite: check the model's weights and the data.")
