"""Sampling of text from a model, one token at a time, with a key-value cache."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

from .config import special_ids
from .gpt2 import GPT2, KVCache
from .modules import at_least_float32, unwrap
from .tokenizer import encoded

F = TypeVar("F", bound=Callable[..., Any])
COLDEST = 1e-6  # a temperature below it is greedy, too: logits over it would overflow
StopAt: TypeAlias = int | Literal["end of text"] | None


def renamed(**names: str) -> Callable[[F], F]:
    """Return a decorator that accepts arguments under their old names, with a DeprecationWarning (``old="new"``)."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for old in names.keys() & kwargs.keys():
                warnings.warn(f"{old} is now called {names[old]}.", DeprecationWarning, stacklevel=2)
                if names[old] in kwargs:
                    raise TypeError(f"{old} and {names[old]} are the same argument: give the second alone.")
                kwargs[names[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return cast(F, call)

    return decorate


@renamed(new_tokens="max_new_tokens")
@torch.inference_mode()
def generate_ids(
    model: GPT2,
    ids: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
    stop_at: StopAt = "end of text",
) -> Iterator[Tensor]:
    """Yield up to ``max_new_tokens`` next tokens, int64 (B, 1) each, after the prompt ``ids`` (B, T).

    ``temperature`` 0 takes the likeliest token (greedy); ``top_k`` samples among the k likeliest.
    ``stop_at``: the id at which a text ends; None continues to the last token. Generation ends as soon as each row
    has reached it, and this last token is not yielded; a row that ends before others repeats it.
    Raises ValueError for a negative temperature, a ``top_k`` below 1, a seed of over 64 bits, an empty prompt, or a
    model that gives NaN.
    When the model's context is full, the older half of it is forgotten.
    """
    model = cast(GPT2, unwrap(model))
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 (greedy) or more; got {temperature}.")
    if seed is not None and not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must fit 64 bits; got {seed}.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be 1 or more, or None for all tokens; got {top_k}.")
    ends = _ends(model) if stop_at == "end of text" else [] if stop_at is None else [stop_at]
    context = model.config.n_positions
    ids = ids[:, -context:].to(next(model.parameters(), ids).device)
    generator = None if seed is None else torch.Generator(ids.device).manual_seed(seed)
    ended = torch.zeros(len(ids), 1, dtype=torch.bool, device=ids.device)
    stops = torch.tensor(ends, dtype=torch.int64, device=ids.device)
    cache = KVCache(min(context, ids.size(1) + max_new_tokens))
    fed = ids  # tokens that are not in the cache yet
    for _ in range(max_new_tokens):
        if cache.seen + fed.size(1) > context:
            fed = ids[:, -(context // 2) :]
            cache = KVCache(context)
        logits = model.next_logits(fed, cache)  # (B, V)
        fed = _choose(logits, temperature, top_k, generator)
        if ends:
            fed = fed.masked_fill(ended, ends[0])
            ended = (fed == stops).any(1, keepdim=True)  # (B, 1)
            if ended.all():
                return
        ids = torch.cat((ids, fed), dim=1)
        yield fed


def _ends(model: GPT2) -> list[int]:
    """Return the ids at which a text of the model ends, the usual one first."""
    end = special_ids(model.config, model.tokenizer)["eos_token_id"]
    return [*([] if end is None else [end]), *model.config.other_ends]


def _choose(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    if not logits.isfinite().all():
        raise ValueError("The model gives NaN or infinite logits, so no token can be chosen: check its weights.")
    if temperature < COLDEST:
        return logits.argmax(-1, keepdim=True)
    if top_k is not None:
        least = logits.topk(min(top_k, logits.size(-1))).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial((at_least_float32(logits) / temperature).softmax(-1), 1, generator=generator)


@renamed(new_tokens="max_new_tokens")
def generate(
    model: GPT2,
    prompt: str,
    max_new_tokens: int = 100,
    temperature: float = 0.8,
    top_k: int | None = 40,
    seed: int | None = None,
    stop_at: StopAt = "end of text",
) -> str:
    """Continue ``prompt`` by up to ``max_new_tokens`` tokens; returns the prompt and what follows it.

    The text ends before the token ``stop_at``, by default the tokenizer's ``end_of_text``; with None it does not.
    The same ``seed`` gives the same text on the same machine.
    """
    model = cast(GPT2, unwrap(model))
    if model.tokenizer is None:
        raise ValueError("This model carries no tokenizer; set model.tokenizer, or use generate_ids.")
    ids = encoded(model.tokenizer, prompt)
    if not ids:
        raise ValueError("The prompt is empty: give the model at least one character to start from.")
    was_training = model.training
    model.eval()
    try:
        for token in generate_ids(model, torch.tensor([ids]), max_new_tokens, temperature, top_k, seed, stop_at):
            ids.append(int(token))
    finally:
        model.train(was_training)
    return model.tokenizer.decode(ids)
