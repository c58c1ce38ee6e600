"""Tests of int8: accuracy, and zeros."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2_lib.storage.quantize import dequantize_int8, quantize_int8

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@st.composite
def matrices(draw: st.DrawFn) -> torch.Tensor:
    """Small matrices of any dtype and scale, with some zeros and whole rows of zeros."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    entry = st.one_of(st.just(0.0), st.floats(-100, 100, width=16))
    w = torch.tensor(draw(st.lists(entry, min_size=rows * columns, max_size=rows * columns))).view(rows, columns)
    w = w.double() * 10.0 ** draw(st.sampled_from([-42, -38, -3, 0, 2, 36]))
    w[draw(st.integers(0, rows - 1))] *= draw(st.sampled_from([0.0, 1.0]))
    w = w.to(draw(st.sampled_from(FLOATS)))
    return torch.where(w.isfinite(), w, torch.ones_like(w))  # float16 ends at 65504


@given(matrices())
def test_an_entry_moves_by_half_a_scale_at_most(w):
    q, scale = quantize_int8(w)
    error = (q.double() * scale.double()[:, None] - w.double()).abs()
    assert (error <= (0.5 + 1e-5) * scale.double()[:, None]).all()  # 1e-5: float32 divides and multiplies


@given(matrices())
def test_integers_and_scales_are_of_their_kind_and_range(w):
    q, scale = quantize_int8(w)
    assert (q.dtype, q.shape) == (torch.int8, w.shape)
    assert (scale.dtype, scale.shape) == (torch.float32, (w.size(0),))
    assert q.min() >= -127
    assert (scale > 0).all()
    assert scale.isfinite().all()


@given(matrices())
def test_zeros_stay_zeros(w):
    q, scale = quantize_int8(w)
    assert (q[w == 0] == 0).all()
    assert (dequantize_int8(q, scale)[w == 0] == 0).all()


@given(matrices())
def test_a_row_of_zeros_has_scale_one(w):
    q, scale = quantize_int8(torch.cat([w, torch.zeros_like(w[:1])]))
    assert scale[-1] == 1
    assert not q[-1].any()


@given(matrices())
def test_every_row_is_quantised_on_its_own(w):
    q, scale = quantize_int8(w)
    for i in range(w.size(0)):
        alone = quantize_int8(w[i : i + 1])
        assert torch.equal(alone[0][0], q[i])
        assert alone[1][0] == scale[i]


@given(matrices())
def test_the_largest_of_a_row_is_127_and_signs_are_kept(w):
    q, _ = quantize_int8(w)
    row_max = w.abs().amax(dim=1)
    usual = row_max.double() > 127 * 1.2e-38  # below, the scale stops getting smaller
    assert (q.abs().amax(dim=1)[usual] == 127).all()
    assert (q.double() * w.double() >= 0).all()


@given(matrices())
def test_the_weight_is_left_as_it_was(w):
    before = w.clone()
    quantize_int8(w)
    assert torch.equal(w, before)


def test_halves_go_to_the_even_integer():
    q, scale = quantize_int8(torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 0.51]]))
    assert scale.item() == 1
    assert q.tolist() == [[127, 0, 2, 2, 0, -2, 0, 1]]


def test_one_entry():
    q, scale = quantize_int8(torch.tensor([[-3.0]]))
    assert q.tolist() == [[-127]]
    torch.testing.assert_close(dequantize_int8(q, scale), torch.tensor([[-3.0]]))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_transposed_view_is_quantised_as_its_copy(dtype):
    w = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)).to(dtype).t()
    assert not w.is_contiguous()
    for a, b in zip(quantize_int8(w), quantize_int8(w.contiguous()), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", FLOATS)
def test_quantised_again_the_integers_are_the_same(dtype):
    w = torch.randn(8, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
    q, scale = quantize_int8(w)
    assert torch.equal(quantize_int8(dequantize_int8(q, scale))[0], q)


def test_a_parameter_can_be_quantised():
    q, scale = quantize_int8(torch.nn.Parameter(torch.ones(2, 2)))
    assert not q.requires_grad
    assert not scale.requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        quantize_int8(torch.tensor([[1.0, bad], [0.0, 1.0]]))


@pytest.mark.parametrize(
    "weight", [torch.ones(3), torch.ones(2, 2, 2), torch.ones(0, 3), torch.ones(3, 0), torch.ones(2, 2).long()]
)
def test_a_tensor_that_is_no_float_matrix_is_refused(weight):
    with pytest.raises(ValueError, match=r"float matrix \(out, in\) is needed; got torch"):
        quantize_int8(weight)


@pytest.mark.parametrize("scale", [torch.ones(3), torch.ones(2, 1), torch.tensor(1.0)])
def test_scales_of_another_matrix_are_refused(scale):
    with pytest.raises(ValueError, match="one scale for each of its rows"):
        dequantize_int8(torch.ones(2, 3, dtype=torch.int8), scale)
