"""Checks of exercise 2.5: a budget of weights to remove, shared out over the layers, and what is left of gpt2-mini."""

from __future__ import annotations

from .. import challenges
from ..check import check
from ..progress import progress
from .gradual import float_of


def shared_out(layer_sparsities):
    """Return the learner's sparsities as ((parameter name, float), ...). Raises AssertionError if they miss the budget."""
    sizes = challenges.prunable_sizes()
    progress.given(f"the {len(sizes)} matrices of gpt2-mini, {{name: number of weights}}")
    given = layer_sparsities(dict(sizes))
    assert given is not None, "layer_sparsities() returned nothing: end it with `return ...`."
    assert isinstance(given, dict), f"A dict {{name: sparsity}} was expected; a {type(given).__name__} came back."
    missing, foreign = [n for n in sizes if n not in given], [n for n in given if n not in sizes]
    assert not missing, f"There is no sparsity for {missing[0]!r}: each of the {len(sizes)} names needs one, 0 too."
    assert not foreign, f"{str(foreign[0])[:80]!r} is no matrix of gpt2-mini: use the names that are given."
    shares: dict[str, float] = {}
    for name in sizes:
        share = float_of(given[name])
        assert share is not None, f"The sparsity of {name} should be one number; it is a {type(given[name]).__name__}."
        assert 0 <= share <= 1, (
            f"The sparsity of {name} is {share:g}: it is the fraction of that layer that goes, from 0 to 1."
        )
        shares[name] = share
    gone = sum(round(shares[name] * size) for name, size in sizes.items()) / sum(sizes.values())
    plain = sum(shares.values()) / len(shares)
    idea = (
        f" The plain mean of your sparsities is {plain:.1%}, but large layers count for more: weigh each by its number of "
        "weights."
        if plain >= challenges.BUDGET - 0.0005
        else ""
    )
    assert gone >= challenges.BUDGET - 0.0005, (
        f"{gone:.1%} of all prunable weights go; {challenges.BUDGET:.0%} are asked for.{idea}"
    )
    assert gone <= challenges.BUDGET + 0.05, (
        f"{gone:.1%} of all prunable weights go; {challenges.BUDGET:.0%} are asked for, and a little more is allowed."
    )
    return tuple(shares.items())


def _left(layer_sparsities, bar):
    progress.found(f"yours: {challenges.assert_left(shared_out(layer_sparsities), bar):.1f}")


@check("60 % of all weights go")
def budget_met(layer_sparsities):
    shared_out(layer_sparsities)


@check("far better than the same share everywhere: perplexity 90 at most")
def budget_better(layer_sparsities):
    _left(layer_sparsities, "better")


@check("good: perplexity 65 at most")
def budget_good(layer_sparsities):
    _left(layer_sparsities, "good")


@check("very good: perplexity 55 at most")
def budget_best(layer_sparsities):
    _left(layer_sparsities, "best")
