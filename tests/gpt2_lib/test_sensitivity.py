"""Tests of the scan: it measures each layer alone, as pruning by hand would, and leaves the model unchanged."""

from __future__ import annotations

import pytest
import torch
from tiny import TINY, random_ids, random_model

from gpt2_lib.metrics import evaluate
from gpt2_lib.pruning import sensitivity
from gpt2_lib.pruning.masking import apply_masks
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.scores import magnitude, random
from gpt2_lib.pruning.selection import layer_masks
from gpt2_lib.pruning.sensitivity import scan

WINDOWS = random_ids(TINY, 2, 16)


def methods(model) -> dict[str, dict[str, torch.Tensor]]:
    weights = prunable_weights(model)
    return {"magnitude": magnitude(weights), "random": random(weights)}


def copies(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_as_before(model, before: dict[str, torch.Tensor]) -> None:
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]), name


def test_every_layer_method_and_sparsity_is_measured_as_pruning_by_hand_would():
    model = random_model()
    points = scan(model, WINDOWS, methods(model), sparsities=(0.5, 0.9))
    layers = list(prunable_weights(model))
    assert [(p.layer, p.method, p.sparsity) for p in points] == [
        (layer, method, s) for layer in layers for method in ("magnitude", "random") for s in (0.5, 0.9)
    ]
    dense = evaluate(model, WINDOWS).loss
    for point in points:
        pruned = random_model()
        weights = prunable_weights(pruned)
        scores = {"magnitude": magnitude, "random": random}[point.method](weights)[point.layer]
        apply_masks(pruned, layer_masks({point.layer: scores}, point.sparsity))
        assert point.loss == pytest.approx(evaluate(pruned, WINDOWS).loss, rel=1e-6)
        assert point.loss_rise == pytest.approx(point.loss - dense, abs=1e-9)
    assert len({p.loss for p in points}) == len(points)


def test_the_model_is_left_as_it_was():
    model = random_model()
    before = copies(model)
    scan(model, WINDOWS, methods(model))
    assert_as_before(model, before)


def test_a_model_in_training_mode_stays_in_it():
    model = random_model().train()
    scan(model, WINDOWS, {"magnitude": magnitude(prunable_weights(model))}, sparsities=[0.5])
    assert model.training


def test_nothing_removed_is_nothing_lost():
    model = random_model()
    assert all(point.loss_rise == 0 for point in scan(model, WINDOWS, methods(model), sparsities=[0.0]))


def test_a_generator_of_sparsities_serves_every_layer():
    model = random_model()
    points = scan(model, WINDOWS, methods(model), sparsities=(s / 10 for s in (5, 9)))
    assert len(points) == 2 * 2 * len(prunable_weights(model))


def test_only_the_layers_that_a_method_scores_are_scanned():
    model = random_model()
    weights = prunable_weights(model)
    one, two = list(weights)[:2]
    scores = {"magnitude": magnitude({one: weights[one]}), "random": random({two: weights[two]})}
    points = scan(model, WINDOWS, scores, sparsities=[0.5])
    assert [(p.layer, p.method) for p in points] == [(one, "magnitude"), (two, "random")]


def test_an_error_or_an_interrupt_half_way_leaves_the_model_as_it_was(monkeypatch):
    for error in (RuntimeError, KeyboardInterrupt):
        model = random_model()
        before = copies(model)
        calls = 0

        def failing(model, windows, error=error):
            nonlocal calls
            calls += 1
            if calls == 3:  # the dense model, one layer, and in the midst of the second
                raise error("stop")
            return evaluate(model, windows)

        monkeypatch.setattr(sensitivity, "evaluate", failing)
        with pytest.raises(error):
            scan(model, WINDOWS, methods(model), sparsities=[0.5])
        assert_as_before(model, before)


@pytest.mark.parametrize("bad", [1.5, -0.1, float("nan")])
def test_a_sparsity_that_is_no_fraction_is_refused(bad):
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match="fraction to remove"):
        scan(model, WINDOWS, methods(model), sparsities=[0.5, bad])
    assert_as_before(model, before)


def test_a_layer_that_cannot_be_pruned_is_refused_by_name():
    model = random_model()
    with pytest.raises(ValueError, match=r"magnitude scores 'wte\.weight', which is no prunable layer"):
        scan(model, WINDOWS, {"magnitude": {"wte.weight": torch.ones(2, 2)}})


def test_scores_of_another_shape_are_refused():
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match=r"h\.0\.attn\.c_attn\.weight"):
        scan(model, WINDOWS, {"inputs": {"h.0.attn.c_attn.weight": torch.rand(24)}}, sparsities=[0.5])
    assert_as_before(model, before)
