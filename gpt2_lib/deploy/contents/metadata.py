"""Metadata of an exported file: the model's sizes and its whole tokenizer, with special tokens and their roles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...gpt2 import GPT2
from ...tokenizer import Tokenizer, storable
from ..extras import DeployError

CONFIG, TOKENIZER = "gpt2_lib.config", "gpt2_lib.tokenizer"  # the names of the entries


def metadata_of(model: GPT2) -> dict[str, str]:
    """Return the metadata for a file of ``model``; without the tokenizer's entry if it has none."""
    config = model.config.of_the_model()
    for name in ("embedding_dropout", "attention_dropout", "others", "generation"):
        del config[name]  # of training, and of transformers
    if not model.config.other_ends:  # which earlier versions don't know
        del config["other_ends"]
    entries = {CONFIG: json.dumps(config)}
    if model.tokenizer is not None:
        entries[TOKENIZER] = storable(model.tokenizer).to_json()
    return entries


def tokenizer_in(metadata: Mapping[str, str], path: Path) -> Tokenizer | None:
    """Return the tokenizer in the metadata of the file ``path``; None if there is none, as in earlier versions.

    Raises DeployError for one that can't be read.
    """
    text = metadata.get(TOKENIZER)
    if not text:
        return None
    try:
        return Tokenizer.from_json(text)
    except Exception as error:  # `tokenizers` raises bare Exception
        raise DeployError(f"The tokenizer in {path} can't be read ({error}): export the model again.") from error
