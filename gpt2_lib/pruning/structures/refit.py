"""Least-squares refitting: it corrects the remaining heads and neurons for the removed ones.

Structured pruning removes a part of the outputs of a block's two ``c_proj``. Least squares solve for a new weight and
bias of each, so that its outputs come as close as possible to those of the whole model: one linear system a matrix, no
training, no gradients.

Related work: FLAP (An et al., 2023, arXiv 2312.11983) corrects only the bias, by the removed mean. ZipLM (Kurtić et
al., 2023, arXiv 2302.04089) and SlimGPT (Ling et al., 2024, arXiv 2412.18110) choose structures by the optimal brain
surgeon's formula and update the weights at each removal. OSSCAR (Meng et al., 2024, arXiv 2403.12983) searches for the
units whose least-squares error is the lowest. Here `scores.contribution` chooses first, and the least squares come
once, at the end; their targets also compensate for the losses of earlier parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...gpt2 import GPT2, Attention, Block, FeedForward
from ...system.progress import progress_bar
from ..calibration.layers import TOKENS_PER_BATCH
from ..calibration.tensor_store import TensorStore, room_beside

RIDGE = 0.003  # measured on gpt2-mini; 0.001 and 0.01 differ by 0.3 % in perplexity


@dataclass(frozen=True)
class Moments:
    """Means over tokens of a linear layer's inputs x and target outputs y, and their centred sums of products.

    float64, on the CPU. Sums are centred: sums of large numbers that hardly vary would lose the variation.
    """

    tokens: int
    x: Tensor  # (in,): mean
    y: Tensor  # (out,): mean
    xx: Tensor  # (in, in): sum of (x - mean) (x - mean)^T
    xy: Tensor  # (in, out): sum of (x - mean) (y - mean)^T

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> Moments:
        """Return the moments of inputs (tokens, in) and outputs (tokens, out)."""
        x, y = x.float(), y.float()
        means = x.mean(0), y.mean(0)
        x, y = x - means[0], y - means[1]
        return cls(len(x), *(t.cpu().double() for t in (*means, x.t() @ x, x.t() @ y)))

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both texts together (Chan, Golub & LeVeque, 1979, equation 2.1)."""
        tokens = self.tokens + other.tokens
        x, y = other.x - self.x, other.y - self.y
        between = self.tokens * other.tokens / tokens * x  # (in,)
        return Moments(
            tokens,
            self.x + other.tokens / tokens * x,
            self.y + other.tokens / tokens * y,
            torch.addr(self.xx, between, x).add_(other.xx),
            torch.addr(self.xy, between, y).add_(other.xy),
        )


@torch.no_grad()
def refit(weight: Tensor, bias: Tensor, moments: Moments, ridge: float = RIDGE) -> tuple[Tensor, Tensor]:
    """Return the weight (out, in) and bias (out,) whose outputs are nearest to the targets, in the given dtypes.

    They minimise sum_t |y_t - W x_t - b|^2 + lambda |W - W_0|^2, where W_0 is ``weight`` and lambda ``ridge`` times
    the inputs' mean sum of squares about their mean. With b solved for, sums about the means are left:

        W (X X^T + lambda I) = Y X^T + lambda W_0    and    b = mean(y) - W mean(x).

    Zeros in ``weight`` stay zeros: a row is solved for on its other entries. Raises ValueError for shapes that don't
    fit, a ridge that is not above 0 or too small, and moments that are NaN or infinite.
    """
    _check(weight, bias, moments, ridge)
    strength = ridge * float(moments.xx.diagonal().mean()) or 1.0  # constant inputs carry no information about W
    before = weight.detach().cpu().double()
    XY = moments.xy + strength * before.t()  # (in, out)
    W = torch.zeros_like(before)
    supports, group = (before != 0).unique(dim=0, return_inverse=True)  # rows with zeros in the same places
    for k, support in enumerate(supports):
        rows, columns = (group == k).nonzero().flatten(), support.nonzero().flatten()
        XX = moments.xx[columns[:, None], columns]  # a copy
        XX.diagonal().add_(strength)
        L, failed = torch.linalg.cholesky_ex(XX, out=(XX, torch.zeros((), dtype=torch.int32)))  # in place: it is large
        if failed:
            raise ValueError(f"The inputs depend on each other too much for a ridge of {ridge:g}: raise it.")
        W[rows[:, None], columns] = torch.cholesky_solve(XY[columns][:, rows], L).t()
    return W.to(weight), (moments.y - W @ moments.x).to(bias)


