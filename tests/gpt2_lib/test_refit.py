"""Tests of least squares after structured pruning: the optimum, what is unchanged, and the gain."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import TINY, random_ids, random_model

from gpt2_lib import ModelPruner, load_pretrained_gpt2
from gpt2_lib.corpus import calibration_windows, held_out_windows
from gpt2_lib.metrics import evaluate
from gpt2_lib.pruning.structures.refit import Moments, refit, refit_projections
from gpt2_lib.pruning.surgery import shrink

WINDOWS = random_ids(TINY, 16, 32)
KEEP = torch.arange(0, 96, 2)


def layer(seed: int = 0, tokens: int = 400) -> tuple[torch.Tensor, ...]:
    """Inputs (tokens, 6) that are far from mean 0, outputs (tokens, 4), a weight (4, 6) and a bias (4,)."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, 6, generator=g) @ torch.randn(6, 6, generator=g) + 3
    y = torch.randn(tokens, 4, generator=g) + x[:, :4] - 5
    return x, y, torch.randn(4, 6, generator=g), torch.randn(4, generator=g)


def test_the_solution_is_that_of_least_squares_with_a_column_of_ones():
    x, y, weight, bias = layer()
    W, b = refit(weight, bias, Moments.of(x, y), ridge=1e-12)
    with_ones = np.column_stack([x.double(), np.ones(len(x))])
    expected = np.linalg.lstsq(with_ones, y.double().numpy(), rcond=None)[0]
    np.testing.assert_allclose(W.numpy(), expected[:-1].T, atol=1e-3)
    np.testing.assert_allclose(b.numpy(), expected[-1], atol=3e-3)


def test_the_ridge_pulls_towards_the_weights_that_are_there_and_leaves_the_bias_free():
    x, y, weight, bias = layer()
    W, b = refit(weight, bias, Moments.of(x, y), ridge=1e9)
    torch.testing.assert_close(W, weight, rtol=0, atol=1e-4)
    torch.testing.assert_close(b, (y - x @ weight.t()).mean(0), rtol=0, atol=1e-3)
    strength = 0.5 * (x - x.mean(0)).double().square().sum(0).mean()
    W, b = (t.double().requires_grad_(True) for t in refit(weight, bias, Moments.of(x, y), ridge=0.5))
    loss = (y.double() - x.double() @ W.t() - b).square().sum() + strength * (W - weight.double()).square().sum()
    loss.backward()  # at a minimum all slopes are 0
    for t in (W, b):
        assert t.grad is not None
        assert t.grad.abs().max() < 1e-4 * loss


def test_moments_of_two_texts_add_up_to_those_of_both():
    x, y, *_ = layer()
    both, sum_ = Moments.of(x, y), Moments.of(x[:150], y[:150]) + Moments.of(x[150:], y[150:])
    assert sum_.tokens == both.tokens == 400
    for name in ("x", "y", "xx", "xy"):
        torch.testing.assert_close(getattr(sum_, name), getattr(both, name), rtol=1e-5, atol=1e-2)


def test_zeros_stay_and_the_other_entries_of_a_row_are_solved_for_without_them():
    x, y, weight, bias = layer()
    weight[0, [1, 4]] = 0.0
    weight[1, [1, 4]] = 0.0
    weight[2] = 0.0
    W, b = refit(weight, bias, Moments.of(x, y), ridge=1e-12)
    assert torch.equal(W == 0, weight == 0)
    torch.testing.assert_close(b[2], y[:, 2].mean())
    for row, columns in ((0, [0, 2, 3, 5]), (1, [0, 2, 3, 5]), (3, list(range(6)))):
        with_ones = np.column_stack([x[:, columns].double(), np.ones(len(x))])
        expected = np.linalg.lstsq(with_ones, y[:, row].double().numpy(), rcond=None)[0]
        np.testing.assert_allclose(W[row, columns].numpy(), expected[:-1], atol=1e-3)


