"""Tests of loading and saving: bundled, from a folder, from a Hub; and the messages of failures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from hub import serve
from safetensors.torch import load_file, save_file
from tiny import CONV1D, TINY, UNEVEN, in_transformers, random_ids, random_model, tokenizer

from gpt2_lib import GPT2, CheckpointError, checkpoints, load_pretrained_gpt2, save_pretrained
from gpt2_lib.generate import generate_ids


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tiny model's folder, as save_pretrained writes it."""
    return write_model(tmp_path / "model")


def write_model(folder: Path) -> Path:
    model = random_model()
    model.tokenizer = tokenizer()
    save_pretrained(model, folder)
    return folder


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def assert_same_logits(ours, theirs) -> None:
    ids = random_ids(ours.config, batch=2, length=17)
    with torch.inference_mode():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=0, atol=1e-4)


# What loads


@pytest.mark.parametrize("load", [load_pretrained_gpt2, lambda: load_pretrained_gpt2("gpt2-mini")])
def test_the_bundled_model_loads_ready_to_use(load):
    model, vocabulary = load()
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert vocabulary is model.tokenizer
    assert vocabulary.decode(vocabulary.encode("Enter Macbeth")) == "Enter Macbeth"


def test_transformers_opens_the_bundled_model():
    theirs = transformers.GPT2LMHeadModel.from_pretrained(checkpoints.BUNDLED["gpt2-mini"]).float().eval()
    assert_same_logits(load_pretrained_gpt2(), theirs)


def test_transformers_opens_what_save_pretrained_wrote(folder):
    assert_same_logits(random_model(), transformers.GPT2LMHeadModel.from_pretrained(folder).eval())
    vocabulary = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    assert vocabulary("to be")["input_ids"] == tokenizer().encode("to be")


def test_a_folder_that_transformers_saved_loads(tmp_path):
    theirs = in_transformers(random_model())
    theirs.save_pretrained(tmp_path)
    tokenizer().save(tmp_path / "tokenizer.json")
    assert all(name.startswith("transformer.") for name in load_file(tmp_path / "model.safetensors"))
    assert_same_logits(load_pretrained_gpt2(tmp_path), theirs)


def test_a_folder_as_openai_uploaded_it_loads(folder):
    weights = load_file(folder / "model.safetensors")
    assert "h.0.attn.c_attn.weight" in weights  # no prefix
    mask = torch.ones(1, 1, TINY.n_positions, TINY.n_positions).tril()
    save_file(weights | {f"h.{i}.attn.bias": mask.clone() for i in range(2)}, folder / "model.safetensors")
    edit_config(folder, n_ctx=32, attn_pdrop=0.1, initializer_range=0.02, task_specific_params={}, n_inner=None)
    assert_same_logits(load_pretrained_gpt2(folder), in_transformers(random_model()))


def test_a_stored_head_equal_to_the_embedding_is_fine(folder):
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"lm_head.weight": weights["wte.weight"].clone()}, folder / "model.safetensors")
    assert_same_logits(load_pretrained_gpt2(folder), in_transformers(random_model()))


def test_gpt2s_older_tokenizer_files_load(folder):
    bpe = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(bpe["vocab"]))
    (folder / "merges.txt").write_text("\n".join(" ".join(pair) for pair in bpe["merges"]) + "\n")
    (folder / "tokenizer.json").unlink()
    loaded = load_pretrained_gpt2(folder).tokenizer
    assert loaded is not None
    assert loaded.encode("to be, ü") == tokenizer().encode("to be, ü")


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
@torch.inference_mode()
def test_saved_and_loaded_a_model_is_the_same(config, tmp_path):
    model = random_model(config)
    model.tokenizer = tokenizer()
    save_pretrained(model, tmp_path / "new" / "folder")
    again = load_pretrained_gpt2(tmp_path / "new" / "folder")
    assert again.config == model.config
    assert again.tokenizer is not None
    assert again.tokenizer.encode("to be") == model.tokenizer.encode("to be")
    for (name, p), (other, q) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(p, q)
        assert q.is_contiguous()
        assert q.requires_grad
    prompt = random_ids(config, 1, 5)
    greedy = [torch.cat(list(generate_ids(m, prompt, 6, temperature=0))).tolist() for m in (model, again)]
    assert greedy[0] == greedy[1]


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    model = random_model()
    model.tokenizer = tokenizer()
    sizes = []
    for dtype in (torch.float32, torch.float16):
        save_pretrained(model, tmp_path, dtype=dtype)
        sizes.append((tmp_path / "model.safetensors").stat().st_size)
    assert sizes[1] < 0.55 * sizes[0]
    again = load_pretrained_gpt2(tmp_path)
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(p.half().float(), q)


