"""Exercise 2.5, measured as the challenges are: what a choice of sparsities leaves of gpt2-mini."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache

from ...corpus import held_out_windows
from ...metrics import evaluate
from ...pruning.pruner import ModelPruner, prunable_weights
from .reference import dense, pages

BUDGET = 0.6  # of all prunable weights
BUDGET_LEFT = {"better": 90, "good": 65, "best": 55}  # perplexity at most, on the notebook's 12 pages
HARDER = 1.15  # times as much on 16 others: there all choices have 1.01 to 1.12 times the perplexity

Shares = tuple[tuple[str, float], ...]  # parameter name, sparsity


def prunable_sizes() -> dict[str, int]:
    """Return the number of weights of each prunable matrix of gpt2-mini, {parameter name: weights}."""
    return {name: weight.numel() for name, weight in prunable_weights(dense()).items()}


@lru_cache(maxsize=4)
def perplexity_left(shares: Shares, hidden: bool = False) -> float:
    """Return gpt2-mini's perplexity after the smallest weights of each layer are pruned to its share."""
    model = deepcopy(dense())
    ModelPruner(model).prune("magnitude", dict(shares))
    assert model.tokenizer is not None
    windows = pages(hidden=True)[::6] if hidden else held_out_windows(model.tokenizer, model.config.n_positions, 12)
    return evaluate(model, windows).perplexity


def assert_left(shares: Shares, bar: str, hidden: bool = False) -> float:
    """Assert that pruning to ``shares`` leaves a perplexity within a bar of BUDGET_LEFT, and return it."""
    perplexity, most = perplexity_left(shares, hidden), BUDGET_LEFT[bar] * (HARDER if hidden else 1)
    text = "pages that you don't see" if hidden else "the notebook's pages"
    assert perplexity <= most, (
        f"Pruned to your sparsities, gpt2-mini has perplexity {perplexity:.1f} on {text}; at most {most:g} is "
        "asked for. Which layers can spare more, and which less, by the picture above?"
    )
    return perplexity
