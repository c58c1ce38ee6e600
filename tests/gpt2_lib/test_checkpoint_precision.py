"""Tests of half precision in folders: what came so goes out so, and is measured as it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import TINY, random_ids, random_model, tokenizer

from gpt2_lib import (
    GPT2,
    ModelPruner,
    from_transformers,
    load_packed,
    load_pretrained_gpt2,
    remove_silenced,
    save_for_transformers,
    save_packed,
    save_pretrained,
    to_transformers,
)
from gpt2_lib.__main__ import main
from gpt2_lib.checkpoints.precision import HALVES, round_weights
from gpt2_lib.deploy.contents.metadata import metadata_of
from gpt2_lib.pruning.targets import prunable_weights
from gpt2_lib.train import Recipe, Run

TYPES = pytest.mark.parametrize("dtype", HALVES, ids=str)


def given(folder: Path, dtype: torch.dtype) -> Path:
    """A model's folder, with all weights in ``dtype``."""
    model = random_model()
    model.tokenizer = tokenizer()
    save_pretrained(model, folder, dtype)
    return folder


def dtypes_in(folder: Path) -> set[torch.dtype]:
    return {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()}


def written_dtype(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text())["dtype"]


@TYPES
@pytest.mark.parametrize("save", [save_pretrained, save_for_transformers])
def test_a_pruned_model_goes_out_as_is_asked_and_each_weight_is_rounded_once(
    tmp_path: Path, dtype: torch.dtype, save: Callable[..., object]
) -> None:
    model = load_pretrained_gpt2(given(tmp_path / "in", dtype))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    ModelPruner(model).prune("sparsegpt", 0.5, text=random_ids(TINY, 40, 32))  # what stays is no number of float16's
    save(model, tmp_path / "wide")
    assert dtypes_in(tmp_path / "wide") == {torch.float32}
    wide = dict(load_pretrained_gpt2(tmp_path / "wide").named_parameters())
    assert all(torch.equal(wide[name], p) for name, p in model.named_parameters())
    save(model, tmp_path / "out", dtype)
    assert dtypes_in(tmp_path / "out") == {dtype}
    assert written_dtype(tmp_path / "out") == str(dtype).removeprefix("torch.")
    again = dict(load_pretrained_gpt2(tmp_path / "out").named_parameters())
    for name, p in model.named_parameters():
        assert torch.equal(again[name], p.to(dtype).float())
    for name, w in prunable_weights(model).items():
        assert bool(((again[name] == 0) >= (w == 0)).all())


@TYPES
def test_transformers_opens_it_in_that_type_with_the_same_logits(tmp_path: Path, dtype: torch.dtype) -> None:
    model = load_pretrained_gpt2(given(tmp_path / "in", dtype))
    ModelPruner(model).prune("magnitude", 0.5)
    save_pretrained(model, tmp_path / "out", dtype)
    ids = random_ids(TINY, 3, 20)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").eval()
    wide = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    assert theirs.dtype == dtype
    with torch.no_grad():
        torch.testing.assert_close(wide(ids).logits, model(ids), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(theirs(ids).logits.float(), model(ids), rtol=0.05, atol=0.02)


@TYPES
def test_a_folder_of_transformers_in_several_files_comes_back_the_same(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=60, n_positions=16, n_embd=32, n_layer=2, n_head=4)
    config.bos_token_id = config.eos_token_id = None
    theirs: Any = transformers.GPT2LMHeadModel(config)  # whose decorators have no types
    theirs.to(dtype)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="40KB")
    assert len([*(tmp_path / "theirs").glob("*.safetensors")]) > 1
    model = load_pretrained_gpt2(tmp_path / "theirs")
    assert model.config.dtype is not None
    save_pretrained(model, tmp_path / "ours", getattr(torch, model.config.dtype))
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours")
    assert again.dtype == dtype
    assert again.config.dtype == dtype
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_another_type_can_be_asked_for(tmp_path: Path) -> None:
    model = load_pretrained_gpt2(given(tmp_path / "in", torch.float16))
    for save, dtype in ((save_pretrained, torch.float32), (save_for_transformers, torch.bfloat16)):
        save(model, tmp_path / str(dtype), dtype=dtype)
        assert dtypes_in(tmp_path / str(dtype)) == {dtype}
        assert written_dtype(tmp_path / str(dtype)) == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("other", [torch.float32, torch.bfloat16, torch.float64])
def test_a_folder_of_several_types_or_of_a_wider_one_is_one_of_float32(tmp_path: Path, other: torch.dtype) -> None:
    file = given(tmp_path / "in", torch.float16) / "model.safetensors"
    weights = load_file(file)
    save_file(weights | {"ln_f.weight": weights["ln_f.weight"].to(other)}, file, metadata={"format": "pt"})
    model = load_pretrained_gpt2(tmp_path / "in")
    assert model.config.dtype is None
    save_pretrained(model, tmp_path / "out")
    assert dtypes_in(tmp_path / "out") == {torch.float32}
    assert written_dtype(tmp_path / "out") == "float32"


def test_the_type_is_that_of_the_weights_and_not_what_the_configuration_claims(tmp_path: Path) -> None:
    path = given(tmp_path / "in", torch.float32) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"torch_dtype": "float16", "dtype": "float16"}))
    model = load_pretrained_gpt2(tmp_path / "in")
    assert model.config.dtype is None
    save_pretrained(model, tmp_path / "out")
    assert dtypes_in(tmp_path / "out") == {torch.float32}
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written["dtype"] == "float32"
    assert "torch_dtype" not in written


