"""Symmetric quantisation of weights to 8-bit integers, with one scale for each output channel (row).

The mapping is r = S (q - Z) of Jacob et al. (2018), "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", equation 1, with the zero point Z = 0: the symmetric
quantizer of Krishnamoorthi (2018), "Quantizing deep convolutional networks for efficient inference: A
whitepaper", section 2.2, per channel as under "granularity" there. With Z = 0 a zero stays a zero, so what
is pruned stays pruned. -128 is left out, so that the range is the same on both sides.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 127
TINY = torch.finfo(torch.float32).tiny  # a scale below it would have too few bits to divide by


def quantize_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise ``weight`` (out, in), of any float dtype: ``q`` int8 (out, in), ``scale`` float32 (out,).

    ``scale[i] = max |weight[i]| / 127`` and ``q = round(weight / scale)``, in float32, so ``q`` lies in
    [-127, 127] and ``q * scale`` is within half a scale of the weight. Halves go to the even neighbour,
    as `torch.round` has it. A row of zeros gives zeros, and the scale 1.

    Raises ValueError if ``weight`` is no float matrix, is empty, or has entries that are NaN or infinite
    (or, from float64, too large for float32).
    """
    if weight.dim() != 2 or weight.numel() == 0 or not weight.is_floating_point():
        raise ValueError(f"A float matrix (out, in) is needed; got {weight.dtype} {tuple(weight.shape)}.")
    weight = weight.detach().float()
    largest = weight.abs().amax(dim=1)  # (out,)
    if not largest.isfinite().all():
        raise ValueError("The weight has entries that are NaN or infinite, which have no integer: check it.")
    scale = torch.where(largest > 0, (largest / LARGEST).clamp(min=TINY), 1.0)
    q = (weight / scale[:, None]).round_().clamp_(-LARGEST, LARGEST)
    return q.to(torch.int8), scale


def dequantize_int8(q: Tensor, scale: Tensor) -> Tensor:
    """Return the weight (out, in), float32, that ``q`` (out, in) and ``scale`` (out,) represent: q * scale."""
    if q.dim() != 2 or scale.shape != q.shape[:1]:
        raise ValueError(
            f"q (out, in) needs one scale for each of its rows; got {tuple(q.shape)} and {tuple(scale.shape)}."
        )
    return q.float() * scale.float()[:, None]
