"""Muon: momentum whose update is orthogonalised, for the matrices inside a transformer's blocks.

On the plays it learns much faster than AdamW alone (docs/model_sweep.md has the figures). PyTorch's own
`torch.optim.Muon` computes in bfloat16, which most laptops only emulate: a step of gpt2-mini takes
seconds there. This one computes in float32 and takes Q, K and V of ``c_attn`` one by one.

Source: Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..modules import at_least_float32

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic Newton-Schulz iteration, ibid.


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised by Newton-Schulz; decoupled weight decay.

    ``parameters``: 2-D only. A group's ``parts`` says how many matrices lie stacked in each of its
    parameters: 3 for ``c_attn``, which holds Q, K and V.
    """

    def __init__(
        self, parameters: Iterable, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.1
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "parts": 1})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p not in self.state:
                    self.state[p]["average"] = torch.zeros_like(p)
                average = self.state[p]["average"]
                average.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(average, group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(torch.cat([orthogonalise(part) for part in update.chunk(group["parts"])]), alpha=group["lr"])


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return approximately U V^T of ``matrix`` = U S V^T, times sqrt(rows / columns) where it has more rows."""
    tall = matrix.size(0) > matrix.size(1)
    x = at_least_float32(matrix.t() if tall else matrix)  # in float16 the 1e-7 below would be zero
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.t() if tall else x
    return (x * max(1.0, matrix.size(0) / matrix.size(1)) ** 0.5).to(matrix.dtype)
