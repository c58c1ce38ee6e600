"""Tests of round trips: folders of many makes, saved in each way, give transformers 4 and 5 the same 50 tokens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import second_environment
import torch
from foreign_folders import FIRST, MAKES

from gpt2_lib import GPT2, load_pretrained_gpt2, save_pretrained
from gpt2_lib.checkpoints import BUNDLED
from gpt2_lib.deploy.hugging_face import save_for_transformers
from gpt2_lib.generate import generate_ids
from gpt2_lib.storage.packed import load_packed, save_packed

NEW = 50
TEXT = "to be,  or not 'tis !\n nobler<|endoftext|> the</s>t"

# What a user runs, who has transformers and not this library.
OPEN = """
import json, sys
import torch, transformers
transformers.utils.logging.set_verbosity_error()
found = {}
for folder in json.loads(sys.argv[1]):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).float().eval()
    ids = torch.tensor([json.loads(sys.argv[2])])
    with torch.inference_mode():
        logits = model(ids).logits[0]
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False)
    found[folder] = {"logits": logits.tolist(), "new": made[0, ids.size(1) :].tolist()}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, TypeError):  # there is none
        continue
    asked = tokenizer(TEXT, return_tensors="pt")
    found[folder] |= {"inputs": sorted(asked), "ids": asked["input_ids"][0].tolist(), "tokens": len(tokenizer)}
    found[folder]["end"] = tokenizer.eos_token_id
assert "gpt2_lib" not in sys.modules
with open(sys.argv[3], "w") as file:
    json.dump(found, file)
print("done")
"""
OPEN = OPEN.replace("NEW", str(NEW)).replace("TEXT", repr(TEXT))


def by_save_pretrained(model: GPT2, folder: Path) -> GPT2:
    save_pretrained(model, folder)
    return load_pretrained_gpt2(folder)


def by_save_packed(model: GPT2, folder: Path) -> GPT2:
    """transformers opens no packed file; it gets what was in it."""
    save_packed(model, folder.with_suffix(".gpt2pack"))
    loaded = load_packed(folder.with_suffix(".gpt2pack"))
    save_for_transformers(loaded, folder)
    return loaded


def by_save_for_transformers(model: GPT2, folder: Path) -> GPT2:
    return load_pretrained_gpt2(save_for_transformers(model, folder))


WAYS = {way.__name__: way for way in (by_save_pretrained, by_save_packed, by_save_for_transformers)}


@torch.inference_mode()
def what_it_says(model: GPT2) -> dict:
    ids = torch.tensor([FIRST])
    new = [int(token) for token in generate_ids(model, ids, NEW, temperature=0)]
    return {"logits": model(ids)[0].tolist(), "new": new}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GPT2]:
    """Each make as it was loaded, and the bundled model."""
    found: dict[str, GPT2] = {"bundled": load_pretrained_gpt2()}
    for make, write in MAKES.items():
        folder = tmp_path_factory.mktemp("make")
        write(folder)
        found[make] = load_pretrained_gpt2(folder)
    return found


@pytest.fixture(scope="module")
def saved(
    models: dict[str, GPT2], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[Path, dict]]:
    """{(make, way): the folder, and what this library says that it holds}."""
    root = tmp_path_factory.mktemp("saved")
    found = {}
    for number, (make, model) in enumerate(models.items()):
        for way, save in WAYS.items():
            folder = root / f"{number}_{way}"
            found[make, way] = (folder, what_it_says(save(model, folder)))
    return found


@pytest.fixture(scope="module", params=["transformers 4", "transformers 5"])
def opened(request: pytest.FixtureRequest, saved: dict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What one version makes of all folders: importing it takes seconds."""
    root = tmp_path_factory.mktemp("opened")
    folders = [str(folder) for folder, _ in saved.values()] + [str(BUNDLED["gpt2-mini"])]
    arguments = [json.dumps(folders), json.dumps(FIRST), str(root / "found.json")]
    if request.param == "transformers 4":
        second_environment.run(OPEN, *arguments)
    else:
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(root / "home"), "PYTHONPATH": ""}
        command = [sys.executable, "-W", "ignore", "-c", OPEN, *arguments]
        options: dict[str, Any] = {"env": environment, "cwd": root, "stdin": subprocess.DEVNULL, "timeout": 600}
        done = subprocess.run(command, capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((root / "found.json").read_text())


def assert_the_same(found: dict, expected: dict, end: int | None) -> None:
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-4, rtol=0)
    new = found["new"][:-1] if end is not None and found["new"][-1:] == [end] else found["new"]
    assert new == expected["new"]


