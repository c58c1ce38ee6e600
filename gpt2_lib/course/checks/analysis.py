"""Checks of exercise 3.4: the analysis of a pruned model."""

from __future__ import annotations

from copy import deepcopy

import torch

from ..check import check
from ..faults.latency import speedup_fault
from ..progress import progress
from .metrics import accuracy_of, likely, metric, misplaced, tiny_gpt2


def two_models(seed=0):
    """Return a tiny GPT-2, its pruned copy, and pages of which the original predicts more tokens correctly."""
    original = tiny_gpt2(seed)
    fewer = tiny_gpt2(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in fewer.named_parameters():
            if name.startswith("h.") and parameter.dim() == 2:
                parameter.mul_(torch.rand(parameter.shape, generator=generator) < 0.3)
        pages = torch.randint(17, (6, 16), generator=generator)
        for place in range(1, 16):
            pages[: 2 + place % 4, place] = original(pages)[: 2 + place % 4, place - 1].argmax(-1)
    return original, fewer, pages


@check("bytes, dense over packed")
def analysis_compression(deployment_analysis):
    original, fewer, pages = two_models()
    before = all_packed = stored = 0
    for p in fewer.parameters():
        zeros = int((p == 0).sum())
        packed = -(-p.numel() // 8) + 4 * (p.numel() - zeros)
        before += 4 * p.numel()
        all_packed += packed
        stored += min(packed, 4 * p.numel())
    progress.given("a tiny GPT-2, its pruned twin and 6 pages of 16 tokens")
    got = metric(deployment_analysis(original, fewer, pages), "compression")
    if abs(got - 1) < 1e-6:
        idea = "In memory nothing has changed; what is asked is the packed size."
    elif abs(got - stored / before) < 1e-3:
        idea = "The other way round: the original's bytes are divided by the pruned model's."
    elif abs(got - before / all_packed) < 1e-6:
        idea = "A tensor without zeros (a bias, an embedding) is stored dense: its bitmask would only cost."
    else:
        idea = "Four bytes for each of the original's entries; for the pruned model's tensors bitmask and values, or dense."
    assert abs(got / (before / stored) - 1) < 1e-6, (
        f"{before:,} bytes become {stored:,}: {before / stored:.4f} was expected, {got:.4f} came back. {idea}"
    )
    half = deepcopy(fewer).bfloat16()
    stored = sum(min(-(-p.numel() // 8) + 2 * int((p != 0).sum()), 2 * p.numel()) for p in half.parameters())
    progress.given("a tiny GPT-2, its pruned twin in bfloat16 and 6 pages of 16 tokens")
    got = metric(deployment_analysis(original, half, pages), "compression")
    assert abs(got / (before / stored) - 1) < 1e-6, (
        f"With the pruned model in bfloat16, {before:,} bytes become {stored:,}: {before / stored:.4f} was expected, {got:.4f} "
        "came back. A value need not have four bytes: element_size() says how many."
    )
    smaller = tiny_gpt2(n_layer=1)  # no zeros: a block is gone
    left = sum(4 * p.numel() for p in smaller.parameters())
    progress.given("a tiny GPT-2, one with half of its blocks and 6 pages of 16 tokens")
    got = metric(deployment_analysis(original, smaller, pages), "compression")
    assert abs(got / (before / left) - 1) < 1e-6, (
        f"Without one of its two blocks and without zeros, {before:,} bytes become {left:,}: {before / left:.4f} was expected, {got:.4f} "
        "came back. What is divided is the original's size, which the pruned model no longer has."
    )


@check("time of the original over time of the pruned")
def analysis_speedup(deployment_analysis):
    original, fewer, pages = two_models()

    def measure(first, second):
        return metric(deployment_analysis(first, second, pages[:1]), "speedup")

    for naps in ((0.03, 0.006), (0.004, 0.02)):  # a pruned model may also be slower
        progress.given(
            f"a model that takes {naps[0] * 1000:g} ms a page, one that takes {naps[1] * 1000:g} ms, and 1 page of 16 tokens"
        )
        fault = speedup_fault(measure, original, fewer, naps)
        assert fault is None, fault


def _two_to_tell():
    """Return `two_models` whose qualities by other places or pages all differ from the right one, and those: [(value, words)]."""
    for seed in range(1000):
        original, fewer, pages = two_models(seed)
        with torch.no_grad():
            for place in range(1, 16, 2):  # so that the twin has some right, too
                pages[-1, place] = fewer(pages[-1:])[0, place - 1].argmax()
            before, after = (misplaced(model(pages).argmax(-1), pages) for model in (original, fewer))
        if min(value for value, _ in before) == 0:
            continue
        mistakes = [(a / b, words) for (a, words), (b, _) in zip(after, before, strict=True)]
        right = accuracy_of(fewer, pages) / accuracy_of(original, pages)
        if all(abs(value - right) > 1e-3 for value, _ in mistakes):
            return original, fewer, pages, mistakes
    raise RuntimeError("No pages tell the usual mistakes apart.")


@check("accuracy that is kept")
def analysis_quality(deployment_analysis):
    original, fewer, pages, mistakes = _two_to_tell()
    right = accuracy_of(original, pages), accuracy_of(fewer, pages)
    progress.given("a tiny GPT-2, its pruned twin and 6 pages of 16 tokens")
    got = metric(deployment_analysis(original, fewer, pages), "quality")
    if abs(got - right[0] / right[1]) < 1e-6:
        idea = "The other way round: below 1 means that something was lost."
    elif abs(got - (right[1] - right[0])) < 1e-6 or abs(got - (right[0] - right[1])) < 1e-6:
        idea = "That is the difference; a ratio was asked."
    else:
        otherwise = "If evaluate_production_metrics() passes its checks: accuracy over accuracy."
        idea = likely(got, mistakes) or otherwise
    assert abs(got - right[1] / right[0]) < 1e-6, (
        f"Accuracy {right[0]:.4f} before, {right[1]:.4f} after: {right[1] / right[0]:.4f} was expected, {got:.4f} came back. {idea}"
    )
    progress.given("the same two models the other way round, as if pruning had helped")
    got = metric(deployment_analysis(fewer, original, pages), "quality")
    assert abs(got - right[0] / right[1]) < 1e-6, (
        f"Accuracy {right[1]:.4f} before, {right[0]:.4f} after, as training can do: {right[0] / right[1]:.4f} was expected, {got:.4f} "
        "came back. A ratio may be above 1; and each call measures the models anew, which are left as they were."
    )
