"""Checks of exercise 3.3: the metrics of a service."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch

from ...config import GPT2Config
from ...gpt2 import GPT2
from ..check import check
from ..faults.latency import latency_fault
from ..progress import progress


def tiny_gpt2(seed=0, dropout=0.0, n_layer=2):
    """Return a GPT-2 of a few thousand random numbers."""
    torch.manual_seed(seed)
    tiny = GPT2(GPT2Config(17, 16, n_embd=8, n_layer=n_layer, n_head=2, dropout=dropout)).eval()
    with torch.no_grad():
        for parameter in tiny.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return tiny


def metric(came, name):
    """Return one number of the result of evaluate_production_metrics() or deployment_analysis()."""
    assert came is not None, "Nothing came back (None): end the function with `return {...}`."
    assert isinstance(came, dict), f"A dict was expected; a {type(came).__name__} came back."
    assert name in came, f"There is no {name!r} in what came back; there are {list(came)}."
    try:
        return float(came[name])
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{name!r} is one number; a {type(came[name]).__name__} came back.") from None


def accuracy_of(model, pages):
    """Return the share of correct predictions, by a plain loop."""
    right = total = 0
    with torch.no_grad():
        for page in pages:
            guesses = model(page[None])[0].argmax(-1).tolist()
            for place in range(1, len(page)):
                total += 1
                right += guesses[place - 1] == int(page[place])
    return right / total


def misplaced(guesses, pages):
    """Return the accuracies of other places or pages than were asked, for ``guesses`` of ``pages``: [(value, words)]."""
    hits, told = (guesses[:, :-1] == pages[:, 1:]).double(), "the logits at place t are about token t + 1"
    shares = {
        "the first page": hits[:1],
        f"the first {len(pages) - 1} of {len(pages)} pages": hits[:-1],
        "the last page": hits[-1:],
        "the last place of each page": hits[:, -1:],
        "the first place of each page": hits[:, :1],
    }
    shifted = [
        (guesses == pages, f"Each guess is held against the token that it saw: {told}."),
        (
            guesses[:, 1:] == pages[:, :-1],
            f"Each guess is held against the token before it: {told}, so the guesses lose their last place and the tokens "
            "their first.",
        ),
        (guesses[:, :-2] == pages[:, 2:], f"Shifted by two places: {told}."),
        (guesses[:, 2:] == pages[:, :-2], f"Shifted by two places, the wrong way: {told}."),
        (
            guesses.flatten()[:-1] == pages.flatten()[1:],
            "A page's last guess is held against the next page's first token: shift each page by itself.",
        ),
        *((share, f"That is the share of {name} alone.") for name, share in shares.items()),
    ]
    return [(float(hit.double().mean()), words) for hit, words in shifted]


def mistaken(guesses, pages):
    """Return the accuracies that usual mistakes give for ``guesses`` of ``pages``, both (N, T): [(value, words)]."""
    hits = (guesses[:, :-1] == pages[:, 1:]).double()
    counted = [
        (100 * hits.mean(), "A share from 0 to 1 was asked, not percent."),
        (hits.sum(), "That is a number of guesses; their share was asked."),
        (1 - hits.mean(), "That is the share of wrong guesses."),
        (
            hits.sum() / pages.numel(),
            f"A page's first token is not guessed: {pages.size(1) - 1} of its {pages.size(1)} tokens count.",
        ),
    ]
    return [*misplaced(guesses, pages), *((float(value), words) for value, words in counted)]


def likely(got, mistakes):
    """Return the words of the only one of ``mistakes``, [(value, words)], that gives ``got``; "" if several do, or none."""
    ideas = [words for value, words in mistakes if abs(got - value) < 1e-6]
    return ideas[0] if len(ideas) == 1 else ""


@cache
def pages_to_guess():
    """Return pages (5, 16) of which `tiny_gpt2` predicts some tokens, and each usual mistake gives another accuracy."""
    tiny = tiny_gpt2()
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        pages, planted = torch.randint(17, (5, 16), generator=generator), torch.rand(5, 16, generator=generator)
        with torch.no_grad():
            for place in range(1, 16):  # the first pages get more right guesses than the last
                sure = planted[:, place] < torch.tensor([0.7, 0.6, 0.6, 0.5, 0.2])
                pages[sure, place] = tiny(pages)[sure, place - 1].argmax(-1)
            guesses = tiny(pages).argmax(-1)
        right = float((guesses[:, :-1] == pages[:, 1:]).double().mean())
        values = sorted([right, *(value for value, _ in mistaken(guesses, pages))])
        if all(higher - lower > 1e-4 for lower, higher in pairwise(values)):
            return pages
    raise RuntimeError("No pages tell the usual mistakes apart.")


@check("the share of next tokens guessed right")
def metrics_accuracy(evaluate_production_metrics):
    tiny, pages = tiny_gpt2(), pages_to_guess()
    with torch.no_grad():
        guesses = tiny(pages).argmax(-1)
    hits = guesses[:, :-1] == pages[:, 1:]  # (5, 15)
    right, total = int(hits.sum()), hits.numel()
    progress.given("a tiny GPT-2 and 5 pages of 16 tokens")
    got = metric(evaluate_production_metrics(tiny, pages.clone()), "accuracy")
    idea = likely(got, mistaken(guesses, pages))
    assert abs(got - right / total) < 1e-6, (
        f"{right} of {total} guesses are right: {right / total:.4f} was expected, {got:.4f} came back. {idea}"
    )
    noisy = tiny_gpt2(dropout=0.5).train()
    progress.given("a tiny GPT-2 in training mode, with dropout, and 5 pages of 16 tokens")
    for _ in range(3):
        got = metric(evaluate_production_metrics(noisy, pages.clone()), "accuracy")
        assert abs(got - right / total) < 1e-6, (
            f"The same model in training mode, with dropout: {right / total:.4f} was expected, {got:.4f} came back. Dropout is for "
            "training: model.eval() switches it off."
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
    progress.given("a tiny GPT-2 in bfloat16 and 2 pages of 6 tokens")
    got = metric(evaluate_production_metrics(tiny.bfloat16(), pages), "memory")
    assert got == 2 * count, (
        f"In bfloat16 the same {count:,} parameters take {2 * count:,} bytes; {got:,.0f} came back. A parameter need not have four "
        "bytes: element_size() says how many."
    )


@check("the median time of one page")
def metrics_latency(evaluate_production_metrics):
    progress.given("a model that needs 20 ms a page, of every four passes one 60 ms and one next to none, and 3 pages")
    naps = [0.06, 0.02, 0.0, 0.02]  # the first, the fastest, the slowest, the mean: each is another number
    fault = latency_fault(
        lambda *given: metric(evaluate_production_metrics(*given), "latency"), tiny_gpt2(), pages=3, naps=naps
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
        trainable = [torch.is_grad_enabled(), *(p.requires_grad for p in after.values())]
        assert all(trainable), (
            "Afterwards the model can't be trained any more. `with torch.no_grad():` switches gradients off for a while only."
        )
        changed = [name for name in before if name not in after or not torch.equal(after[name], before[name])]
        assert not changed, f"The weights were changed: {changed[0]} is not what it was."
