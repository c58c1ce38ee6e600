"""Tests of ADMM: exact counts, zeros that stay, the best support if known, and an error at most SparseGPT's."""

from __future__ import annotations

import statistics
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_lib.pruning.admm import admm
from gpt2_lib.pruning.sparsegpt import sparsegpt


def problem(out: int = 8, inputs: int = 20, tokens: int = 200, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A random weight (out, in), and X^T X of inputs of different sizes that move together."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(tokens, 8, generator=generator) @ torch.randn(8, inputs, generator=generator)
    x = common + torch.randn(tokens, inputs, generator=generator)
    x = (x * (0.2 + torch.rand(inputs, generator=generator))).double()
    return torch.randn(out, inputs, generator=generator), x.t() @ x


def error(weight: torch.Tensor, new: torch.Tensor, hessian: torch.Tensor) -> float:
    lost = (weight - new).double()
    return float(((lost @ hessian) * lost).sum())


@settings(max_examples=25, deadline=None)
@given(out=st.integers(1, 7), inputs=st.sampled_from([1, 5, 129]), sparsity=st.floats(0, 1), seed=st.integers(0, 3))
def test_exactly_as_many_go_as_were_asked_for(out, inputs, sparsity, seed):
    weight, H = problem(out, inputs, 2 * inputs, seed)
    before = weight.clone()
    new = admm(weight, H, sparsity)
    assert int((new == 0).sum()) == round(sparsity * weight.numel())
    assert new.isfinite().all()
    assert torch.equal(weight, before)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.55, 1.0])
def test_every_row_loses_as_many(sparsity):
    weight, H = problem(6, 20)
    weight[0] *= 0.01  # by size alone, the first row would go
    new = admm(weight, H, sparsity, by_row=True)
    assert ((new == 0).sum(dim=1) == round(sparsity * 20)).all()


@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 8), (1, 5), (3, 3)])
def test_n_of_every_m_inputs_stay(n, m):
    weight, H = problem(5, 120, 300)
    new = admm(weight, H, n_m=(n, m))
    assert ((new.view(5, -1, m) != 0).sum(dim=2) == n).all()


def test_sparsity_0_leaves_the_weight_and_1_leaves_nothing():
    weight, H = problem()
    assert torch.equal(admm(weight, H, 0.0), weight)
    assert torch.equal(admm(weight, H, n_m=(4, 4)), weight)
    assert not admm(weight, H, 1.0).any()


def best(weight: torch.Tensor, hessian: torch.Tensor, kept: int) -> float:
    """The lowest error of a row (in,) with ``kept`` weights: every support is tried, solved by least squares."""
    supports = torch.tensor(list(combinations(range(len(weight)), kept)))  # (supports, kept)
    correlation = hessian @ weight.double()
    right = correlation[supports]  # (supports, kept)
    inner = hessian[supports[:, :, None], supports[:, None, :]]  # (supports, kept, kept)
    explained = (right * torch.linalg.solve(inner, right)).sum(dim=1)
    return float(weight.double() @ correlation - explained.max())


def test_the_error_is_that_of_the_best_support_or_close_to_it():
    ratios = []
    for seed in range(16):
        weight, H = problem(1, 10, seed=seed)
        for kept in (3, 5, 7):
            ratios.append(error(weight, admm(weight, H, 1 - kept / 10), H) / best(weight[0], H, kept))
    assert statistics.median(ratios) < 1.03
    assert min(ratios) > 1 - 1e-5, "nothing is better than the best"


@pytest.mark.parametrize(
    ("sparsity", "n_m"),
    [(0.3, None), (0.5, None), (0.7, None), (None, (2, 4))],
    ids=["30 %", "50 %", "70 %", "2:4"],
)
def test_the_error_is_below_sparsegpt_s_and_never_above(sparsity, n_m):
    ratios = []
    for seed in range(25):
        weight, H = problem(6, 12, 80, seed)
        ratios.append(
            error(weight, admm(weight, H, sparsity, n_m), H) / error(weight, sparsegpt(weight, H, sparsity, n_m), H)
        )
    assert sum(ratio < 1 for ratio in ratios) >= 24
    assert max(ratios) <= 1.0


def test_sparsegpt_s_result_is_taken_where_it_is_the_better_one():
    weight, H = problem(4, 8, 60, seed=3)
    assert torch.equal(admm(weight, H, n_m=(2, 4)), sparsegpt(weight, H, n_m=(2, 4)))


