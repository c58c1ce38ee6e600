"""Tests of packed files: exact round trips, true sizes, and refusal of damaged files."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tiny import TINY, UNEVEN, random_ids, random_model, tokenizer
from torch.nn.utils import prune

from gpt2_lib import GPT2, CheckpointError
from gpt2_lib.storage import packed
from gpt2_lib.storage.packed import HEADER, MAGIC, load_packed, pack, packed_bytes, packed_sizes, save_packed, unpack
from gpt2_lib.storage.quantize import dequantize_int8, quantize_int8

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8)


# One tensor


@st.composite
def sparse_tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of any dtype and up to three dimensions, none of them or all of them zeros."""
    shape = draw(st.lists(st.integers(0, 7), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    seed, sparsity = draw(st.integers(0, 1 << 30)), draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-127, 128, shape, generator=generator).to(dtype)
    if dtype.is_floating_point:
        weight = torch.randn(shape, generator=generator).to(dtype)
    return weight * (torch.rand(shape, generator=generator) >= sparsity).to(dtype)


@given(sparse_tensors())
def test_packed_and_unpacked_a_tensor_is_the_same(weight):
    again = unpack(*pack(weight), weight.shape)
    assert again.dtype == weight.dtype
    assert again.shape == weight.shape
    assert torch.equal(again, weight)


@given(sparse_tensors())
def test_the_bitmask_has_a_bit_an_entry_and_the_values_are_the_non_zeros_in_order(weight):
    bitmask, values = pack(weight)
    entries = weight.flatten().tolist()
    bits = "".join(f"{byte:08b}" for byte in bitmask.tolist())
    assert bitmask.dtype == torch.uint8
    assert bits == "".join("01"[e != 0] for e in entries).ljust(8 * ((len(entries) + 7) // 8), "0")
    assert values.tolist() == [e for e in entries if e != 0]


@given(sparse_tensors())
def test_packed_bytes_are_those_of_bitmask_and_values(weight):
    assert packed_bytes(weight) == sum(t.numel() * t.element_size() for t in pack(weight))


def test_the_first_entry_is_the_highest_bit():
    bitmask, values = pack(torch.tensor([[5.0, 0, 0, 0, 0, 0, 0, 6.0, 0, -7.0]]))
    assert bitmask.tolist() == [0b10000001, 0b01000000]
    assert values.tolist() == [5, 6, -7]


def test_a_negative_zero_comes_back_as_zero():
    again = unpack(*pack(torch.tensor([-0.0, 1.0])), (2,))
    assert again.signbit().tolist() == [False, False]


def test_nan_and_infinity_are_kept():
    weight = torch.tensor([float("nan"), 0.0, float("inf"), -float("inf")])
    torch.testing.assert_close(unpack(*pack(weight), (4,)), weight, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("weight", [torch.tensor(3.0), torch.tensor(0.0), torch.zeros(0), torch.zeros(3, 0)])
def test_one_entry_and_none(weight):
    assert torch.equal(unpack(*pack(weight), weight.shape), weight)


def test_a_transposed_view_is_packed_in_its_own_order():
    weight = torch.tensor([[1.0, 0, 2], [0, 3, 4]]).t()
    assert pack(weight)[1].tolist() == [1, 3, 2, 4]
    assert torch.equal(unpack(*pack(weight), weight.shape), weight)


@pytest.mark.parametrize(
    ("bitmask", "values", "shape"),
    [
        (torch.tensor([0b11000000], dtype=torch.uint8), torch.ones(3), (4,)),  # more values than ones
        (torch.tensor([0b11000000], dtype=torch.uint8), torch.ones(1), (4,)),  # fewer
        (torch.tensor([0b11000001], dtype=torch.uint8), torch.ones(3), (4,)),  # a one after the last entry
        (torch.tensor([0b11000001], dtype=torch.uint8), torch.ones(2), (4,)),
        (torch.tensor([0b11000000, 0], dtype=torch.uint8), torch.ones(2), (4,)),  # too long a mask
        (torch.tensor([0b11000000], dtype=torch.uint8), torch.ones(2), (3, 3)),  # too short a mask
        (torch.tensor([0b11000000]), torch.ones(2), (4,)),  # int64
        (torch.tensor([0b11000000], dtype=torch.uint8), torch.ones(2, 1), (4,)),
    ],
)
def test_a_mask_and_values_that_do_not_belong_together_are_refused(bitmask, values, shape):
    with pytest.raises(ValueError, match="bitmask"):
        unpack(bitmask, values, shape)


# A whole model


def matrices(model: GPT2) -> dict[str, torch.Tensor]:
    return {name: p for name, p in model.named_parameters() if name.startswith("h.") and p.dim() == 2}


@torch.no_grad()
def pruned(sparsity: float = 0.6, config=TINY, with_tokenizer: bool = True) -> GPT2:
    """A random model, a share of its matrices' entries exactly zero."""
    model = random_model(config)
    generator = torch.Generator().manual_seed(1)
    for p in matrices(model).values():
        p.masked_fill_(torch.rand(p.shape, generator=generator) < sparsity, 0.0)
    if with_tokenizer:
        model.tokenizer = tokenizer()
    return model


def assert_same_bits(ours: GPT2, theirs: GPT2) -> None:
    for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        assert q.dtype == torch.float32
        assert torch.equal(p.view(torch.int32), q.view(torch.int32)), name


def parts(path: Path) -> list[dict[str, torch.Tensor]]:
    """What is in a packed file, read without the library's own reader."""
    payload = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()[44:])
    found = []
    while payload:
        end = 8 + int.from_bytes(payload[:8], "little")
        found.append(safetensors.torch.load(payload[8:end]))
        payload = payload[end:]
    return found


@pytest.mark.parametrize("config", [TINY, UNEVEN, replace(UNEVEN, dropout=0.1)], ids=["even", "uneven", "dropout"])
@pytest.mark.parametrize("sparsity", [0.0, 0.6, 1.0])
def test_saved_and_loaded_a_model_has_the_same_bits(config, sparsity, tmp_path):
    model = pruned(sparsity, config)
    model.train()
    save_packed(model, tmp_path / "new" / "model.gpt2z")
    assert model.training
    again = load_packed(tmp_path / "new" / "model.gpt2z")
    assert_same_bits(model, again)
    assert again.config == model.config
    assert not again.training
    text = "To be, ü, or not"
    assert again.tokenizer is not None
    assert model.tokenizer is not None
    assert again.tokenizer.decode(again.tokenizer.encode(text)) == text
    assert again.tokenizer.encode(text) == model.tokenizer.encode(text)
    ids = random_ids(config, 2, 9)
    with torch.inference_mode():
        assert torch.equal(again(ids), model.eval()(ids))


@pytest.mark.parametrize("sparsity", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
def test_as_int8_every_matrix_is_exactly_q_times_scale_and_the_rest_the_same(config, sparsity, tmp_path):
    model = pruned(sparsity, config)
    save_packed(model, tmp_path / "m", int8=True)
    wanted = copy.deepcopy(model)
    with torch.no_grad():
        for p in wanted.parameters():
            if p.dim() == 2:
                p.copy_(dequantize_int8(*quantize_int8(p)) + 0.0)  # -0 becomes 0
    assert_same_bits(wanted, load_packed(tmp_path / "m"))
    assert not torch.equal(wanted.wte.weight, model.wte.weight)


def test_a_model_without_tokenizer_stays_without(tmp_path):
    save_packed(pruned(with_tokenizer=False), tmp_path / "m")
    assert load_packed(tmp_path / "m").tokenizer is None


def test_zeros_of_multiplied_masks_keep_their_sign(tmp_path):
    model = pruned()
    with torch.no_grad():
        model.h[0].mlp.c_fc.weight.mul_(-1.0)
    assert (model.h[0].mlp.c_fc.weight.signbit() & (model.h[0].mlp.c_fc.weight == 0)).any()
    save_packed(model, tmp_path / "m")
    assert_same_bits(model, load_packed(tmp_path / "m"))
    sizes = packed_sizes(model)
    assert sizes.packed < 1.03 * packed_sizes(pruned()).packed


def test_float64_is_refused_since_it_comes_back_as_float32(tmp_path):
    with pytest.raises(ValueError, match=r"float64.*model\.float\(\)"):
        save_packed(pruned().double(), tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["file/m", "file"])
def test_a_place_that_cannot_be_written_is_told_in_words(tmp_path, where):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" if where == "file" else tmp_path / where
    with pytest.raises(CheckpointError, match=r"Can't write .*Choose another|Can't write .*choose a place"):
        save_packed(pruned(), target)
    assert (tmp_path / "file").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_stored_as_such_and_comes_back_as_float32(dtype, tmp_path):
    model = pruned().to(dtype)
    sizes = save_packed(model, tmp_path / "m")
    assert 2 * sizes.values == packed_sizes(pruned()).values
    assert_same_bits(copy.deepcopy(model).float(), load_packed(tmp_path / "m"))


def test_a_loaded_model_can_be_trained_and_saved_again(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_packed(pruned(), tmp_path / "m")
        model = load_packed(tmp_path / "m")
        model(random_ids(TINY, 2, 9)).sum().backward()
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        save_packed(model, tmp_path / "m")
    assert_same_bits(model, load_packed(tmp_path / "m"))


def test_the_same_model_gives_the_same_file(tmp_path):
    for name in "ab":
        save_packed(pruned(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# Sizes


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("sparsity", [0.0, 0.6, 1.0])
def test_the_sizes_are_those_of_what_is_in_the_file(sparsity, int8, tmp_path):
    model = pruned(sparsity)
    sizes = save_packed(model, tmp_path / "m", int8)
    found = {"values": 0, "bitmask": 0, "scale": 0}
    payload = zstandard.ZstdDecompressor().decompressobj().decompress((tmp_path / "m").read_bytes()[44:])
    for part in parts(tmp_path / "m")[1:]:
        for name, tensor in part.items():
            found[name.rpartition(".")[2]] += tensor.numel() * tensor.element_size()
    assert (sizes.values, sizes.bitmasks, sizes.scales) == tuple(found.values())
    assert sizes.packed == len(payload)
    assert sizes.file == (tmp_path / "m").stat().st_size
    assert sizes.dense == 4 * sum(p.numel() for p in model.parameters())
    assert sizes == packed_sizes(model, int8)


def test_the_sizes_are_what_counting_by_hand_gives():
    model = pruned()
    every = sum(p.numel() for p in model.parameters())
    inside = sum(p.numel() for p in matrices(model).values())
    zeros = sum(int((p == 0).sum()) for p in matrices(model).values())
    plain, quantised = packed_sizes(model), packed_sizes(model, int8=True)
    assert plain.values == 4 * (every - zeros)
    assert plain.bitmasks == quantised.bitmasks == inside // 8  # sizes are multiples of 8
    assert plain.scales == 0
    assert quantised.scales == 4 * sum(len(p) for p in model.parameters() if p.dim() == 2)
    small = sum(p.numel() for p in model.parameters() if p.dim() == 1)  # biases and LayerNorm stay float32
    rounded = sum(int((quantize_int8(p)[0] == 0).sum()) for p in matrices(model).values())
    assert quantised.values == 4 * small + (every - small - rounded)


@pytest.mark.parametrize("int8", [False, True])
def test_each_matrix_is_packed_only_where_that_is_smaller(int8, tmp_path):
    model = random_model()
    with torch.no_grad():
        model.wte.weight[:200] = 0  # an embedding is never packed
        model.h[0].mlp.c_fc.weight[:48] = 0  # half of it
        flat = model.h[0].mlp.c_proj.weight.view(-1)
        flat[: flat.numel() // 32] = 0  # in float32 this just pays for the bitmask, and no more
        flat = model.h[1].mlp.c_proj.weight.view(-1)
        flat[: flat.numel() // 32 + 1] = 0
    save_packed(model, tmp_path / "m", int8)
    names = {name.removesuffix(".bitmask") for part in parts(tmp_path / "m") for name in part if "bitmask" in name}
    assert names == {"h.0.mlp.c_fc.weight"} | (set() if int8 else {"h.1.mlp.c_proj.weight"})


def test_the_sparser_the_smaller_and_int8_smaller_still():
    files = [packed_sizes(pruned(s), int8).file for int8 in (False, True) for s in (0.0, 0.5, 0.9)]
    assert files == sorted(files, reverse=True)


# What is refused, and what is said


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """The bytes of a good file."""
    path = tmp_path_factory.mktemp("packed") / "m"
    save_packed(pruned(), path)
    return path.read_bytes()


def refused(path: Path, content: bytes) -> str:
    """Return the error message for a file of this content."""
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load_packed(path)
    return str(error.value)


def test_a_flipped_bit_is_found_in_the_header_and_after_it(whole, tmp_path):
    rest = random.Random(0).sample(range(8 * HEADER, 8 * len(whole)), 150)
    for bit in [*range(8 * HEADER), *rest, 8 * len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        assert "copy it again" in refused(tmp_path / "m", bytes(damaged)), f"bit {bit}"


def test_a_file_cut_short_is_found_wherever_it_was_cut(whole, tmp_path):
    cuts = {0, 1, 7, 8, 12, HEADER - 1, HEADER, HEADER + 1, len(whole) - 1, *range(0, len(whole), len(whole) // 50)}
    for length in cuts:
        assert "cut short or damaged" in refused(tmp_path / "m", whole[:length]), f"after {length} bytes"


def test_more_bytes_at_the_end_are_found(whole, tmp_path):
    assert "copy it again" in refused(tmp_path / "m", whole + b"\0")


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>" * 9, safetensors.torch.save({"a": torch.ones(99)})])
def test_a_file_of_another_kind_is_named_as_such(content, tmp_path):
    assert "of another kind" in refused(tmp_path / "m", content)


def test_a_newer_format_asks_for_a_newer_library(whole, tmp_path):
    newer = MAGIC + (2).to_bytes(4, "little") + whole[12:]
    assert "packed format 2, and this version of gpt2_lib reads 1" in refused(tmp_path / "m", newer)
    assert "newer gpt2_lib, install that" in refused(tmp_path / "m", newer)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no file .*none\.gpt2z: check its name"):
        load_packed(tmp_path / "none.gpt2z")
    with pytest.raises(CheckpointError, match=r"is a folder.*load_pretrained_gpt2"):
        load_packed(tmp_path)


def with_parts(pieces: list[dict[str, torch.Tensor]]) -> bytes:
    """A file of these parts whose checksum is right."""
    saved = [safetensors.torch.save(piece) for piece in pieces]
    frame = zstandard.compress(b"".join(len(s).to_bytes(8, "little") + s for s in saved))
    return MAGIC + (1).to_bytes(4, "little") + hashlib.sha256(frame).digest() + frame


def config_part(**changes: object) -> dict[str, torch.Tensor]:
    config = {"vocab_size": 300, "n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 4} | changes
    return {"config.json": torch.tensor(list(json.dumps(config).encode()), dtype=torch.uint8)}


def test_parts_written_here_load(whole, tmp_path):
    """So that what the next test refuses is refused for what is wrong with it."""
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "m").write_bytes(with_parts([config_part(), *parts(tmp_path / "whole")[1:]]))
    assert_same_bits(pruned(), load_packed(tmp_path / "m"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: [], ""),
        (lambda p: [{"a": torch.ones(1)}, *p], ""),
        (lambda p: [config_part(colour="red"), *p], "colour"),
        (lambda p: [config_part(n_head=5), *p], "multiple of n_head"),
        (lambda p: [config_part(), *p[:-1]], ""),
        (lambda p: [config_part(), *p[1:]], "wte.weight.values"),
        (lambda p: [config_part(vocab_size=301), *p], r"wte.weight has shape \(300, 24\).*\(301, 24\)"),
        (lambda p: [config_part(n_embd=32), *p], "wte.weight has shape"),
    ],
)
def test_a_file_that_was_written_by_something_else_is_refused(whole, tmp_path, change, message):
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "m").write_bytes(with_parts(change(parts(tmp_path / "whole")[1:])))
    with pytest.raises(
        CheckpointError, match=f"content is no GPT-2 of packed format 1 .*{message}.*save the model again"
    ):
        load_packed(tmp_path / "m")


def test_a_model_with_masks_still_attached_is_refused(tmp_path):
    model = pruned()
    prune.l1_unstructured(model.h[0].mlp.c_fc, "weight", 0.5)
    with pytest.raises(ValueError, match=r"h\.0\.mlp\.c_fc\.weight.*absent.*its masks applied"):
        save_packed(model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_matrix_cut_without_its_configuration_is_refused(tmp_path):
    model = pruned()
    model.h[1].mlp.c_fc = torch.nn.Linear(24, 95)
    with pytest.raises(ValueError, match=r"h\.1\.mlp\.c_fc\.bias .*\(95,\), should be \(96,\)"):
        save_packed(model, tmp_path / "m")


def test_another_kind_of_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="Only a GPT2 of this library can be packed; got Linear"):
        save_packed(torch.nn.Linear(2, 2), tmp_path / "m")  # pyright: ignore[reportArgumentType]  # no GPT2


# A write that fails


def test_nan_weights_cannot_become_int8_and_the_old_file_stays(whole, tmp_path):
    (tmp_path / "m").write_bytes(whole)
    model = pruned()
    with torch.no_grad():
        model.h[1].attn.c_proj.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"h\.1\.attn\.c_proj\.weight: .*NaN"):
        save_packed(model, tmp_path / "m", int8=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m", whole)]


def test_a_full_disk_leaves_the_old_file_and_no_other(whole, tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(whole)

    def full(self: object, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed._Hashed, "write", full)
    with pytest.raises(OSError, match="No space left"):
        save_packed(random_model(seed=1), tmp_path / "m")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m", whole)]
