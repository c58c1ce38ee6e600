"""Tests of scores, each against a plain loop or a closed form."""

from __future__ import annotations

import math

import pytest
import torch

from gpt2_lib.pruning import scores

WIDTH, NEURONS, HEADS, HEAD_SIZE = 6, 5, 3, 2


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def norm(entries: list[float], order: float) -> float:
    return sum(abs(v) ** order for v in entries) ** (1 / order)


def feed_forward() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return randn(NEURONS, WIDTH), randn(NEURONS, seed=1), randn(WIDTH, NEURONS, seed=2)


def attention() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    inner = HEADS * HEAD_SIZE
    return randn(3 * inner, WIDTH), randn(3 * inner, seed=1), randn(WIDTH, inner, seed=2)


def test_magnitude_is_the_absolute_value():
    assert scores.magnitude({"w": torch.tensor([[-2.0, 0.5]])})["w"].tolist() == [[2.0, 0.5]]


def test_random_scores_are_those_of_their_seed_uniform_and_different_in_every_layer():
    weights = {"a": torch.zeros(100, 50), "b": torch.zeros(100, 50)}
    one, same, other = (scores.random(weights, seed) for seed in (1, 1, 2))
    for name in weights:
        assert torch.equal(one[name], same[name])
        assert not torch.equal(one[name], other[name])
    assert not torch.equal(one["a"], one["b"])
    assert 0 <= one["a"].min() < 0.01
    assert 0.99 < one["a"].max() < 1
    assert one["a"].mean() == pytest.approx(0.5, abs=0.02)


def test_random_scores_leave_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    scores.random({"w": torch.zeros(5)})
    assert torch.equal(torch.rand(3), expected)


