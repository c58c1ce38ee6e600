"""Tests of artifacts that other versions of the underlying libraries have written."""

from __future__ import annotations

import json

import pytest
import tokenizers
from tiny import bpe_of

from gpt2_lib import load_pretrained_gpt2
from gpt2_lib.course.challenges import exported, packed
from gpt2_lib.deploy.onnx import TOKENIZER, export_onnx
from gpt2_lib.storage.packed import save_packed
from gpt2_lib.tokenizer import Tokenizer


def rewritten() -> str:
    """gpt2-mini's tokenizer with other spaces and another order of the keys."""
    text = bpe_of(load_pretrained_gpt2()).to_json()
    return json.dumps(dict(reversed(json.loads(text).items())), indent=1, ensure_ascii=True)


def test_a_packed_file_with_the_same_tokenizer_in_other_words_is_accepted(tmp_path, monkeypatch):
    model = load_pretrained_gpt2()
    monkeypatch.setattr(model.tokenizer, "to_json", rewritten)
    save_packed(model, tmp_path / "model.gpt2pack")
    assert packed((tmp_path / "model.gpt2pack").read_bytes).gone == 0


def test_an_onnx_file_with_the_same_tokenizer_in_other_words_is_accepted(tmp_path):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(export_onnx(load_pretrained_gpt2(), tmp_path / "model.onnx"))
    for entry in proto.metadata_props:
        if entry.key == TOKENIZER:
            entry.value = rewritten()
    proto.producer_version = "2.0"
    assert exported(proto.SerializeToString).removed == 0


def test_another_tokenizer_is_refused(tmp_path):
    model = load_pretrained_gpt2()
    model.tokenizer = Tokenizer(tokenizers.Tokenizer.from_str(bpe_of(model).to_json()), end_of_text=5)
    save_packed(model, tmp_path / "model.gpt2pack")
    with pytest.raises(AssertionError, match="another tokenizer than gpt2-mini"):
        packed((tmp_path / "model.gpt2pack").read_bytes)
