"""Sampling text from a model, one token at a time, with a key-value cache."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .gpt2 import GPT2, KVCache


@torch.inference_mode()
def generate_ids(
    model: GPT2,
    ids: Tensor,
    new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> Iterator[Tensor]:
    """Yield ``new_tokens`` next tokens, int64 (B, 1) each, after the prompt ``ids`` (B, T).

    ``temperature`` 0 takes the likeliest token (greedy); ``top_k`` samples among the k likeliest.
    Raises ValueError for a negative temperature, a ``top_k`` below 1 or an empty prompt.
    When the model's context is full, the older half of it is forgotten.
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 (greedy) or more; got {temperature}.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be 1 or more, or None for all tokens; got {top_k}.")
    context = model.config.n_positions
    generator = None if seed is None else torch.Generator(ids.device).manual_seed(seed)
    ids = ids[:, -context:]
    cache = KVCache(min(context, ids.size(1) + new_tokens))
    fed = ids  # what the cache has not seen yet
    for _ in range(new_tokens):
        if cache.seen + fed.size(1) > context:
            fed = ids[:, -(context // 2) :]
            cache = KVCache(context)
        logits = model.head(model.hidden(fed, cache)[:, -1])  # (B, V)
        fed = _choose(logits, temperature, top_k, generator)
        ids = torch.cat((ids, fed), dim=1)
        yield fed


def _choose(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    if top_k is not None:
        least = logits.topk(min(top_k, logits.size(-1))).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)


def generate(
    model: GPT2,
    prompt: str,
    new_tokens: int = 100,
    temperature: float = 0.8,
    top_k: int | None = 40,
    seed: int | None = None,
) -> str:
    """Continue ``prompt`` by ``new_tokens`` tokens; returns the prompt and what follows it.

    The same ``seed`` gives the same text on the same machine.
    """
    if model.tokenizer is None:
        raise ValueError("This model carries no tokenizer; set model.tokenizer, or use generate_ids.")
    ids = model.tokenizer.encode(prompt)
    if not ids:
        raise ValueError("The prompt is empty: give the model at least one character to start from.")
    start = torch.tensor([ids], device=model.wte.weight.device)
    was_training = model.training
    model.eval()
    try:
        for token in generate_ids(model, start, new_tokens, temperature, top_k, seed):
            ids.append(int(token))
    finally:
        model.train(was_training)
    return model.tokenizer.decode(ids)
