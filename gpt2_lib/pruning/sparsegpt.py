"""SparseGPT: prune a matrix in one shot, and correct the remaining weights for the pruned ones.

Source: Frantar & Alistarh (2023), "SparseGPT: Massive Language Models Can Be Accurately Pruned in
One-Shot", Algorithm 1. The inputs are processed in order: each weight is corrected for the losses of
the earlier ones in its row, and is then kept or pruned.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import selection

BLOCK = 128  # inputs whose weights are chosen together


@torch.no_grad()
def sparsegpt(
    weight: Tensor,
    hessian: Tensor,
    sparsity: float | None = None,
    n_m: tuple[int, int] | None = None,
    damping: float = 0.01,
) -> Tensor:
    """Return a pruned copy (out, in) of ``weight``, float32, whose outputs are close to the original's.

    ``hessian``: X^T X (in, in) of the inputs, as `calibration.hessians` gives it; its scale doesn't
    matter. Give either ``sparsity``, of which exactly ``round(sparsity * n)`` entries become 0, spread
    evenly over blocks of 128 inputs; or ``n_m=(n, m)``, which keeps n of every m neighbouring inputs,
    such as 2:4. ``damping`` times the mean of the Hessian's diagonal is added to that diagonal.

    Weights that are zero already go first, so that pruning further brings none of them back. So do those of
    an input that was always zero, and correct nothing. (The paper's code zeroes all of these; here the
    number of zeros is the one asked for.)

    Raises ValueError for shapes that don't fit, entries that are NaN or infinite, and a Hessian that
    can't be inverted.
    """
    check_layer(weight, hessian, damping)
    if (sparsity is None) == (n_m is None):
        raise ValueError("Give either sparsity or n_m, not both.")
    block = BLOCK
    if sparsity is not None:
        sparsity = selection.check_sparsity(sparsity)
    if n_m is not None:
        selection.n_m_masks({"weight": weight}, *n_m)  # raises for unsuitable arguments, before the work begins
        block -= block % n_m[1]
    R, dead = (found.to(weight.device) for found in _factor(hessian, damping))  # (in, in), (in, 1)
    original = weight.detach().float().t().contiguous()  # (in, out): one input's weights lie side by side
    first = dead | (original == 0)  # (in, out): they go first, and cost nothing
    pruned = torch.empty_like(original)
    inputs, outputs = original.shape
    gone = 0
    for start in range(0, inputs, block):
        end = min(start + block, inputs)
        U = _inverse(R[start:end, start:end])  # (block, block)
        d = U.diagonal()[:, None]  # (block, 1)
        # The values of this block that make up best for all that the blocks before it have lost.
        W = original[start:end] + U.t() @ (
            R[:start, start:end].t() @ (original[:start] - pruned[:start])
        )  # (block, out)
        keep = torch.ones_like(W, dtype=torch.bool)
        if sparsity is not None:
            target = round(sparsity * outputs * end)
            keep = _lowest_go(_saliency(W, d, first[start:end]), target - gone)
            gone = target
        for i in range(end - start):
            if n_m is not None and i % n_m[1] == 0:
                group = slice(i, i + n_m[1])
                saliency = _saliency(W[group], d[group], first[start:end][group])
                keep[group] = selection.n_m_masks({"group": saliency.t()}, *n_m)["group"].t()
            W[i + 1 :].addr_(U[i, i + 1 :], (W[i] / d[i]).masked_fill_(keep[i], 0.0), alpha=-1)
            W[i].masked_fill_(~keep[i], 0.0)
        pruned[start:end] = W
    return pruned.t().contiguous()


def check_layer(weight: Tensor, hessian: Tensor, damping: float) -> None:
    """Raise ValueError unless ``weight`` (out, in) and ``hessian`` (in, in) fit each other and are finite."""
    if weight.dim() != 2 or weight.numel() == 0:
        raise ValueError(f"The weight must be a matrix (out, in); its shape is {tuple(weight.shape)}.")
    if hessian.shape != (weight.size(1), weight.size(1)):
        raise ValueError(
            f"A weight {tuple(weight.shape)} needs a Hessian of shape {(weight.size(1), weight.size(1))}; "
            f"got {tuple(hessian.shape)}."
        )
    for name, entries in (("weight", weight), ("Hessian", hessian)):
        if not entries.isfinite().all():
            raise ValueError(f"The {name} has entries that are NaN or infinite: check the model and its calibration.")
    if not damping >= 0:
        raise ValueError(f"damping is a fraction of the Hessian's mean diagonal, 0 or more; got {damping!r}.")


def not_invertible(damping: float) -> ValueError:
    """Return the error for a Hessian that isn't positive definite, even with ``damping``."""
    return ValueError(
        "The Hessian can't be inverted: some inputs depend on each other, or it isn't X^T X. Calibrate on more "
        f"text, or raise damping (now {damping:g})."
    )


def _saliency(W: Tensor, d: Tensor, first: Tensor) -> Tensor:
    """Return |w| / d: the root of the error that the loss of each entry leaves, up to a constant."""
    return (W / d).masked_fill_(first, 0.0)


def _lowest_go(saliency: Tensor, pruned: int) -> Tensor:
    """Return the mask with exactly ``pruned`` False entries."""
    return selection.layer_masks({"block": saliency}, pruned / saliency.numel())["block"]


def _factor(hessian: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """Return R (in, in), float32, upper triangular, with R R^T the damped Hessian; and the always-zero inputs (in, 1).

    When the weights of a row have lost e (in,), the error is |R^T e|^2, and entry j of R^T e depends on the
    losses up to j alone, so the inputs can be processed in order. The paper uses U = R^-1,
    the Cholesky factor of the inverse; only U's blocks on the diagonal are needed, and they are the
    inverses of R's, so the Hessian is never inverted.

    Raises ValueError when the damped Hessian isn't positive definite.
    """
    # On the CPU: not every device has float64. A flipped copy: its usual, lower factor, flipped back, is upper.
    H = hessian.cpu().double().flip(0, 1)
    diagonal = H.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1.0
    diagonal += damping * diagonal.mean()
    L, failed = torch.linalg.cholesky_ex(H, out=(H, torch.zeros((), dtype=torch.int32)))  # in place: it is large
    if failed:
        raise not_invertible(damping)
    return L.float().flip(0, 1), dead.flip(0)[:, None]


def _inverse(R: Tensor) -> Tensor:
    """Return the inverse of an upper triangular matrix."""
    return torch.linalg.solve_triangular(R, torch.eye(len(R), device=R.device), upper=True)
