"""Tests with foreign programs that open this library's files: the same text, with the same end.

They run in the second environment (`second_environment`): transformers 4, CTranslate2 and gguf. These tests stand in
docs/interoperability.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import second_environment
import torch
from tiny import TINY, UNEVEN, bpe_of, random_model, tokenizer_with_end

from gpt2_lib import GPT2, generate, load_pretrained_gpt2, save_pretrained
from gpt2_lib.deploy.hugging_face import save_for_transformers

PROMPT = "To be, or not"

TRANSFORMERS = """
import json, sys, transformers
transformers.utils.logging.set_verbosity_error()
found = {"version": transformers.__version__}
for name, folder in json.loads(sys.argv[1]).items():
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    asked = tokenizer(sys.argv[2], return_tensors="pt")
    made = model.generate(**asked, max_new_tokens=12, do_sample=False)
    text = tokenizer.decode(made[0], skip_special_tokens=True)
    found[name] = [sorted(asked), text, made.shape[1] - asked["input_ids"].shape[1]]
print(json.dumps(found))
"""
CTRANSLATE2 = """
import json, sys, ctranslate2
from ctranslate2.converters import TransformersConverter
converted = sys.argv[1] + ".ctranslate2"
TransformersConverter(sys.argv[1]).convert(converted)
model = ctranslate2.Generator(converted, device="cpu")
options = {"max_length": 12, "sampling_topk": 1, "include_prompt_in_result": False}
(made,) = model.generate_batch([json.loads(sys.argv[2])], **options)
print(json.dumps(made.sequences_ids[0]))
"""
GGUF = """
import json, sys, gguf
print(json.dumps(gguf.SpecialVocab(sys.argv[1]).special_token_ids))
"""


def ending() -> GPT2:
    """A model that ends every text at once, as a greedy reader sees it."""
    model = random_model(TINY)
    model.tokenizer = tokenizer_with_end()
    end = model.tokenizer.end_of_text
    assert end is not None
    with torch.no_grad():
        model.ln_f.bias.fill_(1.0)
        model.wte.weight[end].fill_(1.0)
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    models = {
        "mini": load_pretrained_gpt2(),
        "dense": random_model(TINY, seed=1),
        "uneven": random_model(UNEVEN),
        "ending": ending(),
    }
    models["dense"].tokenizer = models["uneven"].tokenizer = tokenizer_with_end()
    root = tmp_path_factory.mktemp("written")
    written = {name: save_for_transformers(model, root / name) for name, model in models.items()}
    save_pretrained(models["mini"], root / "saved")
    return written | {"saved": root / "saved"}


def greedy(folder: Path) -> str:
    return generate(load_pretrained_gpt2(folder), PROMPT, 12, temperature=0)


@pytest.fixture(scope="module")
def in_transformers_4(folders: dict[str, Path]) -> dict[str, Any]:
    names = json.dumps({name: str(folder) for name, folder in folders.items()})
    return json.loads(second_environment.run(TRANSFORMERS, names, PROMPT))


@pytest.mark.parametrize("name", ["mini", "saved", "dense", "uneven", "ending"])
def test_transformers_4_writes_the_same_text(name: str, folders: dict[str, Path], in_transformers_4: dict[str, Any]):
    assert in_transformers_4["version"].startswith("4.")
    inputs, text, _ = in_transformers_4[name]
    assert inputs == ["attention_mask", "input_ids"]  # with token_type_ids it would write another text
    assert text == greedy(folders[name])


def test_transformers_4_stops_where_the_text_ends(folders: dict[str, Path], in_transformers_4: dict[str, Any]):
    assert in_transformers_4["ending"][1:] == [PROMPT, 1]  # the end itself, which is not shown


@pytest.mark.parametrize("name", ["dense", "ending"])
def test_ctranslate2_converts_the_folder_and_writes_the_same_text(name: str, folders: dict[str, Path]):
    """It opens no model without a token that ends a text, such as gpt2-mini."""
    tokenizer = bpe_of(load_pretrained_gpt2(folders[name]))
    ids = tokenizer.encode(PROMPT)
    tokens = [tokenizer.bpe.id_to_token(i) for i in ids]
    made = json.loads(second_environment.run(CTRANSLATE2, folders[name], json.dumps(tokens)))
    made = [i for i in made if i != tokenizer.end_of_text]
    assert tokenizer.decode([*ids, *made]) == greedy(folders[name])


def test_ggufs_reader_finds_the_tokens_that_begin_and_end_a_text(folders: dict[str, Path]):
    """Of llama.cpp's converter, which is no package, this is the part that reads them."""
    tokenizer = bpe_of(load_pretrained_gpt2(folders["ending"]))
    found = json.loads(second_environment.run(GGUF, folders["ending"]))
    assert found["eos"] == found["bos"] == tokenizer.end_of_text