def test_the_weights_that_stay_are_the_least_squares_solution_on_the_mask():
    weight, H = problem(3, 16, 200)
    new = admm(weight, H, 0.5).double()
    H = H + 0.01 * H.diagonal().diag()
    for before, after in zip(weight.double(), new, strict=True):
        kept = after != 0
        expected = torch.linalg.solve(H[kept][:, kept], (H @ before)[kept])
        torch.testing.assert_close(after[kept], expected, rtol=1e-3, atol=1e-4)


def test_the_hessian_s_scale_does_not_matter():
    weight, H = problem()
    torch.testing.assert_close(admm(weight, H / 400, 0.5), admm(weight, H, 0.5))


@pytest.mark.parametrize("sparsity", [0.2, 0.6])
def test_zeros_stay_and_count(sparsity):
    weight, H = problem(8, 20)
    gone = torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    weight[gone] = 0
    new = admm(weight, H, sparsity)
    assert not new[gone].any()
    assert int((new == 0).sum()) == max(int(gone.sum()), round(sparsity * 160))


def test_inputs_that_were_always_zero_go_first_and_correct_nothing():
    weight, H = problem(8, 40)
    H[3] = H[:, 3] = 0
    weight[:, 3] = 100
    new = admm(weight, H, 0.5)
    assert not new[:, 3].any()
    assert int((new == 0).sum()) == 160
    weight[:, 3] = -7  # whatever it was, the rest is the same
    assert torch.equal(admm(weight, H, 0.5), new)
    weight[:, 5] = 0
    assert torch.equal(admm(weight, H, 1 / 40), weight), "weights that are zero go before those of such an input"
    assert not admm(weight, torch.zeros_like(H), 0.5, by_row=True)[:, :20].any(), "no input was ever heard"


def test_an_output_that_counts_for_more_keeps_more():
    weight, H = problem(8, 20)
    plain = admm(weight, H, 0.5)
    scale = torch.tensor([4.0] + [1.0] * 7)
    new = admm(weight, H, 0.5, output_scale=scale)
    assert (new[0] != 0).sum() > (plain[0] != 0).sum()
    assert error(weight[:1], new[:1], H) < error(weight[:1], plain[:1], H)
    torch.testing.assert_close(admm(weight, H, 0.5, output_scale=3 * torch.ones(8)), plain)


def test_half_precision_and_non_contiguous_weights_work():
    weight, H = problem(40, 24)
    torch.testing.assert_close(admm(weight.bfloat16(), H, 0.5), admm(weight.bfloat16().float(), H, 0.5))
    assert torch.equal(admm(weight.t().contiguous().t(), H, 0.5), admm(weight, H, 0.5))


def test_more_inputs_than_tokens_need_the_damping():
    weight, H = problem(4, 40, 20)
    assert admm(weight, H, 0.5).isfinite().all()
    with pytest.raises(ValueError, match=r"can't be inverted.*raise damping \(now 0\)"):
        admm(weight, H - 1e-3 * torch.eye(40), 0.5, damping=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sparsity": 50}, r"Did you mean 0\.5"),
        ({"sparsity": None}, "either sparsity or n_m"),
        ({"n_m": (2, 4)}, "either sparsity or n_m"),
        ({"sparsity": None, "n_m": (2, 4), "by_row": True}, "by_row goes with sparsity"),
        ({"sparsity": None, "n_m": (2, 7)}, "not a multiple of 7"),
        ({"sparsity": None, "n_m": (4, 2)}, "4:2"),
        ({"weight": torch.ones(3)}, "must be a matrix"),
        ({"hessian": torch.eye(39)}, r"needs a Hessian of shape \(20, 20\)"),
        ({"hessian": torch.full((20, 20), torch.nan)}, "The Hessian has entries that are NaN"),
        ({"weight": torch.full((8, 20), torch.inf)}, "The weight has entries that are NaN or infinite"),
        ({"hessian": -torch.eye(20)}, "can't be inverted"),
        ({"damping": -1.0}, "damping is a fraction"),
        ({"output_scale": torch.ones(20)}, r"output_scale of shape \(8,\); got \(20,\)"),
        ({"output_scale": -torch.ones(8)}, "negative, NaN or infinite"),
    ],
)
def test_bad_input_is_refused(change, message):
    weight, H = problem()
    arguments = {"weight": weight, "hessian": H, "sparsity": 0.5} | change
    with pytest.raises(ValueError, match=message):
        admm(**arguments)
