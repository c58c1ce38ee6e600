"""Tests of conversion between transformers and this library in memory, and of foreign tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny import TINY, UNEVEN, in_transformers, random_ids, random_model, tokenizer, tokenizer_with_end
from torch import nn

from gpt2_lib import (
    CheckpointError,
    ModelPruner,
    evaluate,
    from_transformers,
    generate,
    load_packed,
    load_pretrained_gpt2,
    save_packed,
    save_pretrained,
    to_transformers,
    windows_of,
)
from gpt2_lib.pruning.surgery import shrink

IDS = random_ids(TINY, 2, 20)
TEXT = "To be, or not to be: that is the question:\n"


class Letters:
    """A tokenizer of nobody's: a letter is a token."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def test_there_and_back_no_weight_changes() -> None:
    model = random_model()
    ModelPruner(model).prune("magnitude", 0.5)
    theirs = to_transformers(model)
    assert type(theirs) is transformers.GPT2LMHeadModel
    with torch.inference_mode():
        torch.testing.assert_close(theirs(IDS).logits, model(IDS), rtol=1e-4, atol=1e-5)
    back = from_transformers(theirs)
    assert back.config == model.config
    assert all(torch.equal(p, q) for p, q in zip(back.parameters(), model.parameters(), strict=True))
    with torch.no_grad():  # nothing is shared
        back.wte.weight.fill_(1.0)
    assert not bool((theirs.transformer.wte.weight == 1).all())
    assert not bool((model.wte.weight == 1).all())


def test_half_precision_the_bare_model_and_special_ids_are_taken_over() -> None:
    theirs = in_transformers(random_model()).bfloat16()
    theirs.config.eos_token_id = theirs.generation_config.eos_token_id = 7
    for one in (theirs, theirs.transformer):
        ours = from_transformers(one)
        assert ours.config.eos_token_id == 7
        assert torch.equal(ours.wte.weight, theirs.transformer.wte.weight.float())
        assert not ours.training


def test_a_model_that_is_no_gpt2_is_refused() -> None:
    for other in (nn.Linear(2, 2), random_model()):
        with pytest.raises(
            CheckpointError, match=f"GPT2LMHeadModel of transformers is needed; got a {type(other).__name__}"
        ):
            from_transformers(other)
    untied = in_transformers(random_model())
    untied.lm_head.weight = nn.Parameter(torch.zeros_like(untied.lm_head.weight))
    with pytest.raises(CheckpointError, match="a head of its own"):
        from_transformers(untied)
    other_gelu = in_transformers(random_model())
    other_gelu.config.activation_function = "relu"
    with pytest.raises(CheckpointError, match="this GPT2LMHeadModel sets activation_function to 'relu'"):
        from_transformers(other_gelu)
    with pytest.raises(ValueError, match=r"save_for_transformers.*trust_remote_code"):
        to_transformers(random_model(UNEVEN))
    with pytest.raises(TypeError):
        to_transformers(nn.Linear(2, 2))


def test_a_model_with_fewer_neurons_in_all_blocks_goes_there() -> None:
    smaller = shrink(random_model(), neurons=dict.fromkeys(range(TINY.n_layer), torch.arange(40)))
    with torch.inference_mode():
        torch.testing.assert_close(to_transformers(smaller)(IDS).logits, smaller(IDS), rtol=1e-4, atol=1e-5)


# Tokenizers of others


def theirs(end: str = "<|endoftext|>") -> Any:
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer_with_end(end=end).bpe, eos_token=end)
    return fast


def test_a_tokenizer_of_transformers_measures_generates_and_is_saved(tmp_path: Path) -> None:
    model = from_transformers(in_transformers(random_model()), theirs("<end>"))
    ours = tokenizer_with_end(end="<end>", eos_token="<end>")
    assert model.config.eos_token_id == ours.id_of("eos_token") == 299
    windows = windows_of(TEXT * 9, model.tokenizer, 16)
    assert torch.equal(windows, windows_of(TEXT * 9, ours, 16))
    assert evaluate(model, windows).bits_per_character > 0
    text = generate(model, "To be", 8, temperature=0)
    save_pretrained(model, tmp_path / "folder")
    save_packed(model, tmp_path / "model.pack")
    for loaded in (load_pretrained_gpt2(tmp_path / "folder"), load_packed(tmp_path / "model.pack")):
        assert loaded.tokenizer is not None
        assert loaded.tokenizer.encode(TEXT) == ours.encode(TEXT)
        assert loaded.config.eos_token_id == model.config.eos_token_id
        assert generate(loaded, "To be", 8, temperature=0) == text


@pytest.mark.parametrize("codec", [Letters(), tokenizer().bpe], ids=["anything", "the package tokenizers"])
def test_anything_with_encode_and_decode_will_do(codec: Any) -> None:
    model = random_model()
    model.tokenizer = codec
    windows = windows_of(TEXT * 3, codec, 16)
    assert evaluate(model, windows).bits_per_character > 0
    assert generate(model, "To be", 4, temperature=0).startswith("To be")


def test_a_tokenizer_that_cannot_be_written_is_refused_before_anything_is(tmp_path: Path) -> None:
    model = random_model()
    model.tokenizer = Letters()
    for save in (save_pretrained, save_packed):
        with pytest.raises(
            ValueError, match=r"A Letters can't be written as tokenizer.json. Set model.tokenizer = None"
        ):
            save(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())
