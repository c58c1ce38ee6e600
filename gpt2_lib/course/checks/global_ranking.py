"""Checks of exercise 2.4: one ranking for all layers."""

from __future__ import annotations

import torch

from ..check import check
from ..lesson import mask_fault, show
from ..progress import progress
from .magnitude import INVERTED, MANY_EQUALS, first_half_of, smallest_of
from .refusals import refused


def removed_from(masks, weights):
    """Return the entries that masks remove, {name: flat list of bool}. (Another check tests their exact type.)"""
    assert masks is not None, "global_masks() returned nothing: end it with `return ...`."
    assert isinstance(masks, dict), f"A dict {{name: mask}} was expected; a {type(masks).__name__} came back."
    gone = {}
    for name, weight in weights.items():
        assert name in masks, f"There is no mask called {name!r} in what came back; there are {list(masks)}."
        try:
            flat = torch.as_tensor(masks[name]).flatten()
        except (TypeError, ValueError, RuntimeError):
            raise AssertionError(
                f"A mask was expected for {name!r}, a bool tensor; a {type(masks[name]).__name__} came back."
            ) from None
        assert flat.numel() == weight.numel(), (
            f"{name!r} has {weight.numel()} weights; its mask has {flat.numel()} entries."
        )
        gone[name] = [not kept for kept in flat.tolist()]
    return gone


def _layer_by_layer(gone, weights, sparsity):
    """Return whether each layer has lost its own share of its smallest."""
    return all(
        sum(gone[name]) == round(sparsity * w.numel()) and smallest_of(gone[name], w) for name, w in weights.items()
    )


def _smallest(gone, weights):
    """Return whether the removed entries, a flat list over all layers, are the smallest of all."""
    return smallest_of(gone, torch.cat([w.flatten() for w in weights.values()]))


@check("exactly as many go over all layers together")
def global_count(global_masks):
    weights = {
        "wide": torch.tensor([[0.9, -0.2, 0.5, -0.7], [0.4, -0.8, 0.6, 1.0]]),
        "narrow": torch.tensor([0.1, -0.3]),
    }
    for sparsity, wanted in ((0.3, 3), (0.6, 6), (0.25, 2), (0.35, 4), (0.45, 4), (0.0, 0), (1.0, 10)):
        given = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
        progress.given(f"sparsity {sparsity} and the weights\n{given}")
        gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
        got = sum(gone["wide"]) + sum(gone["narrow"])
        if sparsity in (0.0, 1.0):
            idea = "Sparsity 0 removes nothing, sparsity 1 everything."
        elif got == 10 - wanted and _smallest([not g for name in weights for g in gone[name]], weights):
            idea = INVERTED
        elif _layer_by_layer(gone, weights, sparsity):
            idea = "Rounded once for all together, not once for each layer: does each layer still have a number of its own?"
        elif abs(sparsity * 10 - wanted) == 0.5 and abs(got - wanted) == 1:
            idea = f"Python's round({sparsity} * 10) is {wanted}."
        elif got == wanted + 1 and _smallest([g for name in weights for g in gone[name]], weights):
            idea = "One too many: does the first weight that may stay go too?"
        else:
            idea = "How many is round(sparsity * total), with the entries of all layers in the total?"
        assert got == wanted, (
            f"Your masks remove {got} of 10 weights at sparsity {sparsity}; {wanted} were asked. {idea}\n{_drawn(gone, weights)}"
        )


def _drawn(gone, weights):
    return "\n".join(
        f"{name}, with * at what you removed:\n{show(w, torch.tensor(gone[name]).view(w.shape))}"
        for name, w in weights.items()
    )


@check("one ranking for all")
def global_choice(global_masks):
    examples = (  # of 12 weights six go, those up to 0.5, up to 0.6 and up to 0.6
        {
            "large": torch.tensor([[0.9, -0.2, 0.5, -0.7], [0.4, -0.8, 0.6, 1.0]]),
            "small": torch.tensor([[0.1, -0.45, 0.3, 0.05]]),
        },
        {
            "small": torch.tensor([[0.1, 0.9, -0.2, 0.3]]),
            "large": torch.tensor([[6.0, 0.5, -0.65, 9.0], [-0.4, 8.0, 7.0, 0.6]]),
        },
        {  # three, of different lengths: each begins where the one before it ends
            "first": torch.tensor([0.1, 0.9, 0.7, -0.3]),
            "second": torch.tensor([0.2, -1.0]),
            "third": torch.tensor([[-0.4, 0.8, 1.1], [0.5, -1.2, 0.6]]),
        },
    )
    for weights in examples:
        given = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
        progress.given(f"sparsity 0.5 and the weights\n{given}")
        gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, 0.5), weights)
        pairs = [(w, g) for name in weights for w, g in zip(weights[name].flatten().tolist(), gone[name], strict=True)]
        pruned, kept = [w for w, g in pairs if g], [w for w, g in pairs if not g]
        assert len(pruned) not in (0, 12), (
            f"At sparsity 0.5 some weights go and some stay; yours remove {len(pruned)} of 12."
        )
        largest_gone, smallest_kept = max(pruned, key=abs), min(kept, key=abs)
        assert abs(largest_gone) < abs(smallest_kept), (
            f"Your masks remove {largest_gone:g} and keep {smallest_kept:g}, which is smaller in size. "
            f"{_not_smallest(gone, weights)}\n{_drawn(gone, weights)}"
        )
        assert abs(len(pruned) - 6) <= 1, (  # whether it is one more or less is another check's
            f"Those that go are the smallest, but {len(pruned)} of 12 go at sparsity 0.5, not 6: where they end is no place in "
            f"the ranking of all twelve. (The average of the layers' own thresholds is none.)\n{_drawn(gone, weights)}"
        )


