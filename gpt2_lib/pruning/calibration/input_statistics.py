"""Statistics of the inputs of layers, from one pass for all layers or block after block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...batches import readable_again
from ...modules import to_device_of, unwrap
from ...system.progress import progress_bar
from ..targets import gpt2_block, matrix
from .block_inputs import BlockInputs, Seen, inputs_of_blocks
from .layers import block_of, check_statistics, evaluating, layer_groups, layers_of, split_batches


def input_norms(model: nn.Module, batches: Iterable[Any] | BlockInputs, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the L2 norm (in,), float32, over all tokens, of each weight's inputs (Sun et al., 2023, equation 1).

    Raises ValueError for a name that isn't the weight of an nn.Linear or a Conv1D, for fewer tokens than the
    widest of the layers has inputs, and for inputs that are NaN or infinite.
    """
    layers = layers_of(model, names)
    squares = {name: torch.zeros(matrix(layer).size(1), dtype=torch.float64) for name, layer in layers.items()}

    def add(name: str, x: Tensor) -> None:
        squares[name] += x.norm(dim=0).cpu().double().square()  # on the CPU: not every device has float64

    _read(model, batches, layers, add)
    check_statistics(squares, "inputs")
    return {name: total.sqrt().float().to(matrix(layers[name]).device) for name, total in squares.items()}


def hessians(model: nn.Module, batches: Iterable[Any] | BlockInputs, names: Sequence[str]) -> dict[str, Tensor]:
    """Return X^T X (in, in), float64 and on the CPU, of the inputs X (tokens, in) of each weight: a sum over tokens.

    Half the Hessian of the layer's squared output error by each row of the weight (Frantar &
    Alistarh, 2023, section 3.1). Raises ValueError as `input_norms` does.
    """
    layers = layers_of(model, names)
    sums = {name: torch.zeros(2 * [matrix(layer).size(1)], dtype=torch.float64) for name, layer in layers.items()}

    def add(name: str, x: Tensor) -> None:
        sums[name] += (x.t() @ x).cpu()

    _read(model, batches, layers, add)
    check_statistics(sums, "inputs")
    return sums


def block_by_block(model: nn.Module, batches: Any, names: Sequence[str], title: str) -> Iterator[tuple[list[str], Any]]:
    """Yield each of the `layer_groups` with its calibration batches, behind a progress bar called ``title``.

    >>> for group, text in block_by_block(model, windows, names, "Wanda"):
    ...     norms = input_norms(model, text, group)  # and prune the group, before the next one is asked for

    ``text`` begins at the group's block: the outputs of the blocks before it are stored (`block_inputs`), so that each
    block runs twice in all, for its statistics and once more after it is pruned. Outside of a list of modules, and in
    a model whose blocks pass on more than one output, a pass begins at the embedding.
    """
    model, batches = unwrap(model), readable_again(batches)
    parent: str | None = None
    reached: BlockInputs | None = None
    for group in progress_bar(layer_groups(model, names), title, "block"):
        block = block_of(model, group[0])
        if block is not None and block.rpartition(".")[0] != parent:
            parent = block.rpartition(".")[0]
            reached = inputs_of_blocks(model, block, batches)
        if block is None or reached is None:
            yield group, batches
        else:
            reached.advance(block)
            yield group, reached


@torch.inference_mode()
def _read(
    model: nn.Module,
    batches: Iterable[Any] | BlockInputs,
    layers: Mapping[str, nn.Module],
    see: Callable[[str, Tensor], None],
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
    with evaluating(model):
        try:
            for name, layer in layers.items():
                handles.append(layer.register_forward_pre_hook(hook(name), with_kwargs=True))
            if isinstance(batches, BlockInputs):
                batches.read()
            else:
                handles += _stop_after_last(model, layers)
                for batch in split_batches(model, batches):
                    with suppress(Seen):
                        model(to_device_of(model, batch))
        finally:
            for handle in handles:
                handle.remove()
    _check_enough(tokens, layers)


def _stop_after_last(model: nn.Module, names: Iterable[str]) -> list[RemovableHandle]:
    """Register hooks that end a GPT-2's pass after the last block that has one of the weights.

    The head does not run, whose logits would take most of the memory. Other models get no hooks.
    """
    blocks = [gpt2_block(model, name) for name in names]
    known = [block for block in blocks if block is not None]
    if len(known) < len(blocks):
        return []

    def stop(*_: object) -> None:
        raise Seen

    last = max(known, key=lambda block: int(block.rpartition(".")[2]))
    return [model.get_submodule(last).register_forward_hook(stop)]


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
