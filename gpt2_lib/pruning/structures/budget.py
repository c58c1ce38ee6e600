"""Widths of each part of each block under a budget for the whole model: FLOPs, or measured seconds.

Every width of every part has a cost (`costs`) and an error. Dynamic programming takes the widths whose summed error is
the lowest within the budget, as ZipLM does with its table of measured times (Kurtić et al., 2023, arXiv 2302.04089,
section 3.2). The error is what least squares leave of a part's output (`projection_error`), times the mean square of
the loss's gradient by that output: to second order, with independent errors, what the loss rises by (up to a factor).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...gpt2 import GPT2
from .. import scores
from ..calibration.input_statistics import block_by_block, hessians
from ..calibration.layers import TOKENS_PER_BATCH
from .costs import Costs, Table, flop_costs
from .refit import RIDGE, parts

STEPS = 2000  # a budget is divided into so many equal parts: costs are rounded up to one of them
SENSITIVITY_WINDOWS = 32


def fractions_within(
    model: GPT2, windows: Tensor, share: float, costs: Costs | None = None
) -> tuple[list[float], list[float]]:
    """Return the fractions of each block's heads and neurons to remove, so that ``share`` of the cost is left.

    They are what `ModelPruner.remove_structures` and `prune_structures` take. ``windows`` (N, T): calibration text.
    ``costs``: `flop_costs` unless others are given, such as `latency_costs`. Raises ValueError for a share that isn't
    in (0, 1], and for one that even a single head and the fewest neurons in every block exceed.
    """
    costs = flop_costs(model) if costs is None else costs
    if not 0 < share <= 1:
        raise ValueError(f"share is how much of the model's cost may be left, above 0 and at most 1; got {share!r}.")
    least = costs.rest + sum(min(table.values()) for table in (*costs.heads, *costs.neurons))
    if share * costs.whole < least:
        raise ValueError(
            f"{share:.0%} of the model's cost is less than what stays in any case, {least / costs.whole:.0%}: the "
            "head, and one attention head and a few neurons in every block."
        )
    errors = _errors(model, windows, costs)
    tables = [table for pair in zip(costs.heads, costs.neurons, strict=True) for table in pair]
    widths = widths_within(tables, errors, share * costs.whole - costs.rest)
    return (
        [1 - n / most for n, most in zip(widths[::2], model.config.heads, strict=True)],
        [1 - n / most for n, most in zip(widths[1::2], model.config.neurons, strict=True)],
    )


def widths_within(
    costs: Sequence[Mapping[int, float]], errors: Sequence[Mapping[int, float]], budget: float
) -> list[int]:
    """Return one width of each table, with the lowest sum of errors at costs of at most ``budget`` in all.

    Dynamic programming over the budget in STEPS equal steps; each cost is rounded up to a step, so that the budget
    holds. Raises ValueError when no choice is within it.
    """
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}  # steps spent -> lowest error, its widths
    for table, error in zip(costs, errors, strict=True):
        after: dict[int, tuple[float, tuple[int, ...]]] = {}
        for spent, (total, widths) in best.items():
            for width, cost in table.items():
                place = spent + math.ceil(cost / budget * STEPS - 1e-9)
                candidate = total + error[width]
                if place <= STEPS and (place not in after or candidate < after[place][0]):
                    after[place] = candidate, (*widths, width)
        best = after
    if not best:
        raise ValueError("No choice of widths is within this budget: raise it.")
    return list(min(best.values())[1])


@torch.no_grad()
def projection_error(gram: Tensor, weight: Tensor, columns: Tensor, ridge: float = RIDGE) -> float:
    """Return the sum of squares of a weight's (out, in) outputs that least squares on ``columns`` leave.

    ``gram``: X^T X (in, in) of the inputs. With r the other inputs and k ``columns``, this is the trace of
    W_r (G_rr - G_rk (G_kk + lambda I)^-1 G_kr) W_r^T: the Schur complement, with the ridge of `refit.refit`.
    """
    others = torch.ones(len(gram), dtype=torch.bool)
    others[columns] = False
    r = others.nonzero().flatten()
    kept = gram[columns][:, columns].clone()
    kept.diagonal().add_(ridge * kept.diagonal().mean() + torch.finfo(kept.dtype).tiny)
    across = gram[columns][:, r]
    schur = gram[r][:, r] - across.t() @ torch.cholesky_solve(across, torch.linalg.cholesky(kept))
    w = weight.detach()[:, r].to(gram)
    return float(((w @ schur) * w).sum().clamp(min=0))


def output_sensitivities(model: GPT2, windows: Tensor) -> list[float]:
    """Return the mean square, over tokens, of the loss's gradient by each part's output, in block order.

    The loss is the sum over tokens of ``windows`` (N, T) of the negative log-likelihood, so that the weight of a token
    does not depend on their number.
    """
    squares = [0.0] * (2 * model.config.n_layer)
    for batch in windows.split(max(1, TOKENS_PER_BATCH // windows.size(1))):
        with torch.enable_grad():
            x = model.embed(batch).detach().requires_grad_(True)
            outputs: list[Tensor] = []
            for block in model.h:
                for norm, part in parts(block):
                    outputs.append(part(norm(x)))
                    x = x + outputs[-1]
            logits = model.head(model.ln_f(x[:, :-1])).flatten(0, 1).float()
            loss = F.cross_entropy(logits, batch[:, 1:].flatten().to(logits.device), reduction="sum")
            found = torch.autograd.grad(loss, outputs)
        squares = [total + float(g.float().square().sum()) for total, g in zip(squares, found, strict=True)]
    return [total / windows.numel() for total in squares]


def _errors(model: GPT2, windows: Tensor, costs: Costs) -> list[Table]:
    """Return the error of each width in ``costs``: attention and feed-forward of block 0, of block 1, ..."""
    sensitivities = output_sensitivities(model, windows[:SENSITIVITY_WINDOWS])
    names = [f"h.{i}.{part}.c_proj.weight" for i in range(len(model.h)) for part in ("attn", "mlp")]
    tables = dict(zip(names, (t for pair in zip(costs.heads, costs.neurons, strict=True) for t in pair), strict=True))
    units = [n for block in model.h for n in (block.attn.n_head, block.mlp.c_proj.in_features)]
    errors: list[Table] = []
    for group, text in block_by_block(model, windows, names, "errors of widths"):
        grams = hessians(model, text, group)
        for name in group:
            weight, gram, n = model.get_parameter(name).cpu(), grams[name].cpu(), units[len(errors)]
            best_first = scores.contribution(gram, weight, n).argsort(descending=True, stable=True)
            inputs = torch.arange(weight.size(1)).view(n, -1)  # (units, inputs of one)
            sensitivity = sensitivities[len(errors)]
            errors.append(
                {
                    k: sensitivity * projection_error(gram, weight, inputs[best_first[:k]].flatten())
                    for k in tables[name]
                }
            )
    return errors