def test_inputs_far_from_zero_lose_no_digits():
    x, y, weight, bias = layer()
    near, _ = refit(weight, bias, Moments.of(x, y))
    for shift in (100, 10_000):
        far, b = refit(weight, bias, Moments.of(x[:150] + shift, y[:150]) + Moments.of(x[150:] + shift, y[150:]))
        torch.testing.assert_close(far, near, rtol=0, atol=2e-3)
        torch.testing.assert_close(
            (x + shift).double().mean(0) @ far.double().t() + b, y.double().mean(0), rtol=0, atol=0.1
        )


def test_an_input_that_never_changes_keeps_its_weights():
    x, y, weight, bias = layer()
    x[:, 2] = 0.0
    W, _ = refit(weight, bias, Moments.of(x, y))
    torch.testing.assert_close(W[:, 2], weight[:, 2])
    W, b = refit(weight, bias, Moments.of(torch.ones_like(x), y))
    torch.testing.assert_close(W, weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(W.sum(1) + b, y.mean(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_types_that_came_in_come_back(dtype):
    x, y, weight, bias = layer()
    W, b = refit(weight.to(dtype), bias.to(dtype), Moments.of(x.to(dtype), y.to(dtype)))
    assert (W.dtype, b.dtype) == (dtype, dtype)
    assert W.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, b, m: (w[:, :5], b, m, 0.1), r"moments \(in, out\) \(6, 4\)"),
        (lambda w, b, m: (w, b[:3], m, 0.1), r"a bias \(out,\)"),
        (lambda w, b, m: (w, b, m, 0.0), "ridge is a fraction .* above 0; got 0.0"),
        (lambda w, b, m: (w, b, m, float("nan")), "ridge is a fraction"),
        (lambda w, b, m: (w, b, replace(m, xx=torch.ones(6, 6)), 1e-20), "ridge of 1e-20: raise it"),
        (lambda w, b, m: (w, b, replace(m, xy=m.xy * float("inf")), 0.1), "NaN or infinite"),
    ],
)
def test_an_unsolvable_system_is_refused(change, message):
    x, y, weight, bias = layer()
    with pytest.raises(ValueError, match=message):
        refit(*change(weight, bias, Moments.of(x, y)))


def test_only_the_projections_change_and_the_stream_comes_nearer_to_the_dense_one():
    dense = random_model()
    cut = shrink(dense, neurons={0: KEEP, 1: KEEP})
    fitted = copy.deepcopy(cut)
    refit_projections(fitted, dense, WINDOWS)
    for name, p in fitted.named_parameters():
        assert torch.equal(p, cut.get_parameter(name)) == ("c_proj" not in name), name
    with torch.inference_mode():
        target = dense.hidden(WINDOWS)
        assert (fitted.hidden(WINDOWS) - target).norm() < 0.7 * (cut.hidden(WINDOWS) - target).norm()


def test_the_last_projection_is_the_optimum_for_the_inputs_it_really_gets():
    dense = random_model()
    fitted = shrink(dense, neurons={0: KEEP, 1: KEEP})
    refit_projections(fitted, dense, WINDOWS, ridge=1e-9)
    inputs, outputs = [], {}
    fitted.h[1].mlp.c_proj.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    for model in (fitted, dense):
        model.h[1].register_forward_hook(lambda block, _, out: outputs.update([(block, out)]))
        with torch.no_grad():
            model.hidden(WINDOWS)
    left = (outputs[dense.h[1]] - outputs[fitted.h[1]]).flatten(0, 1).double()  # (tokens, C)
    x = inputs[0].flatten(0, 1).double()
    assert left.mean(0).abs().max() < 1e-4
    assert (x.t() @ left / len(left)).abs().max() < 1e-4  # no input says anything about what is missing


def test_a_dense_model_stays_what_it_is():
    dense = random_model()
    same = copy.deepcopy(dense)
    refit_projections(same, dense, WINDOWS)
    torch.testing.assert_close(same(WINDOWS), dense(WINDOWS), rtol=0, atol=1e-4)


