"""Removal of neurons, heads and whole blocks: a smaller GPT-2 instead of one with zeros.

A zero costs a dense matrix product as much as any number; a row or a column that isn't there costs nothing.
Which units stay is the caller's choice (`scores`, `selection.keep_units`), given as ``keep``: a 1-D int64
tensor of their ascending indices, at least one. The smaller model computes what the whole one computes with
the other units silenced; `silencing_masks` silences them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..checkpoints import plain_parameters
from ..config import GPT2Config
from ..gpt2 import GPT2
from .targets import as_gpt2

FEEDFORWARD = ("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight")  # what a neuron has a part in
ATTENTION = ("attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight")  # what a head has a part in
OUTPUTS = ("attn.c_proj.weight", "attn.c_proj.bias", "mlp.c_proj.weight", "mlp.c_proj.bias")  # all that leaves a block


def remove_neurons(
    c_fc_weight: Tensor, c_fc_bias: Tensor, c_proj_weight: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return copies of c_fc_weight (n, C), c_fc_bias (n,), c_proj_weight (C, n) with the neurons in ``keep``.

    A neuron is a row of c_fc, its bias and a column of c_proj. Raises ValueError for a ``keep`` that names
    no subset of the n neurons, and for shapes that don't belong together.
    """
    n = c_fc_weight.size(0)
    _check_shapes(c_fc_weight, c_fc_bias, c_proj_weight, parts=1)
    _check_keep(keep, n, "neurons")
    keep = keep.to(c_fc_weight.device)
    return c_fc_weight.index_select(0, keep), c_fc_bias.index_select(0, keep), c_proj_weight.index_select(1, keep)


