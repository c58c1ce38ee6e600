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
    equal = float(perplexity(torch.zeros(1, 3, 8), torch.zeros(1, 3, dtype=torch.int64)))
    ideas = {
        "2.079": "That is the mean of -log p; exp is missing.",
        "512": "That is exp of the sum; the mean was asked.",
        "0.125": "The minus is missing.",
        "3": "Softmax goes over the vocabulary, the last dimension; yours goes over the places.",
        "4.226": "That is 2 to the power of natural logarithms; exp undoes them.",
    }
    assert math.isclose(equal, 8.0, rel_tol=1e-4), (
        f"With equal logits over 8 tokens the model guesses among 8: the perplexity is 8; yours is {equal:g}. "
        + ideas.get(f"{equal:.4g}", "")
    )
    ideas = {
        "2.703": "That is the mean of each token's exp: the mean comes first.",
        "4": "That is the last token's alone.",
    }
    assert math.isclose(float(result), 2.3715, rel_tol=1e-3), (
        f"For the example above 2.3715 was expected; {float(result):g} came back. "
        + ideas.get(f"{float(result):.4g}", "")
    )
    unlikely = float(perplexity(LOGITS.clone(), torch.tensor([[1, 3]])))
    assert math.isclose(unlikely, 6.4463, rel_tol=1e-3), (
        f"The example with the target 1 instead of 0, which is less likely: 6.4463 was expected; {unlikely:g} came back. "
        "Is it the target's entry that is picked at each place?"
    )
    logits = LOGITS.clone()
    perplexity(logits, TARGETS.clone())
    assert torch.equal(logits, LOGITS), "perplexity() changed the logits it was given; it should only look at them."


@check("mean first, exp last")
def perplexity_mean(perplexity):
    sure = torch.tensor([[[0.0, 0.0]], [[6.0, 0.0]]])  # (B=2, T=1, V=2): one guess, one near certainty
    result = perplexity(sure, torch.tensor([[0], [0]]))
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    assert math.isclose(float(result), 1.4160, rel_tol=1e-3), (
        f"Two sequences of one token, the first a coin toss, the second nearly certain: 1.416 was expected, {float(result):g} came back."
        + " That is the mean of two exps: take the mean over every token first, then exp once."
        * math.isclose(float(result), 1.50124, rel_tol=1e-4)
    )


@check("large logits, and tiny probabilities")
def perplexity_stable(perplexity):
    result = perplexity(torch.tensor([[[1000.0, 0.0]]]), torch.tensor([[0]]))
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    assert math.isclose(float(result), 1.0, rel_tol=1e-4), (
        f"Logits of 1000 and 0 with the first token right: the model is certain, so 1.0 was expected, {float(result):g} came back."
        + " exp(1000) overflows: is there a function that takes the logarithm of softmax in one step?"
        * (not math.isfinite(float(result)))
    )
    ideas = {
        f"{math.exp(-55.0):.4g}": "The minus is missing.",
        f"{2.0**55:.4g}": "That is 2 to the power of natural logarithms; exp undoes them.",
        "2": "Softmax goes over the vocabulary, the last dimension; yours goes over the places.",
        f"{55:.4g}": "That is the mean of -log p; exp is missing.",
        "inf": "Is the mean taken before exp? exp(110) is more than float32 holds.",
    }
    result = float(perplexity(torch.tensor([[[110.0, 0.0], [110.0, 0.0]]]), torch.tensor([[1, 0]])))
    assert math.isclose(result, math.exp(55.0), rel_tol=1e-3), (
        f"Logits of 110 and 0, once with the second token right, once with the first: log p is -110 and 0, so exp(55) = "
        f"{math.exp(55.0):.4g} was expected, {result:.4g} came back. "
        + ideas.get(
            f"{result:.4g}",
            "softmax makes the -110 a probability of 0 in float32, whose logarithm is lost: is there a function that takes the "
            "logarithm of softmax in one step?",
        )
    )
