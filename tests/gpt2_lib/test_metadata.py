"""Tests of exported files' metadata, read without the programs that write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny

from gpt2_lib.deploy.contents.metadata import CONFIG, TOKENIZER, metadata_of, tokenizer_in
from gpt2_lib.deploy.extras import DeployError
from gpt2_lib.tokenizer import Tokenizer

FILE = Path("model.pte")


@pytest.mark.parametrize(
    "tokenizer",
    [
        tiny.tokenizer(),
        tiny.tokenizer_with_end(),
        tiny.tokenizer_with_end(end="<end>", eos_token="<end>"),
        tiny.tokenizer_with_end(end="<pad>", pad_token="<pad>"),
    ],
    ids=["no end", "GPT-2's end", "another end", "padding"],
)
def test_the_whole_tokenizer_comes_back(tokenizer: Tokenizer) -> None:
    model = tiny.random_model()
    model.tokenizer = tokenizer
    found = tokenizer_in(metadata_of(model), FILE)
    assert found is not None
    assert (found.special, found.end_of_text) == (tokenizer.special, tokenizer.end_of_text)
    assert found.encode("to be<end> or<|endoftext|>") == tokenizer.encode("to be<end> or<|endoftext|>")


def test_the_text_of_a_plain_tokenizer_json_is_one_too() -> None:
    text = tiny.tokenizer_with_end().bpe.to_str()
    found = tokenizer_in({TOKENIZER: text}, FILE)
    assert found is not None
    assert found.end_of_text == found.bpe.token_to_id("<|endoftext|>")


def test_a_model_without_a_tokenizer_says_its_sizes_alone() -> None:
    entries = metadata_of(tiny.random_model())
    assert entries.keys() == {CONFIG}
    assert json.loads(entries[CONFIG])["n_embd"] == tiny.TINY.n_embd
    assert tokenizer_in(entries, FILE) is None
    assert tokenizer_in({}, FILE) is None  # a file of an earlier version


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"gpt2_lib": {}}'])
def test_a_damaged_tokenizer_is_told_with_the_file(text: str) -> None:
    with pytest.raises(DeployError, match=r"The tokenizer in model\.pte can't be read .*: export the model again"):
        tokenizer_in({TOKENIZER: text}, FILE)