def _not_smallest(gone, weights):
    """Return the likely reason why the removed entries are not the smallest of all."""
    pairs = [(w, g) for name in weights for w, g in zip(weights[name].flatten().tolist(), gone[name], strict=True)]
    pruned, kept = [w for w, g in pairs if g], [w for w, g in pairs if not g]
    if max(pruned) < min(kept):
        return f"{min(pruned):g} is not a small weight: how far is it from zero?"
    if min(map(abs, pruned)) > max(map(abs, kept)):
        return "The largest go: the masks are the other way round (True is for what stays), or the ranking is."
    if _layer_by_layer(gone, weights, 0.5):
        return "Each layer lost half of its own. Here it does not matter which layer a weight is in."
    largest = max(pruned, key=abs)
    emptied = [name for name, w in weights.items() if all(gone[name]) and largest in w.flatten().tolist()]
    if emptied:
        return f"All of {emptied[0]} goes, {largest:g} too. Here it does not matter which layer a weight is in."
    return "Are all entries of all layers ranked together, and does each mask point back to where they stood?"


@check("among equals the earlier layer goes first")
def global_ties(global_masks):
    weights = {"b": torch.tensor([0.5, 2.0, 0.5, 1.0]), "a": torch.tensor([[0.5, 0.5], [3.0, 0.5]])}
    given = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
    progress.given(f"sparsity 0.375 and the weights\n{given}")
    gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, 0.375), weights)
    drawn = _drawn(gone, weights)
    got = sum(gone["b"]) + sum(gone["a"])
    if got == 5 and _smallest([not g for name in weights for g in gone[name]], weights):
        idea = INVERTED
    elif all(bool((w[torch.tensor(gone[name]).view(w.shape)] == 0.5).all()) for name, w in weights.items()):
        idea = "0.5 occurs five times: what happens to equals?"
    else:
        idea = "How many is round(sparsity * total)?"
    assert got == 3, f"Your masks remove {got} of 8 weights; 3 were asked. {idea}\n{drawn}"
    assert gone == {"b": [True, False, True, False], "a": [True, False, False, False]}, (
        "Three of the five 0.5 go: first those of the layer that comes first in the dict (here b), from the earliest position "
        f"on, then those of the next.\n{drawn}"
    )
    first, second = torch.tensor(MANY_EQUALS).view(2, 4, 8)
    weights = {"first": first, "second": second}
    given = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
    progress.given(f"sparsity 0.5 and the weights\n{given}")
    gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, 0.5), weights)
    assert gone["first"] + gone["second"] == first_half_of(MANY_EQUALS), (
        "All of 0.25 and 0.5 go, and the first six of 0.75, all of which are in the first layer; yours are others. Of many equals a sort "
        f"keeps the order only if it is asked to.\n{_drawn(gone, weights)}"
    )


@check("a mask for each layer, the weights left alone, nonsense refused")
def global_care(global_masks):
    weights = {"first": torch.tensor([[0.3, 0.8, 0.1], [0.7, 0.2, 0.9]]), "second": torch.tensor([-0.4, 0.6])}
    given = {name: w.clone() for name, w in weights.items()}
    text = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
    progress.given(f"sparsity 0.5 and the weights\n{text}")
    masks = global_masks(given, 0.5)
    assert isinstance(masks, dict), f"A dict {{name: mask}} was expected; a {type(masks).__name__} came back."
    assert set(masks) == set(weights), (
        f"One mask for each of {list(weights)} was expected; yours are for {list(masks)}."
    )
    for name, weight in weights.items():
        fault = mask_fault(masks[name], weight)
        assert fault is None, f"{name}, of shape {tuple(weight.shape)}: {fault}"
    assert list(given) == list(weights), f"global_masks() changed the dict it was given: it now holds {list(given)}."
    for name, weight in weights.items():
        assert torch.equal(given[name], weight), (
            f"global_masks() changed the weights it was given; it should only look.\n"
            f"{name} before:\n{show(weight)}\nafter:\n{show(given[name])}"
        )
    for sparsity in (-0.1, 1.5):
        refused(global_masks, given, sparsity)
