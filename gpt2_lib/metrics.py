"""Quality, sparsity and cost of a model."""

# torch.Tensor.tolist is typed in part.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .batches import labelled_batches
from .config import TextCodec
from .gpt2 import GPT2
from .modules import at_least_float32, to_device_of, unwrap
from .system.timing import take_turns, wall_seconds


@dataclass(frozen=True)
class Quality:
    """Next-token quality over windows of text."""

    loss: float  # mean negative log-likelihood, nats per token
    accuracy: float  # share of tokens whose top-1 prediction is right
    bits_per_character: float  # comparable across tokenizers
    tokens: int  # how many tokens were predicted

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood per token."""
        return math.exp(min(self.loss, 700.0))


def next_tokens(model: nn.Module, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (N (T - 1), V), at least float32, for ``windows`` (N, T), and the tokens they predict.

    ``model``: a `GPT2`, or a language model of transformers. The windows go where it is. In half precision a sum
    of losses would keep 8 or 11 bits, and overflow: hence float32.
    """
    windows = to_device_of(model, windows)
    output = model(windows)
    logits = output if isinstance(output, Tensor) else output.logits
    return at_least_float32(logits[:, :-1].flatten(0, 1)), windows[:, 1:].flatten()


@torch.inference_mode()
def evaluate(model: nn.Module, windows: Tensor | Iterable[Any], tokens_per_batch: int = 4096) -> Quality:
    """Measure ``model`` on non-overlapping ``windows`` of token ids (N, T), T >= 2, of any integer type.

    ``model``: a `GPT2`, also in torch.compile or DataParallel, or a language model of transformers. In the place of
    windows, any batches that `batches.id_batches` reads, such as a DataLoader's: padding doesn't count.

    Each window stands alone: its tokens 2 ... T are predicted from those before them, so N (T - 1)
    tokens count; with ``labels`` those whose label isn't -100. Bits per character divides the same bits by the
    characters those tokens spell.
    """
    tokenizer: TextCodec | None = getattr(unwrap(model), "tokenizer", None)
    was_training = model.training
    model.eval()
    loss = hits = tokens = characters = 0.0
    try:
        for rows, counted in labelled_batches(windows):
            size = max(1, tokens_per_batch // rows.size(1))
            for batch, wanted in zip(torch.split(rows, size), torch.split(counted[:, 1:], size), strict=True):
                logits, targets = next_tokens(model, batch)  # (n (T - 1), V), (n (T - 1),)
                if not bool(wanted.all()):
                    some = wanted.flatten().to(targets.device)
                    logits, targets = logits[some], targets[some]
                loss += F.cross_entropy(logits, targets, reduction="sum").item()
                hits += (logits.argmax(-1) == targets).sum().item()
            tokens += int(counted[:, 1:].sum())
            pages = [row[1:][some[1:]] for row, some in zip(rows, counted, strict=True)]
            characters += sum(len(tokenizer.decode(page.tolist())) for page in pages) if tokenizer else math.nan
    finally:
        model.train(was_training)
    if tokens == 0:
        raise ValueError("There is no text to measure on: give at least one window or batch of 2 tokens or more.")
    return Quality(loss / tokens, hits / tokens, loss / math.log(2) / characters, int(tokens))


@dataclass(frozen=True)
class Paired:
    """Two models measured on the same windows, with the standard error of their difference.

    A hard window is hard for both, so the errors are those of the differences, window by window: a fraction of those
    of two separate measurements.
    """

    perplexity: float  # the model's over the reference's, less 1: 0.03 is 3 % more
    perplexity_error: float
    accuracy_lost: float  # the share of the reference's top-1 accuracy that the model lacks
    accuracy_error: float
    windows: int


def paired(model: nn.Module, reference: nn.Module, windows: Tensor) -> Paired:
    """Compare ``model`` with ``reference`` on ``windows`` (N, T), N >= 2: each window is one pair.

    With d_i the difference of the two mean losses in window i, the perplexities' ratio is exp(mean d), and its standard
    error exp(mean d) std(d) / sqrt(N); the accuracies' likewise, over the reference's. Raises as `evaluate` does, and
    ValueError for a single window.
    """
    if len(windows) < 2:
        raise ValueError(f"A standard error needs two windows at least; got {len(windows)}.")
    ours, theirs = ([evaluate(m, window[None]) for window in windows] for m in (model, reference))
    losses = torch.tensor([a.loss - b.loss for a, b in zip(ours, theirs, strict=True)], dtype=torch.float64)
    misses = torch.tensor([b.accuracy - a.accuracy for a, b in zip(ours, theirs, strict=True)], dtype=torch.float64)
    right = statistics.fmean(quality.accuracy for quality in theirs)
    ratio, count = math.exp(losses.mean()), math.sqrt(len(windows))
    return Paired(
        perplexity=ratio - 1,
        perplexity_error=ratio * losses.std().item() / count,
        accuracy_lost=misses.mean().item() / right if right else math.nan,
        accuracy_error=misses.std().item() / count / right if right else math.nan,
        windows=len(windows),
    )


def sparsity(tensors: Iterable[Tensor]) -> float:
    """Return the fraction of exact zeros among all entries of ``tensors``, in [0, 1]; density is 1 minus that."""
    tensors = list(tensors)
    total = sum(t.numel() for t in tensors)
    if total == 0:
        raise ValueError("Sparsity of no entries is undefined: give at least one non-empty tensor.")
    return 1.0 - sum(int(torch.count_nonzero(t)) for t in tensors) / total


def flops(model: GPT2, tokens: int) -> dict[str, int]:
    """Return the floating point operations of one forward pass over ``tokens`` tokens, by part.

    A multiplication with its addition counts as two, so MACs (multiply-accumulates) are half of it. Keys: the weights
    of the matrix products (``h.0.attn.c_attn.weight``, ...; ``wte.weight`` is the head), and ``h.0.attn`` for what
    attention does between tokens: Q K^T and its product with V, the full T x T both times, as dense kernels count it
    (causal ones may skip almost half). Biases, LayerNorm, softmax and GELU are left out. The whole is
    the sum of the values. Zeros in a weight don't lower it; rows and columns that are gone do.
    """
    model = cast(GPT2, unwrap(model))
    if not 1 <= tokens <= model.config.n_positions:
        raise ValueError(f"tokens must be from 1 to {model.config.n_positions}, this model's context; got {tokens!r}.")
    parts: dict[str, int] = {}
    for i, block in enumerate(model.h):
        for name, p in block.named_parameters(prefix=f"h.{i}"):
            if p.dim() == 2:
                parts[name] = 2 * tokens * p.numel()
        parts[f"h.{i}.attn"] = 2 * 2 * tokens * tokens * block.attn.n_head * block.attn.head_size
    parts["wte.weight"] = 2 * tokens * model.wte.weight.numel()
    return parts


def kv_cache_bytes(model: GPT2, tokens: int, batch: int = 1) -> int:
    """Return the bytes of the keys and values of ``batch`` sequences of ``tokens`` tokens in the cache.

    2 · heads · head size · tokens · batch · bytes of a number, summed over the blocks. Heads that are removed shrink
    it; removed neurons and zeros do not.
    """
    model = cast(GPT2, unwrap(model))
    numbers = sum(2 * block.attn.n_head * block.attn.head_size for block in model.h)
    return numbers * tokens * batch * model.wte.weight.element_size()


@dataclass(frozen=True)
class Cost:
    """The time and the storage of a model."""

    seconds: float  # one forward pass, median of the repeats
    memory: int  # bytes of the weights in memory
    file: int  # bytes of the weights saved as safetensors
    zipped: int  # bytes of that file after zlib, level 6


@torch.inference_mode()
def cost(models: Mapping[str, GPT2], ids: Tensor, repeats: int = 15) -> dict[str, Cost]:
    """Time each model's forward pass on ``ids`` (B, T), and count the bytes of its weights.

    The models take turns, ``repeats`` times after one warm-up each, so that a busy machine slows all
    of them alike; the number of threads is whatever `torch.get_num_threads` says.
    """
    inputs = {name: to_device_of(model, ids) for name, model in models.items()}
    passes = {name: partial(model, inputs[name]) for name, model in models.items()}
    seconds = take_turns(passes, repeats, timer=wall_seconds)
    costs: dict[str, Cost] = {}
    for name, model in models.items():
        saved = safetensors.torch.save({k: p.detach().contiguous() for k, p in model.named_parameters()})
        memory = sum(p.numel() * p.element_size() for p in model.parameters())
        costs[name] = Cost(statistics.median(seconds[name]), memory, len(saved), len(zlib.compress(saved, 6)))
    return costs


def cost_table(costs: Mapping[str, Cost], baseline: str) -> str:
    """Return the costs as a Markdown table; speed is relative to the model called ``baseline``."""
    lines = ["| model | ms a pass | speed | weights in memory | file | file, zipped |", "|-|-:|-:|-:|-:|-:|"]
    for name, c in costs.items():
        sizes = " | ".join(f"{size / 1e6:.2f} MB" for size in (c.memory, c.file, c.zipped))
        lines.append(f"| {name} | {1000 * c.seconds:.1f} | {costs[baseline].seconds / c.seconds:.2f}x | {sizes} |")
    return "\n".join(lines)
