"""The reference for all challenges: pages of the held-out plays, gpt2-mini as bundled, and its accuracy on them."""

from __future__ import annotations

import math
from functools import cache, lru_cache

import torch
from torch import Tensor

from ...checkpoints import load_pretrained_gpt2
from ...corpus import held_out_windows
from ...deploy.onnx import OnnxGPT2
from ...gpt2 import GPT2
from ...metrics import evaluate
from ...pruning.pruner import prunable_weights
from ...storage.packed import packed_sizes

VISIBLE, HIDDEN = 32, 96  # pages of 256 tokens of the held-out plays


@cache
def dense() -> GPT2:
    """Return gpt2-mini as bundled, the model that all others are compared with."""
    return load_pretrained_gpt2()


@cache
def pages(hidden: bool = False) -> Tensor:
    """Return token ids (N, 256) of the held-out plays: the visible pages, or the others that grading uses."""
    model, tokenizer = dense()
    every = held_out_windows(tokenizer, model.config.n_positions)
    seen = torch.linspace(0, len(every) - 1, VISIBLE).long()
    if not hidden:
        return every[seen]
    others = torch.ones(len(every), dtype=torch.bool)
    others[seen] = False
    return every[others][torch.linspace(0, len(every) - VISIBLE - 1, HIDDEN).long()]


@lru_cache(maxsize=16)
def accuracy(model: GPT2 | OnnxGPT2, hidden: bool = False) -> float:
    """Return the top-1 accuracy on `pages`. Raises AssertionError for NaN or infinite outputs."""
    with torch.inference_mode():
        try:
            found = model.evaluate(pages(hidden)) if isinstance(model, OnnxGPT2) else evaluate(model, pages(hidden))
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise AssertionError(f"The model stops with an error when it reads a page: {error}") from error
    assert math.isfinite(found.loss), "The model's answers to a page are NaN or infinite."
    return found.accuracy


def lost(model: GPT2 | OnnxGPT2, hidden: bool = False) -> float:
    """Return the share of gpt2-mini's accuracy that ``model`` has lost; below 0 if it is better."""
    return 1 - accuracy(model, hidden) / accuracy(dense(), hidden)


@cache
def int8_alone() -> int:
    """Return the bytes of gpt2-mini's packed file in int8, without pruning."""
    return packed_sizes(dense(), int8=True).file


@cache
def weights() -> int:
    """Return the number of gpt2-mini's prunable weights."""
    return sum(w.numel() for w in prunable_weights(dense()).values())