def test_models_and_texts_that_do_not_belong_together_are_refused():
    dense = random_model()
    with pytest.raises(ValueError, match="has 1 blocks of width 24, the dense one 2"):
        refit_projections(random_model(replace(TINY, n_layer=1, heads=(), neurons=())), dense, WINDOWS)
    with pytest.raises(ValueError, match="64 tokens, and at least 96 are needed"):
        refit_projections(copy.deepcopy(dense), dense, WINDOWS[:2])
    with pytest.raises(ValueError, match=r"shape \(N, T\)"):
        refit_projections(copy.deepcopy(dense), dense, WINDOWS[0])


# In the verbs


def test_silenced_and_removed_structures_are_refitted_alike():
    silenced, whole = random_model(), random_model()
    pruner = ModelPruner(silenced)
    masks = pruner.prune_structures(0.25, 0.5, WINDOWS)
    smaller = ModelPruner(whole).remove_structures(0.25, 0.5, WINDOWS)
    torch.testing.assert_close(silenced(WINDOWS), smaller(WINDOWS), rtol=0, atol=1e-5)
    for name, mask in masks.items():
        assert not silenced.get_parameter(name)[~mask].any(), name
    plain = ModelPruner(random_model()).remove_structures(0.25, 0.5, WINDOWS, refit=False)
    assert torch.equal(plain.h[0].mlp.c_fc.weight, smaller.h[0].mlp.c_fc.weight)
    kept = masks["h.0.mlp.c_proj.weight"][0]
    assert torch.equal(plain.h[0].mlp.c_proj.weight, whole.h[0].mlp.c_proj.weight[:, kept])
    assert not torch.equal(plain.h[0].mlp.c_proj.bias, smaller.h[0].mlp.c_proj.bias)


@pytest.mark.parametrize("verb", ["prune_structures", "remove_structures"])
def test_pruned_weights_stay_pruned_when_structures_are_refitted(verb):
    pruner = ModelPruner(random_model())
    pruner.prune_layers(0.5)
    before = {name: int((p == 0).sum()) for name, p in pruner.model.named_parameters() if "c_proj.weight" in name}
    gone = {name: ~mask for name, mask in pruner.masks.items()}
    getattr(pruner, verb)(0.25, 0.25, WINDOWS)
    for name, mask in pruner.masks.items():
        weight = pruner.model.get_parameter(name)
        assert not weight[~mask].any()
        if verb == "prune_structures" and name in gone:
            assert not weight[gone[name]].any()
        elif name in before:
            assert float((weight == 0).float().mean()) == pytest.approx(0.5, abs=0.06)


def test_each_block_can_have_fractions_of_its_own():
    smaller = ModelPruner(random_model()).remove_structures([0.25, 0.5], [0.0, 0.75], WINDOWS)
    assert smaller.config.heads == (3, 2)
    assert smaller.config.neurons == (96, 24)
    for verb in ("prune_structures", "remove_structures"):
        model = random_model()
        with pytest.raises(ValueError, match="neurons is one fraction for all 2 blocks, or 2 of them; got 3"):
            getattr(ModelPruner(model), verb)(0.25, [0.1, 0.2, 0.3])
        with pytest.raises(ValueError, match=r"sparsity is the fraction to remove.*-0\.5"):
            getattr(ModelPruner(model), verb)([0.25, -0.5], 0.25)


def test_on_the_course_model_refitting_saves_most_of_what_a_cut_costs():
    model, tokenizer = load_pretrained_gpt2()
    text = calibration_windows(tokenizer, 256, 8)
    held_out = held_out_windows(tokenizer, 256, 4)
    loss = {
        refit: evaluate(ModelPruner(model).remove_structures(0.25, 0.25, text, refit=refit), held_out).loss
        for refit in (True, False)
    }
    whole = evaluate(model, held_out).loss
    assert loss[True] - whole < 0.7 * (loss[False] - whole)
