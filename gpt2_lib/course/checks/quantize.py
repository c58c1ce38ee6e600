"""Checks of exercise 3.2: int8."""

from __future__ import annotations

import torch

from ..check import check
from ..lesson import show, tensor_fault
from ..progress import progress
from .pack import two


def numbers(quantised, weight):
    """Return the results of quantize_int8() for a weight: q as float64 (out, in), scale as float64 (out,)."""
    result = two(quantised, "q, scale")
    try:
        q, scale = (torch.as_tensor(part).detach().double() for part in result)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(
            f"Two tensors were expected; {[type(part).__name__ for part in result]} came back."
        ) from None
    assert tuple(q.shape) == tuple(weight.shape), (
        f"q has the weight's shape {tuple(weight.shape)}; {tuple(q.shape)} came back."
    )
    assert scale.numel() == weight.size(0), (
        f"One scale for each of the {weight.size(0)} rows; {scale.numel()} came back. Is the maximum taken along the row (dim=1)?"
    )
    return q, scale.flatten()


def assert_zeros_stay(quantised, weight):
    """Assert that zeros stay 0, the largest entry of a row does not become 0, and scales are finite and positive."""
    q, scale = numbers(quantised, weight)
    assert not q[weight == 0].any(), f"A pruned weight stays 0; yours:\n{show(q)}"
    assert (scale.isfinite() & (scale > 0)).all(), (
        f"Scales are finite and above 0; yours are {[round(s, 5) for s in scale.tolist()]}. What is the largest entry of a row of "
        "zeros, and what happens when you divide by it?"
    )
    largest = weight.abs() == weight.abs().amax(dim=1, keepdim=True)
    assert q[largest & (weight != 0)].all(), f"The largest entry of a row does not become 0; yours:\n{show(q)}"


@check("int8 from -127 to 127")
def int8_range(quantize_int8):
    weight = torch.tensor([[1.27, -0.5, 0.0, 0.003], [-2.54, 0.0, 1.0, 2.54]])
    progress.given(f"the weight\n{show(weight)}")
    q, _ = two(quantize_int8(weight.clone()), "q, scale")
    assert getattr(q, "dtype", None) == torch.int8, (
        f"q is a tensor of torch.int8, a byte an entry; {getattr(q, 'dtype', type(q).__name__)} came back."
    )
    low, high = int(q.min()), int(q.max())
    assert (low, high) == (-127, 127), (
        f"The largest entries of these rows become 127 and -127; yours go from {low} to {high}.\nYour q:\n{show(q)}"
    )


@check("one scale for each row")
def int8_scale(quantize_int8):
    weight = torch.tensor([[1.27, -0.5, 0.0, 0.003], [0.0127, 0.0, -0.02, 0.001]])
    progress.given(f"the weight\n{show(weight)}")
    _, scale = numbers(quantize_int8(weight.clone()), weight)
    wanted = [1.27 / 127, 0.02 / 127]
    for row in range(2):
        got = float(scale[row])
        if abs(got - 1.27 / 127) < 1e-6 and row == 1:
            idea = "That is row 0's: each row has a scale of its own."
        elif row == 1 and abs(got - 0.0127 / 127) < 1e-7:
            idea = "The largest entry in size is -0.02: the absolute values come before the maximum."
        elif abs(got * wanted[row] - 1) < 1e-3:
            idea = "That is one over it: weight = q times scale."
        elif abs(got / wanted[row] - 127 / 128) < 1e-3 or abs(got / wanted[row] - 127 / 127.5) < 1e-3:
            idea = "The largest entry maps to 127, so that the range is the same on both sides."
        else:
            idea = "The largest absolute value of the row, over 127."
        assert abs(got / wanted[row] - 1) < 1e-3, (
            f"The scale of row {row} is {wanted[row]:.6f}; yours is {got:.6f}. {idea}\nThe weight:\n{show(weight)}"
        )


@check("rounded to the nearest")
def int8_nearest(quantize_int8):
    weight = torch.tensor([[1.27, 0.018, -0.018, 0.012, -0.012], [12.7, 0.18, -0.18, 0.12, -0.12]])
    progress.given(f"the weight\n{show(weight)}")
    q, _ = numbers(quantize_int8(weight.clone()), weight)
    wanted = [127, 2, -2, 1, -1]
    for row, scale in enumerate(("0.01", "0.1")):
        got = [int(value) for value in q[row].tolist()]
        if got[:3] == [127, 1, -1]:
            idea = "1.8 became 1: the digits are cut off (as `.to(torch.int8)` alone does), not rounded."
        elif got[1:] == [1, -2, 1, -2] or got[1:] == [2, -1, 2, -1]:
            idea = "Rounded down (or up), not to the nearest."
        elif got in ([13, 0, 0, 0, 0], [12, 0, 0, 0, 0]):
            idea = "It is divided by the other row's scale: each row has its own."
        else:
            idea = f"In units of the scale {scale} the row reads 127, 1.8, -1.8, 1.2, -1.2."
        assert got == wanted, f"Row {row} of q is {got}; {wanted} was expected. {idea}"


@check("zeros stay zero, rows of zeros too")
def int8_zeros(quantize_int8):
    weight = torch.tensor([[0.9, 0.0, 0.0, 0.3], [0.0, 0.0, 0.0, 0.0]])
    progress.given(f"the weight\n{show(weight)}")
    assert_zeros_stay(quantize_int8(weight.clone()), weight)


@check("any precision, and the weight is left alone")
def int8_care(quantize_int8):
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        weight = torch.tensor([[0.9, 0.0, -0.3], [0.2, 0.4, 0.1]], dtype=dtype)
        progress.given(f"a weight of {dtype}\n{show(weight)}")
        given = weight.clone()
        _, scale = two(quantize_int8(given), "q, scale")
        fault = tensor_fault(scale, (2,))
        assert fault is None, f"The scale of a weight of {dtype}: {fault}"
        assert torch.equal(given, weight), "quantize_int8() changed the weight it was given; it should only look."
