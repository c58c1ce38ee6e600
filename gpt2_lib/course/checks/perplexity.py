"""Checks of exercise 1.2: perplexity from logits."""

from __future__ import annotations

import math

import torch

from ..check import check

# The two places of the example.
LOGITS = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])  # (B=1, T=2, V=4)
TARGETS = torch.tensor([[0, 3]])  # (B=1, T=2)


@check("the worked example")
def perplexity_basics(perplexity):
    result = perplexity(LOGITS.clone(), TARGETS.clone())
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    assert math.isclose(
        float(perplexity(torch.zeros(1, 3, 8), torch.zeros(1, 3, dtype=torch.int64))), 8.0, rel_tol=1e-4
    ), (
        "With equal logits over 8 tokens the model guesses among 8: the perplexity is 8; yours is "
        f"{float(perplexity(torch.zeros(1, 3, 8), torch.zeros(1, 3, dtype=torch.int64))):g}. Is it exp of the mean, with natural logarithms?"
    )
    assert math.isclose(float(result), 2.3715, rel_tol=1e-3), (
        f"For the example above 2.3715 was expected; {float(result):g} came back. "
        "Is softmax taken over the vocabulary (the last dimension), and the target's entry picked at each place?"
    )


@check("mean first, exp last")
def perplexity_mean(perplexity):
    sure = torch.tensor([[[0.0, 0.0]], [[6.0, 0.0]]])  # (B=2, T=1, V=2): one guess, one near certainty
    result = perplexity(sure, torch.tensor([[0], [0]]))
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    assert math.isclose(float(result), 1.4160, rel_tol=1e-3), (
        f"Two sequences of one token, the first a coin toss, the second nearly certain: 1.416 was expected, {float(result):g} came back. "
        "Take the mean over every token of every sequence first, then exp once."
    )


@check("large logits")
def perplexity_stable(perplexity):
    result = perplexity(torch.tensor([[[1000.0, 0.0]]]), torch.tensor([[0]]))
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    assert math.isclose(float(result), 1.0, rel_tol=1e-4), (
        f"Logits of 1000 and 0 with the first token right: the model is certain, so 1.0 was expected, {float(result):g} came back. "
        "exp(1000) overflows: is there a function that takes the logarithm of softmax in one step?"
    )
