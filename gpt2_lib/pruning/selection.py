"""Selection: from scores to keep-masks.

Tensors in, tensors out: nothing here knows of models. Entries are ranked by absolute value, so what
comes in may be scores (never negative) or, for magnitude pruning, the weights themselves, of which no
copy is made. A mask is a bool tensor of the same shape, True = keep. ``sparsity`` is the fraction
removed, in [0, 1]; exactly ``round(sparsity * n)`` entries go, the lowest first, and among equal ones
the earlier position goes first.

Every function raises ValueError for a sparsity outside [0, 1] and for NaN or infinite entries.

The work is done on the CPU, by NumPy, whose comparisons are several times as fast as PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from numbers import Real

import numpy as np
import torch
from torch import Tensor

CHUNK = 1 << 18  # entries processed together: small enough for the processor's cache
DIGIT = 16  # bits that one histogram resolves
SAMPLE = 1 << 20  # entries, more or less, that guess where the threshold is


def check_sparsity(sparsity: float) -> float:
    """Return ``sparsity`` as a float, or raise ValueError when it is no fraction in [0, 1]."""
    number = isinstance(sparsity, Real) and not isinstance(sparsity, bool)
    if not number or not 0 <= sparsity <= 1:
        shown = f"a {type(sparsity).__name__}" if isinstance(sparsity, Tensor) else repr(sparsity)
        hint = f" Did you mean {sparsity / 100:g}?" if number and 2 <= sparsity <= 100 else ""
        raise ValueError(f"sparsity is the fraction to remove, from 0 to 1; got {shown}.{hint}")
    return float(sparsity)


def layer_masks(scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Prune every tensor on its own to ``sparsity`` (local, or layer-wise, pruning)."""
    sparsity = check_sparsity(sparsity)
    return {name: _lowest_go([s], round(sparsity * s.numel()), [name])[0] for name, s in scores.items()}


