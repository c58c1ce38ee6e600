"""Checks of exercise 2.1: magnitude pruning."""

from __future__ import annotations

import torch

from ...config import GPT2Config
from ...gpt2 import GPT2
from ..check import check
from ..lesson import mask_fault, show
from ..progress import progress


def removed_by(mask, weight):
    """Return the entries that a mask removes, as a flat list of bool. (Another check tests its exact type.)"""
    assert mask is not None, "magnitude_mask() returned nothing: end it with `return ...`."
    try:
        flat = torch.as_tensor(mask).flatten()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"A mask was expected, a bool tensor; a {type(mask).__name__} came back.") from None
    assert flat.numel() == weight.numel(), (
        f"A mask has one entry for each of the {weight.numel()} weights; {flat.numel()} came back."
    )
    return [not kept for kept in flat.tolist()]


def smallest_of(gone, weight):
    """Return whether the removed entries, a flat list, are the smallest of the weight."""
    sizes = weight.abs().flatten().tolist()
    pruned = [size for size, g in zip(sizes, gone, strict=True) if g]
    return sorted(pruned) == sorted(sizes)[: len(pruned)]


@check("exactly as many weights go as were asked for")
def mask_count(magnitude_mask):
    weight = torch.tensor([[0.3, -0.2, 0.1, 1.0, -0.6], [0.7, 0.8, -0.9, 0.5, -0.4]])
    for sparsity, wanted in ((0.3, 3), (0.0, 0), (1.0, 10), (0.25, 2), (0.35, 4)):
        progress.given(f"sparsity {sparsity} and the weight\n{show(weight)}")
        mask = magnitude_mask(weight.clone(), sparsity)
        gone = removed_by(mask, weight)
        got = sum(gone)
        if sparsity in (0.0, 1.0):
            idea = "Sparsity 0 removes nothing, sparsity 1 everything."
        elif got == 10 - wanted:
            idea = "Is it the other way round: True for what stays?"
        elif abs(sparsity * 10 - wanted) == 0.5:
            idea = f"Python's round({sparsity} * 10) is {wanted}."
        elif got == wanted + 1 and smallest_of(gone, weight):
            idea = "One too many: does the first weight that may stay go too?"
        elif got == 2 * round(sparsity * 5):
            idea = "Each row has lost its own share: all entries of the weight are in one ranking."
        else:
            idea = "How many is round(sparsity * n), n being the number of entries?"
        assert got == wanted, (
            f"Your mask removes {got} of 10 weights at sparsity {sparsity}; {wanted} were asked. {idea}\n"
            f"The weight:\n{show(weight)}\nyour mask:\n{show(mask)}"
        )


@check("the smallest go, whatever their sign")
def mask_choice(magnitude_mask):
    weight = torch.tensor([[0.3, -0.2, 0.1, 1.0, -0.6], [0.7, 0.8, -0.9, 0.5, -0.4]])
    progress.given(f"sparsity 0.4 and the weight\n{show(weight)}")
    mask = magnitude_mask(weight.clone(), 0.4)
    gone = removed_by(mask, weight)
    pruned = sorted((w for w, g in zip(weight.flatten().tolist(), gone, strict=True) if g), key=abs)
    kept = sorted((w for w, g in zip(weight.flatten().tolist(), gone, strict=True) if not g), key=abs)
    assert 0 < len(pruned) < 10, (
        f"At sparsity 0.4 some of these weights go and some stay; yours removes {len(pruned)} of 10."
    )
    largest_gone, smallest_kept = pruned[-1], kept[0]
    if sorted(pruned)[-1] < sorted(kept)[0]:
        idea = f"{largest_gone:g} is not a small weight: how far is it from zero?"
    elif abs(pruned[0]) > abs(kept[-1]) and len(pruned) == 6:
        idea = "The mask is the other way round: True is for what stays."
    elif abs(pruned[0]) > abs(kept[-1]):
        idea = "The largest go: is the ranking the other way round?"
    else:
        idea = "Is every entry in one ranking, and does the mask point back to where each stood?"
    assert abs(largest_gone) < abs(smallest_kept), (
        f"Your mask removes {largest_gone:g} and keeps {smallest_kept:g}, which is smaller in size. {idea}\n"
        f"The weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(2, 5))}"
    )


