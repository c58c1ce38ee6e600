"""Checks of exercise 2.1 b: magnitude pruning of a model."""

from __future__ import annotations

import torch

from ...config import GPT2Config
from ...gpt2 import GPT2
from ..check import check
from ..lesson import mask_fault, show
from ..progress import progress
from .magnitude import smallest_of


def small_model(seed=0, heads=(2, 2), neurons=(6, 6)):
    """Return a GPT-2 of a few hundred random numbers, biases and LayerNorm included."""
    config = GPT2Config(13, 8, n_embd=4, n_layer=len(heads), n_head=2, heads=heads, neurons=neurons)
    small = GPT2(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return small


def parameters_after(model, before):
    """Return the model's parameters by name after a function changed it; ``before``: those it had."""
    after = dict(model.named_parameters())
    shapes = {name: tuple(parameter.shape) for name, parameter in before.items()}
    found = {name: tuple(parameter.shape) for name, parameter in after.items()}
    assert found == shapes, (
        f"The model has other parameters than before: {min(found.items() ^ shapes.items())[0]} is missing, new or of another shape. "
        "Write into the parameters that are there."
    )
    assert any(bool(parameter.any()) for parameter in after.values()), (
        "Every parameter of the model is 0 now. Only what is pruned becomes 0; the rest stays."
    )
    return after


@check("attention and feed-forward weights, and nothing else")
def prune_where(magnitude_prune):
    small = small_model()
    before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
    wanted = [
        f"h.{i}.{part}.weight" for i in (0, 1) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    ]
    progress.given("sparsity 0.5 and the small model whose parameters are listed above")
    masks = magnitude_prune(small, 0.5)
    assert masks is not None, "magnitude_prune() returned nothing: end it with `return ...`."
    assert isinstance(masks, dict), f"A dict {{parameter name: mask}} was expected; a {type(masks).__name__} came back."
    extra = [str(name) for name in masks if name not in wanted]
    missing = [name for name in wanted if name not in masks]
    assert not extra, (
        f"Your masks name {', '.join(extra[:4])}{' and more' * (len(extra) > 4)}. Names are those of named_parameters(), and only weights of attention and feed-forward are pruned."
    )
    assert not missing, (
        f"Your masks lack {', '.join(missing[:4])}{' and more' * (len(missing) > 4)}. Every block has four weights to prune."
    )
    for name, parameter in parameters_after(small, before).items():
        if name in wanted:
            assert bool((parameter == 0).any()), (
                f"Nothing in {name} is zero in the model now. {_why_untouched(small, name, masks)}"
            )
        else:
            assert torch.equal(parameter, before[name]), (
                f"{name} is no attention or feed-forward weight: it must stay as it was.\n"
                f"Before:\n{show(before[name])}\nafter:\n{show(parameter)}"
            )


ELSEWHERE = (
    "It has a mask, but its zeros are elsewhere: `p = p * mask` makes a new tensor, deepcopy(model) another model. "
    "p.mul_(mask) writes into this one."
)


def _why_untouched(model, name, masks):
    """Return the likely reason why nothing is zero in the parameter ``name``; ``masks``: what came back."""
    mask = masks.get(name) if isinstance(masks, dict) else None
    if isinstance(mask, torch.Tensor):
        return ELSEWHERE if bool((mask == 0).any()) else "Its mask keeps all of them."
    names = list(dict(model.named_parameters()))
    pruned = [names.index(n) for n, p in model.named_parameters() if bool((p == 0).any())]
    if pruned and max(pruned) > names.index(name):
        return "Others are pruned: attention and feed-forward have two weights a block each, all four go through."
    return "It has no mask, and none that comes later is pruned: does the loop go on to the last parameter?"


@check("the smallest of each weight matrix, as many as were asked for")
def prune_each(magnitude_prune):
    small = small_model()
    with torch.no_grad():
        for parameter in small.h[1].parameters():
            parameter *= 10  # the second block's weights are far larger
    dense = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
    for sparsity in (0.5, 0.25):
        with torch.no_grad():
            for name, parameter in small.named_parameters():
                parameter.copy_(dense[name])
        progress.given(f"sparsity {sparsity} and a small model whose second block has ten times larger weights")
        masks = magnitude_prune(small, sparsity)
        for name, parameter in parameters_after(small, dense).items():
            if parameter.dim() == 2 and name.startswith("h."):
                gone, n = (parameter == 0).flatten().tolist(), parameter.numel()
                if not any(gone):
                    idea = _why_untouched(small, name, masks)
                elif sparsity == 0.25 and sum(gone) == n // 2:
                    idea = "That is half of them, as before: does the sparsity reach every weight?"
                elif sum(gone) == sparsity * n / 2:
                    idea = "That is half of what was asked for."
                else:
                    idea = "The second block's weights are ten times larger here: each weight has a ranking of its own."
                assert sum(gone) == sparsity * n, (
                    f"At sparsity {sparsity}, {sparsity * n:g} of the {n} entries of {name} go; {sum(gone)} are zero in the model. {idea}"
                )
                assert smallest_of(gone, dense[name]), (
                    f"At sparsity {sparsity} the right number of entries of {name} is zero, but not the smallest ones, whatever their "
                    f"sign and their row.\nThe weight before, with * at what went:\n{show(dense[name][:8], (parameter == 0)[:8])}"
                )


@check("zeros in the model's own weights")
def prune_writes(magnitude_prune):
    small = small_model()
    parameters = dict(small.named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    progress.given("sparsity 0.5 and the small model whose parameters are listed above")
    masks = magnitude_prune(small, 0.5)
    assert masks is not None, "magnitude_prune() returned nothing: end it with `return ...`."
    assert isinstance(masks, dict), f"A dict {{parameter name: mask}} was expected; a {type(masks).__name__} came back."
    after = parameters_after(small, before)
    for name in (f"h.{i}.{part}.weight" for i in (0, 1) for part in ("attn.c_attn", "mlp.c_proj")):
        assert name in masks, f"There is no mask for {name} in what you return."
        fault = mask_fault(masks[name], before[name])
        assert fault is None, f"The mask of {name}: {fault}"
        assert after[name] is parameters[name], (
            f"{name} is a new parameter: an optimiser made earlier would go on training the old one. Write into the one that is there."
        )
        assert after[name].requires_grad, f"{name} can't be trained any more (requires_grad is False)."
        wanted = torch.where(masks[name], before[name], 0.0)
        if torch.equal(after[name], before[name]):
            idea = ELSEWHERE
        elif torch.equal(after[name], torch.where(masks[name], 0.0, before[name])):
            idea = "It is the other way round: True in a mask is for what stays."
        else:
            idea = "Zero where the mask is False, unchanged where it is True."
        assert torch.equal(after[name], wanted), (
            f"The model's {name} does not agree with its mask. {idea}\nIts first rows, the mask:\n{show(masks[name][:2])}\n"
            f"the weight before:\n{show(before[name][:2])}\nafter:\n{show(after[name][:2])}"
        )