def test_twenty_makes_and_more_are_tried(models: dict[str, GPT2]) -> None:
    assert len(models) >= 20
    lengths = {make: len(what_it_says(model)["new"]) for make, model in models.items()}
    assert sum(length == NEW for length in lengths.values()) >= 20
    assert 0 < lengths["with an end that comes up"] < NEW


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", ["bundled", *MAKES])
def test_this_library_has_the_same_model_back(make: str, way: str, models: dict, saved: dict) -> None:
    assert saved[make, way][1] == what_it_says(models[make])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", ["bundled", *MAKES])
def test_transformers_has_the_same_model(make: str, way: str, models: dict, saved: dict, opened: dict) -> None:
    model, folder = models[make], str(saved[make, way][0])
    assert_the_same(opened[folder], what_it_says(model), model.config.eos_token_id)
    if model.tokenizer is None:
        return
    assert opened[folder]["inputs"] == ["attention_mask", "input_ids"]
    assert opened[folder]["ids"] == model.tokenizer.encode(TEXT)
    assert opened[folder]["tokens"] <= model.config.vocab_size
    assert opened[folder]["end"] == model.tokenizer.id_of("eos_token")


def test_transformers_opens_the_bundled_folder_and_finds_no_token_that_the_model_lacks(opened: dict) -> None:
    model, found = load_pretrained_gpt2(), opened[str(BUNDLED["gpt2-mini"])]
    assert model.tokenizer is not None
    assert_the_same(found, what_it_says(model), None)
    assert found["ids"] == model.tokenizer.encode(TEXT)
    assert found["tokens"] == model.config.vocab_size


# Pruned by transformers 4 itself, which version 5 has given up.

PRUNE = """
import sys, transformers
model = transformers.GPT2LMHeadModel.from_pretrained(sys.argv[1])
model.prune_heads({0: [0, 2], 1: [3]})
model.save_pretrained(sys.argv[2], max_shard_size="20KB")
print("done")
"""


def test_heads_that_transformers_4_pruned_are_read(tmp_path: Path) -> None:
    MAKES["as this library writes it"](tmp_path / "whole")
    second_environment.run(PRUNE, tmp_path / "whole", tmp_path / "pruned")
    assert len([*(tmp_path / "pruned").glob("*.safetensors")]) > 1
    model = load_pretrained_gpt2(tmp_path / "pruned")
    assert model.config.heads == (2, 3)
    arguments = [json.dumps([str(tmp_path / "pruned")]), json.dumps(FIRST), tmp_path / "found.json"]
    second_environment.run(OPEN, *arguments)
    found = json.loads((tmp_path / "found.json").read_text())[str(tmp_path / "pruned")]
    assert_the_same(found, what_it_says(model), None)


# Other programs that read such folders.

CTRANSLATE2 = """
import sys, ctranslate2
converter = ctranslate2.converters.TransformersConverter(sys.argv[1])
converter.convert(sys.argv[2])
generator = ctranslate2.Generator(sys.argv[2])
made = generator.generate_batch([["t", "o"]], max_length=5, sampling_topk=1)
print(made[0].sequences[0])
"""
GGUF = """
import sys, gguf
print(gguf.SpecialVocab(sys.argv[1]).special_token_ids)
"""


@pytest.mark.parametrize("way", WAYS)
def test_ctranslate2_and_gguf_find_the_end(way: str, saved: dict, tmp_path: Path) -> None:
    folder, _ = saved["with vocab.json and merges.txt", way]
    assert second_environment.run(CTRANSLATE2, folder, tmp_path / "converted").startswith("['t', 'o'")
    assert "'eos': 299" in second_environment.run(GGUF, folder)
