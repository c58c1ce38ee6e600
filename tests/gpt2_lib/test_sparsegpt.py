"""Tests of SparseGPT: exact counts, agreement with a closed form, and a lower error."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_lib.pruning import scores, selection
from gpt2_lib.pruning.sparsegpt import sparsegpt


def problem(out: int = 24, inputs: int = 40, tokens: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A random weight (out, in), and inputs (tokens, in) of different sizes that move together."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(tokens, 8, generator=generator) @ torch.randn(8, inputs, generator=generator)
    x = common + torch.randn(tokens, inputs, generator=generator)
    return torch.randn(out, inputs, generator=generator), x * (0.2 + torch.rand(inputs, generator=generator))


def error(weight: torch.Tensor, new: torch.Tensor, x: torch.Tensor) -> float:
    return float((x @ (weight - new).t()).square().sum())


@settings(max_examples=40, deadline=None)
@given(
    out=st.integers(1, 7),
    inputs=st.sampled_from([1, 5, 128, 129, 300]),
    sparsity=st.floats(0, 1),
    seed=st.integers(0, 3),
)
def test_exactly_as_many_go_as_were_asked_for(out, inputs, sparsity, seed):
    weight, x = problem(out, inputs, 2 * inputs, seed)
    before = weight.clone()
    new = sparsegpt(weight, x.t() @ x, sparsity)
    assert int((new == 0).sum()) == round(sparsity * weight.numel())
    assert new.isfinite().all()
    assert torch.equal(weight, before)


def test_sparsity_0_leaves_the_weight_and_1_leaves_nothing():
    weight, x = problem(8, 200)
    assert torch.equal(sparsegpt(weight, x.t() @ x, 0.0), weight)
    assert not sparsegpt(weight, x.t() @ x, 1.0).any()


@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 8), (1, 5), (3, 3)])
def test_n_of_every_m_inputs_stay(n, m):
    weight, x = problem(8, 240, 600)
    new = sparsegpt(weight, x.t() @ x, n_m=(n, m))
    assert ((new.view(8, -1, m) != 0).sum(dim=2) == n).all()


def test_every_block_of_inputs_loses_its_share():
    weight, x = problem(10, 256, 600)
    x[:, :128] *= 0.01  # by size alone, the first half would go
    new = sparsegpt(weight, x.t() @ x, 0.5)
    assert int((new[:, :128] == 0).sum()) == int((new[:, 128:] == 0).sum()) == 640


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.8])
def test_the_error_is_below_that_of_magnitude_and_wanda_without_correction(sparsity):
    weight, x = problem(24, 200, 1000)
    named = {"w": weight}
    masks = {
        "magnitude": selection.layer_masks(named, sparsity)["w"],
        "wanda": selection.row_masks(scores.wanda(named, {"w": x.norm(dim=0)}), sparsity)["w"],
    }
    plain = {name: error(weight, weight * mask, x) for name, mask in masks.items()}
    assert error(weight, sparsegpt(weight, x.t() @ x, sparsity), x) < 0.7 * plain["wanda"] < 0.7 * plain["magnitude"]


def test_the_error_of_2_4_is_below_that_of_wanda_s_mask_without_correction():
    weight, x = problem(24, 200, 1000)
    mask = selection.n_m_masks(scores.wanda({"w": weight}, {"w": x.norm(dim=0)}), 2, 4)["w"]
    assert error(weight, sparsegpt(weight, x.t() @ x, n_m=(2, 4)), x) < 0.7 * error(weight, weight * mask, x)


def test_the_loss_of_the_first_input_is_made_up_for_as_optimal_brain_surgeon_says():
    """Hassibi & Stork (1993), equation 5: -w_q / [H^-1]_qq times column q of H^-1."""
    weight, x = problem(1, 6, 100)
    weight[0] = torch.tensor([0.1, 2, -2, 2, -2, 2])  # the first is the one to go
    H = (x.t() @ x).double()
    inverse = torch.linalg.inv(H + 0.01 * H.diagonal().mean() * torch.eye(6))
    expected = weight.double() - weight[0, 0].double() / inverse[0, 0] * inverse[0]
    new = sparsegpt(weight, H, 1 / 6)
    assert new[0, 0] == 0
    torch.testing.assert_close(new - weight, (expected - weight).float(), rtol=1e-3, atol=1e-6)


def algorithm_1(weight: torch.Tensor, hessian: torch.Tensor, sparsity: float, block: int) -> torch.Tensor:
    """The paper's Algorithm 1 entry by entry, with the inverse of what is left of the Hessian at each step."""
    W, H = weight.double().clone(), hessian.double().clone()
    H += 0.01 * H.diagonal().mean() * torch.eye(len(H), dtype=torch.float64)
    gone = 0
    for i in range(len(H)):
        inverse = torch.linalg.inv(H[i:, i:])  # inputs before i are decided
        if i % block == 0:
            end = min(i + block, len(H))
            d = [torch.linalg.inv(H[j:, j:])[0, 0] ** 0.5 for j in range(i, end)]
            saliency = (W[:, i:end] / torch.stack(d)).abs()
            count = round(sparsity * len(W) * end) - gone
            gone += count
            pruned = torch.zeros(saliency.numel(), dtype=torch.bool)
            pruned[saliency.flatten().argsort(stable=True)[:count]] = True
            pruned = pruned.view_as(saliency)
        for row in range(len(W)):
            if pruned[row, i % block]:
                W[row, i:] -= W[row, i] / inverse[0, 0] * inverse[0]
                W[row, i] = 0
    return W.float()


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_several_blocks_agree_with_the_paper_s_algorithm_written_out(sparsity, monkeypatch):
    monkeypatch.setattr("gpt2_lib.pruning.sparsegpt.BLOCK", 7)
    weight, x = problem(5, 24, 100)
    H = x.t() @ x
    torch.testing.assert_close(
        sparsegpt(weight, H, sparsity), algorithm_1(weight, H, sparsity, 7), rtol=1e-3, atol=1e-4
    )


