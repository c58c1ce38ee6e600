"""ADMM: prune a matrix in one shot, and choose the mask while the remaining weights are corrected.

Source: Boža (2024), "Fast and Effective Weight Update for Pruned Large Language Models", Algorithm 1 and
section 3.3. SparseGPT corrects the inputs still to come and decides on each input once. Here all weights
are corrected together, again and again, and the mask is chosen anew each time while sparsity grows, so
that a weight whose neighbours went can return. Conjugate gradients on the final mask end the work, as in
Meng et al. (2024), "ALPS: Improved Optimization for Highly Sparse One-Shot Pruning", section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from . import selection
from .schedules import cubic_sparsity
from .sparsegpt import check_layer, not_invertible, sparsegpt

GROWING = 40  # steps in which sparsity grows and the mask is chosen anew
STEPS = 60  # of ADMM in all
POLISH = 20  # steps of conjugate gradients on the final mask
PENALTY = 1.0  # rho, in units of the scaled Hessian's diagonal


@torch.no_grad()
def admm(
    weight: Tensor,
    hessian: Tensor,
    sparsity: float | None = None,
    n_m: tuple[int, int] | None = None,
    by_row: bool = False,
    output_scale: Tensor | None = None,
    damping: float = 0.01,
) -> Tensor:
    """Return a pruned copy (out, in) of ``weight``, float32, whose outputs are close to the original's.

    ``hessian``: X^T X (in, in) of the inputs, as `calibration.hessians` gives it; its scale doesn't
    matter. Give either ``sparsity``, of which exactly ``round(sparsity * n)`` entries become 0, anywhere in
    the matrix or, with ``by_row``, ``round(sparsity * in)`` in each row; or ``n_m=(n, m)``, which keeps n of
    every m neighbouring inputs, such as 2:4. ``damping`` times its diagonal is added to the Hessian.

    ``output_scale`` (out,), 0 or more, says what an error of each output counts for, as `scores.outputs` finds it;
    without it all count the same.

    Weights that are zero already go first and stay zero, even where more are than were asked for. Those of an
    input that was always zero go next, and correct nothing.

    The error is never above SparseGPT's, whose result is returned in the rare case that it is the better
    one (tiny matrices; not asked for with ``by_row``).

    Raises ValueError for shapes that don't fit, entries that are NaN or infinite, and a Hessian that
    can't be inverted.
    """
    check_layer(weight, hessian, damping)
    _check_scale(weight, output_scale)
    if (sparsity is None) == (n_m is None) or (by_row and n_m is not None):
        raise ValueError("Give either sparsity or n_m, not both; by_row goes with sparsity.")
    if n_m is not None:
        selection.n_m_masks({"weight": weight}, *n_m)  # raises for unsuitable arguments, before the work begins
        choose = partial(_choose_n_m, n_m=n_m)
    else:
        choose = partial(_choose_by_row if by_row else _choose, final=selection.check_sparsity(sparsity or 0.0))
    W = weight.detach().float().contiguous()  # (out, in)
    counts = torch.ones(len(W)) if output_scale is None else output_scale.detach()
    solved = _solve(W, hessian, damping, counts.to(W)[:, None], choose)
    return solved if by_row else _better(W, hessian, solved, sparsity, n_m, damping, counts)


def _solve(
    W: Tensor, hessian: Tensor, damping: float, counts: Tensor, choose: Callable[[Tensor, float], Tensor]
) -> Tensor:
    """Return ``W`` (out, in), pruned and corrected, in float32."""
    H, size = (found.to(W) for found in _scaled(hessian, damping))  # (in, in), (in,)
    Z, mask = _alternate(W * size, H, W == 0, counts, choose)
    lost = _polish(Z - W * size, mask, H)
    return (W + lost / size.masked_fill(size == 0, torch.inf)).masked_fill_(~mask, 0.0)


def _alternate(
    target: Tensor, H: Tensor, zero: Tensor, counts: Tensor, choose: Callable[[Tensor, float], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return weights near ``target`` (out, in) that obey a mask, and the mask, which is False where ``zero`` is True.

    V fits the outputs, Z obeys the mask, U sums up by how much the two differ. ``choose(score, progress)`` is the
    mask at a point of the way from no sparsity (0) to all of it (1).
    """
    P = H.to("cpu", torch.float64, copy=True)
    P.diagonal().add_(PENALTY)
    torch.cholesky_inverse(torch.linalg.cholesky(P, out=P), out=P)  # in place: it is large
    P = P.mul_(PENALTY).to(H)
    lowest = torch.finfo(target.dtype).tiny  # the score of what costs nothing to lose but isn't zero yet
    V, U, mask = target, torch.zeros_like(target), ~zero
    for step in range(STEPS):
        if step < GROWING:
            score = ((V + U) * counts).abs().clamp_(min=lowest).masked_fill_(zero, 0.0)
            mask = choose(score, cubic_sparsity(step + 1, 0, GROWING, 0.0, 1.0)) & ~zero
        Z = (V + U).masked_fill_(~mask, 0.0)
        U = U + V - Z
        V = target + (Z - U - target) @ P
    return (V + U).masked_fill_(~mask, 0.0), mask


