"""The ruler: pages of the held-out plays, and how often a model is right on them, beside gpt2-mini as bundled."""

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
    """gpt2-mini as bundled: what everything is compared with."""
    return load_pretrained_gpt2()


@cache
def pages(hidden: bool = False) -> Tensor:
    """Token ids (N, 256) of the held-out plays: the visible pages or, not among them, those that grading looks at."""
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
    """Top-1 accuracy on `pages`. Raises AssertionError where the model gives no numbers."""
    with torch.inference_mode():
        try:
            found = model.evaluate(pages(hidden)) if isinstance(model, OnnxGPT2) else evaluate(model, pages(hidden))
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise AssertionError(f"The model stops with an error when it reads a page: {error}") from error
    assert math.isfinite(found.loss), "The model's answers to a page are NaN or infinite."
    return found.accuracy


def lost(model: GPT2 | OnnxGPT2, hidden: bool = False) -> float:
    """The share of gpt2-mini's accuracy that ``model`` lacks; below 0 where it is better."""
    return 1 - accuracy(model, hidden) / accuracy(dense(), hidden)


@cache
def int8_alone() -> int:
    """Bytes of gpt2-mini's packed file in int8, with nothing pruned."""
    return packed_sizes(dense(), int8=True).file


@cache
def weights() -> int:
    """How many prunable weights gpt2-mini has."""
    return sum(w.numel() for w in prunable_weights(dense()).values())
