"""Tests of schedules: the sparsities of their formulas at their steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2_lib.pruning.schedules import Schedule, cubic_sparsity, linear_sparsity, one_shot_sparsity

CURVES = [one_shot_sparsity, linear_sparsity, cubic_sparsity]


@pytest.mark.parametrize(
    ("step", "sparsity"),
    # Zhu & Gupta, equation 1, by hand: 0.8 - 0.7 (1 - (t - 10) / 100)^3
    [(0, 0.1), (10, 0.1), (35, 0.8 - 0.7 * 0.421875), (60, 0.7125), (85, 0.7890625), (110, 0.8), (500, 0.8)],
)
def test_the_cubic_curve_is_zhu_and_guptas(step, sparsity):
    assert cubic_sparsity(step, 10, 100, 0.1, 0.8) == pytest.approx(sparsity, abs=1e-12)


@pytest.mark.parametrize(("step", "sparsity"), [(0, 0.1), (10, 0.1), (35, 0.275), (60, 0.45), (110, 0.8), (111, 0.8)])
def test_the_linear_curve_rises_by_the_same_amount_at_every_step(step, sparsity):
    assert linear_sparsity(step, 10, 100, 0.1, 0.8) == pytest.approx(sparsity, abs=1e-12)


@pytest.mark.parametrize(("step", "sparsity"), [(0, 0.1), (9, 0.1), (10, 0.8), (11, 0.8), (500, 0.8)])
def test_one_shot_cuts_all_at_its_start(step, sparsity):
    assert one_shot_sparsity(step, 10, 100, 0.1, 0.8) == sparsity


@pytest.mark.parametrize("curve", CURVES)
@given(
    st.integers(-10, 300),
    st.integers(0, 100),
    st.integers(1, 100),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_a_curve_never_falls_and_never_leaves_the_range_from_initial_to_final(curve, step, start, steps, ends):
    initial, final = ends
    now, later = (curve(t, start, steps, initial, final) for t in (step, step + 1))
    assert initial - 1e-12 <= now <= later + 1e-12 <= final + 2e-12
    assert 0 <= now <= 1
    assert curve(start + steps, start, steps, initial, final) == final  # exactly


@given(st.integers(0, 50), st.integers(1, 50), st.integers(1, 60))
def test_masks_are_due_every_so_many_steps_from_the_first_to_the_very_last(start, steps, every):
    schedule = Schedule(final=0.5, steps=steps, start=start, every=every)
    expected = sorted({*range(start, start + steps, every), start + steps})
    assert [step for step in range(start + steps + 100) if schedule.is_due(step)] == expected


def test_the_last_cut_is_made_even_where_every_does_not_divide_the_steps():
    schedule = Schedule(final=0.6, steps=10, start=5, every=4)
    assert [step for step in range(40) if schedule.is_due(step)] == [5, 9, 13, 15]
    assert schedule.sparsity(15) == 0.6


def test_a_schedule_follows_the_curve_it_is_given_and_the_cubic_one_if_none():
    for curve in CURVES:
        schedule = Schedule(final=0.9, steps=20, start=3, initial=0.2, curve=curve)
        assert [schedule.sparsity(t) for t in range(30)] == [curve(t, 3, 20, 0.2, 0.9) for t in range(30)]
    assert Schedule(final=0.9, steps=20).curve is cubic_sparsity


def test_a_schedule_may_stay_where_it_starts():
    assert Schedule(final=0.5, initial=0.5, steps=1).sparsity(0) == 0.5


@pytest.mark.parametrize("bad", [-0.1, 1.5, 60, float("nan"), True, "0.5"])
@pytest.mark.parametrize("end", ["initial", "final"])
def test_a_sparsity_that_is_no_fraction_is_refused(end, bad):
    with pytest.raises(ValueError, match="fraction to remove"):
        Schedule(**({"initial": 0.0, "final": 0.5, "steps": 10} | {end: bad}))


def test_a_sparsity_that_falls_is_refused():
    with pytest.raises(ValueError, match=r"can't fall: initial is 0\.6, final 0\.5"):
        Schedule(final=0.5, initial=0.6, steps=10)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"steps": -5}, {"steps": 10, "every": 0}, {"steps": 10, "start": -1}])
def test_steps_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match="at least"):
        Schedule(final=0.5, **bad)


@pytest.mark.parametrize("curve", [linear_sparsity, cubic_sparsity])
def test_a_curve_of_no_steps_is_refused(curve):
    with pytest.raises(ValueError, match="at least one step"):
        curve(0, 0, 0, 0.0, 0.5)
