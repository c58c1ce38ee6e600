"""Checks of exercise 1.1: the fraction of zeros."""

from __future__ import annotations

import math

import torch

from ..check import check
from ..lesson import show
from ..progress import progress

# The two layers of the example.
BIG = torch.tensor([[0.0, 2.0, 0.0, 1.0], [3.0, 0.0, 0.5, 0.0]])
SMALL = torch.tensor([[0.7, 4.0]])


@check("zeros of one tensor")
def sparsity_basics(sparsity):
    progress.given(f"a list of one tensor\n{show(BIG)}")
    result = sparsity([BIG.clone()])
    assert result is not None, "sparsity() returned nothing: end it with `return ...`."
    ideas = {
        4.0: "That is how many; a fraction of all entries was asked.",
        50.0: "That is per cent; a fraction was asked.",
    }
    assert math.isclose(float(result), 0.5, abs_tol=1e-6), (
        f"The 2x4 matrix above has 4 zeros among its 8 entries, so its sparsity is 0.5; yours is {float(result):g}. "
        + ideas.get(float(result), "")
    )
    progress.given("a list of one tensor, a 3 x 3 matrix of ones")
    none = float(sparsity([torch.ones(3, 3)]))
    assert math.isclose(none, 0.0, abs_tol=1e-6), f"A matrix of ones has no zero: 0.0 was expected, {none:g} came back."


@check("several tensors, each entry counting the same")
def sparsity_pooled(sparsity):
    progress.given(f"a list of two tensors\n{show(BIG)}\nand\n{show(SMALL)}")
    result = sparsity([BIG.clone(), SMALL.clone()])
    assert result is not None, "sparsity() returned nothing: end it with `return ...`."
    ideas = {
        0.25: "That is the mean of the layers' own sparsities: each entry counts the same, whichever tensor it is in.",
        0.5: "That is the first layer's alone.",
        0.6: "That is the share of what is left.",
        2.0: "That is the 4 zeros over the last tensor's 2 entries: divide by the entries of all.",
        0.0: "That is the last layer's alone.",
    }
    assert math.isclose(float(result), 0.4, abs_tol=1e-6), (
        f"The two layers above have 4 zeros among 10 entries together: 0.4 was expected, {float(result):g} came back. "
        + ideas.get(round(float(result), 6), "The zeros of all tensors, over the entries of all tensors.")
    )


@check("tiny is not zero, and the tensors are left alone")
def sparsity_edges(sparsity):
    progress.given("a list of one tensor, [0, 1e-20, -1e-20]")
    result = sparsity([torch.tensor([0.0, 1e-20, -1e-20])])
    assert result is not None, "sparsity() returned nothing: end it with `return ...`."
    assert math.isclose(float(result), 1 / 3, abs_tol=1e-6), (
        f"Of 0, 1e-20 and -1e-20 only the first is exactly zero: 0.333333 was expected, {float(result):g} came back."
        + " Return it as it is, not rounded." * math.isclose(float(result), 1 / 3, abs_tol=0.05)
    )
    progress.given("a list of two tensors, [0, -2] and [-3]")
    given = [torch.tensor([0.0, -2.0]), torch.tensor([-3.0])]
    listed = list(given)
    sparsity(listed)
    assert len(listed) == 2, "sparsity() changed the list it was given; it should only look at it."
    assert [tensor.tolist() for tensor in given] == [[0.0, -2.0], [-3.0]], (
        f"sparsity() changed the tensors it was given, [0, -2] and [-3], to {[t.tolist() for t in given]}; it should only look."
    )