def smaller(model: GPT2) -> GPT2:
    ModelPruner(model).prune("structured", 0.25)
    return remove_silenced(model)


WAYS: dict[str, Callable[[GPT2], GPT2]] = {
    "with units removed": smaller,
    "shrunk": lambda model: ModelPruner(model).remove_structures(0.25, 0.25),
    "from transformers in memory": lambda model: from_transformers(to_transformers(model).bfloat16()),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_model_made_of_another_knows_its_folders_type(tmp_path: Path, way: str) -> None:
    assert WAYS[way](load_pretrained_gpt2(given(tmp_path / "in", torch.bfloat16))).config.dtype == "bfloat16"


@TYPES
def test_a_model_in_half_precision_in_memory_is_saved_so(tmp_path: Path, dtype: torch.dtype) -> None:
    save_pretrained(random_model().to(dtype), tmp_path)
    assert dtypes_in(tmp_path) == {dtype}


def test_other_files_are_the_same_as_of_a_folder_in_float32(tmp_path: Path) -> None:
    """Earlier versions read them, and go on from snapshots, which compare the configuration."""
    half = load_pretrained_gpt2(given(tmp_path / "in", torch.float16))
    wide = load_pretrained_gpt2(given(tmp_path / "in", torch.float16))
    wide.config = replace(wide.config, dtype=None)
    assert metadata_of(half) == metadata_of(wide)
    for name, model in {"half": half, "wide": wide}.items():
        save_packed(model, tmp_path / name)
    assert (tmp_path / "half").read_bytes() == (tmp_path / "wide").read_bytes()
    assert load_packed(tmp_path / "half").config.dtype is None
    assert Run(half, Recipe(steps=1)).identity() == Run(wide, Recipe(steps=1)).identity()


def test_weights_are_rounded_all_or_none() -> None:
    model = random_model(TINY)
    with torch.no_grad():
        model.ln_f.weight[0] = 1e6
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match=r"ln_f\.weight has numbers that are too large for torch\.float16"):
        round_weights(model, torch.float16)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    round_weights(model, torch.bfloat16)
    assert all(torch.equal(p, before[name].bfloat16().float()) for name, p in model.named_parameters())


@TYPES
@pytest.mark.parametrize("method", ["sparsegpt", "structured"])
def test_prune_measures_what_it_writes_and_says_the_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: torch.dtype, method: str
) -> None:
    for name, text in (("train", "Whether 'tis nobler in the mind to suffer\n"), ("test", "To be, or not to be:\n")):
        (tmp_path / f"{name}.txt").write_text(text * 60, encoding="utf-8")
    texts = ["--calibrate", str(tmp_path / "train.txt"), "--test", str(tmp_path / "test.txt")]
    common = [*texts, "--method", method, "--sparsity", "0.5", "--json", str(tmp_path / "found.json")]
    main(["prune", str(given(tmp_path / "in", dtype)), str(tmp_path / "out"), *common])
    name = str(dtype).removeprefix("torch.")
    assert f"with weights in {name}: measured with these, in float32" in capsys.readouterr().out
    assert dtypes_in(tmp_path / "out") == {dtype}
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["dtype"] == name
    main(["evaluate", str(tmp_path / "out"), *texts[2:], "--json", str(tmp_path / "again.json")])
    (again,) = json.loads((tmp_path / "again.json").read_text())["rows"]
    assert again["perplexity"] == found["rows"][1]["perplexity"]
    assert again["sparsity"] == found["rows"][1]["sparsity"]
    capsys.readouterr()
    main(["prune", str(tmp_path / "in"), str(tmp_path / "wide"), *common, "--dtype", "float32"])
    assert capsys.readouterr().out.count("with weights in float32\n") == 1
    assert dtypes_in(tmp_path / "wide") == {torch.float32}


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
def test_compare_says_that_it_measures_before_rounding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: torch.dtype
) -> None:
    (tmp_path / "test.txt").write_text("To be, or not to be:\n" * 30, encoding="utf-8")
    given(tmp_path / "in", dtype)
    options = ["--methods", "magnitude", "--sparsity", "0.5", "--test", str(tmp_path / "test.txt")]
    main(["compare", str(tmp_path / "in"), *options])
    said = f"prune rounds the weights to {str(dtype).removeprefix('torch.')}, which {tmp_path / 'in'} has"
    assert (said in capsys.readouterr().out) == (dtype in HALVES)


def test_prune_refuses_a_type_without_room_for_the_weights_and_writes_nothing(tmp_path: Path) -> None:
    model = random_model()
    model.tokenizer = tokenizer()
    with torch.no_grad():
        model.ln_f.weight[0] = 1e6
    save_pretrained(model, tmp_path / "in")
    no_text = ["--test", str(tmp_path / "nowhere.txt")]  # which is not read before
    options = ["--method", "magnitude", "--sparsity", "0.5", *no_text, "--dtype", "float16"]
    with pytest.raises(SystemExit, match=r"ln_f\.weight has numbers that are too large for torch\.float16"):
        main(["prune", str(tmp_path / "in"), str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()
