"""Masks remove exactly as many entries as they should, the lowest, and the earlier ones among equals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_lib.scores import magnitude
from gpt2_lib.selection import check_sparsity, global_masks, layer_masks

SPARSITIES = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.sampled_from([0, 1])
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])
# Few different values, so that there are many ties.
TENSORS = st.lists(st.integers(0, 5), min_size=1, max_size=40) | st.lists(st.floats(0, 100, width=16), min_size=1)


def pruned_places(entries: list[float], sparsity: float) -> list[int]:
    """The specification: sort the places by score, then position; the first round(s n) go."""
    return sorted(sorted(range(len(entries)), key=lambda i: (entries[i], i))[: round(sparsity * len(entries))])


def removed(mask: torch.Tensor) -> list[int]:
    return (~mask).flatten().nonzero().flatten().tolist()


@settings(deadline=None)
@given(TENSORS, SPARSITIES, DTYPES)
def test_a_layer_loses_exactly_its_lowest_scores_and_ties_go_by_position(entries, sparsity, dtype):
    scores = torch.tensor(entries, dtype=dtype)
    mask = layer_masks({"w": scores}, sparsity)["w"]
    assert mask.dtype == torch.bool
    assert removed(mask) == pruned_places(scores.tolist(), sparsity)


@settings(deadline=None)
@given(st.lists(TENSORS, min_size=1, max_size=4), SPARSITIES, DTYPES)
def test_globally_the_lowest_of_all_go_and_ties_by_order_then_position(layers, sparsity, dtype):
    scores = {f"layer {i}": torch.tensor(entries, dtype=dtype) for i, entries in enumerate(layers)}
    masks = global_masks(scores, sparsity)
    assert list(masks) == list(scores)
    together = torch.cat([s.double() for s in scores.values()])
    assert removed(torch.cat(list(masks.values()))) == pruned_places(together.tolist(), sparsity)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), SPARSITIES, st.sampled_from([layer_masks, global_masks]))
def test_a_matrix_that_is_a_transposed_view_is_ranked_in_its_own_order(rows, columns, sparsity, select):
    view = torch.arange(rows * columns).remainder(4).float().view(columns, rows).t()
    mask = select({"w": view}, sparsity)["w"]
    assert mask.shape == view.shape
    assert removed(mask) == pruned_places(view.flatten().tolist(), sparsity)


def test_layers_are_ranked_each_on_its_own_or_all_together():
    scores = {"small": torch.tensor([0.1, 0.2]), "large": torch.tensor([10.0, 20.0])}
    assert [removed(m) for m in layer_masks(scores, 0.5).values()] == [[0], [0]]
    assert [removed(m) for m in global_masks(scores, 0.5).values()] == [[0, 1], []]


def test_no_scores_give_no_masks():
    assert layer_masks({}, 0.5) == {}
    assert global_masks({}, 0.5) == {}


@pytest.mark.parametrize("select", [layer_masks, global_masks])
def test_the_scores_are_left_as_they_were(select):
    scores = torch.tensor([3.0, 1.0, 2.0])
    select({"w": scores}, 0.5)
    assert scores.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("select", [layer_masks, global_masks])
@pytest.mark.parametrize("sparsity", [0.3, 0.5, 1.0])
def test_scores_that_are_nan_are_refused(select, sparsity):
    with pytest.raises(ValueError, match="NaN"):
        select({"w": torch.tensor([1.0, float("nan"), 2.0])}, sparsity)


@pytest.mark.parametrize("select", [layer_masks, global_masks])
@pytest.mark.parametrize("sparsity", [-0.1, 1.1, float("nan"), float("inf"), True, False, "0.5", None, [0.5]])
def test_a_sparsity_that_is_no_fraction_is_refused(select, sparsity):
    with pytest.raises(ValueError, match="fraction to remove, from 0 to 1"):
        select({"w": torch.ones(4)}, sparsity)


def test_a_percentage_is_met_with_the_fraction_that_was_meant():
    with pytest.raises(ValueError, match=r"got 30\. Did you mean 0\.3\?"):
        check_sparsity(30)


def test_magnitude_is_the_absolute_value_and_carries_no_gradient():
    weight = torch.tensor([[-2.0, 0.5]], requires_grad=True)
    score = magnitude({"w": weight})["w"]
    assert score.tolist() == [[2.0, 0.5]]
    assert not score.requires_grad
