"""Verification of the configuration in a file: it must be gpt2-mini's, or what pruning leaves of it."""

from __future__ import annotations

from dataclasses import asdict, fields

from ...config import GPT2Config
from ...tokenizer import Tokenizer
from .reference import dense


def claimed_config(found: object) -> GPT2Config:
    """Return the configuration that a file states, if it is gpt2-mini's or what pruning leaves of it."""
    whole = dense().config
    needed = {field.name for field in fields(whole) if field.compare}
    if not isinstance(found, dict) or not needed <= found.keys() <= asdict(whole).keys():
        raise AssertionError("This file does not say which sizes its model has.")
    for name in ("vocab_size", "n_positions", "n_embd", "n_head", "dropout"):
        if found[name] != getattr(whole, name):
            raise AssertionError(
                f"This is not gpt2-mini, nor a part of it: its {name} is {str(found[name])[:20]}, gpt2-mini's "
                f"{getattr(whole, name)}."
            )
    for name, sizes, most in (
        ("n_layer", [found["n_layer"]], whole.n_layer),
        ("heads", found["heads"], whole.n_head),
        ("neurons", found["neurons"], max(whole.neurons)),
    ):
        if not isinstance(sizes, list) or any(type(size) is not int or not 1 <= size <= most for size in sizes):
            raise AssertionError(f"This is not gpt2-mini, nor a part of it: {name} must lie in 1 to {most}.")
    return GPT2Config(**{name: found[name] for name in needed})


def check_tokenizer(text: str | None) -> None:
    _, tokenizer = dense()
    if text is not None and Tokenizer.from_json(text).to_json() != tokenizer.to_json():  # spaces in it do not matter
        raise AssertionError("This file has another tokenizer than gpt2-mini: leave that as it is.")