def _check_scale(weight: Tensor, output_scale: Tensor | None) -> None:
    if output_scale is None:
        return
    if output_scale.shape != weight.shape[:1]:
        raise ValueError(
            f"A weight {tuple(weight.shape)} needs an output_scale of shape {(weight.size(0),)}; "
            f"got {tuple(output_scale.shape)}."
        )
    if not (output_scale.isfinite() & (output_scale >= 0)).all():
        raise ValueError("output_scale has entries that are negative, NaN or infinite: check the model's gradients.")


def _scaled(hessian: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """Return the damped Hessian of inputs scaled to size 1 (in, in), and their sizes (in,) in any unit, float64.

    With inputs of one size a weight's magnitude says what it does (it is Wanda's score), one PENALTY suits
    all of them, and conjugate gradients need few steps. Raises ValueError unless it is positive definite.
    """
    H = hessian.to("cpu", torch.float64, copy=True)  # on the CPU: not every device has float64
    diagonal = H.diagonal()
    if not (diagonal >= 0).all():
        raise not_invertible(damping)
    dead, size = diagonal == 0, diagonal.sqrt()
    to_one = torch.where(dead, 0.0, 1 / size)
    H.mul_(to_one[:, None]).mul_(to_one)
    H.diagonal().masked_fill_(dead, 1.0).add_(damping)
    if torch.linalg.cholesky_ex(H).info:
        raise not_invertible(damping)
    return H, size / size.max().clamp(min=torch.finfo(size.dtype).tiny)


def _choose(score: Tensor, progress: float, final: float) -> Tensor:
    return selection.layer_masks({"": score}, progress * final)[""]


def _choose_by_row(score: Tensor, progress: float, final: float) -> Tensor:
    return selection.row_masks({"": score}, progress * final)[""]


def _choose_n_m(score: Tensor, progress: float, n_m: tuple[int, int]) -> Tensor:
    """Return a mask that prunes only among the m - n lowest of each group, the lowest of all first."""
    keep = selection.n_m_masks({"": score}, *n_m)[""]
    if progress == 1:
        return keep
    return keep.masked_scatter(~keep, _choose(score[~keep], progress, 1.0))


def _polish(lost: Tensor, mask: Tensor, H: Tensor) -> Tensor:
    """Return ``lost`` (out, in), changed where ``mask`` is True to minimise lost H lost^T in each row."""
    residual = (lost @ H).neg_().masked_fill_(~mask, 0.0)
    direction, left = residual, residual.square().sum(dim=1, keepdim=True)  # (out, in), (out, 1)
    tiny = torch.finfo(left.dtype).tiny  # a row that is done takes steps of 0
    for _ in range(POLISH):
        bent = (direction @ H).masked_fill_(~mask, 0.0)
        length = left / (direction * bent).sum(dim=1, keepdim=True).clamp(min=tiny)
        lost = lost + length * direction
        residual = residual - length * bent
        before, left = left, residual.square().sum(dim=1, keepdim=True)
        direction = residual + left / before.clamp(min=tiny) * direction
    return lost


def _better(
    W: Tensor,
    hessian: Tensor,
    solved: Tensor,
    sparsity: float | None,
    n_m: tuple[int, int] | None,
    damping: float,
    counts: Tensor,
) -> Tensor:
    """Return ``solved``, or SparseGPT's result if its error is lower and it has as many zeros."""
    other = sparsegpt(W, hessian, sparsity, n_m, damping).masked_fill_(W == 0, 0.0)  # it may bring some back
    if torch.count_nonzero(other) != torch.count_nonzero(solved):
        return solved
    H = hessian.cpu().double()
    importance = counts.to(H).square()

    def error(new: Tensor) -> float:
        lost = (W - new).cpu().double()
        return float((((lost @ H) * lost).sum(dim=1) * importance).sum())

    return min(solved, other, key=error)