def remove_heads(
    c_attn_weight: Tensor, c_attn_bias: Tensor, c_proj_weight: Tensor, n_head: int, keep: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return copies of c_attn's weight (3 N H, C) and bias and c_proj's weight (C, N H), with the heads in ``keep``.

    N = ``n_head``. c_attn holds Q, then K, then V, each head by head; a head is its H rows and biases in each
    of the three, and H columns of c_proj. Raises ValueError as `remove_neurons` does.
    """
    _check_shapes(c_attn_weight, c_attn_bias, c_proj_weight, parts=3)
    inner = c_proj_weight.size(1)  # N H
    if n_head < 1 or inner % n_head:
        raise ValueError(f"c_proj_weight has {inner} columns, which {n_head} heads can't share.")
    _check_keep(keep, n_head, "heads")
    columns = torch.arange(inner, device=c_attn_weight.device).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + inner, columns + 2 * inner])
    return (
        c_attn_weight.index_select(0, rows),
        c_attn_bias.index_select(0, rows),
        c_proj_weight.index_select(1, columns),
    )


@torch.no_grad()
def shrink(
    model: nn.Module,
    heads: Mapping[int, Tensor] | None = None,
    neurons: Mapping[int, Tensor] | None = None,
    shared: Collection[str] = (),
) -> GPT2:
    """Return a smaller GPT2 with only these attention heads and feed-forward neurons; ``model`` is unchanged.

    ``heads``, ``neurons``: {index of a transformer block: keep}; blocks not named stay whole. The new model
    has weights of its own, but for those called in ``shared``, the same tokenizer and the same mode (training or
    evaluation). Raises ValueError for a block that doesn't exist and for a ``keep`` that names no subset of its units.
    """
    model, weights = _plain(model)
    config = model.config
    heads, neurons = _checked(config, heads, neurons)
    n_heads, n_neurons = list(config.heads), list(config.neurons)
    smaller: dict[str, Tensor] = {}
    for i, keep in heads.items():
        names = [f"h.{i}.{part}" for part in ATTENTION]
        feeds, bias, fed = (weights[name] for name in names)
        smaller |= zip(names, remove_heads(feeds, bias, fed, config.heads[i], keep), strict=True)
        n_heads[i] = len(keep)
    for i, keep in neurons.items():
        names = [f"h.{i}.{part}" for part in FEEDFORWARD]
        feeds, bias, fed = (weights[name] for name in names)
        smaller |= zip(names, remove_neurons(feeds, bias, fed, keep), strict=True)
        n_neurons[i] = len(keep)
    for name in weights.keys() - smaller.keys():
        smaller[name] = weights[name] if name in shared else weights[name].clone()
    return _build(model, replace(config, heads=tuple(n_heads), neurons=tuple(n_neurons)), smaller)


def remove_silenced(model: nn.Module) -> GPT2:
    """Return a smaller GPT2 with the same outputs, without the heads and neurons that contribute nothing.

    A unit is silent if all its outgoing weights are zero or, as after `ModelPruner.prune_structures`, the weights and
    biases that compute its value (of a head, V). At least one head and one neuron of each block stay.
    """
    model, _ = _plain(model)
    heads: dict[int, Tensor] = {}
    neurons: dict[int, Tensor] = {}
    for i, block in enumerate(model.h):
        a, f = block.attn, block.mlp
        size = a.c_proj.in_features  # N H
        value_weight, value_bias = a.c_attn.weight[2 * size :], a.c_attn.bias[2 * size :]
        speaks = _speaks(value_weight, value_bias, a.c_proj.weight).view(a.n_head, -1).any(1)
        heads[i] = _at_least_one(speaks)
        neurons[i] = _at_least_one(_speaks(f.c_fc.weight, f.c_fc.bias, f.c_proj.weight))
    return shrink(model, heads, neurons)


def _plain(model: nn.Module) -> tuple[GPT2, dict[str, Tensor]]:
    """Return the GPT2 and its parameters by name, without wrappers.

    Raises ValueError for another kind of model and, by name, for layers that are not plain.
    """
    return plain_parameters(as_gpt2(model), "cut")


def _speaks(weight: Tensor, bias: Tensor, outgoing: Tensor) -> Tensor:
    """Return for n units whether they can be non-zero, by weight (n, C) and bias (n,), and are used, by (C, n)."""
    return ((weight != 0).any(1) | (bias != 0)) & (outgoing != 0).any(0)


def _at_least_one(units: Tensor) -> Tensor:
    found = units.nonzero().flatten()
    return found if len(found) else torch.zeros(1, dtype=torch.int64, device=units.device)


@torch.no_grad()
def remove_blocks(model: nn.Module, keep: Tensor) -> GPT2:
    """Return a shallower GPT2 with only the transformer blocks in ``keep``; ``model`` is unchanged.

    Weights, tokenizer and mode as in `shrink`. Raises ValueError for a ``keep`` that names no subset of the blocks.
    """
    model, stored = _plain(model)
    config = model.config
    _check_keep(keep, config.n_layer, "blocks")
    kept = keep.tolist()
    weights = {name: w.clone() for name, w in stored.items() if not name.startswith("h.")}
    for new, old in enumerate(kept):
        weights |= {
            f"h.{new}.{name.removeprefix(f'h.{old}.')}": w.clone()
            for name, w in stored.items()
            if name.startswith(f"h.{old}.")
        }
    sizes = {"heads": tuple(config.heads[i] for i in kept), "neurons": tuple(config.neurons[i] for i in kept)}
    return _build(model, replace(config, n_layer=len(kept), **sizes), weights)


def silencing_masks(
    model: nn.Module,
    heads: Mapping[int, Tensor] | None = None,
    neurons: Mapping[int, Tensor] | None = None,
    blocks: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return masks {parameter name: bool, True = keep} that zero all units but these, biases included.

    ``heads`` and ``neurons`` as in `shrink`, ``blocks`` as ``keep`` in `remove_blocks`; what isn't given stays
    whole. With zeros where a mask is False, ``model`` computes what ``shrink(model, heads, neurons)``, and then
    ``remove_blocks(..., blocks)``, compute: so a model can be trained before its surgery.
    """
    model, parameters = _plain(model)
    config = model.config
    heads, neurons = _checked(config, heads, neurons)
    masks: dict[str, Tensor] = {}
    for i, keep in heads.items():
        kept = _indicator(keep, config.heads[i]).repeat_interleave(config.head_size)  # (N H,)
        masks |= _unit_masks(parameters, [f"h.{i}.{part}" for part in ATTENTION], kept.repeat(3), kept)
    for i, keep in neurons.items():
        kept = _indicator(keep, config.neurons[i])  # (n,)
        masks |= _unit_masks(parameters, [f"h.{i}.{part}" for part in FEEDFORWARD], kept, kept)
    if blocks is not None:
        _check_keep(blocks, config.n_layer, "blocks")
        for i in set(range(config.n_layer)) - set(blocks.tolist()):
            names = [f"h.{i}.{part}" for part in OUTPUTS]
            masks |= {name: torch.zeros_like(parameters[name], dtype=torch.bool) for name in names}
    return masks


def _unit_masks(parameters: Mapping[str, Tensor], names: list[str], feeds: Tensor, fed: Tensor) -> dict[str, Tensor]:
    """Return masks of the weight (out, in) and bias (out,) that feed the units, and of the weight after them."""
    weight, bias, projection = (parameters[name] for name in names)
    feeds, fed = feeds.to(weight.device), fed.to(weight.device)
    masks = (feeds[:, None].expand_as(weight), feeds.expand_as(bias), fed.expand_as(projection))
    return {name: mask.clone() for name, mask in zip(names, masks, strict=True)}


def _indicator(keep: Tensor, size: int) -> Tensor:
    kept = torch.zeros(size, dtype=torch.bool)
    kept[keep.cpu()] = True
    return kept


def _build(model: GPT2, config: GPT2Config, weights: dict[str, Tensor]) -> GPT2:
    with torch.device("meta"):  # no time lost on memory that is replaced
        smaller = GPT2(config)
    smaller.load_state_dict(weights, assign=True)
    smaller.tokenizer = model.tokenizer
    return smaller.train(model.training)


def _checked(
    config: GPT2Config, heads: Mapping[int, Tensor] | None, neurons: Mapping[int, Tensor] | None
) -> tuple[Mapping[int, Tensor], Mapping[int, Tensor]]:
    heads, neurons = heads or {}, neurons or {}
    for keeps, sizes, units in ((heads, config.heads, "heads"), (neurons, config.neurons, "neurons")):
        for i, keep in keeps.items():
            if i not in range(config.n_layer):
                raise ValueError(f"{units} names block {i!r}; this model's blocks are 0 to {config.n_layer - 1}.")
            _check_keep(keep, sizes[i], f"{units} of block {i}")
    return heads, neurons


def _check_keep(keep: Tensor, size: int, units: str) -> None:
    """Raise ValueError unless ``keep`` names at least one of ``size`` units, in ascending order."""
    if not isinstance(keep, Tensor) or keep.dtype != torch.int64 or keep.dim() != 1:
        got = f"{keep.dtype} {tuple(keep.shape)}" if isinstance(keep, Tensor) else type(keep).__name__
        raise ValueError(f"keep must be a 1-D int64 tensor: the indices of the {units} that stay; got {got}.")
    if len(keep) == 0:
        raise ValueError(f"keep is empty: of the {size} {units} at least one must stay.")
    if (keep.diff() <= 0).any():
        raise ValueError(f"keep must name each of the {units} once, in ascending order; got {_short(keep)}.")
    if keep[0] < 0 or keep[-1] >= size:
        raise ValueError(f"keep must lie in 0 to {size - 1}, the indices of the {units}; got {_short(keep)}.")


def _short(keep: Tensor) -> str:
    return str(keep.tolist()) if len(keep) <= 12 else f"{keep[:6].tolist()} ... {keep[-6:].tolist()}"


def _check_shapes(feeds: Tensor, bias: Tensor, fed: Tensor, parts: int) -> None:
    """Raise ValueError unless the weight (parts n, C), bias (parts n,) and output weight (C, n) fit together."""
    matrices = feeds.dim() == fed.dim() == 2
    if not matrices or feeds.shape != (parts * fed.size(1), fed.size(0)) or bias.shape != feeds.shape[:1]:
        n = "n" if parts == 1 else "N H"
        rows = n if parts == 1 else f"3 {n}"
        raise ValueError(
            f"Weights in nn.Linear's layout (out, in) are needed, ({rows}, C) and (C, {n}), and a bias ({rows},); "
            f"got {tuple(feeds.shape)}, {tuple(fed.shape)} and {tuple(bias.shape)}."
        )
