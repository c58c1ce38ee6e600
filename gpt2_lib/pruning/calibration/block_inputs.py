"""Forward passes block by block: the outputs of each block are stored and become the inputs of the next.

The blocks are the entries of the outermost ``nn.ModuleList`` or ``nn.Sequential``. The model's own forward pass calls
them, with the attention masks, positions and rotary embeddings that it makes: each block before the current one is
replaced, for that pass, by its stored output. So L blocks cost L blocks' work, not the L (L + 1) / 2 of passes that
begin at the embedding.

One residual stream is stored: for a text of N tokens in a model of width C, 4 N C bytes (2 N C in half precision);
`tensor_store` limits how much of it is in memory.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from ...modules import to_device_of
from .layers import evaluating, split_batches
from .tensor_store import TensorStore, room_beside, tensors_in

# Of transformers' models, those whose blocks are known to go by `is_chain`; others are tried first.
CHAINS = ("gpt2", "llama", "mistral", "qwen2")


class BlockInputs:
    """The batches of a text as inputs of each of the ``blocks`` (names of modules) of a model."""

    def __init__(self, model: nn.Module, blocks: Sequence[str], batches: Sequence[Any]) -> None:
        self._model, self._blocks, self._batches = model, list(blocks), batches
        self._kept = TensorStore(room_beside(model))  # what the block before gave
        self._at = 0

    def advance(self, block: str) -> None:
        """Move on to ``block`` through the blocks before it, with their current weights."""
        while self._blocks[self._at] != block:
            for i, output in enumerate(self._outputs()):
                self._kept[i] = output
            self._at += 1

    def read(self) -> None:
        """Run every batch through the current block and stop there."""
        for _ in self._outputs():
            pass

    def _outputs(self) -> Iterator[Any]:
        for i, batch in enumerate(self._batches):
            before = self._kept[i] if self._at > 0 else None
            output = run_block(self._model, self._blocks[: self._at + 1], before, batch)
            if output is None:
                raise ValueError(f"The calibration data never reaches {self._blocks[self._at]}: leave it out.")
            yield output


@torch.inference_mode()
def run_block(model: nn.Module, blocks: Sequence[str], before: Any, batch: Any) -> Any:
    """Return the last block's output for ``batch``, given the output ``before`` of the one before; None if not called.

    The others are not called, and their outputs must not matter (`is_chain`).
    """
    found: list[Any] = []

    def stop(_: nn.Module, __: object, output: Any) -> None:
        found.append(output)
        raise Seen

    batch = to_device_of(model, batch)
    handle = model.get_submodule(blocks[-1]).register_forward_hook(stop)
    try:
        with evaluating(model), _replaced(model, blocks[:-1], before), suppress(Seen):
            model(batch)
    finally:
        handle.remove()
    return found[0] if found else None


def inputs_of_blocks(model: nn.Module, block: str, batches: Iterable[Any]) -> BlockInputs | None:
    """Return the inputs of the first block in the list that has ``block``; None if the blocks are no chain."""
    parent = block.rpartition(".")[0]
    blocks = [f"{parent}.{child}".lstrip(".") for child in model.get_submodule(parent)._modules]
    held = list(split_batches(model, batches))
    if held and not _known_chain(model) and not is_chain(model, blocks, _some(held[0])):
        return None
    return BlockInputs(model, blocks, held)


def is_chain(model: nn.Module, blocks: Sequence[str], batch: Any) -> bool:
    """Return whether each block is called once, in order, and depends only on the output of the one before.

    This compares the outputs of a plain pass over ``batch`` with those of each block alone.
    """
    calls: list[tuple[str, Any]] = []

    def note(block: str) -> Callable[..., None]:
        return lambda _, __, output: calls.append((block, copy.deepcopy(output)))

    with ExitStack() as hooks, torch.inference_mode(), evaluating(model):
        for block in blocks:
            hooks.callback(model.get_submodule(block).register_forward_hook(note(block)).remove)
        model(to_device_of(model, batch))
    if [block for block, _ in calls] != list(blocks):
        return False
    before = None
    for k, (_, output) in enumerate(calls):
        try:
            alone = run_block(model, blocks[: k + 1], copy.deepcopy(before), batch)
        except Exception:  # the plain pass succeeded: the replaced part is missing
            return False
        if not _same(alone, output):
            return False
        before = output
    return True


class Seen(Exception):
    """Raised to end a forward pass once all that was needed has been recorded."""


class _Given(nn.Module):
    """A stand-in for a block that returns a stored output and has the block's attributes."""

    def __init__(self, block: nn.Module, output: Any) -> None:
        super().__init__()
        self.__dict__.update(block=block, output=output)  # not as a submodule
        self.training = block.training

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.output

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["block"], name)


@contextmanager
def _replaced(model: nn.Module, blocks: Sequence[str], output: Any) -> Iterator[None]:
    """Replace each of the blocks by a stand-in that returns ``output``."""
    places = [(model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in blocks]
    originals = [owner.get_submodule(leaf) for owner, leaf in places]
    try:
        for (owner, leaf), block in zip(places, originals, strict=True):
            owner._modules[leaf] = _Given(block, output)
        yield
    finally:
        for (owner, leaf), block in zip(places, originals, strict=True):
            owner._modules[leaf] = block


def _known_chain(model: nn.Module) -> bool:
    return type(model).__module__.startswith(("gpt2_lib.", *(f"transformers.models.{name}." for name in CHAINS)))


def _some(batch: Any) -> Any:
    """Return the first row of a tensor; return any other batch whole."""
    return batch[:1] if isinstance(batch, Tensor) and batch.dim() > 0 else batch


def _same(one: Any, other: Any) -> bool:
    """Return whether the tensors in both agree, up to rounding."""
    pairs = list(zip(tensors_in(one), tensors_in(other), strict=False))
    return bool(pairs) and all(a.shape == b.shape and torch.allclose(a, b, 1e-3, 1e-5, True) for a, b in pairs)
