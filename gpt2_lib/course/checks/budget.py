"""Checks of exercise 2.5: a budget of weights to remove, shared out over the layers, and what is left of gpt2-mini."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache

from ...corpus import held_out_windows
from ...metrics import evaluate
from ...pruning.pruner import ModelPruner, prunable_weights
from ..challenges import dense, pages
from ..check import check
from ..progress import progress
from .gradual import number_from

BUDGET = 0.6  # of all prunable weights
BARS = {"better": 90, "good": 70, "best": 60}  # perplexity on the notebook's 12 pages, and on 16 others


def prunable_sizes():
    """Return the number of weights of each prunable matrix of gpt2-mini, {parameter name: int}."""
    return {name: weight.numel() for name, weight in prunable_weights(dense()).items()}


def shared_out(layer_sparsities):
    """Return the learner's sparsities as ((parameter name, float), ...). Raises AssertionError if they miss the budget."""
    sizes = prunable_sizes()
    progress.given(f"the {len(sizes)} matrices of gpt2-mini, {{name: number of weights}}")
    given = layer_sparsities(dict(sizes))
    assert given is not None, "layer_sparsities() returned nothing: end it with `return ...`."
    assert isinstance(given, dict), f"A dict {{name: sparsity}} was expected; a {type(given).__name__} came back."
    missing, foreign = [n for n in sizes if n not in given], [n for n in given if n not in sizes]
    assert not missing, f"There is no sparsity for {missing[0]!r}: each of the {len(sizes)} names needs one, 0 too."
    assert not foreign, f"{str(foreign[0])[:80]!r} is no matrix of gpt2-mini: use the names that are given."
    shares = {name: number_from(given[name], "layer_sparsities") for name in sizes}
    for name, share in shares.items():
        assert 0 <= share <= 1, (
            f"The sparsity of {name} is {share:g}: it is the fraction of that layer that goes, from 0 to 1."
        )
    gone = sum(round(shares[name] * size) for name, size in sizes.items()) / sum(sizes.values())
    plain = sum(shares.values()) / len(shares)
    idea = (
        " The plain mean of your sparsities is, but large layers count for more: weigh each by its number of weights."
        if plain >= BUDGET - 0.0005
        else ""
    )
    assert gone >= BUDGET - 0.0005, f"{gone:.1%} of all prunable weights go; {BUDGET:.0%} are asked for.{idea}"
    return tuple(shares.items())


@lru_cache(maxsize=4)
def perplexity_left(shares, hidden=False):
    """Return gpt2-mini's perplexity with the smallest weights of each layer pruned, on the notebook's or other pages."""
    model = deepcopy(dense())
    ModelPruner(model).prune("magnitude", dict(shares))
    assert model.tokenizer is not None
    windows = pages(hidden=True)[::6] if hidden else held_out_windows(model.tokenizer, model.config.n_positions, 12)
    return evaluate(model, windows).perplexity


def assert_left(shares, bar, hidden=False):
    """Assert that pruning to ``shares`` leaves at most the perplexity of a bar: "better", "good" or "best"."""
    perplexity, most = perplexity_left(shares, hidden), BARS[bar]
    text = "pages that you don't see" if hidden else "the notebook's pages"
    assert perplexity <= most, (
        f"Pruned to your sparsities, gpt2-mini has perplexity {perplexity:.1f} on {text}; at most {most:g} is asked for. "
        "Which layers can spare more, and which less, by the picture above?"
    )


def _left(layer_sparsities, bar):
    shares = shared_out(layer_sparsities)
    assert_left(shares, bar)
    return shares


@check("60 % of all weights go")
def budget_met(layer_sparsities):
    return shared_out(layer_sparsities)


@check(f"better than the same share everywhere: perplexity {BARS['better']} at most")
def budget_better(layer_sparsities):
    return _left(layer_sparsities, "better")


@check(f"good: perplexity {BARS['good']} at most")
def budget_good(layer_sparsities):
    return _left(layer_sparsities, "good")


@check(f"very good: perplexity {BARS['best']} at most")
def budget_best(layer_sparsities):
    return _left(layer_sparsities, "best")
