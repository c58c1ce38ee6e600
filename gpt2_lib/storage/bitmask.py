"""One sparse tensor as a bitmask and its non-zero values."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor


def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split ``weight``, of any shape, into ``bitmask`` uint8 (ceil(n / 8),) and ``values`` (non-zeros,).

    Entries are taken row by row. Entry i is bit 7 - i % 8 of byte i // 8 (the first of eight is the
    highest bit), 1 where it is not zero; bits after the last entry are 0. ``values`` has the weight's
    dtype, float or int8. A negative zero counts as zero and comes back as +0 (`packed` keeps
    its sign elsewhere). Both are on the CPU.
    """
    flat = weight.detach().cpu().reshape(-1)
    kept = flat != 0
    return torch.from_numpy(np.packbits(kept.numpy())), flat[kept]


def unpack(bitmask: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return exactly the weight of ``shape`` that `pack` split; see there.

    Raises ValueError when the three don't belong together.
    """
    n = prod(shape)
    if values.dim() != 1:
        raise ValueError(f"A list of values goes with a bitmask; got {tuple(values.shape)}.")
    kept = unpack_bits(bitmask, n)
    if kept.sum() != len(values):
        raise ValueError(f"The bitmask marks {kept.sum()} of {n} entries, but there are {len(values)} values.")
    weight = torch.zeros(n, dtype=values.dtype)
    weight[kept] = values.cpu()
    return weight.view(shape)


def unpack_bits(bitmask: Tensor, n: int) -> Tensor:
    """Return bool (n,), True where ``bitmask`` has a 1. Raises ValueError for a bitmask of another length."""
    if bitmask.dtype != torch.uint8 or bitmask.shape != (-(-n // 8),):
        raise ValueError(
            f"For {n} entries a uint8 bitmask of {-(-n // 8)} bytes is needed; got {bitmask.dtype} "
            f"{tuple(bitmask.shape)}."
        )
    bits = np.unpackbits(bitmask.cpu().numpy())
    if bits[n:].any():
        raise ValueError(f"The bitmask marks entries after the last of the {n}.")
    return torch.from_numpy(bits[:n].view(bool))


def packed_bytes(weight: Tensor) -> int:
    """Return the bytes of the bitmask and the values that `pack` makes of ``weight``, before any compression."""
    return -(-weight.numel() // 8) + int(torch.count_nonzero(weight)) * weight.element_size()
