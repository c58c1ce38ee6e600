"""Checks of exercise 2.1 a: a mask by magnitude."""

from __future__ import annotations

import torch

from ..check import check
from ..lesson import mask_fault, show
from ..progress import progress
from .refusals import refused


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
    return _first_of(gone, weight.abs())


def lowest_of(gone, weight):
    """Return whether the removed entries, a flat list, are the lowest of the weight: -2 is lower than 1."""
    return _first_of(gone, weight)


def _first_of(gone, values):
    listed = values.flatten().tolist()
    pruned = [value for value, g in zip(listed, gone, strict=True) if g]
    return sorted(pruned) == sorted(listed)[: len(pruned)]


MANY_EQUALS = [
    0.25 * (1 + 7 * place % 5) for place in range(64)
]  # in an order in which no unstable sort is right by luck


def first_half_of(values):
    """Return whether each of the values goes where the smaller half does and, among equals, the earlier."""
    first = sorted(range(len(values)), key=lambda place: values[place])[: len(values) // 2]
    return [place in first for place in range(len(values))]


INVERTED = "The mask is the other way round: True is for what stays."


def _row_by_row(gone, weight, count):
    """Return whether each row has lost the ``count`` smallest of its own."""
    rows = torch.tensor(gone).view(weight.shape).tolist()
    return all(sum(row) == count and smallest_of(row, w) for row, w in zip(rows, weight, strict=True))


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
        elif got == 10 - wanted and smallest_of([not g for g in gone], weight):
            idea = INVERTED
        elif abs(sparsity * 10 - wanted) == 0.5 and abs(got - wanted) == 1:
            idea = f"Python's round({sparsity} * 10) is {wanted}."
        elif got == wanted + 1 and (smallest_of(gone, weight) or lowest_of(gone, weight)):
            idea = "One too many: does the first weight that may stay go too?"
        elif _row_by_row(gone, weight, round(sparsity * 5)):
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
        idea = INVERTED
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
    if sum(gone) == 6 and smallest_of([not g for g in gone], weight):
        idea = INVERTED
    elif bool((weight[torch.tensor(gone).view(2, 4)] == 0.5).all()):
        idea = "0.5 occurs four times: what happens to equals?"
    else:
        idea = "How many is round(sparsity * n), n being the number of entries?"
    assert sum(gone) == 2, f"Your mask removes {sum(gone)} of 8 weights; 2 were asked. {idea}\n{drawn}"
    assert gone == [True, False, True, False, False, False, False, False], (
        f"Two of the four 0.5 go: those at the earlier positions, read row by row.\n{drawn}"
    )
    weight = torch.tensor(MANY_EQUALS).view(8, 8)
    progress.given(f"sparsity 0.5 and the weight\n{show(weight)}")
    gone = removed_by(magnitude_mask(weight.clone(), 0.5), weight)
    assert gone == first_half_of(MANY_EQUALS), (
        "All of 0.25 and 0.5 go, and the first six of 0.75, read row by row; yours are others. Of many equals a sort keeps the "
        f"order only if it is asked to.\nThe weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(8, 8))}"
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
    weight = torch.tensor([[0.1, 0.8], [0.3, 0.7], [0.2, 0.9]]).t()
    progress.given(f"sparsity 1/3 and a transposed weight, which lies in memory column by column\n{show(weight)}")
    gone = removed_by(magnitude_mask(weight, 1 / 3), weight)
    if gone == [False, True, False, True, True, True]:
        idea = INVERTED
    elif sum(gone) == 2:
        idea = "Is the mask in the order in which the weight reads, not in that of the memory?"
    else:
        idea = f"Yours removes {sum(gone)}."
    assert gone == [True, False, True, False, False, False], (
        f"Of a transposed weight, which lies in memory column by column, the 2 smallest of 6 go, too. {idea}\n"
        f"The weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(2, 3))}"
    )


@check("a sparsity that makes no sense is refused")
def mask_errors(magnitude_mask):
    weight = torch.tensor([[0.3, -0.8, 0.1], [0.7, 0.2, -0.9]])
    progress.given(f"sparsity 0.5 and the weight\n{show(weight)}")
    assert magnitude_mask(weight.clone(), 0.5) is not None, (
        "magnitude_mask() returned nothing: end it with `return ...`."
    )
    for sparsity in (1.5, -0.5):
        refused(magnitude_mask, weight.clone(), sparsity)
