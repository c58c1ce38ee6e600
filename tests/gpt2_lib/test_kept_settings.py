"""Tests of settings that are the model's: dropout, generation_config.json, and what else config.json says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from foreign_folders import edit, original, write
from tiny import TINY, random_ids, random_model

from gpt2_lib import (
    GPT2,
    CheckpointError,
    GPT2Config,
    ModelPruner,
    from_transformers,
    load_packed,
    load_pretrained_gpt2,
    remove_silenced,
    save_packed,
    save_pretrained,
    to_transformers,
)

RATES = {"resid_pdrop": 0.3, "embd_pdrop": 0.2, "attn_pdrop": 0.05}
GENERATION = {"do_sample": True, "temperature": 0.7, "top_k": 11}
OTHERS = {"task_specific_params": {"text-generation": {"max_length": 50}}, "our_team": "poets"}


@pytest.fixture
def loaded(tmp_path: Path) -> GPT2:
    write(tmp_path / "given", original(), **RATES, **OTHERS)
    (tmp_path / "given/generation_config.json").write_text(json.dumps(GENERATION))
    return load_pretrained_gpt2(tmp_path / "given")


def packed_and_back(model: GPT2, folder: Path) -> GPT2:
    save_packed(model, folder / "model.pack")
    return load_packed(folder / "model.pack")


WAYS: dict[str, Callable[[GPT2, Path], GPT2]] = {
    "as it is": lambda model, _: model,
    "packed": packed_and_back,
    "through transformers": lambda model, _: from_transformers(to_transformers(model), model.tokenizer),
    "without silent units": lambda model, _: _smaller(model),
}


def _smaller(model: GPT2) -> GPT2:
    ModelPruner(model).prune("structured", 0.25)
    return remove_silenced(model)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_keeps_dropout_generation_and_unknown_settings(loaded: GPT2, tmp_path: Path, way: str) -> None:
    save_pretrained(WAYS[way](loaded, tmp_path), tmp_path / "written")
    config = json.loads((tmp_path / "written/config.json").read_text())
    assert RATES.items() <= config.items()
    assert OTHERS.items() <= config.items()
    generation = json.loads((tmp_path / "written/generation_config.json").read_text())
    assert GENERATION.items() <= generation.items()


def test_transformers_gets_them_from_memory_too(loaded: GPT2) -> None:
    theirs = to_transformers(loaded)
    assert {name: getattr(theirs.config, name) for name in RATES} == RATES
    assert (theirs.generation_config.top_k, theirs.config.our_team) == (11, "poets")


def test_a_config_without_dropout_means_what_transformers_takes_it_for(tmp_path: Path) -> None:
    write(tmp_path, original())
    edit(tmp_path / "config.json", **dict.fromkeys(RATES, ...))
    assert transformers.GPT2Config.from_pretrained(tmp_path).resid_pdrop == 0.1
    assert load_pretrained_gpt2(tmp_path).config.dropouts == (0.1, 0.1, 0.1)
    edit(tmp_path / "config.json", attn_pdrop=2)
    with pytest.raises(CheckpointError, match="dropout takes numbers from 0 to 1; got 2"):
        load_pretrained_gpt2(tmp_path)


def test_the_bundled_model_and_a_new_one_have_no_dropout_anywhere() -> None:
    for model in (load_pretrained_gpt2(), random_model()):
        theirs = to_transformers(model)
        assert {getattr(theirs.config, name) for name in RATES} == {0.0}


@pytest.mark.parametrize("name", ["dropout", "embedding_dropout", "attention_dropout"])
@torch.inference_mode()
def test_each_dropout_acts_in_training_and_in_training_only(name: str) -> None:
    rates = {"embedding_dropout": 0.0, "attention_dropout": 0.0, name: 0.5}
    model, ids = random_model(replace(TINY, **rates)), random_ids(TINY, batch=1, length=8)
    assert torch.equal(model(ids), random_model()(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


def test_special_ids_are_the_same_in_both_files(tmp_path: Path) -> None:
    model = original()
    model.config = replace(model.config, eos_token_id=7, generation={"eos_token_id": 3, "top_k": 5})
    save_pretrained(model, tmp_path)
    assert json.loads((tmp_path / "generation_config.json").read_text()) == {"eos_token_id": 7, "top_k": 5}
    assert GPT2Config().generation == {}
