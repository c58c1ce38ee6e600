"""Tests of masks: exact counts, the lowest entries, and the earlier ones among equals.

The specifications here are plain loops that sort places; the library never sorts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_lib.pruning import selection
from gpt2_lib.pruning.selection import (
    block_masks,
    check_sparsity,
    global_masks,
    keep_units,
    layer_masks,
    n_m_masks,
    row_masks,
)

SPARSITIES = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.sampled_from([0, 1])
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])
# Few different values, so that there are many ties; signs, because only absolute values count.
TENSORS = st.lists(st.integers(-5, 5), min_size=1, max_size=40) | st.lists(st.floats(-100, 100, width=16), min_size=1)
MODELS = st.lists(TENSORS, min_size=1, max_size=4)  # one list of entries for each tensor

BY_SPARSITY = {
    "layer": layer_masks,
    "global": global_masks,
    "global, some kept": lambda scores, s: global_masks(scores, s, min_kept=0.25),
    "row": row_masks,
    "block": lambda scores, s: block_masks(scores, s, block=(2, 2)),
}
EVERY = BY_SPARSITY | {"n:m": lambda scores, s: n_m_masks(scores, 2, 4)}


def lowest(entries: Sequence[float], count: int) -> list[int]:
    """The specification: sort the places by absolute value, then position; the first ``count`` go."""
    return sorted(sorted(range(len(entries)), key=lambda i: (abs(entries[i]), i))[:count])


def removed(mask: torch.Tensor) -> list[int]:
    return (~mask).flatten().nonzero().flatten().tolist()


def named(layers: list[list[float]], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {f"layer {i}": torch.tensor(entries, dtype=dtype) for i, entries in enumerate(layers)}


@st.composite
def matrices(draw, rows=st.integers(1, 5), columns=st.integers(1, 8)):  # noqa: B008
    """A matrix with many ties, of any dtype; sometimes a transposed view."""
    shape, turned = (draw(rows), draw(columns)), draw(st.booleans())
    entries = draw(st.lists(st.integers(-4, 4), min_size=math.prod(shape), max_size=math.prod(shape)))
    matrix = torch.tensor(entries, dtype=draw(DTYPES)).view(shape)
    return matrix.t().contiguous().t() if turned else matrix


@contextmanager
def chunks_of(size: int) -> Iterator[None]:
    """Selection works through so few entries at a time that small tensors take several turns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "CHUNK", size)
        patch.setattr(selection._chunks, "__defaults__", (size,))
        selection._places.cache_clear()
        yield
    selection._places.cache_clear()


# Layers


@settings(deadline=None)
@given(TENSORS, SPARSITIES, DTYPES)
def test_a_layer_loses_exactly_its_lowest_scores_and_ties_go_by_position(entries, sparsity, dtype):
    scores = torch.tensor(entries, dtype=dtype)
    mask = layer_masks({"w": scores}, sparsity)["w"]
    assert mask.dtype == torch.bool
    assert removed(mask) == lowest(scores.tolist(), round(sparsity * len(entries)))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 400), st.floats(0, 1), st.integers(0, 1000), DTYPES)
def test_nothing_that_is_kept_is_smaller_than_anything_that_goes(size, sparsity, seed, dtype):
    scores = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype)
    mask = layer_masks({"w": scores}, sparsity)["w"]
    kept, gone = scores.abs()[mask], scores.abs()[~mask]
    assert len(gone) == round(sparsity * size)
    if len(kept) and len(gone):
        assert gone.max() <= kept.min()


