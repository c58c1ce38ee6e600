"""Tests of folders as other programs write them, and of the messages for those that can't be loaded."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
import torch
from foreign_folders import MAKES, edit, original, sharded, split_tokenizer, stored, write
from safetensors.torch import save_file
from tiny import bpe_of, random_ids, tokenizer, tokenizer_with_end

from gpt2_lib import CheckpointError, load_pretrained_gpt2
from gpt2_lib.storage.packed import save_packed
from gpt2_lib.tokenizer import END


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path, original())
    return tmp_path


@pytest.mark.parametrize("make", MAKES)
@torch.inference_mode()
def test_a_folder_of_another_make_is_the_same_model(make, tmp_path):
    model = MAKES[make](tmp_path)
    loaded = load_pretrained_gpt2(tmp_path)
    ids = random_ids(model.config, 2, 20)
    torch.testing.assert_close(loaded(ids), model(ids), rtol=0, atol=1e-6)
    if model.tokenizer is None:
        assert loaded.tokenizer is None
    else:
        assert loaded.tokenizer is not None
        for text in ("to be, ü", f"a{END}b", "a</s>b", " to"):
            assert loaded.tokenizer.encode(text) == model.tokenizer.encode(text)
        assert bpe_of(loaded).end_of_text == bpe_of(model).end_of_text
        assert loaded.config.eos_token_id == bpe_of(model).end_of_text


def test_ids_in_generation_config_go_first_and_those_outside_of_the_vocabulary_are_none(folder):
    edit(folder / "config.json", eos_token_id=5, bos_token_id=300, pad_token_id=True)
    (folder / "generation_config.json").write_text('{"eos_token_id": [9, 10]}')
    loaded = load_pretrained_gpt2(folder)
    assert (loaded.config.bos_token_id, loaded.config.eos_token_id, loaded.config.pad_token_id) == (None, 9, None)
    assert bpe_of(loaded).end_of_text == 9
    assert loaded.config.other_ends == (10,)
    assert bpe_of(loaded).encode("to be, ü") == tokenizer().encode("to be, ü")  # 9 is text as before


def test_a_limit_and_padding_in_the_tokenizer_are_not_applied(folder):
    """transformers keeps them in tokenizer.json, where an earlier call has set them, and does not apply them."""
    bpe = json.loads((folder / "tokenizer.json").read_text())
    limit = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    padding = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0}
    padding |= {"pad_type_id": 0, "pad_token": "t"}
    (folder / "tokenizer.json").write_text(json.dumps(bpe | {"truncation": limit, "padding": padding}))
    found = load_pretrained_gpt2(folder).tokenizer
    assert found is not None
    assert found.encode("to be or not to be") == tokenizer().encode("to be or not to be")


@pytest.mark.parametrize(
    "token", [END, {"content": END, "lstrip": False, "single_word": False, "__type": "AddedToken"}]
)
@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
def test_tokens_that_transformers_4_added_beside_a_vocabulary_are_read(tmp_path, file, token):
    model = write(tmp_path, original(text=tokenizer_with_end()))
    end = bpe_of(model).end_of_text
    split_tokenizer(tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps({text: i for text, i in vocabulary.items() if i != end}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({END: end}))
    (tmp_path / file).write_text(json.dumps({"eos_token": token, "bos_token": None}))
    found = bpe_of(load_pretrained_gpt2(tmp_path))
    assert found.end_of_text == end
    assert found.encode(f"to{END}be") == bpe_of(model).encode(f"to{END}be")
    (tmp_path / "added_tokens.json").write_text(json.dumps({END: 500}))
    with pytest.raises(CheckpointError, match=r"should have the id 500, and gets 299"):
        load_pretrained_gpt2(tmp_path)


# What is refused


def as_pickles(folder: Path, names: tuple[str, ...]) -> None:
    weights = {f"transformer.{name}": w for name, w in stored(original()).items()}
    weights["lm_head.weight"] = weights["transformer.wte.weight"]  # tied, as transformers 4 wrote it
    weights["transformer.h.0.attn.bias"] = torch.ones(1, 1, 4, 4, dtype=torch.uint8)
    for number, name in enumerate(names):
        torch.save(dict(list(weights.items())[number :: len(names)]), folder / name)
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "names", [("pytorch_model.bin",), ("pytorch_model-1.bin", "pytorch_model-2.bin"), ("final.pt",)]
)
def test_the_command_that_is_told_for_a_pickle_makes_the_folder_load_with_its_tokenizer(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    folder = tmp_path / "a [model], our's"
    folder.mkdir()
    write(folder, original(), n_positions=..., n_ctx=64)
    as_pickles(folder, names)
    with pytest.raises(CheckpointError, match="This command") as refused:
        load_pretrained_gpt2(folder)
    command = str(refused.value).partition("of it: ")[2].removesuffix(".")
    subprocess.run(shlex.split(command), check=True)
    found = load_pretrained_gpt2(folder)
    assert found.tokenizer is not None
    assert all(torch.equal(p, q) for p, q in zip(found.parameters(), original().parameters(), strict=True))


def test_a_pickle_beside_no_model_is_not_told_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "ck.pt").write_bytes(b"a checkpoint of something")
    with pytest.raises(CheckpointError, match=r"has no config\.json\. A model's folder needs .*\.json\.$"):
        load_pretrained_gpt2(tmp_path)


@pytest.mark.parametrize("name", ["gpt2-mini", "gpt2"])
def test_a_name_that_is_a_published_models_and_a_folders_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name, original())
    with pytest.raises(CheckpointError, match=rf"'{name}' is a published model, and a folder in .*write \./{name} for"):
        load_pretrained_gpt2(name)
    for folder in (f"./{name}", Path(name)):
        assert load_pretrained_gpt2(folder).config.n_embd == original().config.n_embd


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Weights changed by name, in which a dot is written __; None takes one away."""
    weights = stored(original()) | {name.replace("__", "."): w for name, w in tensors.items()}
    save_file({name: w for name, w in weights.items() if w is not None}, folder / "model.safetensors")


