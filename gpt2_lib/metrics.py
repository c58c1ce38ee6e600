"""How good a model is: perplexity, bits per character, accuracy, and how sparse."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .gpt2 import GPT2


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


@torch.inference_mode()
def evaluate(model: GPT2, windows: Tensor, tokens_per_batch: int = 4096) -> Quality:
    """Measure ``model`` on non-overlapping ``windows`` of token ids (N, T), T >= 2.

    Each window stands alone: its tokens 2 ... T are predicted from those before them, so N (T - 1)
    tokens count. Bits per character divides the same bits by the characters those tokens spell.
    """
    if windows.dim() != 2 or windows.numel() == 0 or windows.size(1) < 2:
        raise ValueError(f"Windows must have shape (N, T) with N >= 1 and T >= 2; got {tuple(windows.shape)}.")
    was_training = model.training
    model.eval()
    loss = hits = 0.0
    try:
        for batch in windows.split(max(1, tokens_per_batch // windows.size(1))):
            logits = model(batch)[:, :-1].flatten(0, 1)  # (n (T - 1), V)
            targets = batch[:, 1:].flatten()
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            hits += (logits.argmax(-1) == targets).sum().item()
    finally:
        model.train(was_training)
    tokens = windows.size(0) * (windows.size(1) - 1)
    characters = sum(len(model.tokenizer.decode(w)) for w in windows[:, 1:].tolist()) if model.tokenizer else math.nan
    return Quality(loss / tokens, hits / tokens, loss / math.log(2) / characters, tokens)


def sparsity(tensors: Iterable[Tensor]) -> float:
    """Fraction of exact zeros over all entries of all ``tensors`` together, in [0, 1]."""
    tensors = list(tensors)
    total = sum(t.numel() for t in tensors)
    if total == 0:
        raise ValueError("Sparsity of no entries is undefined: give at least one non-empty tensor.")
    return 1.0 - sum(int(torch.count_nonzero(t)) for t in tensors) / total