def test_the_hessian_s_scale_does_not_matter():
    weight, x = problem()
    H = x.t() @ x
    torch.testing.assert_close(sparsegpt(weight, H / 400, 0.5), sparsegpt(weight, H, 0.5))


def test_inputs_that_were_always_zero_go_first_and_correct_nothing():
    weight, x = problem(8, 40)
    x[:, 3] = 0
    weight[:, 3] = 100
    H = x.t() @ x
    new = sparsegpt(weight, H, 0.5)
    assert not new[:, 3].any()
    assert int((new == 0).sum()) == 160
    weight[:, 3] = -7  # whatever it was, the rest is the same
    assert torch.equal(sparsegpt(weight, H, 0.5), new)
    assert torch.equal(sparsegpt(weight, H, 0.0), weight)


def test_half_precision_and_non_contiguous_weights_work():
    weight, x = problem(40, 24)
    H = x.t() @ x
    torch.testing.assert_close(sparsegpt(weight.bfloat16(), H, 0.5), sparsegpt(weight.bfloat16().float(), H, 0.5))
    assert torch.equal(sparsegpt(weight.t().contiguous().t(), H, 0.5), sparsegpt(weight, H, 0.5))


def test_more_inputs_than_tokens_need_the_damping():
    weight, x = problem(4, 40, 20)
    H = x.t() @ x
    assert sparsegpt(weight, H, 0.5).isfinite().all()
    with pytest.raises(ValueError, match=r"can't be inverted.*raise damping \(now 0\)"):
        sparsegpt(weight, H - 1e-3 * torch.eye(40), 0.5, damping=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sparsity": 50}, r"Did you mean 0\.5"),
        ({"sparsity": None}, "either sparsity or n_m"),
        ({"n_m": (2, 4)}, "either sparsity or n_m"),
        ({"sparsity": None, "n_m": (2, 7)}, "not a multiple of 7"),
        ({"sparsity": None, "n_m": (4, 2)}, "4:2"),
        ({"weight": torch.ones(3)}, "must be a matrix"),
        ({"hessian": torch.eye(39)}, r"needs a Hessian of shape \(40, 40\)"),
        ({"hessian": torch.full((40, 40), torch.nan)}, "The Hessian has entries that are NaN"),
        ({"weight": torch.full((24, 40), torch.inf)}, "The weight has entries that are NaN or infinite"),
        ({"hessian": -torch.eye(40)}, "can't be inverted"),
        ({"damping": -1.0}, "damping is a fraction"),
    ],
)
def test_bad_input_is_refused(change, message):
    weight, x = problem()
    arguments = {"weight": weight, "hessian": x.t() @ x, "sparsity": 0.5} | change
    with pytest.raises(ValueError, match=message):
        sparsegpt(**arguments)
