"""Tests of GPT-2 in ONNX: PyTorch's numbers, in one file, never half written."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny import TINY, UNEVEN, random_ids, random_model, tokenizer

from gpt2_lib import evaluate, generate, held_out_windows, load_pretrained_gpt2
from gpt2_lib.config import PRESETS
from gpt2_lib.deploy import onnx as target
from gpt2_lib.deploy.contents.onnx_graph import quantize
from gpt2_lib.deploy.extras import DeployError, MissingExtraError
from gpt2_lib.deploy.onnx import OnnxGPT2, export_onnx
from gpt2_lib.generate import generate_ids
from gpt2_lib.gpt2 import GPT2
from gpt2_lib.pruning.surgery import shrink

LEAST = replace(TINY, heads=(1, 1), neurons=(1, 1))


@pytest.fixture(scope="module")
def mini() -> GPT2:
    return load_pretrained_gpt2()


@pytest.fixture(scope="module")
def mini_int8(mini, tmp_path_factory) -> OnnxGPT2:
    return OnnxGPT2(export_onnx(mini, tmp_path_factory.mktemp("int8") / "mini.onnx", int8=True), threads=1)


def in_onnx(model: GPT2, folder: Path, int8: bool = False) -> OnnxGPT2:
    return OnnxGPT2(export_onnx(model, folder / "model.onnx", int8), threads=1)


@torch.inference_mode()
def error(model: GPT2, exported: OnnxGPT2, ids: torch.Tensor) -> float:
    """The largest difference of a logit."""
    ours = exported.logits(ids)
    assert ours.shape == (*ids.shape, model.config.vocab_size)
    assert ours.dtype == np.float32
    return float(np.abs(ours - model(ids).numpy()).max())


# The same numbers.


@pytest.mark.parametrize("config", [TINY, UNEVEN, LEAST], ids=["dense", "uneven", "least"])
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_are_those_of_pytorch_at_every_length(config, batch, tmp_path):
    model = random_model(config)
    exported = in_onnx(model, tmp_path)
    for length in range(1, config.n_positions + 1):
        assert error(model, exported, random_ids(config, batch, length, seed=length)) < 1e-4


@pytest.mark.parametrize("batch", [1, 3])
def test_the_bundled_model_has_the_same_logits_up_to_its_whole_context(mini, tmp_path, batch):
    exported = in_onnx(mini, tmp_path)
    text = held_out_windows(mini.tokenizer, mini.config.n_positions, 3)
    for length in (1, 2, 17, 128, 256):
        assert error(mini, exported, text[:batch, :length]) < 1e-4


def test_a_model_shrunk_by_surgery_has_the_same_logits(mini, tmp_path):
    heads, neurons = {0: torch.tensor([1, 3]), 2: torch.tensor([0])}, {1: torch.arange(0, 700, 3)}
    smaller = shrink(mini, heads, neurons)
    assert len(set(smaller.config.heads)) > 1
    assert len(set(smaller.config.neurons)) > 1
    exported = in_onnx(smaller, tmp_path)
    assert exported.config == smaller.config
    assert error(smaller, exported, held_out_windows(mini.tokenizer, 128, 2)) < 1e-4


def test_half_precision_weights_are_exported_as_float32(tmp_path):
    model = random_model().half()
    assert error(model.float(), in_onnx(model, tmp_path), random_ids(TINY, 2, 9)) < 1e-4


@pytest.mark.parametrize("int8", [False, True])
def test_tokens_read_in_pieces_give_what_they_give_at_once(int8, tmp_path):
    exported = in_onnx(random_model(UNEVEN), tmp_path, int8)
    ids = random_ids(UNEVEN, 2, 30)
    whole = exported.logits(ids)
    past, start = None, 0
    for end in (7, 8, 9, 20, 30):  # several tokens after a past, too
        piece, past = exported.step(ids[:, start:end], past)
        # int8 rounds a whole tensor by its largest entry, so a piece is rounded a little differently.
        np.testing.assert_allclose(piece, whole[:, start:end], atol=0.5 if int8 else 1e-4)
        assert past[0].shape() == [2, 3, end, UNEVEN.head_size]
        start = end


def test_only_the_last_logits_are_computed_when_no_others_are_wanted(tmp_path):
    exported = in_onnx(random_model(), tmp_path)
    ids = random_ids(TINY, 2, 11)
    last, _ = exported.step(ids, last=1)
    assert last.shape == (2, 1, TINY.vocab_size)
    np.testing.assert_allclose(last[:, 0], exported.logits(ids)[:, -1], atol=1e-5)


# int8.


def test_int8_keeps_the_quality_of_the_bundled_model(mini, mini_int8):
    """Tolerance: perplexity up by 1 % at most, accuracy down by half a point at most."""
    text = held_out_windows(mini.tokenizer, mini.config.n_positions, 20)
    dense, small = evaluate(mini, text), mini_int8.evaluate(text)
    assert small.tokens == dense.tokens
    assert small.perplexity < 1.01 * dense.perplexity
    assert small.accuracy > dense.accuracy - 0.005


def test_int8_is_a_third_of_the_size_at_most(mini, mini_int8, tmp_path):
    dense = in_onnx(mini, tmp_path)
    assert dense.size > 4 * sum(p.numel() for p in mini.parameters())
    assert mini_int8.size * 3 <= dense.size


def test_int8_is_close_to_pytorch_with_uneven_blocks(tmp_path):
    model = random_model(UNEVEN)
    ids = random_ids(UNEVEN, 3, 32)
    with torch.inference_mode():
        spread = model(ids).std().item()
    assert 0 < error(model, in_onnx(model, tmp_path, int8=True), ids) < 0.15 * spread


@pytest.mark.parametrize("width", [1, 2, 5, 64])
def test_no_two_neighbours_overflow_sixteen_bits_with_unsigned_inputs(width):
    weight = torch.randn(200, width, generator=torch.Generator().manual_seed(0))
    weight[0] = 1.0  # the worst case: all the same, and the largest
    weight[1] = -1.0
    weight[2] = 0.0
    q, scale = quantize(weight)
    assert q.dtype == torch.int8
    assert q.shape == weight.shape
    assert ((q.float() * scale[:, None] - weight).abs() <= scale[:, None] * 0.5001).all()
    pairs = torch.stack([q[:, :-1].int(), q[:, 1:].int()])
    assert (255 * pairs.clamp(min=0).sum(0) < 2**15).all()
    assert (255 * pairs.clamp(max=0).sum(0) >= -(2**15)).all()
    assert not q[2].any()


def test_weights_that_were_pruned_stay_zero_in_int8(tmp_path):
    weight = torch.randn(8, 16)
    weight[:, ::2] = 0
    q, _ = quantize(weight)
    assert not q[:, ::2].any()


# Text.


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["dense", "uneven"])
def test_greedy_ids_are_those_of_the_library_beyond_the_context(config, tmp_path):
    model = random_model(config)
    ids = random_ids(config, 1, 10)
    expected = [int(i) for i in generate_ids(model, ids, 70, temperature=0)]
    assert len(set(expected)) > 5
    exported = in_onnx(model, tmp_path)
    assert list(exported.generate_ids(ids, 70, temperature=0)) == expected
    assert list(exported.generate_ids(ids[0].tolist(), 70, temperature=0)) == expected


def test_a_seed_gives_the_same_text_as_in_pytorch(mini, tmp_path):
    exported = in_onnx(mini, tmp_path)
    assert exported.tokenizer is not None
    assert exported.tokenizer.encode("To be") == mini.tokenizer.encode("To be")
    assert exported.generate("To be", 40, seed=3) == generate(mini, "To be", 40, seed=3)
    assert exported.generate("To be", 40, seed=3) != exported.generate("To be", 40, seed=4)


def test_a_prompt_longer_than_the_context_is_cut_as_the_library_does(tmp_path):
    model = random_model()
    ids = random_ids(TINY, 1, 3 * TINY.n_positions)
    expected = [int(i) for i in generate_ids(model, ids, 5, temperature=0)]
    assert list(in_onnx(model, tmp_path).generate_ids(ids, 5, temperature=0)) == expected


def test_two_texts_at_once_do_not_mix(tmp_path):
    exported = in_onnx(random_model(), tmp_path)
    first, second = random_ids(TINY, 1, 5, seed=1), random_ids(TINY, 1, 9, seed=2)
    alone = [list(exported.generate_ids(ids, 12, temperature=0)) for ids in (first, second)]
    streams = [exported.generate_ids(ids, 12, temperature=0) for ids in (first, second)]
    together = list(zip(*streams, strict=True))
    assert [list(ids) for ids in zip(*together, strict=True)] == alone


def test_quality_is_measured_as_for_a_gpt2(mini, tmp_path):
    text = held_out_windows(mini.tokenizer, 64, 4)
    ours, theirs = in_onnx(mini, tmp_path).evaluate(text), evaluate(mini, text)
    assert ours.loss == pytest.approx(theirs.loss, abs=1e-4)
    assert ours.bits_per_character == pytest.approx(theirs.bits_per_character, abs=1e-4)
    assert ours.accuracy == pytest.approx(theirs.accuracy, abs=0.005)


# The file.


@pytest.mark.parametrize("int8", [False, True])
def test_the_file_is_valid_and_holds_all_it_needs(int8, tmp_path):
    model = random_model(UNEVEN)
    model.tokenizer = tokenizer()
    path = export_onnx(model, tmp_path / "new" / "model.onnx", int8)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]
    exported = OnnxGPT2(path)
    assert exported.size == path.stat().st_size
    assert exported.config == UNEVEN
    assert exported.tokenizer is not None
    assert exported.tokenizer.encode("to be") == model.tokenizer.encode("to be")


def test_the_head_is_stored_once(mini, tmp_path):
    weights = sum(p.numel() for p in mini.parameters())
    assert in_onnx(mini, tmp_path).size < 4 * weights + 300_000  # the tokenizer and the graph itself


def test_the_same_model_gives_the_same_bytes(tmp_path):
    first, second = (export_onnx(random_model(), tmp_path / name) for name in ("a.onnx", "b.onnx"))
    assert first.read_bytes() == second.read_bytes()


def test_an_export_leaves_the_model_as_it_was(tmp_path):
    model = random_model()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    export_onnx(model, tmp_path / "model.onnx", int8=True)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


# What goes wrong.


def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = export_onnx(random_model(), tmp_path / "model.onnx")
    before = path.read_bytes()

    def full_disk(self, data):
        with open(self, "wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(DeployError, match="No space left"):
        export_onnx(random_model(UNEVEN), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DeployError, match=r"Can't write .*model\.onnx"):
        export_onnx(random_model(), tmp_path / "file" / "model.onnx")
    assert os.listdir(tmp_path) == ["file"]


def test_a_model_without_values_is_refused_in_words(tmp_path):
    with torch.device("meta"):
        model = GPT2(PRESETS["gpt2-xl"])
    with pytest.raises(NotImplementedError, match=r"wte\.weight has no values.*load the weights first"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_another_kind_of_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Only a GPT2"):
        export_onnx(torch.nn.Linear(2, 2), tmp_path / "model.onnx")  # pyright: ignore[reportArgumentType]  # no GPT2


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("name", ["wte.weight", "h.0.mlp.c_fc.weight", "h.1.attn.c_proj.bias", "ln_f.weight"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e300])
def test_weights_that_are_no_numbers_are_refused_by_their_name(name, value, int8, tmp_path):
    model = random_model().double() if value == 1e300 else random_model()  # too large for float32
    model.get_parameter(name).data.view(-1)[-1] = value
    with pytest.raises(ValueError, match=rf"{name} has NaN or infinite"):
        export_onnx(model, tmp_path / "model.onnx", int8)
    assert not list(tmp_path.iterdir())


# Weights beside the file: as of a model of more than 2 GiB.


@pytest.fixture
def beside(monkeypatch):
    """Lower the size limit of a file."""
    monkeypatch.setattr(target, "LARGEST", 5_000)


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["dense", "uneven"])
def test_weights_too_large_for_one_file_lie_beside_it(config, int8, tmp_path):
    model = random_model(config)
    model.tokenizer = tokenizer()
    path = export_onnx(model, tmp_path / "new" / "model.onnx", int8)
    (data,) = (file for file in path.parent.iterdir() if file != path)
    assert data.name.startswith("model.onnx.")
    stored = onnx.load(path, load_external_data=False).graph.initializer
    assert max(len(weight.raw_data) for weight in stored) < 1024
    onnx.checker.check_model(str(path), full_check=True)
    exported = OnnxGPT2(path, threads=1)
    assert exported.size == path.stat().st_size + data.stat().st_size
    ids = random_ids(config, 2, 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "LARGEST", 2**31 - 1)
        alone = OnnxGPT2(export_onnx(model, tmp_path / "alone.onnx", int8), threads=1)
    assert np.array_equal(exported.logits(ids), alone.logits(ids))


@pytest.mark.usefixtures("beside")
def test_the_folder_with_the_weights_beside_it_can_move(tmp_path):
    export_onnx(random_model(), tmp_path / "a" / "model.onnx")
    (tmp_path / "a").rename(tmp_path / "b")
    assert error(random_model(), OnnxGPT2(tmp_path / "b" / "model.onnx"), random_ids(TINY, 1, 5)) < 1e-4


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("harm", [lambda data: data.unlink(), lambda data: data.write_bytes(data.read_bytes()[:5000])])
def test_weights_that_are_missing_or_cut_short_are_told(harm, tmp_path):
    path = export_onnx(random_model(), tmp_path / "model.onnx")
    harm(next(tmp_path.glob("*.data")))
    with pytest.raises(DeployError, match=r"\.data file that lay beside it"):
        OnnxGPT2(path)


def test_an_export_over_another_leaves_no_weights_of_it(beside, tmp_path, monkeypatch):
    path = export_onnx(random_model(), tmp_path / "model.onnx")
    other = tmp_path / "other.onnx.0123456789abcdef.data"
    other.touch()
    (first,) = tmp_path.glob("model.onnx.*.data")
    export_onnx(random_model(UNEVEN), path)
    (second,) = tmp_path.glob("model.onnx.*.data")
    assert first != second
    export_onnx(random_model(UNEVEN), path)  # the same weights, the same name
    assert list(tmp_path.glob("model.onnx.*.data")) == [second]
    monkeypatch.setattr(target, "LARGEST", 2**31 - 1)
    export_onnx(random_model(), path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", other.name]


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("moment", ["weights", "file"])
def test_an_export_that_breaks_off_leaves_the_old_weights_and_nothing_else(moment, tmp_path, monkeypatch):
    path = export_onnx(random_model(), tmp_path / "model.onnx")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if moment == "weights":
        monkeypatch.setattr(target._ExternalData, "store", full_disk)
    else:
        monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(DeployError, match="No space left"):
        export_onnx(random_model(UNEVEN), path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("last", [0, -1, 6])
def test_logits_of_no_positions_or_of_more_than_there_are_are_refused(last, tmp_path):
    exported = in_onnx(random_model(), tmp_path)
    with pytest.raises(ValueError, match=f"1 to 5 last positions can be had; got last={last}"):
        exported.step(random_ids(TINY, 1, 5), last=last)


def test_a_text_ends_where_the_model_ends_it(tmp_path):
    model = random_model()
    ids = random_ids(TINY, 1, 5)
    made = list(in_onnx(model, tmp_path).generate_ids(ids, 20, temperature=0))
    end = made[7]
    model.config = replace(model.config, eos_token_id=end)  # of a checkpoint without a tokenizer
    exported = in_onnx(model, tmp_path)
    assert list(exported.generate_ids(ids, 20, temperature=0)) == made[: made.index(end)]
    assert list(exported.generate_ids(ids, 20, temperature=0, stop_at=None)) == made
    assert list(exported.generate_ids(ids, 20, temperature=0, stop_at=made[0])) == []


@pytest.mark.parametrize("part", [0.0, 0.3, 0.999])
def test_a_file_cut_short_is_refused(part, tmp_path):
    path = export_onnx(random_model(), tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(DeployError):
        OnnxGPT2(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(DeployError, match="There is no file"):
        OnnxGPT2(path)
    with pytest.raises(DeployError, match=r"is a folder: make a file of it with gpt2-pruning export .* model\.onnx"):
        OnnxGPT2(tmp_path)
    path.write_text("To be, or not to be")
    with pytest.raises(DeployError, match="can't read"):
        OnnxGPT2(path)
    proto = onnx.load(export_onnx(random_model(), path))
    del proto.metadata_props[:]
    onnx.save(proto, path)
    with pytest.raises(DeployError, match="not one that export_onnx wrote"):
        OnnxGPT2(path)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (np.array([1, 2]), "shape"),
        (np.zeros((1, 0), np.int64), "one token at least"),
        (np.array([[0.5]]), "integers"),
        (np.array([[TINY.vocab_size]]), "must lie in"),
        (np.array([[-1]]), "must lie in"),
        (np.zeros((1, TINY.n_positions + 1), np.int64), "33 tokens are more than the 32"),
    ],
)
def test_bad_ids_are_refused_with_plain_words(ids, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        in_onnx(random_model(), tmp_path).logits(ids)


def test_bad_wishes_for_text_are_refused(tmp_path):
    exported = in_onnx(random_model(), tmp_path)
    with pytest.raises(ValueError, match="no tokenizer"):
        exported.generate("To be")
    with pytest.raises(ValueError, match="One sequence"):
        next(exported.generate_ids(random_ids(TINY, 2, 3), 1))
    with pytest.raises(ValueError, match="temperature"):
        next(exported.generate_ids([1], 1, temperature=-1))
    with pytest.raises(ValueError, match="top_k"):
        next(exported.generate_ids([1], 1, top_k=0))
    with pytest.raises(ValueError, match="threads"):
        OnnxGPT2(tmp_path / "model.onnx", threads=0)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_says_which_command_adds_it(package, tmp_path, monkeypatch):
    path = export_onnx(random_model(), tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpt2-pruning-course\[deploy\]'"):
        export_onnx(random_model(), path) if package == "onnx" else OnnxGPT2(path)


def test_the_module_can_be_imported_without_the_extras(repository):
    code = "import sys; sys.modules |= {'onnx': None, 'onnxruntime': None}; import gpt2_lib.deploy.onnx"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=repository)
