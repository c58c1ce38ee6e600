"""Tests of folders that transformers loads: the same logits, in a fresh process, without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from gpt2_lib import GPT2, apply_magnitude_pruning, load_pretrained_gpt2
from gpt2_lib.deploy.extras import DeployError
from gpt2_lib.deploy.hugging_face import save_for_transformers
from gpt2_lib.generate import generate_ids

IDS = [[5, 17, 250, 3, 3, 99, 0, 41]]

# What a user runs, who has transformers and not this library.
LOAD = """
import json, sys
import torch, transformers
transformers.utils.logging.set_verbosity_error()
found = {}
for folder, stock in json.loads(sys.argv[1]):
    refused = ""
    if not stock:
        try:
            transformers.AutoModelForCausalLM.from_pretrained(folder)
        except ValueError as error:
            refused = str(error)
    if stock:
        model = transformers.GPT2LMHeadModel.from_pretrained(folder)
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor(json.loads(sys.argv[2]))
    with torch.inference_mode():
        logits = model(ids).logits
    new = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0)
    text = "To be,  or not 'tis !\\n nobler"
    found[folder] = {
        "class": type(model).__name__,
        "refused": refused,
        "logits": logits.tolist(),
        "generated": new.tolist(),
        "zeros": sum(int((p == 0).sum()) for p in model.parameters() if p.dim() == 2),
        "text": [text, tokenizer.decode(tokenizer(text)["input_ids"])],
        "encoded": tokenizer(text)["input_ids"],
    }
assert "gpt2_lib" not in sys.modules
print()  # after the question whether a folder's code may run
print(json.dumps(found))
"""


def with_tokenizer(model: GPT2) -> GPT2:
    model.tokenizer = tiny.tokenizer()
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, GPT2]:
    return {
        "dense": with_tokenizer(tiny.random_model()),
        "zeros": with_tokenizer(apply_magnitude_pruning(tiny.random_model(), 0.6)),
        "narrow": with_tokenizer(tiny.random_model(replace(tiny.TINY, neurons=(40, 40)))),
        "uneven": with_tokenizer(tiny.random_model(tiny.UNEVEN)),
        "fewer heads": with_tokenizer(tiny.random_model(replace(tiny.TINY, heads=(2, 2)))),
        "mini": load_pretrained_gpt2(),
    }


@pytest.fixture(scope="module")
def found(models: dict[str, GPT2], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What transformers makes of all models, by name: importing it takes seconds."""
    pytest.importorskip("transformers", reason="needs the extra dev")
    root = tmp_path_factory.mktemp("models")
    folders = {name: str(save_for_transformers(model, root / name)) for name, model in models.items()}
    jobs = [(folder, name not in ("uneven", "fewer heads")) for name, folder in folders.items()]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(root / "home"), "PYTHONPATH": ""}
    command = [sys.executable, "-W", "ignore", "-c", LOAD, json.dumps(jobs), json.dumps(IDS)]
    options: dict[str, Any] = {"env": environment, "cwd": root, "stdin": subprocess.DEVNULL, "timeout": 300}
    run = subprocess.run(command, capture_output=True, text=True, **options)
    assert run.returncode == 0, run.stderr[-2000:]
    answers = json.loads(run.stdout.splitlines()[-1])
    return {name: answers[folder] for name, folder in folders.items()}


EVERY = pytest.mark.parametrize("name", ["dense", "zeros", "narrow", "uneven", "fewer heads", "mini"])


@EVERY
def test_transformers_has_the_same_logits(name: str, models: dict[str, GPT2], found: dict[str, dict]):
    with torch.inference_mode():
        expected = models[name](torch.tensor(IDS)).numpy()
    np.testing.assert_allclose(found[name]["logits"], expected, atol=1e-4, rtol=0)
    assert found[name]["class"] == ("PrunedGPT2LMHeadModel" if name in ("uneven", "fewer heads") else "GPT2LMHeadModel")


@pytest.mark.parametrize("name", ["uneven", "fewer heads"])
def test_transformers_asks_in_words_for_the_code_that_pruned_heads_need(name: str, found: dict[str, dict]):
    assert "trust_remote_code=True" in found[name]["refused"]


@EVERY
def test_transformers_generates_the_same_tokens(name: str, models: dict[str, GPT2], found: dict[str, dict]):
    new = [int(t) for t in generate_ids(models[name], torch.tensor(IDS), 12, temperature=0)]
    assert found[name]["generated"] == [IDS[0] + new]


@EVERY
def test_auto_tokenizer_is_the_models_tokenizer(name: str, models: dict[str, GPT2], found: dict[str, dict]):
    text, decoded = found[name]["text"]
    assert decoded == text
    tokenizer = models[name].tokenizer
    assert tokenizer is not None
    assert found[name]["encoded"] == tokenizer.encode(text)


def test_zeros_survive(models: dict[str, GPT2], found: dict[str, dict]):
    zeros = sum(int((p == 0).sum()) for p in models["zeros"].parameters() if p.dim() == 2)
    assert found["zeros"]["zeros"] == zeros > 5000


@EVERY
def test_this_library_opens_the_folder_too(name: str, models: dict[str, GPT2], tmp_path: Path):
    back = load_pretrained_gpt2(save_for_transformers(models[name], tmp_path / "new" / "folder"))
    assert back.config == models[name].config
    assert all(torch.equal(p, q) for p, q in zip(back.parameters(), models[name].parameters(), strict=True))


def test_a_folder_that_holds_something_is_left_alone(models: dict[str, GPT2], tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(DeployError, match="there already"):
            save_for_transformers(models["dense"], folder)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("thesis.txt", "mine")]
    (tmp_path / "empty").mkdir()
    assert (save_for_transformers(models["dense"], tmp_path / "empty") / "config.json").is_file()


def test_only_a_model_of_this_library_is_saved(tmp_path: Path):
    with pytest.raises(ValueError, match="Linear"):
        save_for_transformers(torch.nn.Linear(2, 2), tmp_path / "folder")  # pyright: ignore[reportArgumentType]  # no GPT2
    assert not list(tmp_path.iterdir())
