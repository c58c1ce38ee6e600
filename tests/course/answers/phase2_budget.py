"""Answers to exercise 2.5: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations

ALL = {"budget_met", "budget_better", "budget_good", "budget_best"}


def _by_block(*shares: float) -> str:
    """An answer with one sparsity for all matrices of a block, the first block's first."""
    return f"""
def layer_sparsities(weights):
    chosen = {shares}
    return {{name: chosen[int(name.split(".")[1])] for name in weights}}
"""


# exercise -> name -> (the checks that must fail, all others must pass; the answer)
WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "layer_sparsities": {
        "the same everywhere": (
            ALL - {"budget_met"},
            """
def layer_sparsities(weights):
    return {name: 0.6 for name in weights}
""",
        ),
        "the wrong way round": (
            ALL - {"budget_met"},
            _by_block(0.75, 0.6, 0.55, 0.5),
        ),
        "more of the later blocks, but not much": (
            {"budget_better", "budget_good", "budget_best"},
            _by_block(0.54, 0.6, 0.62, 0.64),
        ),
        "by block alone": (
            {"budget_good", "budget_best"},
            _by_block(0.3, 0.6, 0.75, 0.75),
        ),
        "the mean of the layers, not of the weights": (
            ALL,
            """
def layer_sparsities(weights):
    small = [name for name in weights if name.endswith("attn.c_proj.weight")]
    return {name: 0.9 if name in small else 0.5 for name in weights}
""",
        ),
        "half of the weights": (
            ALL,
            _by_block(0.3, 0.5, 0.6, 0.6),
        ),
        "everything": (
            ALL,
            """
def layer_sparsities(weights):
    return dict.fromkeys(weights, 1.0)
""",
        ),
        "the embedding, too": (
            ALL,
            """
def layer_sparsities(weights):
    return dict.fromkeys(weights, 0.6) | {"wte.weight": 0.6}
""",
        ),
        "a tensor for each layer": (
            ALL,
            """
def layer_sparsities(weights):
    return {name: torch.full((2,), 0.6) for name in weights}
""",
        ),
        "in per cent": (
            ALL,
            """
def layer_sparsities(weights):
    return {name: 60 for name in weights}
""",
        ),
        "the densities": (
            ALL,
            """
def layer_sparsities(weights):
    return {name: 0.7 if name.startswith("h.0.") else 0.3 for name in weights}
""",
        ),
        "without the layers that are spared": (
            ALL,
            """
def layer_sparsities(weights):
    return {name: 0.8 for name in weights if not name.startswith("h.0.")}
""",
        ),
        "a list": (
            ALL,
            """
def layer_sparsities(weights):
    return [0.6 for _ in weights]
""",
        ),
        "prints instead of returning": (
            ALL,
            """
def layer_sparsities(weights):
    print({name: 0.6 for name in weights})
""",
        ),
        "another answer at each call": (
            {"budget_met"},
            """
import random


def layer_sparsities(weights):
    chosen = {"h.0.attn": 0.5, "h.0.mlp": 0.3, "h.1.attn": 0.4, "h.1.mlp": 0.8}
    chosen |= {"h.2.attn": 0.6, "h.2.mlp": 0.8, "h.3.attn": 0.7, "h.3.mlp": 0.8}
    shares = {name: chosen[".".join(name.split(".")[:3])] for name in weights}
    gone = sum(shares[name] * count for name, count in weights.items()) / sum(weights.values())
    return {name: (0.6 + random.random() / 1000) * share / gone for name, share in shares.items()}
""",
        ),
        "changes the dict that it is given": (
            {"budget_met"},
            """
def layer_sparsities(weights):
    chosen = {"h.0.attn": 0.5, "h.0.mlp": 0.3, "h.1.attn": 0.4, "h.1.mlp": 0.8}
    chosen |= {"h.2.attn": 0.6, "h.2.mlp": 0.8, "h.3.attn": 0.7, "h.3.mlp": 0.8}
    total = sum(weights.values())
    shares = {name: chosen[".".join(name.split(".")[:3])] for name in weights}
    gone = sum(shares[name] * count for name, count in weights.items()) / total
    for name, share in shares.items():
        weights[name] = share * 0.6 / gone
    return weights
""",
        ),
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "layer_sparsities": {
        "every number written down": """
def layer_sparsities(weights):
    attention, feedforward = (0.45, 0.35, 0.57, 0.65), (0.3, 0.8, 0.8, 0.8)
    found = {}
    for block in range(4):
        for part in ("c_attn", "c_proj"):
            found[f"h.{block}.attn.{part}.weight"] = attention[block]
        for part in ("c_fc", "c_proj"):
            found[f"h.{block}.mlp.{part}.weight"] = feedforward[block]
    return found
""",
        "tensors, and more than was asked for": """
def layer_sparsities(weights):
    names = sorted(weights)
    shares = torch.tensor([0.3 if ".0.mlp" in n else 0.8 if ".mlp" in n else 0.5 for n in names], dtype=torch.float64)
    counts = torch.tensor([weights[n] for n in names], dtype=torch.float64)
    shares = shares * 0.605 * counts.sum() / (shares * counts).sum()
    return dict(zip(names, shares))
""",
        "scaled until the budget is met, a little at a time": """
def layer_sparsities(weights):
    shares = {name: 0.25 if name.startswith("h.0.mlp") else 0.4 if "attn" in name else 0.7 for name in weights}
    total = sum(weights.values())
    while sum(round(shares[name] * count) for name, count in weights.items()) < 0.6 * total:
        shares = {name: min(0.95, share * 1.001) for name, share in shares.items()}
    return shares
""",
        "NumPy, from the numbers that a scan gave": """
import numpy as np

def layer_sparsities(weights):
    rises = {"h.0.attn": 0.5, "h.0.mlp": 1.3, "h.1.attn": 0.74, "h.1.mlp": 0.06, "h.2.attn": 0.19, "h.2.mlp": 0.07}
    costs = np.array([rises.get(".".join(n.split(".")[:3]), 0.05) for n in weights])
    counts = np.array(list(weights.values()))
    shares = 0.95 - 0.55 * costs ** 0.4
    shares *= 0.6 / np.average(shares, weights=counts)
    return dict(zip(weights, np.clip(shares, 0, 0.99)))
""",
    }
}