@settings(deadline=None, max_examples=50)
@given(MODELS, SPARSITIES, DTYPES, st.sampled_from([layer_masks, global_masks]))
def test_pruning_what_is_pruned_already_changes_nothing(layers, sparsity, dtype, select):
    weights = named(layers, dtype)
    masks = select(weights, sparsity)
    again = select({name: w * masks[name] for name, w in weights.items()}, sparsity)
    for name, mask in masks.items():
        assert torch.equal(mask, again[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_the_smallest_numbers_are_told_apart_and_minus_zero_is_zero(dtype):
    tiny = torch.finfo(dtype).smallest_normal
    scores = torch.tensor([3 * tiny, -tiny, 0.0, -2 * tiny, -0.0, tiny], dtype=dtype)
    for count, gone in enumerate([[], [2], [2, 4], [1, 2, 4], [1, 2, 4, 5], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]):
        assert removed(layer_masks({"w": scores}, count / 6)["w"]) == gone


@pytest.mark.parametrize("select", [layer_masks, global_masks])
@pytest.mark.parametrize(("sparsity", "kept"), [(0, True), (0.5, True), (0.51, False), (1, False)])
def test_a_single_entry_stays_or_goes(select, sparsity, kept):
    assert select({"w": torch.tensor([[2.0]])}, sparsity)["w"].tolist() == [[kept]]


@settings(deadline=None, max_examples=25)
@given(MODELS, SPARSITIES, DTYPES)
def test_many_chunks_are_ranked_as_one(layers, sparsity, dtype):
    scores = named(layers, dtype)
    whole = global_masks(scores, sparsity)
    with chunks_of(7):
        in_parts = global_masks(scores, sparsity)
    for name, mask in whole.items():
        assert torch.equal(mask, in_parts[name])


def shuffled(size: int, seed: int) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


# Large tensors are searched in one pass where a sample says, here a third of the entries: tensors, and if it helps.
LARGE = {
    "one tensor": ([shuffled(40_000, 0)], True),
    "several": ([shuffled(10_000, 1), 3 * shuffled(30_000, 2), shuffled(17, 3)], True),
    "float64": ([shuffled(40_000, 4).double(), shuffled(100, 5)], True),
    "bfloat16, with ties": ([shuffled(40_000, 6).bfloat16()], True),
    "sorted": ([torch.arange(40_000.0)], True),
    "mostly ties": ([shuffled(40_000, 7).round()], False),
    "a sample that misleads": ([torch.where(torch.arange(40_000) % 3 == 0, 1e-3, 1.0) * shuffled(40_000, 8)], False),
}


@pytest.mark.parametrize("case", LARGE)
def test_masks_found_with_a_sample_are_the_same(case, monkeypatch):
    tensors, helps = LARGE[case]
    scores = {f"layer {i}": t for i, t in enumerate(tensors)}
    order = torch.cat([t.double() for t in tensors]).abs().argsort(stable=True)
    found = []
    key_near = selection._key_near
    monkeypatch.setattr(selection, "SAMPLE", 20_000)
    monkeypatch.setattr(selection, "_key_near", lambda *a: found.append(key_near(*a)) or found[-1])
    for sparsity in (0.0, 0.001, 0.25, 0.5, 0.77, 0.999, 1.0):
        masks = global_masks(scores, sparsity)
        gone = order[: round(sparsity * len(order))].sort().values.tolist()
        assert removed(torch.cat(list(masks.values()))) == gone
        if sparsity == 0.5:
            assert (found[-1] is not None) == helps


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [0, 3001])
def test_nan_and_infinity_are_refused_in_large_tensors_too(bad, place, monkeypatch):
    monkeypatch.setattr(selection, "SAMPLE", 1000)  # every eighth entry
    scores = {"sound": shuffled(3500, 0), "sick": shuffled(3500, 1)}
    scores["sick"][place] = bad
    for sparsity in (0.0, 0.5, 1.0):
        with pytest.raises(ValueError, match="sick has entries that are NaN or infinite"):
            global_masks(scores, sparsity)


# All layers together


@settings(deadline=None)
@given(st.lists(st.tuples(TENSORS, DTYPES), min_size=1, max_size=4), SPARSITIES)
def test_globally_the_lowest_of_all_go_and_ties_by_order_then_position(layers, sparsity):
    scores = {f"layer {i}": torch.tensor(entries, dtype=dtype) for i, (entries, dtype) in enumerate(layers)}
    masks = global_masks(scores, sparsity)
    assert list(masks) == list(scores)
    together = torch.cat([s.double() for s in scores.values()]).tolist()
    assert removed(torch.cat(list(masks.values()))) == lowest(together, round(sparsity * len(together)))


def test_layers_are_ranked_each_on_its_own_or_all_together():
    scores = {"small": torch.tensor([0.1, 0.2]), "large": torch.tensor([10.0, 20.0])}
    assert [removed(m) for m in layer_masks(scores, 0.5).values()] == [[0], [0]]
    assert [removed(m) for m in global_masks(scores, 0.5).values()] == [[0, 1], []]


@settings(deadline=None)
@given(MODELS, SPARSITIES, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), DTYPES)
def test_the_highest_of_each_layer_stay_out_of_the_global_ranking(layers, sparsity, min_kept, dtype):
    scores = named(layers, dtype)
    places = [(name, i) for name, s in scores.items() for i in range(len(s))]
    values = {(name, i): abs(v) for name, s in scores.items() for i, v in enumerate(s.tolist())}
    spare = {(n, i) for n, s in scores.items() for i in lowest(s.tolist(), len(s) - math.ceil(min_kept * len(s)))}
    count = round(sparsity * len(places))
    if count > len(spare):
        with pytest.raises(ValueError, match="lower one of the two"):
            global_masks(scores, sparsity, min_kept)
        return
    ranked = [place for place in places if place in spare]  # in order, and sorting is stable
    expected = set(sorted(ranked, key=lambda place: values[place])[:count])
    masks = global_masks(scores, sparsity, min_kept)
    assert {(name, i) for name, mask in masks.items() for i in removed(mask)} == expected


