"""Tests of artifacts that other versions of this library, and of its dependencies, have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from gpt2_lib import load_pretrained_gpt2
from gpt2_lib.course.challenges import exported
from gpt2_lib.deploy.onnx import CONFIG, TOKENIZER, export_onnx

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def other_words(text: str) -> str:
    """The same JSON with other spaces and another order of the keys."""
    return json.dumps(dict(reversed(json.loads(text).items())), indent=1, ensure_ascii=True)


def older(text: str) -> str:
    """Return sizes in the format from before special tokens were stored beside them."""
    return json.dumps({name: value for name, value in json.loads(text).items() if name not in SPECIAL})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(load_pretrained_gpt2(), tmp_path_factory.mktemp("handed-in") / "model.onnx")


@pytest.mark.parametrize(
    ("key", "change"),
    [(TOKENIZER, other_words), (CONFIG, other_words), (CONFIG, older)],
    ids=["the tokenizer in other words", "the sizes in other words", "the sizes of an older version"],
)
def test_the_same_model_in_another_versions_words_is_accepted(key: str, change: Callable[[str], str], written: Path):
    proto = onnx.load(written)
    (entry,) = (entry for entry in proto.metadata_props if entry.key == key)
    assert change(entry.value) != entry.value
    entry.value = change(entry.value)
    proto.producer_version = "2.0"
    assert not exported(proto.SerializeToString).int8


def fewer_merges(text: str) -> str:
    content = json.loads(text)
    content["model"]["merges"].pop()
    return json.dumps(content)


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        (TOKENIZER, fewer_merges, "another tokenizer"),
        (CONFIG, lambda text: text.replace("n_embd", "width"), "which sizes"),
    ],
)
def test_another_tokenizer_and_missing_sizes_are_refused(
    key: str, change: Callable[[str], str], words: str, written: Path
):
    proto = onnx.load(written)
    (entry,) = (entry for entry in proto.metadata_props if entry.key == key)
    entry.value = change(entry.value)
    with pytest.raises(AssertionError, match=words):
        exported(proto.SerializeToString)
