"""Symmetric quantisation of weights to 4-bit integers, with one scale for each group of neighbours in a row.

Four bits are too few for one scale a row (`quantize`): a single large entry would leave the others a step or two. So
each row is cut into groups of 64 inputs, and each group has a scale of its own, in float16. That is round to nearest,
the baseline that GPTQ (Frantar et al., 2022) and AWQ (Lin et al., 2023) improve on with the help of some text.

An entry takes 4 bits and its share of a scale: 4 + 16 / 64 = 4.25 bits where 64 divides the inputs (`bits`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

GROUP = 64  # entries of a row that share a scale
LARGEST = 7  # -8 is left out, so that the range is the same on both sides, and 0 stays 0
HIGHEST = torch.finfo(torch.float16).max


def quantize_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise ``weight`` (out, in), of any float dtype: ``q`` int8 (out, in), ``scale`` float16 (out, groups).

    With g the group of input j: scale[i, g] = max |weight[i, g]| / 7, rounded to float16, and q[i, j] =
    round(weight[i, j] / scale[i, g]) in [-7, 7]. There are ceil(in / 64) groups, the last one may be short. A group
    of zeros has the scale 1; one whose scale is below what float16 can hold becomes zeros.

    Raises ValueError if ``weight`` is no float matrix, is empty, or has entries that are NaN, infinite, or so large
    that their scale is no float16.
    """
    if weight.dim() != 2 or weight.numel() == 0 or not weight.is_floating_point():
        raise ValueError(f"A float matrix (out, in) is needed; got {weight.dtype} {tuple(weight.shape)}.")
    grouped = _grouped(weight.detach().float())  # (out, groups, GROUP)
    largest = grouped.abs().amax(dim=2)  # (out, groups)
    if not bool((largest / LARGEST <= HIGHEST).all()):  # NaN is not below anything
        raise ValueError("The weight has entries that are NaN, infinite, or too large for a float16 scale: check it.")
    scale = (largest / LARGEST).half()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    q = (grouped / scale.float()[:, :, None]).round_().clamp_(-LARGEST, LARGEST)
    return q.flatten(1)[:, : weight.size(1)].to(torch.int8), scale


def dequantize_int4(q: Tensor, scale: Tensor) -> Tensor:
    """Return the weight (out, in), float32, that ``q`` (out, in) and ``scale`` (out, groups) represent.

    Raises ValueError unless there is a scale for each group.
    """
    if q.dim() != 2 or scale.shape != (q.size(0), math.ceil(q.size(1) / GROUP)):
        raise ValueError(
            f"q (out, in) needs one scale for each group of {GROUP} in its rows; got {tuple(q.shape)} and "
            f"{tuple(scale.shape)}."
        )
    return q.float() * scale.float().repeat_interleave(GROUP, dim=1)[:, : q.size(1)]


def to_nibbles(q: Tensor) -> Tensor:
    """Pack two entries of ``q`` (n entries in [-8, 7]) a byte, the first in the low half: uint8 (ceil(n / 2),)."""
    halves = F.pad(q.flatten(), (0, q.numel() % 2)).view(torch.uint8) & 15
    return halves[0::2] | halves[1::2] << 4


def from_nibbles(nibbles: Tensor, shape: torch.Size) -> Tensor:
    """Return the int8 tensor of ``shape`` that `to_nibbles` packed. Raises ValueError for a wrong byte count."""
    if nibbles.shape != (math.ceil(shape.numel() / 2),):
        raise ValueError(f"{shape.numel()} entries of 4 bits are not what {tuple(nibbles.shape)} bytes hold.")
    halves = torch.stack([nibbles & 15, nibbles >> 4], dim=1).flatten()[: shape.numel()].to(torch.int8)
    return torch.where(halves > LARGEST, halves - 16, halves).view(shape)


def bits(weight: Tensor) -> float:
    """Return the bits that an entry of ``weight`` (out, in) takes before compression, its scales included."""
    return 4 + 16 * math.ceil(weight.size(1) / GROUP) / weight.size(1)


def _grouped(weight: Tensor) -> Tensor:
    """Return ``weight`` (out, in) as (out, groups, GROUP), with the last group padded with zeros."""
    return F.pad(weight, (0, -weight.size(1) % GROUP)).view(len(weight), -1, GROUP)