@pytest.mark.parametrize("tenths", range(11))
def test_the_guard_keeps_the_fraction_it_names_and_spares_all_else(tenths):
    masks = global_masks({"w": torch.arange(10.0)}, (10 - tenths) / 10, min_kept=tenths / 10)
    assert removed(masks["w"]) == list(range(10 - tenths))


def test_a_small_layer_survives_a_global_cut_only_with_the_guard():
    scores = {"small": torch.full((10,), 0.01), "large": torch.arange(1.0, 11.0)}
    assert not global_masks(scores, 0.5)["small"].any()
    guarded = global_masks(scores, 0.5, min_kept=0.2)
    assert guarded["small"].sum() == 2
    assert removed(guarded["large"]) == [0, 1]


def test_a_guard_that_leaves_too_little_to_prune_says_how_much_may_go():
    with pytest.raises(ValueError, match=r"asks for 9 entries, but with min_kept=0\.5 only 5 may go"):
        global_masks({"w": torch.arange(10.0)}, 0.9, min_kept=0.5)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_a_guard_that_is_no_fraction_is_refused(bad):
    with pytest.raises(ValueError, match="min_kept is the fraction"):
        global_masks({"w": torch.ones(4)}, 0.5, min_kept=bad)


# Rows, n:m, rectangles, units


@settings(deadline=None)
@given(matrices(), SPARSITIES)
def test_every_row_loses_its_own_lowest_scores(matrix, sparsity):
    mask = row_masks({"w": matrix}, sparsity)["w"]
    for row, kept in zip(matrix.tolist(), mask, strict=True):
        assert removed(kept) == lowest(row, round(sparsity * len(row)))


def n_of_m(matrix: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """The specification: of every m neighbours the lowest m - n go."""
    mask = torch.ones(matrix.shape, dtype=torch.bool)
    for r, row in enumerate(matrix.tolist()):
        for start in range(0, len(row), m):
            for place in lowest(row[start : start + m], m - n):
                mask[r, start + place] = False
    return mask


@settings(deadline=None)
@given(st.data(), st.sampled_from([(2, 4), (4, 8), (1, 4), (1, 1), (3, 3), (2, 3)]), st.sampled_from([9, 16, 1 << 18]))
def test_the_n_highest_of_every_m_neighbours_stay_for_any_number_of_chunks(data, n_m, chunk):
    n, m = n_m
    matrix = data.draw(matrices(columns=st.integers(1, 4).map(lambda groups: groups * m)))
    with chunks_of(chunk):
        mask = n_m_masks({"w": matrix}, n, m)["w"]
    assert torch.equal(mask, n_of_m(matrix, n, m))


def test_among_equals_the_later_neighbours_stay():
    assert n_m_masks({"w": torch.ones(1, 8)}, 2, 4)["w"].tolist() == [[False, False, True, True] * 2]
    assert n_m_masks({"w": torch.tensor([[3.0, 1.0, -1.0, 1.0]])}, 2, 4)["w"].tolist() == [[True, False, False, True]]


def test_many_matrices_get_n_of_m_each():
    generator = torch.Generator().manual_seed(0)
    scores = {f"layer {i}": torch.randn(i + 1, 8, generator=generator) for i in range(6)}
    masks = n_m_masks(scores, 4, 8)
    assert list(masks) == list(scores)
    for name, mask in masks.items():
        assert torch.equal(mask, n_of_m(scores[name], 4, 8))


def test_inputs_that_n_of_m_does_not_fit_are_refused():
    with pytest.raises(ValueError, match="second has 6 inputs, not a multiple of 4"):
        n_m_masks({"first": torch.ones(3, 4), "second": torch.ones(4, 6)}, 2, 4)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4), (-1, 4), (1, 65), (2.0, 4)])
def test_an_n_of_m_that_makes_no_sense_is_refused(n, m):
    with pytest.raises(ValueError, match="keeps n of every m"):
        n_m_masks({"w": torch.ones(4, 260)}, n, m)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), SPARSITIES, st.sampled_from([1, 2]))
def test_whole_rectangles_go_those_of_the_lowest_norm(down, across, rows, columns, sparsity, order):
    seed = torch.Generator().manual_seed(down + 10 * across)
    matrix = torch.randn(down * rows, across * columns, generator=seed)
    mask = block_masks({"w": matrix.t().contiguous().t()}, sparsity, (rows, columns), order)["w"]
    corners = [(r * rows, c * columns) for r in range(down) for c in range(across)]
    norms = [
        sum(abs(v) ** order for row in matrix[r : r + rows, c : c + columns].tolist() for v in row) for r, c in corners
    ]
    gone = lowest(norms, round(sparsity * len(corners)))
    for i, (r, c) in enumerate(corners):
        assert (mask[r : r + rows, c : c + columns] == (i not in gone)).all()


