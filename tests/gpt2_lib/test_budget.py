"""Tests of widths under a budget: the best choice, the costs of a forward pass, the errors of least squares."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from tiny import TINY, UNEVEN, random_ids, random_model
from torch.nn import functional as F

from gpt2_lib import ModelPruner, metrics
from gpt2_lib.pruning.structures import costs as costs_module
from gpt2_lib.pruning.structures.budget import fractions_within, output_sensitivities, projection_error, widths_within
from gpt2_lib.pruning.structures.costs import Costs, flop_costs, latency_costs
from gpt2_lib.pruning.structures.refit import parts
from gpt2_lib.pruning.surgery import shrink

WINDOWS = random_ids(TINY, 16, 32)


@pytest.mark.parametrize("seed", range(20))
def test_no_choice_of_widths_within_the_budget_has_a_lower_error(seed):
    draw = random.Random(seed)
    costs = [{k: k * draw.randint(1, 9) for k in range(1, 5)} for _ in range(4)]
    errors = [{k: draw.random() * (5 - k) for k in range(1, 5)} for _ in range(4)]
    budget = 2000 / draw.randint(10, 60)  # divides STEPS: costs are whole steps, and rounding changes nothing
    found = widths_within([{k: c * budget / 100 for k, c in table.items()} for table in costs], errors, budget)
    choices = [c for c in itertools.product(range(1, 5), repeat=4) if _sum(costs, c) <= 100]
    assert _sum(costs, found) <= 100
    assert _sum(errors, found) == pytest.approx(min(_sum(errors, c) for c in choices))


def _sum(tables, widths):
    return sum(table[width] for table, width in zip(tables, widths, strict=True))


def test_a_budget_that_nothing_meets_is_refused():
    with pytest.raises(ValueError, match="No choice of widths"):
        widths_within([{1: 2.0}, {1: 2.0}], [{1: 0.0}, {1: 0.0}], 3.0)


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
def test_flop_costs_are_those_of_the_model_that_is_left(config):
    model = random_model(config)
    costs = flop_costs(model, 20)
    assert costs.whole == sum(metrics.flops(model, 20).values())
    smaller = shrink(model, {0: torch.tensor([0])}, {1: torch.arange(max(1, round(config.neurons[1] / 24)))})
    widths = (smaller.config.heads, smaller.config.neurons)
    found = costs.rest + sum(_sum(t, w) for t, w in zip((costs.heads, costs.neurons), widths, strict=True))
    assert found == sum(metrics.flops(smaller, 20).values())


def test_latencies_are_the_fastest_rounds_and_rise_with_the_width(monkeypatch):
    clock = itertools.accumulate(itertools.cycle([0.0, 0.5, 0.0, 0.25, 0.0, 1.0, 0.0]))
    monkeypatch.setattr(costs_module.time, "perf_counter", lambda: next(clock))
    costs = latency_costs(random_model(UNEVEN), batch=2, tokens=8, rounds=3)
    for tables, sizes in ((costs.heads, UNEVEN.heads), (costs.neurons, UNEVEN.neurons)):
        for table, size in zip(tables, sizes, strict=True):
            assert max(table) == size
            values = [table[width] for width in sorted(table)]
            assert values == sorted(values)
            assert all(0 <= value <= 1 for value in values)
    assert costs.heads[1][1] == costs.heads[0][1]


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_the_model_that_is_left_costs_no_more_than_its_share_and_not_much_less(share):
    model = random_model()
    fractions = fractions_within(model, WINDOWS, share)
    smaller = ModelPruner(model).remove_structures(*fractions, WINDOWS)
    left, whole = (sum(metrics.flops(m, TINY.n_positions).values()) for m in (smaller, model))
    assert share - 0.08 < left / whole <= share
    silenced = ModelPruner(random_model()).prune_structures(*fractions, WINDOWS)
    assert int(silenced["h.1.mlp.c_fc.bias"].sum()) == smaller.config.neurons[1]


def test_a_part_that_costs_much_and_adds_little_is_cut_first():
    model = random_model()
    with torch.no_grad():
        model.h[1].mlp.c_proj.weight *= 1e-3
    flops = flop_costs(model)
    heads, neurons = fractions_within(model, WINDOWS, 0.75)
    assert neurons[1] > 0.9
    assert max(*heads, neurons[0]) < 0.5
    dear = Costs([{n: 100 * c for n, c in t.items()} for t in flops.heads], flops.neurons, flops.rest)
    assert sum(fractions_within(model, WINDOWS, 0.75, dear)[0]) > sum(heads)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.0, "share is how much"),
        (1.5, r"above 0 and at most 1; got 1\.5"),
        (float("nan"), "share is how much"),
        (0.01, "1% of the model's cost is less than what stays in any case"),
    ],
)
def test_shares_that_no_model_can_have_are_refused(share, message):
    with pytest.raises(ValueError, match=message):
        fractions_within(random_model(), WINDOWS, share)


def test_the_error_of_a_projection_is_what_least_squares_leave():
    g = torch.Generator().manual_seed(0)
    x = (torch.randn(500, 8, generator=g) @ torch.randn(8, 8, generator=g)).double()
    weight = torch.randn(5, 8, generator=g)
    columns = torch.tensor([6, 1, 2])
    wanted = x @ weight.double().t()
    left = wanted - x[:, columns] @ torch.linalg.lstsq(x[:, columns], wanted).solution
    found = projection_error(x.t() @ x, weight, columns, ridge=1e-12)
    assert found == pytest.approx(float(left.square().sum()), rel=1e-6)
    assert projection_error(x.t() @ x, weight, torch.arange(8)) == 0


def test_the_sensitivity_of_an_output_is_the_slope_of_the_loss_along_it():
    model = random_model()
    model.requires_grad_(False)
    found = output_sensitivities(model, WINDOWS[:2])
    assert len(found) == 4
    nudges = [torch.zeros(2, 32, 24, requires_grad=True) for _ in range(4)]
    layers = [part.c_proj for block in model.h for _, part in parts(block)]
    hooks = [
        p.register_forward_hook(lambda _, args, out, nudge=nudge: out + nudge)
        for p, nudge in zip(layers, nudges, strict=True)
    ]
    logits = model(WINDOWS[:2])[:, :-1].flatten(0, 1)
    F.cross_entropy(logits, WINDOWS[:2, 1:].flatten(), reduction="sum").backward()
    for hook in hooks:
        hook.remove()
    for value, nudge in zip(found, nudges, strict=True):
        assert nudge.grad is not None
        assert value == pytest.approx(float(nudge.grad.square().sum()) / 64, rel=1e-4)