def row_masks(scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Prune every row of every matrix (out, in) on its own: ``round(sparsity * in)`` entries each."""
    sparsity = check_sparsity(sparsity)
    masks = {}
    for name, s in scores.items():
        _check_matrix(name, s)
        _check_finite(name, bool(s.isfinite().all()))
        order = s.detach().abs().argsort(dim=1, stable=True)  # (out, in), lowest first
        mask = torch.ones(s.shape, dtype=torch.bool, device=s.device)
        masks[name] = mask.scatter_(1, order[:, : round(sparsity * s.size(1))], False)
    return masks


def global_masks(scores: Mapping[str, Tensor], sparsity: float, min_kept: float = 0.0) -> dict[str, Tensor]:
    """Rank all entries of all tensors together and prune the lowest (global pruning).

    Ties go by the tensors' order, then by position. Layers end up with different sparsities.
    ``min_kept`` is the fraction of each tensor that must stay: its highest ``ceil(min_kept * n)``
    entries are out of the ranking. Raises ValueError when that leaves too few to prune.
    """
    sparsity = check_sparsity(sparsity)
    if not 0 <= min_kept <= 1:
        raise ValueError(f"min_kept is the fraction of each tensor that must stay, from 0 to 1; got {min_kept!r}.")
    tensors = list(scores.values())
    pruned = round(sparsity * sum(s.numel() for s in tensors))
    if min_kept == 0:
        return dict(zip(scores, _lowest_go(tensors, pruned, list(scores)), strict=True))
    # Only what each tensor may spare is ranked; what must stay is never in question.
    may_go = [s.numel() - math.ceil(min_kept * s.numel()) for s in tensors]
    spare = [~_lowest_go([s], n, [name])[0] for (name, s), n in zip(scores.items(), may_go, strict=True)]
    free = sum(int(m.sum()) for m in spare)
    if pruned > free:
        raise ValueError(
            f"Sparsity {sparsity:g} asks for {pruned:,} entries, but with min_kept={min_kept:g} only {free:,} may go: "
            "lower one of the two."
        )
    ranked = _lowest_go([s[m] for s, m in zip(tensors, spare, strict=True)], pruned, list(scores))
    return {name: (~m).masked_scatter_(m, r) for name, m, r in zip(scores, spare, ranked, strict=True)}


def n_m_masks(scores: Mapping[str, Tensor], n: int = 2, m: int = 4) -> dict[str, Tensor]:
    """Keep the ``n`` highest of every ``m`` neighbours along the input dimension, such as 2:4.

    Every matrix is (out, in) with ``in`` a multiple of ``m``; the sparsity is 1 - n / m
    (Mishra et al., 2021, "Accelerating Sparse Deep Neural Networks", section 3).
    """
    if not (isinstance(n, int) and isinstance(m, int) and 0 < n <= m <= 64):
        raise ValueError(f"n:m keeps n of every m entries, 0 < n <= m <= 64; got {n}:{m}.")
    for name, s in scores.items():
        _check_matrix(name, s)
        if s.size(1) % m:
            raise ValueError(f"{name} has {s.size(1)} inputs, not a multiple of {m}: {n}:{m} doesn't fit it.")
    if len(scores) == 1:  # starting threads would take longer than the work on a few columns
        return {name: _n_of_m(name, s, n, m) for name, s in scores.items()}
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # NumPy lets them run side by side
        return dict(zip(scores, pool.map(lambda item: _n_of_m(item[0], item[1], n, m), scores.items()), strict=True))


def block_masks(
    scores: Mapping[str, Tensor], sparsity: float, block: tuple[int, int] = (16, 16), order: float = 2
) -> dict[str, Tensor]:
    """Prune whole rectangles of every matrix (block sparsity), those of the lowest norm of ``order``.

    ``block``: rows and columns of a rectangle; each matrix (out, in) must be a multiple of it. Exactly
    ``round(sparsity * rectangles)`` of each matrix go. (Not to be confused with transformer blocks.)
    """
    sparsity = check_sparsity(sparsity)
    rows, columns = block
    masks = {}
    for name, s in scores.items():
        _check_matrix(name, s)
        if rows < 1 or columns < 1 or s.size(0) % rows or s.size(1) % columns:
            raise ValueError(f"{name} is {s.size(0)} x {s.size(1)}: blocks of {rows} x {columns} don't fit it.")
        tiles = s.detach().float().reshape(s.size(0) // rows, rows, s.size(1) // columns, columns)
        norms = tiles.norm(order, dim=(1, 3))  # (out / rows, in / columns)
        keep = _lowest_go([norms], round(sparsity * norms.numel()), [name])[0]
        masks[name] = keep.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    return masks


def keep_units(scores: Tensor, sparsity: float, min_kept: int = 1) -> Tensor:
    """Return ascending indices (int64) of the units (neurons, heads) to keep, by their ``scores`` (n,).

    Exactly ``round(sparsity * n)`` go. Raises ValueError when fewer than ``min_kept`` would stay.
    """
    removed = round(check_sparsity(sparsity) * len(scores))
    if len(scores) - removed < min_kept:
        raise ValueError(
            f"Sparsity {sparsity:g} would leave {len(scores) - removed} of {len(scores)} units, and {min_kept} must "
            "stay: lower it."
        )
    return _lowest_go([scores], removed, ["scores"])[0].nonzero().flatten()


def _check_matrix(name: str, scores: Tensor) -> None:
    if scores.dim() != 2:
        raise ValueError(f"{name} must be a matrix (out, in); its shape is {tuple(scores.shape)}.")


def _check_finite(name: str, finite: bool) -> None:
    if not finite:
        raise ValueError(f"{name} has entries that are NaN or infinite, which can't be ranked: check the weights.")


def _floats(scores: Tensor, wide: bool) -> np.ndarray:
    """Return the entries (n,) as float64 if ``wide``, else float32; without a copy where possible."""
    if scores.is_meta:
        raise ValueError("The scores are on the meta device: they have a shape, but no numbers. Load the model first.")
    entries = scores.detach().reshape(-1).cpu()  # first: not every device has float64
    return entries.to(torch.float64 if wide else torch.float32).numpy()


def _is_wide(scores: Tensor) -> bool:
    return scores.dtype not in (torch.float32, torch.float16, torch.bfloat16)


def _keys(entries: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return integers in the order of |entries|: a float's bits without its sign."""
    bits = entries.view(np.int32 if entries.dtype == np.float32 else np.int64)
    return np.bitwise_and(bits, np.iinfo(bits.dtype).max, out=out)


def _is_finite(keys: np.ndarray) -> bool:
    """Return whether the highest key is below infinity's (NaN's are higher)."""
    return keys.max(initial=0) < (0x7F800000 if keys.dtype == np.int32 else 0x7FF0000000000000)


def _finite_keys(name: str, entries: np.ndarray) -> np.ndarray:
    keys = _keys(entries)
    _check_finite(name, _is_finite(keys))
    return keys


def _chunks(entries: np.ndarray, size: int = CHUNK) -> Iterator[np.ndarray]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _lowest_go(tensors: Sequence[Tensor], pruned: int, names: Sequence[str]) -> list[Tensor]:
    """Return masks of ``tensors`` with exactly ``pruned`` False entries in all, at the lowest of |tensors|.

    A radix selection: one histogram for each 16 bits of the keys, from the highest bits to the lowest,
    finds the key of rank ``pruned`` without sorting and without a copy of the tensors.
    """
    wide = any(_is_wide(t) for t in tensors)  # one kind of key for all
    threshold, ties = _key_near(tensors, pruned, names, wide) or _key_of_rank(tensors, pruned, names, wide)
    masks = []
    for t in tensors:
        keep = np.empty(t.numel(), dtype=bool)
        for chunk, part in zip(_chunks(_floats(t, wide)), _chunks(keep), strict=True):
            keys = _keys(chunk)
            np.greater_equal(keys, threshold, out=part)
            if ties:
                equal = np.flatnonzero(keys == threshold)[:ties]
                part[equal] = False
                ties -= len(equal)
        masks.append(torch.from_numpy(keep).view(t.shape).to(t.device))
    return masks


def _key_near(tensors: Sequence[Tensor], pruned: int, names: Sequence[str], wide: bool) -> tuple[int, int] | None:
    """Return the result of `_key_of_rank` in one pass, by a sample that bounds the key; None if that fails.

    The idea of Floyd & Rivest (1975), "Expected Time Bounds for Selection". It fails, and costs little,
    when the sample misleads or a good part of all entries are ties.
    """
    n = sum(t.numel() for t in tensors)
    if pruned == 0:
        return None
    if n < SAMPLE:  # few enough to look at a copy of all
        return _cut([_finite_keys(name, _floats(t, wide)) for name, t in zip(names, tensors, strict=True)], pruned)
    sample = np.concatenate([_keys(np.ascontiguousarray(_floats(t, wide)[:: n // SAMPLE + 1])) for t in tensors])
    sample.sort()
    place, last = pruned * len(sample) // n, len(sample) - 1
    low = sample[max(0, place - len(sample) // 100)]
    high = sample[min(last, place + len(sample) // 100)]
    below, near, found = 0, [], 0
    for name, t in zip(names, tensors, strict=True):
        for chunk in _chunks(_floats(t, wide)):
            keys = _finite_keys(name, chunk)
            lower = keys < low
            below += int(np.count_nonzero(lower))
            near.append(keys[(keys <= high) ^ lower])
            found += len(near[-1])
            if found > n // 20:  # ties: no copy of a good part of the weights
                return None
    rank = pruned - below
    if not 0 < rank <= found:
        return None
    return _cut(near, rank)


def _cut(parts: Sequence[np.ndarray], rank: int) -> tuple[int, int]:
    """Return the key below which the lowest ``rank`` keys lie, and how many entries with that key to prune too."""
    keys = np.concatenate(parts)
    threshold = np.partition(keys, rank - 1)[rank - 1]
    ties = rank - int(np.count_nonzero(keys < threshold))
    if ties == np.count_nonzero(keys == threshold):  # all equal entries go: no search is needed
        return int(threshold) + 1, 0
    return int(threshold), ties


def _key_of_rank(tensors: Sequence[Tensor], pruned: int, names: Sequence[str], wide: bool) -> tuple[int, int]:
    """Return the key below which all entries are pruned, and how many entries with that key to prune too."""
    bits = 64 if wide else 32
    infinity = 0x7FF0 if wide else 0x7F80  # the first 16 bits of infinity; those of NaN are higher or equal
    top, prefix, left = bits - DIGIT, 0, pruned
    for low in range(top, -1, -DIGIT):
        counts = np.zeros(1 << DIGIT, dtype=np.int64)
        for name, t in zip(names, tensors, strict=True):
            for chunk in _chunks(_floats(t, wide)):
                keys = _keys(chunk)
                if low < top:
                    keys = keys[keys >> (low + DIGIT) == prefix] & ((1 << (low + DIGIT)) - 1)
                counts += np.bincount(keys >> low, minlength=1 << DIGIT)
            if low == top:
                _check_finite(name, not counts[infinity:].any())
        if pruned == 0:
            return 0, 0
        below = counts.cumsum()
        digit = int(np.searchsorted(below, left))  # the first at which `left` entries are reached
        left -= int(below[digit] - counts[digit])
        prefix = prefix << DIGIT | digit
    return prefix, left


@cache
def _places(m: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return each entry's position in its group of ``m``, and for d = 1 ... m - 1 whether entry + d is in that one."""
    place = np.tile(np.arange(m, dtype=np.uint8), max(1, CHUNK // m))
    return place, [place + d < m for d in range(1, m)]


def _n_of_m(name: str, scores: Tensor, n: int, m: int) -> Tensor:
    """Return a mask of the n highest of each group of m neighbours; among equals the later ones stay.

    An entry stays if fewer than ``n`` of its group stand above it. Those at distance d are compared
    for all groups at once: one array against itself, moved by d.
    """
    place, same_group = _places(m)
    entries = _floats(scores, _is_wide(scores))
    keep = np.empty(len(entries), dtype=bool)
    # Room for a chunk's steps, taken once: fresh memory would cost as much as the steps themselves.
    length = min(len(place), len(entries))
    all_keys, all_above = np.empty_like(_keys(entries[:length])), np.empty(length, dtype=np.uint8)
    all_wins = np.empty(length, dtype=bool)
    for chunk, part in zip(_chunks(entries, len(place)), _chunks(keep, len(place)), strict=True):
        keys, above = _keys(chunk, out=all_keys[: len(chunk)]), all_above[: len(chunk)]
        _check_finite(name, _is_finite(keys))
        above[:] = place[: len(chunk)]  # at first, all that stand before it
        for d, same in enumerate(same_group, 1):
            wins = np.greater_equal(keys[d:], keys[:-d], out=all_wins[: len(keys) - d])
            wins &= same[: len(keys) - d]
            above[:-d] += wins.view(np.uint8)
            above[d:] -= wins.view(np.uint8)
        np.less(above, n, out=part)
    return torch.from_numpy(keep).view(scores.shape).to(scores.device)