def rename(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)


def into(folder: Path, below: str) -> None:
    (folder / below).mkdir(parents=True)
    for file in [path for path in folder.iterdir() if path.is_file()]:
        file.rename(folder / below / file.name)


INDEX = "model.safetensors.index.json"


def in_three_files(folder: Path, file: str | None = None) -> None:
    sharded(folder)
    if file is not None:
        index = json.loads((folder / INDEX).read_text())
        index["weight_map"]["wte.weight"] = file
        (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: rename(f, "pytorch_model.bin"),
            r"There is pytorch_model\.bin, but it is a pickle.*weights_only=True",
        ),
        (lambda f: rename(f, "pytorch_model-00001-of-00002.bin"), r"pytorch_model-00001-of-00002\.bin.*pickle"),
        (lambda f: rename(f, "tf_model.h5"), r"tf_model\.h5.*from_tf"),
        (lambda f: rename(f, "flax_model.msgpack"), r"flax_model\.msgpack.*from_flax"),
        (lambda f: rename(f, "model-f16.gguf"), r"model-f16\.gguf.*gguf_file"),
        (lambda f: rename(f, "adapter_model.safetensors"), r"adapter_model\.safetensors.*merge_and_unload"),
        (lambda f: rename(f, "gpt2.bin"), r"There is gpt2\.bin, but it is a pickle"),
        (lambda f: rename(f, "final.pt"), r"There is final\.pt, but it is a pickle"),
        (lambda f: rename(f, "model.fp16.safetensors"), r"model\.fp16\.safetensors.*a variant: give model\.safe"),
        (lambda f: rename(f, "weights.safetensors"), r"weights\.safetensors, but it has another name"),
        (lambda f: rename(f, "model.onnx"), r"model\.onnx, but it is ONNX's"),
        (lambda f: (in_three_files(f), (f / INDEX).unlink()), r"00001-of-00003\.safetensors.*need model\.safe.*index"),
        (lambda f: rename(f, "training_args.bin"), r"has no model\.safetensors\. A model's folder needs .*\.json\.$"),
        (lambda f: (f / "config.json").unlink(), r"has no config\.json\. A model's folder needs .*\.json\.$"),
        (lambda f: into(f, "checkpoint-500"), r"There is a model in checkpoint-500: give that folder"),
        (lambda f: into(f, "snapshots/0a1b"), r"There is a model in snapshots.0a1b: give that folder"),
        (lambda f: edit(f / "config.json", n_layer=1), r"has 12 tensors that this GPT-2 lacks, such as 'h\.1\."),
        (lambda f: change(f, score__weight=torch.ones(2, 24)), r"1 tensors that this GPT-2 lacks.*'score\.weight'"),
        (lambda f: change(f, h__9__attn__bias=torch.ones(1)), r"lacks, such as 'h\.9\.attn\.bias'"),
        (lambda f: change(f, transformer__wte__weight=torch.ones(300, 24)), "twice, with the prefix"),
        (lambda f: change(f, h__0__mlp__c_fc__bias=torch.ones(96, dtype=torch.int8)), r"c_fc\.bias is torch\.int8"),
        (lambda f: change(f, wpe__weight=torch.ones(64, 24, dtype=torch.int32)), r"wpe\.weight is torch\.int32"),
        (lambda f: change(f, ln_f__bias=torch.ones(24, dtype=torch.bool)), r"ln_f\.bias is torch\.bool"),
        (lambda f: change(f, wte__weight=torch.ones(300, 24, dtype=torch.complex64)), r"wte\.weight is torch\.complex"),
        (
            lambda f: (in_three_files(f), (f / "model-00002-of-00003.safetensors").unlink()),
            "lacks model-00002-of-00003",
        ),
        (lambda f: (in_three_files(f), (f / INDEX).write_text("{}")), "Can't read .*index.json"),
        (lambda f: (in_three_files(f), (f / INDEX).write_text("[")), "Can't read .*index.json"),
        (lambda f: in_three_files(f, "../model.safetensors"), r"names '\.\./model\.safetensors'"),
        (lambda f: in_three_files(f, "/etc/passwd"), "names '/etc/passwd'"),
        (lambda f: in_three_files(f, "model-00002-of-00003.safetensors"), "Can't read .*model-00002.*wte.weight"),
        (lambda f: (f / "generation_config.json").write_text("{"), r"generation_config\.json is no GPT-2 config"),
        (lambda f: (f / "generation_config.json").write_text("[]"), r"generation_config\.json .* holds list"),
        (lambda f: (f / "config.json").write_text("[" * 10**5), r"config\.json is no GPT-2 configuration"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{"), r"config\.json is no GPT-2 configuration"),
        (lambda f: edit(f / "config.json", vocab_size="300"), r"config\.json .*vocab_size takes whole .*got '300'"),
        (lambda f: edit(f / "config.json", n_layer=2.0), r"n_layer takes whole numbers of at least 1; got 2\.0"),
        (lambda f: edit(f / "config.json", n_head=True), "n_head takes whole numbers of at least 1; got True"),
        (lambda f: edit(f / "config.json", n_positions=-1), "n_positions takes whole .*got -1"),
        (lambda f: edit(f / "config.json", n_embd=0), "n_embd takes whole .*got 0"),
        (lambda f: edit(f / "config.json", n_inner=96.5), r"neurons takes whole .*got 96\.5"),
        (lambda f: edit(f / "config.json", heads=[4, "4"]), "heads takes whole .*got '4'"),
        (lambda f: edit(f / "config.json", heads=[4]), "heads needs 2 positive numbers"),
        (lambda f: (f / "tokenizer.json").write_text("{"), r"Can't read the tokenizer in .*tokenizer\.json: "),
        (lambda f: (f / "tokenizer_config.json").write_text("{"), r"tokenizer_config\.json is no JSON"),
        (lambda f: (f / "special_tokens_map.json").write_text("[]"), r"special_tokens_map\.json holds list"),
        (lambda f: (f / "vocab.json").write_text("{}") and (f / "tokenizer.json").unlink(), "no tokenizer.json"),
        (
            lambda f: edit(f / "config.json", tie_word_embeddings=False),
            r"tie_word_embeddings to false, .* no head \(lm",
        ),
        (lambda f: edit(f / "config.json", activation_function="gelu"), "sets activation_function to 'gelu'"),
    ],
)
def test_a_folder_that_would_give_wrong_numbers_is_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(CheckpointError, match=f"(?s){message}"):
        load_pretrained_gpt2(folder)


@pytest.mark.parametrize("path", ["models/mine", "gpt2", "gpt2-mini"])
def test_a_path_is_never_a_name(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=rf"There is no folder {path} \(looked for in .*\): check its spelling"):
        load_pretrained_gpt2(Path(path))


def test_a_file_is_no_folder(tmp_path):
    save_packed(original(), tmp_path / "model.gpt2pack")
    for name in (tmp_path / "model.gpt2pack", str(tmp_path / "model.gpt2pack")):
        with pytest.raises(CheckpointError, match=r"is a file: give the model's folder.*load_packed"):
            load_pretrained_gpt2(name)
