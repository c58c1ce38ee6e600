"""Tests of int4 in groups: accuracy, zeros, two entries a byte, and the content of a file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import UNEVEN, random_model

from gpt2_lib.storage.int4 import GROUP, bits, dequantize_int4, from_nibbles, quantize_int4, to_nibbles
from gpt2_lib.storage.packed import load_packed, packed_sizes, save_packed
from gpt2_lib.storage.quantize import quantize_int8


@st.composite
def matrices(draw: st.DrawFn) -> torch.Tensor:
    """Matrices of up to three groups a row, the groups of different scale, some of them zeros."""
    rows, columns = draw(st.integers(1, 3)), draw(st.sampled_from([1, 5, 63, 64, 65, 130]))
    w = torch.randn(rows, columns, generator=torch.Generator().manual_seed(draw(st.integers(0, 1000))))
    for start in range(0, columns, GROUP):
        w[:, start : start + GROUP] *= draw(st.sampled_from([0.0, 1e-2, 1.0, 1e3]))
    return w.to(draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64])))


@given(matrices())
def test_quantisation_follows_the_formula_group_by_group(w: torch.Tensor) -> None:
    q, scale = quantize_int4(w)
    assert (q.dtype, q.shape) == (torch.int8, w.shape)
    assert (scale.dtype, scale.shape) == (torch.float16, (len(w), math.ceil(w.size(1) / GROUP)))
    for i, row in enumerate(w.double().tolist()):
        for g in range(scale.size(1)):
            group = row[g * GROUP : (g + 1) * GROUP]
            largest = max(map(abs, group))
            s = scale[i, g].item()
            assert s == 1.0 if largest == 0 else abs(s / (largest / 7) - 1) < 1e-3  # float16 has 11 bits
            for j, value in enumerate(group):
                integer = int(q[i, g * GROUP + j])
                assert abs(integer) <= 7
                assert abs(value / s - integer) <= 0.5 + 7e-3
                assert value != 0 or integer == 0


@given(matrices())
def test_two_entries_a_byte_come_back(w: torch.Tensor) -> None:
    q, scale = quantize_int4(w)
    nibbles = to_nibbles(q)
    assert nibbles.numel() == math.ceil(q.numel() / 2)
    assert torch.equal(from_nibbles(nibbles, q.shape), q)
    again, _ = quantize_int4(dequantize_int4(q, scale))
    assert torch.equal(dequantize_int4(again, scale), dequantize_int4(q, scale))


def test_every_integer_of_four_bits_fits() -> None:
    every = torch.arange(-8, 8, dtype=torch.int8)
    assert torch.equal(from_nibbles(to_nibbles(every), every.shape), every)


def test_the_bits_of_an_entry_count_its_scales() -> None:
    for columns, expected in ((64, 4.25), (128, 4.25), (96, 4 + 32 / 96)):
        w = torch.randn(4, columns)
        q, scale = quantize_int4(w)
        assert bits(w) == pytest.approx(expected)
        assert 8 * (to_nibbles(q).numel() + 2 * scale.numel()) == pytest.approx(bits(w) * w.numel())


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.zeros(3), "float matrix"),
        (torch.zeros(2, 0), "float matrix"),
        (torch.zeros(2, 2, dtype=torch.int64), "float matrix"),
        (torch.tensor([[1.0, math.nan]]), "NaN"),
        (torch.tensor([[1.0, math.inf]]), "infinite"),
        (torch.tensor([[1e6, 1.0]]), "too large"),
    ],
)
def test_a_value_without_four_bits_is_refused(weight: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantize_int4(weight)


def test_scales_and_bytes_that_do_not_fit_are_refused() -> None:
    q, scale = quantize_int4(torch.randn(2, 65))
    with pytest.raises(ValueError, match="each group of 64"):
        dequantize_int4(q, scale[:, :1])
    with pytest.raises(ValueError, match="are not what"):
        from_nibbles(to_nibbles(q)[:-1], q.shape)


def test_a_packed_file_in_int4_gives_the_rounded_blocks_and_the_embeddings_in_int8(tmp_path: Path) -> None:
    model = random_model(UNEVEN)
    sizes = save_packed(model, tmp_path / "int4", int4=True)
    assert sizes == packed_sizes(model, int4=True)
    assert sizes.packed < packed_sizes(model, int8=True).packed
    back = dict(load_packed(tmp_path / "int4").named_parameters())
    for name, p in model.named_parameters():
        if p.dim() == 2 and name.startswith("h."):
            assert torch.equal(back[name], dequantize_int4(*quantize_int4(p)))
        elif p.dim() == 2:
            q, scale = quantize_int8(p)
            assert torch.equal(back[name], q.float() * scale[:, None])
        else:
            assert torch.equal(back[name], p)


def test_int8_and_int4_at_once_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose one"):
        save_packed(random_model(), tmp_path / "both", int8=True, int4=True)
    assert list(tmp_path.iterdir()) == []
