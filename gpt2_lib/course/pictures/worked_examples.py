"""The pictures of the exercises' worked examples, small enough to check by hand: drawn, and told in a line below."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from ... import plots
from ..lesson import show

NEURONS = (
    torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 0.0], [2.0, 1.0]]),  # c_fc weight (n=4, C=2)
    torch.tensor([4.0, 2.0, 1.0, 2.0]),  # c_fc bias (n=4,)
    torch.tensor([[0.0, 0.0, 3.0, 2.0], [2.0, 0.0, 4.0, 0.0]]),  # c_proj weight (C=2, n=4)
)


def zeros() -> None:
    """Two layers and their zeros."""
    big = torch.tensor([[0.0, 2.0, 0.0, 1.0], [3.0, 0.0, 0.5, 0.0]])
    small = torch.tensor([[0.7, 4.0]])

    _, axes = plt.subplots(1, 2, figsize=(7, 1.8), layout="constrained", width_ratios=(4, 2))
    plots.matrix(axes[0], big, "4 zeros of 8", keep=big != 0)
    plots.matrix(axes[1], small, "0 zeros of 2", keep=small != 0)
    plt.show()
    print("together: 4 zeros of 10 entries, so the sparsity is 0.4")


def probabilities() -> None:
    """Logits, and the probabilities that softmax makes of them."""
    logits = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])  # (B=1, T=2, V=4)
    targets = torch.tensor([[0, 3]])  # (B=1, T=2)

    _, axes = plt.subplots(1, 2, figsize=(8, 1.8), layout="constrained")
    plots.matrix(axes[0], logits[0], "logits")
    plots.matrix(axes[1], (logits[0].softmax(-1) * 1000).round() / 1000, "probabilities = softmax of each row")
    for ax in axes:
        for place, token in enumerate(targets[0].tolist()):
            ax.add_patch(plt.Rectangle((token - 0.5, place - 0.5), 1, 1, fill=False, edgecolor=plots.BLUE, linewidth=3))
    plt.show()
    p = logits[0].softmax(-1)
    by_hand = math.exp(-(math.log(p[0, 0]) + math.log(p[1, 3])) / 2)
    print(
        f"the right tokens got {p[0, 0]:.3f} and {p[1, 3]:.3f}: "
        f"exp(-(log {p[0, 0]:.3f} + log {p[1, 3]:.3f}) / 2) = {by_hand:.4f}"
    )


def smallest() -> None:
    """A weight, the size of its entries, and what magnitude pruning leaves."""
    weight = torch.tensor([[0.9, -0.1, 0.4, -1.2], [0.2, -0.5, 0.05, 0.4]])
    keep = torch.tensor([[True, False, False, True], [False, True, False, True]])

    _, axes = plt.subplots(1, 3, figsize=(10, 1.9), layout="constrained")
    plots.matrix(axes[0], weight, "the weight")
    plots.matrix(axes[1], weight.abs(), "its size: four of eight go", keep=keep)
    plots.matrix(axes[2], weight.masked_fill(~keep, 0), "what is left")
    plt.show()
    print(f"the keep-mask:\n{show(keep)}")


def neurons() -> None:
    """Four neurons of a feed-forward part, a colour each."""
    c_fc_weight, c_fc_bias, c_proj_weight = NEURONS
    _, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained", width_ratios=(2, 1, 4))
    plots.matrix(axes[0], c_fc_weight, "c_fc weight")
    plots.matrix(axes[1], c_fc_bias[:, None], "bias")
    plots.matrix(axes[2], c_proj_weight, "c_proj weight")
    for j, (colour, *_) in zip(range(4), plots.SERIES, strict=False):
        for ax, corner, width, height in (
            (axes[0], (-0.45, j - 0.45), 1.9, 0.9),
            (axes[1], (-0.45, j - 0.45), 0.9, 0.9),
            (axes[2], (j - 0.45, -0.45), 0.9, 1.9),
        ):
            ax.add_patch(plt.Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=2.5))
        axes[0].text(-0.6, j, f"neuron {j} ", ha="right", va="center", color=colour, weight="bold")
    plt.show()
    print("neuron 0: sqrt(9 + 0 + 16) * sqrt(0 + 4)  = 5 * 2 = 10")
    print("neuron 1: sqrt(1 + 4 + 4)  * sqrt(0 + 0)  = 3 * 0 =  0   nobody listens to it")
    print("neuron 2: sqrt(0 + 0 + 1)  * sqrt(9 + 16) = 1 * 5 =  5   it hears nothing but its bias, and still speaks")
    print("neuron 3: sqrt(4 + 1 + 4)  * sqrt(4 + 0)  = 3 * 2 =  6")


def leak() -> None:
    """One neuron goes, and what it said is missing."""
    c_fc_weight, c_fc_bias, c_proj_weight = NEURONS
    _, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained", width_ratios=(2, 1, 4))
    gone = torch.tensor([False, False, True, False])  # neuron 2
    plots.matrix(axes[0], c_fc_weight, "c_fc weight", keep=~gone[:, None].expand(4, 2))
    plots.matrix(axes[1], c_fc_bias[:, None], "bias", keep=~gone[:, None])
    plots.matrix(axes[2], c_proj_weight, "c_proj weight", keep=~gone.expand(2, 4))
    plt.show()

    keep = torch.tensor([0, 1, 3])
    x = torch.tensor([0.5, -1.0])  # any token
    whole = _feed_forward(x, c_fc_weight, c_fc_bias, c_proj_weight)
    without = _feed_forward(x, c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep])
    print(f"output with neuron 2, whose row is all zeros: {[round(v, 3) for v in whole.tolist()]}")
    print(f"output without it:                            {[round(v, 3) for v in without.tolist()]}")
    print(
        f"the difference is GELU(1) * its column:       {[round(v, 3) for v in (whole - without).tolist()]}, "
        "for every token"
    )


def _feed_forward(x: Tensor, c_fc_weight: Tensor, c_fc_bias: Tensor, c_proj_weight: Tensor) -> Tensor:
    """What a feed-forward part makes of x (C,), without the last bias."""
    return c_proj_weight @ torch.nn.functional.gelu(c_fc_weight @ x + c_fc_bias, approximate="tanh")


def head() -> None:
    """The rows and columns of head 0 in the two matrices of attention."""
    N, H, C = 2, 2, 4
    labels = [f"{part} head {h}" for part in "QKV" for h in range(N) for _ in range(H)]
    rows_of_head_0 = torch.tensor([0, 1, 4, 5, 8, 9])
    columns_of_head_0 = torch.tensor([0, 1])

    _, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
    stays = torch.ones(3 * N * H, C, dtype=torch.bool)
    stays[rows_of_head_0] = False
    plots.matrix(axes[0], torch.arange(48.0).view(12, 4) - 24, "c_attn weight (3 N H, C)", keep=stays)
    axes[0].set_yticks(range(12), labels)
    for line in (3.5, 7.5):
        axes[0].axhline(line, color="black", linewidth=2)
    stays = torch.ones(C, N * H, dtype=torch.bool)
    stays[:, columns_of_head_0] = False
    plots.matrix(axes[1], torch.arange(16.0).view(4, 4) - 8, "c_proj weight (C, N H)", keep=stays)
    axes[1].set_xticks(range(4), ["head 0", "head 0", "head 1", "head 1"])
    plt.show()


def cubic() -> None:
    """Five steps of the cubic schedule."""
    weight = torch.tensor([[0.9, -0.1, 0.4, -0.7], [0.2, -0.8, 0.05, 0.3]])
    worked = {0: (0.0, 0), 1: (0.434, 3), 2: (0.656, 5), 3: (0.738, 6), 4: (0.75, 6)}  # step: sparsity, gone of 8

    _, axes = plt.subplots(1, 5, figsize=(12, 1.6), layout="constrained")
    smallest_first = weight.abs().flatten().sort().values.tolist()
    for ax, (step, (s, gone)) in zip(axes, worked.items(), strict=True):
        plots.matrix(ax, weight, f"step {step}: {s:g}", keep=weight.abs() >= smallest_first[gone])
    plt.show()
    print(
        "In the first step three weights go, then two, then one, then none: fast while it is easy, slow when it hurts."
    )


def momentum() -> None:
    """A step of the optimiser moves what was pruned."""
    before = torch.tensor([[0.9, 0.0, -0.6, 0.0], [0.0, 0.5, 0.0, -1.1]])
    weight = torch.nn.Parameter(before.clone())
    weight.grad = torch.zeros_like(weight)
    optimizer = torch.optim.SGD([weight], lr=0.2, momentum=0.5)
    optimizer.state[weight]["momentum_buffer"] = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 2.0, 4.0, 1.0]])
    optimizer.step()
    moved = weight.detach()
    alive = (before == 0) & (moved != 0)

    _, axes = plt.subplots(1, 3, figsize=(10, 2.1), layout="constrained")
    plots.matrix(axes[0], before, "before: four of eight are pruned", keep=before != 0)
    plots.matrix(axes[1], moved, "after the optimiser's step: all alive")
    plots.matrix(axes[2], torch.where(alive, 0.0, moved), "what a step with masks leaves", keep=~alive)
    for row, column in alive.nonzero().tolist():
        axes[1].add_patch(
            plt.Rectangle((column - 0.45, row - 0.45), 0.9, 0.9, fill=False, edgecolor=plots.RED, linewidth=2)
        )
    plt.show()


def rankings() -> None:
    """Two layers, ranked each on its own and together."""
    layers = {
        "large": torch.tensor([[0.9, -0.2, 0.5, -0.7], [0.4, -0.8, 0.6, 1.0]]),
        "small": torch.tensor([[0.1, -0.45, 0.3, 0.05]]),
    }

    _, axes = plt.subplots(2, 2, figsize=(9, 2.8), layout="constrained", height_ratios=(2, 1))
    for column, (way, thresholds) in enumerate({"each on its own": (0.6, 0.1), "one ranking": (0.45, 0.45)}.items()):
        for row, (values, threshold) in enumerate(zip(layers.values(), thresholds, strict=True)):
            keep = values.abs() > threshold
            plots.matrix(axes[row, column], values, f"{way}: {int((~keep).sum())} of {keep.numel()} go", keep=keep)
    plt.show()
    print("One ranking spares two of the large weights and empties the layer of small ones.")


def bits() -> None:
    """A sparse weight and its bitmask."""
    weight = torch.tensor([[0.0, 1.5, 0.0, -2.0, 0.0], [0.5, 0.0, 0.0, 0.0, 3.0]])

    _, axes = plt.subplots(1, 2, figsize=(9, 1.6), layout="constrained")
    plots.matrix(axes[0], weight, "a weight: 10 entries of 4 bytes", keep=weight != 0)
    plots.matrix(axes[1], (weight != 0).float(), "its bits, row by row")
    plt.show()
    print("bits    01010100 01000000   2 bytes (the last six are filled up)")
    print("values  1.5 -2.0 0.5 3.0   16 bytes, instead of 40 in all")


def int8() -> None:
    """A weight and its int8."""
    weight = torch.tensor([[1.27, -0.5, 0.0, 0.003], [0.02, 0.0, -0.0127, 0.001]])
    q = torch.tensor([[127, -50, 0, 0], [127, 0, -81, 6]])

    _, axes = plt.subplots(1, 2, figsize=(9, 1.6), layout="constrained")
    plots.matrix(axes[0], weight, "a weight: two rows, one of small entries")
    plots.matrix(axes[1], q, "int8; the scales are 1.27/127 and 0.02/127", keep=q != 0)
    plt.show()
    print("The second row's -0.0127 is -81 of its own steps. With the first row's scale it would have been -1 step.")
