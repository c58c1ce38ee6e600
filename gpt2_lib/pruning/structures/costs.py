"""Costs of a forward pass, part by part, at every possible width: FLOPs, or measured seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ... import metrics
from ...config import GPT2Config
from ...gpt2 import GPT2, Attention, FeedForward

LEVELS = 24  # widths of a feed-forward part that are considered; of attention every number of heads is

Table: TypeAlias = dict[int, float]  # number of heads or neurons -> a number


@dataclass(frozen=True)
class Costs:
    """The costs of a forward pass, part by part: FLOPs, seconds or anything else that adds up."""

    heads: list[Table]  # of each block: {number of heads: cost}
    neurons: list[Table]  # of each block: {number of neurons: cost}
    rest: float  # all that stays whatever goes: the head of the model

    @property
    def whole(self) -> float:
        """The cost of the model with all its heads and neurons."""
        return self.rest + sum(table[max(table)] for table in (*self.heads, *self.neurons))


def flop_costs(model: GPT2, tokens: int | None = None) -> Costs:
    """Return the FLOPs of a pass over ``tokens`` tokens (default: the full context), as `metrics.flops` counts them."""
    flops = metrics.flops(model, tokens or model.config.n_positions)
    heads: list[Table] = []
    neurons: list[Table] = []
    for i, (n_head, width) in enumerate(zip(model.config.heads, model.config.neurons, strict=True)):
        attention = sum(flops[f"h.{i}.{name}"] for name in ("attn", "attn.c_attn.weight", "attn.c_proj.weight"))
        feedforward = sum(flops[f"h.{i}.{name}"] for name in ("mlp.c_fc.weight", "mlp.c_proj.weight"))
        heads.append({n: attention * n / n_head for n in range(1, n_head + 1)})
        neurons.append({n: feedforward * n / width for n in _levels(width)})
    return Costs(heads, neurons, flops["wte.weight"])


@torch.inference_mode()
def latency_costs(model: GPT2, batch: int = 1, tokens: int | None = None, rounds: int = 9) -> Costs:
    """Return the seconds of a pass over (``batch``, ``tokens``) here: for each width the fastest of ``rounds``.

    Parts of the same width are measured once for all blocks. The widths take turns, and the fastest run of each is
    the least disturbed by a busy machine; a width never costs more than a larger one, which would be noise.
    """
    config, width = model.config, model.wte.weight
    x = torch.randn(batch, tokens or config.n_positions, config.n_embd).to(width)
    of_heads = {n: _attention(config, n, width) for n in range(1, max(config.heads) + 1)}
    of_neurons = {n: _feedforward(config, n, width) for n in {n for most in config.neurons for n in _levels(most)}}
    seconds = _fastest([*of_heads.values(), *of_neurons.values(), model.head], x, rounds)
    heads = _ascending(dict(zip(of_heads, seconds, strict=False)))
    neurons = _ascending(dict(zip(of_neurons, seconds[len(of_heads) :], strict=False)))
    return Costs(
        [{n: heads[n] for n in range(1, most + 1)} for most in config.heads],
        [{n: neurons[n] for n in _levels(most)} for most in config.neurons],
        seconds[-1],
    )


def _levels(most: int) -> list[int]:
    """Return at most LEVELS widths from 1 to ``most``, evenly spaced."""
    return sorted({max(1, round(most * level / LEVELS)) for level in range(1, LEVELS + 1)})


def _attention(config: GPT2Config, heads: int, like: Tensor) -> Attention:
    return Attention(_one_block(config, heads=heads), 0).to(like)


def _feedforward(config: GPT2Config, neurons: int, like: Tensor) -> FeedForward:
    return FeedForward(_one_block(config, neurons=neurons), 0).to(like)


def _one_block(config: GPT2Config, heads: int = 1, neurons: int = 1) -> GPT2Config:
    return GPT2Config(n_embd=config.n_embd, n_layer=1, n_head=config.n_head, heads=(heads,), neurons=(neurons,))


def _fastest(works: Sequence[Callable[[Tensor], Tensor]], x: Tensor, rounds: int) -> list[float]:
    """Return the lowest seconds of each of ``works`` on ``x``, over rounds in which they take turns."""
    seconds = [math.inf] * len(works)
    for _ in range(rounds):
        for i, work in enumerate(works):
            started = time.perf_counter()
            work(x)
            seconds[i] = min(seconds[i], time.perf_counter() - started)
    return seconds


def _ascending(table: Mapping[int, float]) -> Table:
    """Return the table with each entry lowered to at most that of any larger width."""
    lowest = math.inf
    found: Table = {}
    for width in sorted(table, reverse=True):
        lowest = min(lowest, table[width])
        found[width] = lowest
    return found
