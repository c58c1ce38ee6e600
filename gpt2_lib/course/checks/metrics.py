"""Checks of exercise 3.3: the metrics of a service."""

from __future__ import annotations

import torch

from ...config import GPT2Config
from ...gpt2 import GPT2
from ..check import check
from ..lesson import latency_fault
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


@check("the share of next tokens guessed right")
def metrics_accuracy(evaluate_production_metrics):
    tiny, pages = tiny_gpt2(), pages_to_guess()
    with torch.no_grad():
        guesses = tiny(pages).argmax(-1)
    hits = (guesses[:, :-1] == pages[:, 1:]).double()  # (3, 9)
    right, total = int(hits.sum()), hits.numel()
    ideas = {
        (guesses == pages)
        .double()
        .mean(): "Each guess is held against the token that it saw: the logits at place t are about token t + 1.",
        (guesses[:, 1:] == pages[:, :-1])
        .double()
        .mean(): "Each guess is held against a token before it: the logits at "
        "place t are about token t + 1, so the guesses lose their last place and the tokens their first.",
        100 * hits.mean(): "A share from 0 to 1 was asked, not percent.",
        hits.sum() / pages.numel(): "A page's first token is not guessed: 9 of 10 tokens count.",
        hits[0].mean(): "That is the first page's alone.",
        hits[:2].mean(): "That is the first two pages', of three.",
    }
    progress.given("a tiny GPT-2 and 3 pages of 10 tokens")
    got = metric(evaluate_production_metrics(tiny, pages.clone()), "accuracy")
    idea = next((words for value, words in ideas.items() if abs(got - float(value)) < 1e-6), "")
    assert abs(got - right / total) < 1e-6, (
        f"{right} of {total} guesses are right: {right / total:.4f} was expected, {got:.4f} came back. {idea}"
    )
    noisy = tiny_gpt2(dropout=0.5).train()
    progress.given("a tiny GPT-2 in training mode, with dropout, and 3 pages of 10 tokens")
    for _ in range(3):
        got = metric(evaluate_production_metrics(noisy, pages.clone()), "accuracy")
        assert abs(got - right / total) < 1e-6, (
            f"The same model in training mode, with dropout: {right / total:.4f} was expected, {got:.4f} came back. Dropout is for "
            "training: model.eval() switches it off."
        )


def pages_to_guess():
    """Return pages of which `tiny_gpt2` predicts some tokens: each usual mistake gives another accuracy."""
    tiny, pages = tiny_gpt2(), torch.randint(17, (3, 10), generator=torch.Generator().manual_seed(4))
    for row, places in enumerate(((1, 2, 5, 6, 8), (3, 4, 7), (1, 4))):
        for place in places:
            with torch.no_grad():
                pages[row, place] = tiny(pages[row : row + 1])[0, place - 1].argmax()
    return pages


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
