"""Checks of exercise 3.3: what a service measures."""

from __future__ import annotations

import torch

from ...config import GPT2Config
from ...gpt2 import GPT2
from ..check import check
from ..lesson import latency_fault
from ..progress import progress


def tiny_gpt2(seed=0, dropout=0.0, n_layer=2):
    """A GPT-2 of a few thousand numbers, all of them random."""
    torch.manual_seed(seed)
    tiny = GPT2(GPT2Config(17, 16, n_embd=8, n_layer=n_layer, n_head=2, dropout=dropout)).eval()
    with torch.no_grad():
        for parameter in tiny.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return tiny


def metric(came, name):
    """One number of what evaluate_production_metrics() or deployment_analysis() returned."""
    assert came is not None, "Nothing came back (None): end the function with `return {...}`."
    assert isinstance(came, dict), f"A dict was expected; a {type(came).__name__} came back."
    assert name in came, f"There is no {name!r} in what came back; there are {list(came)}."
    try:
        return float(came[name])
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{name!r} is one number; a {type(came[name]).__name__} came back.") from None


def accuracy_of(model, pages):
    """By a plain loop: the share of right guesses."""
    right = total = 0
    with torch.no_grad():
        for page in pages:
            guesses = model(page[None])[0].argmax(-1).tolist()
            for place in range(1, len(page)):
                total += 1
                right += guesses[place - 1] == int(page[place])
    return right / total


@check("the share of next tokens guessed right")
def metrics_accuracy(evaluate_production_metrics):
    tiny = tiny_gpt2()
    pages = torch.randint(17, (2, 10), generator=torch.Generator().manual_seed(4))
    for place in (1, 2, 5, 6):  # so that some guesses are right
        with torch.no_grad():
            pages[0, place] = tiny(pages[:1])[0, place - 1].argmax()
    right = total = same_place = 0
    with torch.no_grad():
        guesses = tiny(pages).argmax(-1).tolist()
    for page, guessed in zip(pages.tolist(), guesses, strict=True):
        for place in range(1, len(page)):
            total += 1
            right += guessed[place - 1] == page[place]
            same_place += guessed[place] == page[place]
    progress.given("a tiny GPT-2 and 2 pages of 10 tokens")
    got = metric(evaluate_production_metrics(tiny, pages.clone()), "accuracy")
    everywhere = sum(
        a == b for page, g in zip(pages.tolist(), guesses, strict=True) for a, b in zip(page, g, strict=True)
    )
    if min(abs(got - same_place / total), abs(got - everywhere / 20)) < 1e-6:
        idea = "Is each guess held against the token that it saw? The logits at place t are about token t + 1."
    elif abs(got - right / total * 100) < 1e-3:
        idea = "A share from 0 to 1 was asked, not percent."
    elif abs(got - right / 20) < 1e-6:
        idea = "A page's first token is not guessed: 9 of 10 tokens count."
    else:
        idea = "The likeliest token at each place (argmax), held against the next token of the page."
    assert abs(got - right / total) < 1e-6, (
        f"{right} of {total} guesses are right: {right / total:.4f} was expected, {got:.4f} came back. {idea}"
    )


@check("bytes of the weights")
def metrics_memory(evaluate_production_metrics):
    tiny = tiny_gpt2()
    count = sum(p.numel() for p in tiny.parameters())
    pages = torch.zeros(2, 6, dtype=torch.int64)
    progress.given("a tiny GPT-2 and 2 pages of 6 tokens")
    got = metric(evaluate_production_metrics(tiny, pages), "memory")
    idea = (
        "Those are the parameters; each takes four bytes in float32."
        if got == count
        else "numel() times element_size()."
    )
    assert got == 4 * count, f"{count:,} float32 parameters take {4 * count:,} bytes; {got:,.0f} came back. {idea}"


@check("the median time of one page")
def metrics_latency(evaluate_production_metrics):
    progress.given("a model that needs 20 ms a page, and 3 pages of 6 tokens")
    fault = latency_fault(
        lambda *given: metric(evaluate_production_metrics(*given), "latency"), tiny_gpt2(), pages=3, naps=[0.02]
    )
    assert fault is None, fault


@check("the model is left as it was")
def metrics_care(evaluate_production_metrics):
    pages = torch.zeros(2, 6, dtype=torch.int64)
    progress.given("a tiny GPT-2 and 2 pages of 6 tokens")
    for training in (True, False):
        tiny = tiny_gpt2().train(training)
        before = {name: p.detach().clone() for name, p in tiny.named_parameters()}
        metric(evaluate_production_metrics(tiny, pages), "memory")
        assert tiny.training == training, (
            f"The model came in {'training' if training else 'evaluation'} mode and was left in the other: `was = model.training` "
            "first, `model.train(was)` at the end."
        )
        after = dict(tiny.named_parameters())
        changed = [name for name in before if name not in after or not torch.equal(after[name], before[name])]
        assert not changed, f"The weights were changed: {changed[0]} is not what it was."
