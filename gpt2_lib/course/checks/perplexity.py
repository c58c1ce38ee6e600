"""Checks of exercise 1.2: perplexity from logits."""

from __future__ import annotations

import math

import torch

from ..check import check
from ..progress import progress

# The two places of the example.
LOGITS = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])  # (B=1, T=2, V=4)
TARGETS = torch.tensor([[0, 3]])  # (B=1, T=2)


@check("the worked example")
def perplexity_basics(perplexity):
    progress.given("the two places of the example above, logits (1, 2, 4) and targets (1, 2)")
    result = perplexity(LOGITS.clone(), TARGETS.clone())
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    progress.given("equal logits, zeros of shape (1, 3, 8), and targets of 0, shape (1, 3)")
    equal = float(perplexity(torch.zeros(1, 3, 8), torch.zeros(1, 3, dtype=torch.int64)))
    ideas = {
        "2.079": "That is the mean of -log p; exp is missing.",
        "512": "That is exp of the sum; the mean was asked.",
        "0.125": "The minus is missing." if math.isclose(float(result), 0.42167, rel_tol=1e-3) else "",
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
        "2.081": "That is 1 over the mean probability: the mean is taken of the logarithms, inside exp.",
    }
    assert math.isclose(float(result), 2.3715, rel_tol=1e-3), (
        f"For the example above 2.3715 was expected; {float(result):g} came back. "
        + ideas.get(f"{float(result):.4g}", "")
    )
    progress.given("the two places of the example above, with the targets [[1, 3]]")
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
    progress.given("logits [[[0, 0]], [[6, 0]]] and targets [[0], [0]]")
    result = perplexity(sure, torch.tensor([[0], [0]]))
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    ideas = {
        "1.501": "That is the mean of two exps: take the mean over every token first, then exp once.",
        "1": "1 means certain of both. Softmax goes over the vocabulary, the last dimension: over which does yours go?",
        "20.14": "Softmax goes over the vocabulary, the last dimension; yours goes over the sequences.",
    }
    assert math.isclose(float(result), 1.4160, rel_tol=1e-3), (
        f"Two sequences of one token, the first a coin toss, the second nearly certain: 1.416 was expected, {float(result):g} came back. "
        + ideas.get(f"{float(result):.4g}", "-log p is 0.6931 and 0.0025, their mean 0.3478.")
    )


@check("large logits, and tiny probabilities")
def perplexity_stable(perplexity):
    progress.given("logits [[[1000, 0]]] and targets [[0]]")
    result = perplexity(torch.tensor([[[1000.0, 0.0]]]), torch.tensor([[0]]))
    assert result is not None, "perplexity() returned nothing: end it with `return ...`."
    assert math.isclose(float(result), 1.0, rel_tol=1e-4), (
        f"Logits of 1000 and 0 with the first token right: the model is certain, so 1.0 was expected, {float(result):g} came back."
        + " exp(1000) overflows: is there a function that takes the logarithm of softmax in one step?"
        * (not math.isfinite(float(result)))
    )
    progress.given("logits [[[110, 0], [100, 0]]] and targets [[1, 0]]")
    result = float(perplexity(torch.tensor([[[110.0, 0.0], [100.0, 0.0]]]), torch.tensor([[1, 0]])))
    if not math.isclose(result, math.exp(55.0), rel_tol=1e-3):
        raise AssertionError(
            f"Logits of 110 and 0 with the second token right, and of 100 and 0 with the first: log p is -110 and 0, so exp(55) = "
            f"{math.exp(55.0):.4g} was expected, {result:.4g} came back. {_unstable(perplexity, result)}"
        )


def _unstable(perplexity, result):
    """Return the likely reason for another ``result`` than exp(55), as far as it can be told."""
    progress.given("logits [[[60, 0], [60, 0]]] and targets [[1, 0]]")
    gentle = float(perplexity(torch.tensor([[[60.0, 0.0], [60.0, 0.0]]]), torch.tensor([[1, 0]])))
    ideas = {
        f"{math.exp(-55.0):.4g}": "The minus is missing.",
        f"{2.0**55:.4g}": "That is 2 to the power of natural logarithms; exp undoes them.",
        "2": ""
        if gentle > 2.01
        else "That is 1 over the mean probability: the mean is taken of the logarithms, inside exp.",
        "209.9": "Softmax goes over the vocabulary, the last dimension; yours goes over the places.",
        f"{55:.4g}": "That is the mean of -log p; exp is missing.",
    }
    if f"{result:.4g}" in ideas:
        return ideas[f"{result:.4g}"]
    # softmax makes no 0 of exp(-60), and nothing overflows: what is wrong there has another reason.
    if math.isclose(gentle, math.exp(30.0), rel_tol=1e-3):
        return (
            "softmax makes the -110 a probability of 0 in float32, whose logarithm is lost: is there a function that takes the "
            "logarithm of softmax in one step?"
        )
    if math.isclose(gentle, (math.exp(60.0) + 1) / 2, rel_tol=1e-3):
        return "The mean is taken of each token's exp: it comes first, exp last."
    if math.isclose(gentle, math.exp(60.0), rel_tol=1e-3):
        return "That is exp of the sum; the mean was asked."
    return "log softmax of (110, 0) is (0, -110), of (100, 0) it is (0, -100)."