@torch.no_grad()
def refit_projections(pruned: GPT2, dense: GPT2, windows: Tensor, ridge: float = RIDGE) -> None:
    """Refit every ``c_proj`` of ``pruned``, in place, to the outputs of ``dense`` on ``windows`` (N, T).

    ``pruned`` is ``dense`` with heads and neurons silenced or removed. Attention comes before feed-forward, block
    after block, so that each layer is fitted to the inputs that it will really get. Its target is the difference
    between the residual stream of ``dense`` after the same part and its own.

    The residual streams of both models are stored, 8 N T C bytes, C the width (see `tensor_store`). Raises ValueError
    for models that don't belong together, and for fewer tokens than the widest ``c_proj`` has inputs.
    """
    _check_pair(pruned, dense, windows)
    batches = windows.split(max(1, TOKENS_PER_BATCH // windows.size(1)))
    ours, wanted = (
        TensorStore(room_beside(dense) / 2),
        TensorStore(room_beside(dense) / 2),
    )  # residual streams, (n, T, C) each
    for i, ids in enumerate(batches):
        ours[i], wanted[i] = pruned.embed(ids), dense.embed(ids)
    blocks = list(zip(pruned.h, dense.h, strict=True))
    for block, whole in progress_bar(blocks, "refitting", "block"):
        for (norm, part), (whole_norm, whole_part) in zip(parts(block), parts(whole), strict=True):
            moments = None
            with _inputs_of(part.c_proj) as seen:
                for i in range(len(batches)):
                    x, aim = ours[i], wanted[i]
                    aim += whole_part(whole_norm(aim))
                    wanted[i] = aim
                    part(norm(x))
                    moments = _more(moments, Moments.of(seen.pop().flatten(0, 1), (aim - x).flatten(0, 1)))
            assert moments is not None
            weight, bias = refit(part.c_proj.weight, part.c_proj.bias, moments, ridge)
            part.c_proj.weight.copy_(weight)
            part.c_proj.bias.copy_(bias)
            for i in range(len(batches)):
                x = ours[i]
                ours[i] = x + part(norm(x))


def _more(moments: Moments | None, found: Moments) -> Moments:
    return found if moments is None else moments + found


def parts(block: Block) -> tuple[tuple[nn.LayerNorm, Attention], tuple[nn.LayerNorm, FeedForward]]:
    """Return the two parts of a transformer block that add to the residual stream, each after its LayerNorm."""
    return (block.ln_1, block.attn), (block.ln_2, block.mlp)


@contextmanager
def _inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list to which each call of ``layer`` adds its input."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    try:
        yield seen
    finally:
        hook.remove()


def _check(weight: Tensor, bias: Tensor, moments: Moments, ridge: float) -> None:
    if weight.dim() != 2 or bias.shape != weight.shape[:1] or moments.xy.shape != weight.shape[::-1]:
        raise ValueError(
            f"A weight (out, in), a bias (out,) and moments of that many inputs and outputs are needed; got "
            f"{tuple(weight.shape)}, {tuple(bias.shape)} and moments (in, out) {tuple(moments.xy.shape)}."
        )
    if not ridge > 0:
        raise ValueError(f"ridge is a fraction of the inputs' mean sum of squares, above 0; got {ridge!r}.")
    if not (moments.xx.isfinite().all() and moments.xy.isfinite().all()):
        raise ValueError("The inputs or outputs are NaN or infinite: check the model's weights and the data.")


def _check_pair(pruned: GPT2, dense: GPT2, windows: Tensor) -> None:
    a, b = pruned.config, dense.config
    if (a.n_layer, a.n_embd, a.vocab_size) != (b.n_layer, b.n_embd, b.vocab_size):
        raise ValueError(
            f"The pruned model has {a.n_layer} blocks of width {a.n_embd}, the dense one {b.n_layer} of {b.n_embd}: "
            "give the model that was pruned."
        )
    if windows.dim() != 2:
        raise ValueError(f"Windows must have shape (N, T); got {tuple(windows.shape)}.")
    widest = max(part.c_proj.in_features for block in pruned.h for _, part in parts(block))
    if windows.numel() < widest:
        raise ValueError(
            f"The calibration data is too short: {windows.numel()} tokens, and at least {widest} are needed, as many "
            "as the widest c_proj has inputs. Give more text."
        )
