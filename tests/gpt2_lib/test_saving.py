"""Tests of saving: all or nothing, never over another model, never a model that can't be loaded again."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from foreign_folders import edit, sharded
from safetensors import SafetensorError
from tiny import TINY, UNEVEN, bpe_of, random_ids, random_model, tokenizer, tokenizer_with_end
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from gpt2_lib import GPT2, CheckpointError, GPT2Config, files, load_pretrained_gpt2, save_pretrained
from gpt2_lib.deploy.extras import DeployError
from gpt2_lib.deploy.hugging_face import save_for_transformers
from gpt2_lib.storage.packed import load_packed, save_packed
from gpt2_lib.train import Recipe, Run


def with_text(model: GPT2) -> GPT2:
    model.tokenizer = tokenizer()
    return model


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a model's folder that also has a user's own file."""
    save_pretrained(with_text(random_model()), tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("mine")
    return tmp_path / "model"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def other_model() -> GPT2:
    """Of other sizes, so that a mixture of the two loads as neither, and with another tokenizer."""
    model = random_model(UNEVEN, seed=1)
    model.tokenizer = tokenizer_with_end()
    return model


def assert_is(folder: Path, model: GPT2) -> None:
    loaded = load_pretrained_gpt2(folder)
    assert loaded.config == model.config
    assert all(torch.equal(p, q) for p, q in zip(loaded.parameters(), model.parameters(), strict=True))
    text = [None if one.tokenizer is None else bpe_of(one).to_json() for one in (loaded, model)]
    assert text[0] == text[1]


# A write that fails


FULL = OSError(errno.ENOSPC, "No space left on device")
FULL_SAFETENSORS = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("error", [FULL, FULL_SAFETENSORS], ids=["system", "safetensors"])
@pytest.mark.parametrize("number", range(5))  # of the file that does not fit
def test_a_full_disk_leaves_the_old_model_and_no_part(folder, tmp_path, monkeypatch, number, error):
    before, real, written = contents(folder), files.write_through, []

    def full(path: Path, write: Callable[[Path], object]) -> None:
        written.append(path.name)
        if len(written) > number:
            path.write_bytes(b"half of it")
            raise error
        real(path, write)

    monkeypatch.setattr(files, "write_through", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*the disk is full.*is unchanged"):
        save_pretrained(other_model(), folder)
    assert contents(folder) == before
    written.clear()
    with pytest.raises(DeployError, match="the disk is full"):
        save_for_transformers(other_model(), tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("number", range(14))  # of the file that is in use: old ones are moved away, new ones in
def test_a_file_that_cannot_be_moved_leaves_the_old_model_or_the_new_one(folder, monkeypatch, number):
    before, real, moved = contents(folder), os.replace, []

    def in_use(source: Path, target: Path) -> None:
        moved.append(target)
        if len(moved) == number + 1:
            raise PermissionError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", in_use)
    new = other_model()
    try:
        save_pretrained(new, folder)
    except CheckpointError as error:
        assert "may not write" in str(error)  # noqa: PT017
        assert contents(folder) == before
    else:
        assert number >= len(moved)
        assert_is(folder, new)
        assert (folder / "notes.txt").read_text() == "mine"


def test_a_process_that_is_killed_leaves_the_old_model_or_the_new_one(tmp_path, monkeypatch):
    """At each place where it has moved a file: an error that no code catches, as a process that has gone."""

    class Killed(BaseException):
        pass

    old, new = with_text(random_model()), other_model()
    real, found = os.replace, []
    for number in range(20):
        folder, moved = tmp_path / str(number), []
        save_pretrained(old, folder)

        def replace(source: Path, target: Path, number: int = number, moved: list[Path] = moved) -> None:
            if len(moved) >= number:  # it is gone: what would be done to clean up is not done
                raise Killed
            moved.append(target)
            real(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", replace)
            patched.setattr(files.shutil, "rmtree", lambda *_, **__: None)
            try:
                save_pretrained(new, folder)
            except Killed:
                pass
            else:
                break
        assert_is(folder, new if number else old)
        save_pretrained(old, folder)
        assert_is(folder, old)
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
        found.append(number)
    assert len(found) > 6


def test_a_snapshot_that_breaks_off_leaves_no_part_behind(tmp_path, monkeypatch):
    run = Run(GPT2(GPT2Config(60, 16, 16, 1, 2)).init_weights(), Recipe(steps=4, batch=2), tmp_path / "run.pt")
    run.save()

    def full(_: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise FULL

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match="No space"):
        run.save()
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize("save", [save_pretrained, save_packed, save_for_transformers])
@pytest.mark.parametrize(
    "place", ["file", "file/model", "file/a/model", "x" * 300], ids=["file", "below", "deep", "long"]
)
def test_a_place_that_cannot_be_written_is_told_in_words(tmp_path, save, place):
    (tmp_path / "file").write_text("precious")
    if save is save_packed and place == "file":
        place = "."  # a file may be replaced, a folder not
    with pytest.raises((CheckpointError, DeployError), match=r"Can't write .*(hoose|Make room)|is there already"):
        save(with_text(random_model()), tmp_path / place)
    assert contents(tmp_path) == {"file": b"precious"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_rights_that_the_umask_gives(tmp_path, umask, rights):
    before = os.umask(umask)
    try:
        save_pretrained(other_model(), tmp_path / "a")
        save_for_transformers(other_model(), tmp_path / "b")
        save_packed(other_model(), tmp_path / "c" / "model.gpt2pack")
    finally:
        os.umask(before)
    found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*") if file.is_file()}
    assert len(found) == 6
    assert set(found.values()) == {rights}


# What is there already


def test_nothing_of_the_model_that_was_there_is_mixed_with_the_new_one(folder):
    (folder / "model.safetensors").unlink()
    sharded(folder)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", "generation_config.json"):
        (folder / name).write_text("{}")
    for name in ("pytorch_model.bin", "modeling_pruned_gpt2.py", "tokenizer.model", "vocab.txt", "chat_template.jinja"):
        (folder / name).write_text("old")
    (folder / "masks.safetensors").write_bytes(b"mine too")
    model = random_model(seed=1)  # it has no tokenizer
    save_pretrained(model, folder)
    assert sorted(contents(folder)) == ["config.json", "masks.safetensors", "model.safetensors", "notes.txt"]
    assert_is(folder, model)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({"config.json": '{"model_type": "bert"}', "model.safetensors": "weights"}, "holds a 'bert' model"),
        ({"config.json": '{"architectures": ["BertModel"]}', "pytorch_model.bin": "weights"}, "BertModel"),
        ({"config.json": '{"model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"]}'}, "Sequence"),
        ({"config.json": "[1, 2]"}, "describes no model"),
        ({"config.json": '{"debug": tru'}, "describes no model"),
        ({"model.safetensors": "weights"}, "holds model.safetensors, and no config.json"),
        ({"pytorch_model.bin": "weights"}, "holds pytorch_model.bin"),
        ({"adapter_model.safetensors": "weights", "adapter_config.json": "{}"}, "holds adapter_model.safetensors"),
        ({"model.gguf": "weights"}, r"holds model\.gguf"),
        ({"config.json": '{"model_type": "gpt2"}', "adapter_config.json": "{}"}, r"holds adapter_config\.json, an ad"),
        ({"config.json": '{"model_type": "pruned_gpt2", "architectures": ["Other"]}'}, "Other"),
    ],
)
def test_another_kind_of_model_is_not_overwritten(tmp_path, there, message):
    for name, text in there.items():
        (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match=f"{message}.*left as it is.*new folder"):
        save_pretrained(random_model(), tmp_path)
    assert contents(tmp_path) == before


def test_a_folder_with_other_things_takes_a_model(tmp_path):
    for name in ("run.pt", "learning_curve.csv", "README.md", "training.log"):
        (tmp_path / name).write_text("mine")
    save_pretrained(other_model(), tmp_path)
    assert_is(tmp_path, other_model())
    assert (tmp_path / "run.pt").read_text() == "mine"


# Models that are not plain


class LoRA(nn.Module):
    """As PEFT names its parts."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base.in_features, 2, bias=False)})


def block_of(model: GPT2):
    return model.h[0].mlp


def with_lora(model: GPT2) -> nn.Module:
    model.h[1].attn.c_attn = LoRA(model.h[1].attn.c_attn)  # pyright: ignore[reportAttributeAccessIssue]
    return model


def without_numbers(model: GPT2) -> nn.Module:
    return GPT2(model.config).to("meta")


def with_integers(model: GPT2) -> nn.Module:
    model.wpe.weight = nn.Parameter(model.wpe.weight.to(torch.int8), requires_grad=False)
    return model


def cut(model: GPT2) -> nn.Module:
    model.h[1].mlp.c_fc = nn.Linear(24, 95)
    return model


def with_a_head(model: GPT2) -> nn.Module:
    model.score = nn.Linear(24, 2)
    return model


def with_quantised_layers(model: GPT2) -> nn.Module:
    model.h[0].mlp.c_fc = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return model


CHANGES: dict[str, tuple[Callable[[GPT2], object], str]] = {
    "prune": (lambda m: prune.l1_unstructured(block_of(m).c_fc, "weight", 0.3), r"prune\.remove\(model\.h\[0\]\.mlp"),
    "prune of a bias": (lambda m: prune.random_unstructured(block_of(m).c_fc, "bias", 0.3), r"prune\.remove.*'bias'\)"),
    "weight_norm": (
        lambda m: parametrizations.weight_norm(block_of(m).c_proj),
        r"remove_parametrizations\(model\.h\[0\]\.mlp\.c_proj, 'weight'\)",
    ),
    "orthogonal": (lambda m: parametrizations.orthogonal(block_of(m).c_fc), "remove_parametrizations"),
    "old spectral_norm": (lambda m: spectral_norm(block_of(m).c_fc), r"remove_spectral_norm\(model\.h\[0\]\.mlp\.c_fc"),
    "LoRA": (with_lora, r"h\.1\.attn\.c_attn has an adapter.*merge_and_unload"),
    "meta": (without_numbers, "on the meta device"),
    "integers": (with_integers, "wpe.weight is of torch.int8"),
    "cut": (cut, r"h\.1\.mlp\.c_fc\.bias .*\(95,\), should be \(96,\)"),
    "another head": (with_a_head, r"score\.bias .*\(2,\), should be absent"),
    "no weight": (with_quantised_layers, r"h\.0\.mlp\.c_fc\.bias .*absent"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("save", [save_pretrained, save_packed, save_for_transformers])
def test_a_model_that_cannot_be_loaded_again_is_refused_by_name(folder, tmp_path, save, change):
    apply, message = CHANGES[change]
    model = with_text(random_model())
    changed = apply(model)
    wrapped = changed if isinstance(changed, GPT2) else model
    (tmp_path / "old.gpt2pack").write_bytes(b"old")
    before = contents(tmp_path)
    target = {save_pretrained: folder, save_packed: tmp_path / "old.gpt2pack"}.get(save, tmp_path / "new")
    with pytest.raises(ValueError, match=message):
        save(wrapped, target)
    assert contents(tmp_path) == before


def compiled_blocks(model: GPT2) -> nn.Module:
    for i, block in enumerate(model.h):
        model.h[i] = torch.compile(block)  # pyright: ignore[reportIndexIssue]
    return model


WRAPPERS = {
    "compiled": torch.compile,
    "DataParallel": nn.DataParallel,
    "both": lambda m: nn.DataParallel(torch.compile(m)),  # pyright: ignore[reportArgumentType]
    "compiled blocks": compiled_blocks,
}


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrappers_are_taken_off(tmp_path, wrap):
    model = with_text(random_model())
    wrapped = WRAPPERS[wrap](deepcopy(model))
    save_pretrained(wrapped, tmp_path / "a")
    save_packed(wrapped, tmp_path / "b")
    save_for_transformers(wrapped, tmp_path / "c")
    assert_is(tmp_path / "a", model)
    assert_is(tmp_path / "c", model)
    assert all(
        torch.equal(p, q) for p, q in zip(load_packed(tmp_path / "b").parameters(), model.parameters(), strict=True)
    )


def test_weights_that_share_memory_are_saved(tmp_path):
    """As after a flat buffer of all parameters, and in a model whose blocks are one."""
    model = with_text(random_model())
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    start = 0
    for p in model.parameters():
        p.data = flat[start : start + p.numel()].view(p.shape)
        start += p.numel()
    save_pretrained(model, tmp_path / "flat")
    assert_is(tmp_path / "flat", random_with_text())
    model = with_text(random_model())
    model.h[1] = model.h[0]  # pyright: ignore[reportIndexIssue]
    save_pretrained(model, tmp_path / "shared")
    ids = random_ids(TINY, 1, 9)
    with torch.inference_mode():
        torch.testing.assert_close(load_pretrained_gpt2(tmp_path / "shared")(ids), model(ids))


def random_with_text() -> GPT2:
    return with_text(random_model())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: nn.Linear(2, 2), "got Linear"),
        (lambda: LoRA(nn.Linear(2, 2)), "adapter: merge it"),
        (lambda: nn.DataParallel(nn.Linear(2, 2)), "got Linear"),
    ],
)
def test_another_kind_of_model_is_refused(tmp_path, model, message):
    for save, error in ((save_pretrained, TypeError), (save_packed, TypeError), (save_for_transformers, ValueError)):
        with pytest.raises(error, match=message):
            save(model(), tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_type_in_which_weights_overflow_is_refused(folder):
    model = random_model()
    with torch.no_grad():
        model.ln_f.weight[0] = 1e6
    before = contents(folder)
    with pytest.raises(ValueError, match=r"ln_f\.weight has numbers that are too large for torch\.float16"):
        save_pretrained(model, folder, dtype=torch.float16)
    with pytest.raises(ValueError, match=r"floating-point.*got torch\.int8"):
        save_pretrained(model, folder, dtype=torch.int8)
    assert contents(folder) == before


# The special tokens


@pytest.mark.parametrize("save", [save_pretrained, save_for_transformers])
def test_a_saved_folder_names_its_special_tokens(tmp_path, save):
    model = random_model()
    model.tokenizer = tokenizer_with_end()
    save(model, tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    described = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text())
    assert config["eos_token_id"] == config["bos_token_id"] == 299
    assert [described[role] for role in ("bos_token", "eos_token", "unk_token")] == 3 * ["<|endoftext|>"]
    assert described["model_input_names"] == ["input_ids", "attention_mask"]


@pytest.mark.parametrize(
    "ids",
    [{"bos_token_id": 3, "eos_token_id": 5, "pad_token_id": 7}, {"eos_token_id": 0}, {"eos_token_id": [5, 9, 7]}],
)
@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_ids_are_kept_by_every_way_of_saving(tmp_path, ids, with_tokenizer):
    model = random_model()
    model.tokenizer = tokenizer() if with_tokenizer else None
    save_pretrained(model, tmp_path / "a")
    edit(tmp_path / "a" / "config.json", **ids)
    first = load_pretrained_gpt2(tmp_path / "a")
    save_pretrained(first, tmp_path / "b")
    save_packed(load_pretrained_gpt2(tmp_path / "b"), tmp_path / "c")
    save_for_transformers(load_packed(tmp_path / "c"), tmp_path / "d")
    last = load_pretrained_gpt2(tmp_path / "d")
    end, *others = ids["eos_token_id"] if isinstance(ids["eos_token_id"], list) else [ids["eos_token_id"]]
    assert (last.config.bos_token_id, last.config.eos_token_id) == (ids.get("bos_token_id"), end)
    assert (last.config.pad_token_id, last.config.other_ends) == (ids.get("pad_token_id"), tuple(others))
    assert json.loads((tmp_path / "d" / "config.json").read_text())["eos_token_id"] == ids["eos_token_id"]
    if last.tokenizer is not None:
        assert bpe_of(last).end_of_text == end
        assert last.tokenizer.encode("to be, ü") == tokenizer().encode("to be, ü")


def test_roles_of_other_names_are_kept_in_a_packed_file(tmp_path):
    model = random_model()
    model.tokenizer = tokenizer_with_end(end="</s>", eos_token="</s>", pad_token="t")
    save_packed(model, tmp_path / "m")
    found = bpe_of(load_packed(tmp_path / "m"))
    assert found.special == {"eos_token": "</s>", "pad_token": "t"}
    assert found.end_of_text == 299
    assert found.encode("a</s>") == model.tokenizer.encode("a</s>")