@check("among equals the earlier goes first")
def mask_ties(magnitude_mask):
    weight = torch.tensor([[0.5, 2.0, 0.5, 1.0], [0.5, 3.0, 0.5, 4.0]])
    progress.given(f"sparsity 0.25 and the weight\n{show(weight)}")
    mask = magnitude_mask(weight.clone(), 0.25)
    gone = removed_by(mask, weight)
    drawn = f"The weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(2, 4))}"
    assert sum(gone) == 2, (
        f"Your mask removes {sum(gone)} of 8 weights; 2 were asked. 0.5 occurs four times: what happens to equals?\n{drawn}"
    )
    assert gone == [True, False, True, False, False, False, False, False], (
        f"Two of the four 0.5 go: those at the earlier positions, read row by row.\n{drawn}"
    )
    weight = torch.full((8, 8), 0.5)
    progress.given("sparsity 0.5 and an 8 x 8 weight of nothing but 0.5")
    gone = removed_by(magnitude_mask(weight.clone(), 0.5), weight)
    assert gone == [place < 32 for place in range(64)], (
        "Of 64 equal weights the first 32 go, read row by row; yours are others. Of many equals a sort keeps the order only if "
        f"it is asked to.\nThe weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(8, 8))}"
    )


@check("any shape and precision, and the weights are left alone")
def mask_care(magnitude_mask):
    for shape, dtype in (
        ((2, 3), torch.float32),
        ((6,), torch.float32),
        ((1, 3, 2), torch.float16),
        ((3, 2), torch.bfloat16),
    ):
        weight = torch.tensor([0.3, -0.8, 0.1, 0.7, 0.2, -0.9]).reshape(shape).to(dtype)
        progress.given(f"sparsity 0.5 and the weight, {dtype} of shape {shape}\n{show(weight)}")
        given = weight.clone()
        mask = magnitude_mask(given, 0.5)
        fault = mask_fault(mask, weight)
        assert fault is None, f"For a weight of {dtype}, shape {shape}: {fault}"
        assert torch.equal(given, weight), (
            f"magnitude_mask() changed the weight it was given; it should only look.\n"
            f"Before:\n{show(weight)}\nafter:\n{show(given)}"
        )
    weight = torch.tensor([[0.3, 0.8], [0.1, 0.7], [0.2, 0.9]]).t()
    progress.given(f"sparsity 0.5 and a transposed weight, which lies in memory column by column\n{show(weight)}")
    gone = removed_by(magnitude_mask(weight, 0.5), weight)
    assert gone == [True, True, True, False, False, False], (
        "Of a transposed weight, which lies in memory column by column, the 3 smallest of 6 go, too.\n"
        f"The weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(2, 3))}"
    )


@check("a sparsity that makes no sense is refused")
def mask_errors(magnitude_mask):
    weight = torch.tensor([[0.3, -0.8, 0.1], [0.7, 0.2, -0.9]])
    assert magnitude_mask(weight.clone(), 0.5) is not None, (
        "magnitude_mask() returned nothing: end it with `return ...`."
    )
    for sparsity in (1.5, -0.5):
        try:
            mask = magnitude_mask(weight.clone(), sparsity)
        except ValueError:
            continue
        except AssertionError:
            raise AssertionError(
                f"Sparsity {sparsity} stops at an assert; the contract asks for a ValueError."
            ) from None
        raise AssertionError(
            f"Nobody can remove {sparsity:.0%} of the weights: a ValueError was expected for sparsity {sparsity}, "
            f"a {type(mask).__name__} came back. A wrong number should be told at once, not guessed at."
        )


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
        if name not in wanted:
            assert torch.equal(parameter, before[name]), (
                f"{name} is no attention or feed-forward weight: it must stay as it was.\n"
                f"Before:\n{show(before[name])}\nafter:\n{show(parameter)}"
            )


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
        magnitude_prune(small, sparsity)
        for name, parameter in parameters_after(small, dense).items():
            if parameter.dim() == 2 and name.startswith("h."):
                gone, n = (parameter == 0).flatten().tolist(), parameter.numel()
                if not any(gone) and any(bool((p == 0).any()) for p in dict(small.named_parameters()).values()):
                    idea = "Others are pruned: attention and feed-forward have two weights a block each, all four go through."
                elif not any(gone):
                    idea = "Write into the model's own weights: `p = p * mask` makes a new tensor, p.mul_(mask) writes."
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
            idea = "The model is as it was: `p = p * mask` makes a new tensor, p.mul_(mask) writes into the model's."
        elif torch.equal(after[name], torch.where(masks[name], 0.0, before[name])):
            idea = "It is the other way round: True in a mask is for what stays."
        else:
            idea = "Zero where the mask is False, unchanged where it is True."
        assert torch.equal(after[name], wanted), (
            f"The model's {name} does not agree with its mask. {idea}\nIts first rows, the mask:\n{show(masks[name][:2])}\n"
            f"the weight before:\n{show(before[name][:2])}\nafter:\n{show(after[name][:2])}"
        )