# What is refused, and what is said


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def reshape(path: Path, name: str) -> None:
    weights = load_file(path)
    weights[name] = weights[name][:-1].contiguous()
    save_file(weights, path)


def drop(path: Path, name: str) -> None:
    weights = load_file(path)
    del weights[name]
    save_file(weights, path)


def untie(path: Path) -> None:
    weights = load_file(path)
    save_file(weights | {"lm_head.weight": weights["wte.weight"] + 1}, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: shorten(f / "model.safetensors"), "cut short.*download or copy it again"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "cut short.*download or copy it again"),
        (lambda f: (f / "model.safetensors").write_text("<html>Not found</html>"), "download or copy it again"),
        (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors.*needs config.json, model"),
        (lambda f: reshape(f / "model.safetensors", "wpe.weight"), r"wpe.weight has shape \(31, 24\).*\(32, 24\)"),
        (lambda f: drop(f / "model.safetensors", "h.1.ln_2.bias"), "lacks 1 of the 28.*'h.1.ln_2.bias'.*another model"),
        (lambda f: untie(f / "model.safetensors"), "head .* of its own.*choose another"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "no GPT-2 configuration.*again"),
        (lambda f: (f / "config.json").write_text("[]"), "no GPT-2 configuration.*again"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "no GPT-2 configuration.*again"),
        (lambda f: (f / "config.json").write_text('{"model_type": "gpt2"}'), "no GPT-2 configuration.*n_embd"),
        (lambda f: edit_config(f, model_type="llama"), "describes a 'llama' model; only 'gpt2'"),
        (lambda f: edit_config(f, n_head=5), "multiple of n_head"),
        (lambda f: edit_config(f, n_layer=3), "lacks 12 of the 40"),
        (lambda f: edit_config(f, activation_function="relu"), "sets activation_function to 'relu'.*'gelu_new'"),
        (lambda f: edit_config(f, layer_norm_epsilon=1e-6), "sets layer_norm_epsilon to 1e-06"),
        (lambda f: edit_config(f, scale_attn_weights=False), "sets scale_attn_weights to False"),
        (lambda f: edit_config(f, scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx to True"),
        (lambda f: edit_config(f, add_cross_attention=True), "sets add_cross_attention to True"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "Can't read the tokenizer"),
        (lambda f: shorten(f / "tokenizer.json"), "Can't read the tokenizer"),
        (lambda f: tokenizer(301).save(f / "tokenizer.json"), "301 tokens, the model only 300"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(CheckpointError, match=f"(?s){message}"):
        load_pretrained_gpt2(folder)


@pytest.mark.parametrize("name", ["gpt3", "./nowhere", "a/b/c", "/no/such/folder"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(CheckpointError, match=r"no such folder.*gpt2-mini, distilgpt2, gpt2,"):
        load_pretrained_gpt2(name)


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"pip install 'gpt2-pruning-course\[hub\]'"):
        load_pretrained_gpt2("gpt2")


def test_a_full_disk_while_downloading_is_told(monkeypatch):
    def full(*_: object, **__: object):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(CheckpointError, match=r"broke off.*No space left.*try again"):
        load_pretrained_gpt2("gpt2")


# A write that fails


def test_a_write_that_fails_leaves_the_old_files_and_no_others(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", fail)
    with pytest.raises(OSError, match="No space left"):
        save_pretrained(random_model(seed=1), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("a learner's work")
    with pytest.raises(OSError, match="file"):
        save_pretrained(random_model(), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "a learner's work"


# The Hub, with the real client in a process of its own

LOAD = """
import json, sys, time
from gpt2_lib import CheckpointError, load_pretrained_gpt2
results = []
for name in sys.argv[1:]:
    started = time.perf_counter()
    try:
        said = f"loaded {load_pretrained_gpt2(name).config.n_embd}"
    except CheckpointError as error:
        said = str(error)
    results.append([said, time.perf_counter() - started])
print(json.dumps(results))
"""


def load_in_a_process(names: list[str], endpoint: str, home: Path) -> list[tuple[str, float]]:
    """What a user sees of each load, and its seconds."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", LOAD, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(result) for result in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, tuple[str, float]]:
    """All that is said about models on a Hub: while it is there, and then when it is gone."""
    root = tmp_path_factory.mktemp("hub")
    model = write_model(root / "model")
    cut = shutil.copytree(model, root / "cut")
    shorten(cut / "model.safetensors")
    (root / "empty").mkdir()
    (root / "empty" / "README.md").write_text("No weights here.")
    repositories = {"openai-community/gpt2": model, "a/flaky": model, "a/cut": cut, "a/empty": root / "empty"}
    names = ["gpt2", "a/none", "a/private", "a/empty", "a/cut", "a/flaky", "a/flaky", "a/wrong name"]
    with serve(repositories, private="a/private", flaky="a/flaky") as endpoint:
        there = load_in_a_process(names, endpoint, root / "home")
    gone = load_in_a_process(["gpt2", "a/other"], endpoint, root / "home")
    keys = ["gpt2", "none", "private", "empty", "cut", "flaky", "flaky again", "wrong", "gpt2 offline", "other offline"]
    return dict(zip(keys, there + gone, strict=True))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("gpt2", "loaded 24"),
        ("none", "the Hugging Face Hub has no public model of that name: check its spelling"),
        ("wrong", "the Hugging Face Hub has no public model of that name: check its spelling"),
        ("private", "refused a/private: Client error '401"),
        ("empty", "has no config.json. A model's folder needs config.json, model.safetensors, tokenizer.json"),
        ("cut", "Is it cut short? Delete it and download or copy it again"),
        ("flaky", "refused a/flaky: Server error '503"),
        ("flaky again", "loaded 24"),
        ("gpt2 offline", "loaded 24"),
        ("other offline", "Can't reach the Hugging Face Hub for a/other, and it is not in the local cache. Check the"),
    ],
)
def test_a_load_from_the_hub_has_a_clear_message(said, case, message):
    assert message in said[case][0]


def test_a_missing_network_is_reported_at_once(said):
    assert said["other offline"][1] < 10  # seconds; a client that retried would take a minute


# Memory

PEAK = """
import sys
import torch, gpt2_lib
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
before = peak()
model = gpt2_lib.load_pretrained_gpt2(sys.argv[1])
with torch.inference_mode():
    model(torch.zeros(1, 8, dtype=torch.int64))  # weights that were only mapped would come in now
size = sum(p.numel() * p.element_size() for p in model.parameters())
print((peak() - before) / size)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells a process's peak memory there")
def test_loading_and_using_124m_peaks_at_no_more_than_1_15_times_its_size(tmp_path):
    model = GPT2(checkpoints.PRESETS["gpt2"])
    model.tokenizer = tokenizer()
    save_pretrained(model, tmp_path)
    del model
    done = subprocess.run([sys.executable, "-c", PEAK, tmp_path], capture_output=True, text=True, check=True)
    assert 1.0 <= float(done.stdout) <= 1.15


def test_conv1d_names_are_those_that_loading_turns():
    assert set(CONV1D) == set(checkpoints.TRANSPOSED)