@pytest.mark.parametrize("block", [(3, 2), (2, 3), (0, 2), (2, -1), (8, 2)])
def test_rectangles_that_do_not_fit_are_refused(block):
    with pytest.raises(ValueError, match=r"w is 4 x 8: blocks of .* don't fit"):
        block_masks({"w": torch.ones(4, 8)}, 0.5, block)


@settings(deadline=None)
@given(TENSORS, st.floats(0, 1), st.integers(0, 3))
def test_the_highest_units_stay_in_ascending_order(entries, sparsity, min_kept):
    scores, gone = torch.tensor(entries, dtype=torch.float32), round(sparsity * len(entries))
    if len(entries) - gone < min_kept:
        with pytest.raises(ValueError, match=rf"leave {len(entries) - gone} of {len(entries)} units"):
            keep_units(scores, sparsity, min_kept)
        return
    keep = keep_units(scores, sparsity, min_kept)
    assert keep.dtype == torch.int64
    assert keep.tolist() == [i for i in range(len(entries)) if i not in lowest(scores.tolist(), gone)]


def test_the_last_unit_stays_unless_it_is_asked_for():
    with pytest.raises(ValueError, match="would leave 0 of 3 units, and 1 must stay"):
        keep_units(torch.arange(3.0), 1.0)
    assert keep_units(torch.arange(3.0), 1.0, min_kept=0).tolist() == []


# What holds for all


@settings(deadline=None, max_examples=50)
@given(matrices(st.integers(1, 3).map(lambda n: 2 * n), st.integers(1, 2).map(lambda n: 4 * n)))
def test_the_order_of_the_entries_counts_not_that_in_memory(matrix):
    for name, select in EVERY.items():
        assert torch.equal(select({"w": matrix}, 0.5)["w"], select({"w": matrix.contiguous()}, 0.5)["w"]), name


@pytest.mark.parametrize("select", EVERY.values(), ids=EVERY)
def test_masks_are_of_the_scores_shape_and_the_scores_are_left_as_they_were(select):
    scores = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    before = scores.clone()
    mask = select({"w": scores.requires_grad_()}, 0.5)["w"]
    assert mask.dtype == torch.bool
    assert mask.shape == scores.shape
    assert mask.sum() == 24
    assert torch.equal(scores, before)


@pytest.mark.parametrize("select", BY_SPARSITY.values(), ids=BY_SPARSITY)
def test_a_sparsity_of_0_keeps_all(select):
    assert select({"w": torch.zeros(4, 8)}, 0.0)["w"].all()


@pytest.mark.parametrize("select", [layer_masks, global_masks, row_masks, BY_SPARSITY["block"]])
def test_a_sparsity_of_1_keeps_nothing(select):
    assert not select({"w": torch.full((4, 8), 9.0)}, 1.0)["w"].any()


@pytest.mark.parametrize("select", EVERY.values(), ids=EVERY)
def test_no_scores_give_no_masks(select):
    assert select({}, 0.5) == {}


@pytest.mark.parametrize("select", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_nan_or_infinite_are_refused_by_the_layers_name(select, dtype, bad):
    scores = {"sound": torch.ones(4, 8, dtype=dtype), "sick": torch.ones(4, 8, dtype=dtype)}
    scores["sick"][3, 7] = bad
    for sparsity in (0.0, 0.3, 0.5, 0.75):
        with pytest.raises(ValueError, match="sick has entries that are NaN or infinite"):
            select(scores, sparsity)


def test_units_whose_scores_are_nan_are_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        keep_units(torch.tensor([1.0, float("nan")]), 0.5)


@pytest.mark.parametrize("select", [*BY_SPARSITY.values(), lambda scores, s: keep_units(scores["w"], s)])
@pytest.mark.parametrize("sparsity", [-0.1, 1.1, float("nan"), float("inf"), True, False, "0.5", None, [0.5]])
def test_a_sparsity_that_is_no_fraction_is_refused(select, sparsity):
    with pytest.raises(ValueError, match="fraction to remove, from 0 to 1"):
        select({"w": torch.ones(4, 4)}, sparsity)


def test_a_percentage_is_met_with_the_fraction_that_was_meant():
    with pytest.raises(ValueError, match=r"got 30\. Did you mean 0\.3\?"):
        check_sparsity(30)


@pytest.mark.parametrize("select", [EVERY["row"], EVERY["block"], EVERY["n:m"]], ids=["row", "block", "n:m"])
@pytest.mark.parametrize("shape", [(8,), (2, 2, 4)])
def test_patterns_along_the_inputs_need_matrices(select, shape):
    with pytest.raises(ValueError, match=r"w must be a matrix \(out, in\)"):
        select({"w": torch.ones(shape)}, 0.5)