def test_wanda_is_the_weight_times_the_norm_of_its_input():
    weight, inputs = randn(4, WIDTH), randn(20, WIDTH, seed=1)
    norms = inputs.norm(dim=0)
    score = scores.wanda({"w": weight}, {"w": norms})["w"]
    for i in range(4):
        for j in range(WIDTH):
            assert score[i, j].item() == pytest.approx(abs(weight[i, j].item()) * norm(inputs[:, j].tolist(), 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_of_half_precision_neither_vanish_nor_overflow(dtype):
    weight, small, large = (torch.full((2, 4), size, dtype=dtype) for size in (1e-4, 1e-5, 6e4))
    assert (scores.wanda({"w": weight}, {"w": small[0]})["w"] > 0).all()
    assert (scores.taylor({"w": weight}, {"w": small})["w"] > 0).all()
    assert scores.wanda({"w": large}, {"w": large[0]})["w"].isfinite().all()
    assert scores.taylor({"w": large}, {"w": large})["w"].isfinite().all()
    assert scores.neuron(large, large[:, 0], large.t()).isfinite().all()
    assert scores.head(large[:1].expand(6, 4), large[0, :1].expand(6), large.t(), n_head=1).isfinite().all()


def test_taylor_is_what_a_linear_loss_changes_by_when_an_entry_goes():
    weight, factors = randn(4, WIDTH), randn(4, WIDTH, seed=1)
    score = scores.taylor({"w": weight}, {"w": factors})["w"]  # of the loss (factors * weight).sum()
    for i in range(4):
        for j in range(WIDTH):
            without = weight.clone()
            without[i, j] = 0.0
            change = (factors * weight).sum() - (factors * without).sum()
            assert score[i, j].item() == pytest.approx(abs(change.item()), abs=1e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_a_neuron_scores_the_norm_of_what_feeds_it_times_that_of_what_it_feeds(order):
    c_fc, bias, c_proj = feed_forward()
    score = scores.neuron(c_fc, bias, c_proj, order)
    assert score.shape == (NEURONS,)
    for n in range(NEURONS):
        feeds = norm([*c_fc[n].tolist(), bias[n].item()], order)
        assert score[n].item() == pytest.approx(feeds * norm(c_proj[:, n].tolist(), order), rel=1e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_a_head_scores_the_norm_of_its_q_k_and_v_times_that_of_what_it_feeds(order):
    c_attn, bias, c_proj = attention()
    score = scores.head(c_attn, bias, c_proj, HEADS, order)
    assert score.shape == (HEADS,)
    for head in range(HEADS):
        columns = range(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)
        feeds = []
        for part in range(3):  # Q, K, V
            for column in columns:
                row = part * HEADS * HEAD_SIZE + column
                feeds += [*c_attn[row].tolist(), bias[row].item()]
        fed = [v for column in columns for v in c_proj[:, column].tolist()]
        assert score[head].item() == pytest.approx(norm(feeds, order) * norm(fed, order), rel=1e-5)


@pytest.mark.parametrize("units", [HEADS, HEADS * HEAD_SIZE], ids=["heads", "neurons"])
def test_a_unit_contributes_the_norm_of_all_that_it_adds_to_the_residual_stream(units):
    outputs, c_proj = randn(20, HEADS * HEAD_SIZE), randn(WIDTH, HEADS * HEAD_SIZE, seed=1)
    score = scores.contribution((outputs.t() @ outputs).double(), c_proj, units)
    assert score.shape == (units,)
    size = c_proj.size(1) // units
    for unit in range(units):
        alone = torch.zeros_like(outputs)
        alone[:, unit * size : (unit + 1) * size] = outputs[:, unit * size : (unit + 1) * size]
        added = (alone @ c_proj.t()).flatten().tolist()
        assert score[unit].item() == pytest.approx(norm(added, 2), rel=1e-5)


def test_a_unit_that_nothing_feeds_or_that_feeds_nothing_scores_nothing():
    c_fc, bias, c_proj = feed_forward()
    c_fc[1], bias[1], c_proj[:, 3] = 0.0, 0.0, 0.0
    assert (scores.neuron(c_fc, bias, c_proj) == 0).tolist() == [False, True, False, True, False]
    c_attn, bias, c_proj = attention()
    c_proj[:, 2:4] = 0.0
    assert (scores.head(c_attn, bias, c_proj, HEADS) == 0).tolist() == [False, True, False]


def test_a_block_scores_one_minus_the_cosine_of_what_goes_in_and_what_comes_out():
    inputs, outputs = randn(7, WIDTH), randn(7, WIDTH, seed=1)
    cosines = [
        sum(a * b for a, b in zip(x, y, strict=True)) / (norm(x, 2) * norm(y, 2))
        for x, y in zip(inputs.tolist(), outputs.tolist(), strict=True)
    ]
    assert scores.block_influence(inputs, outputs) == pytest.approx(1 - sum(cosines) / 7, rel=1e-5)


@pytest.mark.parametrize(("turned", "influence"), [(0.0, 0.0), (math.pi / 2, 1.0), (math.pi, 2.0)])
def test_a_block_that_only_scales_has_no_influence_and_one_that_turns_all_round_has_most(turned, influence):
    outputs = 3 * torch.tensor([[math.cos(turned), math.sin(turned)]])
    assert scores.block_influence(torch.tensor([[2.0, 0.0]]), outputs) == pytest.approx(influence, abs=1e-6)


def test_scores_are_never_negative_carry_no_gradient_and_change_nothing():
    weight, f, a = randn(4, WIDTH), feed_forward(), attention()
    for tensor in (weight, *f, *a):
        tensor.requires_grad_()
    before = [t.detach().clone() for t in (weight, *f, *a)]
    everything = [
        scores.magnitude({"w": weight})["w"],
        scores.random({"w": weight})["w"],
        scores.wanda({"w": weight}, {"w": torch.ones(WIDTH)})["w"],
        scores.taylor({"w": weight}, {"w": randn(4, WIDTH, seed=1)})["w"],
        scores.neuron(*f),
        scores.head(*a, HEADS),
        scores.contribution(torch.eye(HEADS * HEAD_SIZE), a[2], HEADS),
    ]
    for score in everything:
        assert (score >= 0).all()
        assert not score.requires_grad
    for tensor, old in zip((weight, *f, *a), before, strict=True):
        assert torch.equal(tensor, old)


@pytest.mark.parametrize("units", [6, 2])  # of 6 columns: neurons of one, heads of three
def test_a_units_contribution_is_the_norm_of_what_it_adds_to_the_residual_stream(units):
    torch.manual_seed(0)
    x, weight = torch.randn(50, 6, dtype=torch.float64), torch.randn(4, 6)
    size = 6 // units
    wanted = []
    for unit in range(units):
        columns = slice(unit * size, (unit + 1) * size)
        wanted.append((x[:, columns] @ weight[:, columns].double().t()).norm().item())
    assert scores.contribution(x.t() @ x, weight, units).tolist() == pytest.approx(wanted)


def test_an_output_counts_for_the_root_of_the_norm_of_its_gradient():
    gradient = torch.tensor([[16.0, 0.0], [0.6, 0.8], [0.0, 0.0]])
    torch.testing.assert_close(scores.outputs(gradient), torch.tensor([1.0, 0.25, 0.01]))
    torch.testing.assert_close(scores.outputs(torch.zeros(2, 3)), torch.ones(2))
