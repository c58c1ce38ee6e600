"""Importance scores: the higher the score, the more an entry (or neuron, head, block) is worth keeping.

Tensors in, tensors out; no score is negative. Weights have nn.Linear's layout (out, in). ``order`` is
that of a norm: 1 for L1, 2 for L2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


def magnitude(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return |w| of every entry (Han et al., 2015, "Learning both Weights and Connections", section 3).

    Of a single entry L1 and L2 are the same number; they differ for groups of entries, below.
    """
    return {name: w.detach().abs() for name, w in weights.items()}


def random(weights: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Return uniform numbers in [0, 1): the baseline that every other score has to beat."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(w.shape, generator=generator).to(w.device) for name, w in weights.items()}


def wanda(weights: Mapping[str, Tensor], input_norms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return |w| times the L2 norm of the input that it multiplies (Sun et al., 2023, equation 1).

    ``input_norms``: for each weight (out, in) the norms (in,) over all tokens of the calibration text.
    Meant to be compared within a row: `selection.row_masks`, `selection.n_m_masks`.
    """
    return {name: _wide(w).abs() * _wide(input_norms[name]).to(w.device) for name, w in weights.items()}


def taylor(weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return |w| times the magnitude of the loss's gradient by w: the first-order change of the loss without it.

    ``gradients``: of each weight's shape, sizes over single examples, as `calibration.gradients` gives them. With
    its ``order`` 1 the score is the mean of |w g| (Molchanov et al., 2017, section 2.2, there for feature maps),
    with ``order`` 2 the root of the mean of (w g)^2 (Molchanov et al., 2019, equation 8; the root ranks alike).
    In units of the loss, so that layers can be compared.
    """
    return {name: (_wide(w) * _wide(gradients[name]).to(w.device)).abs() for name, w in weights.items()}


def _wide(tensor: Tensor) -> Tensor:
    """Return the tensor in at least float32: the product of two small half-precision numbers would be zero."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))


def neuron(c_fc_weight: Tensor, c_fc_bias: Tensor, c_proj_weight: Tensor, order: float = 2) -> Tensor:
    """Return scores (n,) of n hidden neurons: the norm of their input weights times that of their output weights.

    c_fc_weight (n, C) and c_fc_bias (n,) feed the neurons; c_proj_weight (C, n) takes from them.
    """
    feeds = _wide(torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1))  # (n, C + 1)
    return feeds.norm(order, dim=1) * _wide(c_proj_weight).norm(order, dim=0)


def head(c_attn_weight: Tensor, c_attn_bias: Tensor, c_proj_weight: Tensor, n_head: int, order: float = 2) -> Tensor:
    """Return scores (N,) of N = ``n_head`` heads: the norm of their Q, K and V times that of their output weights.

    c_attn_weight (3 N H, C) and c_attn_bias (3 N H,) hold Q, then K, then V, each head by head;
    c_proj_weight (C, N H) takes from the heads.
    """
    feeds = _wide(torch.cat([c_attn_weight, c_attn_bias[:, None]], dim=1))  # (3 N H, C + 1)
    feeds = feeds.view(3, n_head, -1, feeds.size(1)).transpose(0, 1).flatten(1)  # (N, 3 H (C + 1))
    fed = _wide(c_proj_weight).t().reshape(n_head, -1)  # (N, H C)
    return feeds.norm(order, dim=1) * fed.norm(order, dim=1)


def contribution(gram: Tensor, weight: Tensor, units: int) -> Tensor:
    """Return scores (units,) of heads or neurons: the L2 norm, over a text, of their residual-stream outputs.

    A unit's outputs X_u (tokens, H) leave through its columns W_u (C, H) of ``weight`` (C, units H), the
    block's ``c_proj``, and add X_u W_u^T, whose norm is sqrt(tr(W_u X_u^T X_u W_u^T)). ``gram`` is X^T X
    (units H, units H), as `calibration.hessians` gives it. For a neuron (H = 1) this is |x| |w|: Wanda's
    score, of a whole column.
    """
    w = weight.detach().t().reshape(units, -1, weight.size(0))  # (units, H, C)
    w = w.to(gram.device).to(gram.dtype)  # one after the other: the weight's device may have no float64
    size = w.size(1)
    own = gram.view(units, size, units, size).diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (units, H, H)
    return (w * (own @ w)).sum((1, 2)).clamp(min=0).sqrt()


def block_influence(inputs: Tensor, outputs: Tensor) -> float:
    """Return how much a transformer block changes its inputs: 1 - mean cosine of its inputs and outputs.

    inputs, outputs: (tokens, C). In [0, 2]; a block near 0 can go (Men et al., 2024, "ShortGPT", equation 1).
    """
    return 1.0 - F.cosine_similarity(_wide(inputs), _wide(outputs), dim=-1).mean().item()


def outputs(gradient: Tensor) -> Tensor:
    """Return the weight of an error of each output (out,), at most 1: the root of the norm of its weights' gradient.

    ``gradient``: size of the loss's gradient by each entry (out, in), as `calibration.gradients` gives it. The
    root, since a gradient is true of small errors and these are not: at 70 % the norm itself did harm. None counts
    for less than a hundredth of the first, so that none is given up.
    """
    norms = gradient.norm(dim=1)
    largest = norms.max()
    return (norms / largest).sqrt().clamp(min=0.01) if largest > 0 else torch.ones_like(norms)
