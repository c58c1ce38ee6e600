"""Tests of the tokenizer: every text comes back from its ids."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tokenizer

from gpt2_lib import load_pretrained_gpt2
from gpt2_lib.config import TextCodec
from gpt2_lib.tokenizer import Tokenizer

SMALL = tokenizer()
BUNDLED = cast(TextCodec, load_pretrained_gpt2().tokenizer)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # all of Unicode but halves of pairs, which are no text


@settings(deadline=None)
@given(TEXT)
@pytest.mark.parametrize("bpe", [SMALL, BUNDLED], ids=["small", "bundled"])
def test_text_survives_the_round_trip(bpe, text):
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text
    assert all(0 <= i < len(bpe) for i in ids)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n\t ", "naïve café — “ô”", "日本語", "👩‍🔬🏳️‍🌈", "e\u0301", "\x00\x7f", "<|endoftext|>"]
)
def test_unusual_text_survives_the_round_trip(text):
    assert BUNDLED.decode(BUNDLED.encode(text)) == text


def test_training_learns_as_many_tokens_as_asked_and_uses_them():
    assert len(SMALL) == 300
    assert len(SMALL.encode("To be, or not to be")) < len("To be, or not to be")


def test_training_again_gives_the_same_tokens():
    assert SMALL.encode("the question") == tokenizer().encode("the question")


def test_saved_and_loaded_a_tokenizer_is_the_same(tmp_path):
    SMALL.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path)
    assert len(again) == len(SMALL)
    assert again.encode("to suffer, ü") == SMALL.encode("to suffer, ü")


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")  # merges.txt is missing
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer.json \(nor vocab.json and merges.txt\)"):
        Tokenizer.load(tmp_path)


def test_copies_of_a_model_share_the_tokenizer():
    assert deepcopy(SMALL) is SMALL
