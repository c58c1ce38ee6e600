"""Pruning touches attention and feed-forward weights and nothing else, and the statistics add up."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TINY, UNEVEN, random_model

from gpt2_lib import ModelPruner, apply_magnitude_pruning, quick_magnitude_prune
from gpt2_lib.pruner import apply_masks, attention_weights, feedforward_weights, prunable_weights

ATTENTION = {f"h.{i}.attn.{leaf}.weight" for i in range(2) for leaf in ("c_attn", "c_proj")}
FEEDFORWARD = {f"h.{i}.mlp.{leaf}.weight" for i in range(2) for leaf in ("c_fc", "c_proj")}

VERBS = {
    "attention": (lambda pruner, s: pruner.prune_attention_layers(s), ATTENTION),
    "feed-forward": (lambda pruner, s: pruner.prune_feedforward_layers(s), FEEDFORWARD),
    "global": (lambda pruner, s: pruner.prune_globally(s), ATTENTION | FEEDFORWARD),
}


def copies(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_what_is_prunable_is_named():
    model = random_model()
    assert set(attention_weights(model)) == ATTENTION
    assert set(feedforward_weights(model)) == FEEDFORWARD
    assert list(prunable_weights(model)) == [n for n, _ in model.named_parameters() if n in ATTENTION | FEEDFORWARD]


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("verb", VERBS)
@settings(deadline=None, max_examples=15)
@given(sparsity=st.floats(0, 1) | st.sampled_from([0.0, 1.0]))
def test_a_verb_zeroes_what_its_masks_say_in_its_own_matrices_only(config, verb, sparsity):
    model = random_model(config)
    before = copies(model)
    prune, names = VERBS[verb]
    pruner = ModelPruner(model)
    masks = prune(pruner, sparsity)
    assert set(masks) == names
    assert pruner.masks.keys() == masks.keys()
    for name, p in model.named_parameters():
        if name in names:
            assert torch.equal(p, before[name] * masks[name])
        else:
            assert torch.equal(p, before[name]), f"{name} must not change"
    gone = sum(int((~m).sum()) for m in masks.values())
    if verb == "global":
        assert gone == round(sparsity * sum(m.numel() for m in masks.values()))
    else:
        assert all(int((~m).sum()) == round(sparsity * m.numel()) for m in masks.values())


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_that_is_kept_is_smaller_than_anything_that_went(verb):
    model = random_model()
    before = copies(model)
    prune, _ = VERBS[verb]
    masks = prune(ModelPruner(model), 0.4)
    groups = [masks] if verb == "global" else [{name: mask} for name, mask in masks.items()]
    for group in groups:
        kept = torch.cat([before[name].abs()[mask] for name, mask in group.items()])
        gone = torch.cat([before[name].abs()[~mask] for name, mask in group.items()])
        assert gone.max() <= kept.min()


@settings(deadline=None, max_examples=15)
@given(st.floats(0, 1), st.floats(0, 1))
def test_the_statistics_add_up(att_sparsity, ff_sparsity):
    model = random_model()
    pruner, stats = quick_magnitude_prune(model, att_sparsity, ff_sparsity)
    assert stats == pruner.get_model_statistics()
    zeros = {name: int((p == 0).sum()) for name, p in model.named_parameters()}
    sizes = {name: p.numel() for name, p in model.named_parameters()}

    def share(names):
        return sum(zeros[n] for n in names) / sum(sizes[n] for n in names)

    prunable = ATTENTION | FEEDFORWARD
    assert stats["parameters"] == sum(sizes.values())
    assert stats["zeros"] == sum(zeros.values())
    assert stats["prunable"] == sum(sizes[n] for n in prunable)
    assert stats["sparsity"] == pytest.approx(share(prunable))
    assert stats["whole_model_sparsity"] == pytest.approx(share(sizes))
    assert stats["attention_sparsity"] == pytest.approx(share(ATTENTION))
    assert stats["feedforward_sparsity"] == pytest.approx(share(FEEDFORWARD))
    assert stats["layers"] == pytest.approx({n: zeros[n] / sizes[n] for n in prunable})
    assert stats["attention_sparsity"] == pytest.approx(att_sparsity, abs=1e-3)
    assert stats["feedforward_sparsity"] == pytest.approx(ff_sparsity, abs=1e-3)


def test_pruning_further_keeps_what_is_gone():
    pruner = ModelPruner(random_model())
    first = dict(pruner.prune_attention_layers(0.3))
    second = pruner.prune_attention_layers(0.6)
    for name, mask in first.items():
        assert not (second[name] & ~mask).any()
    pruner.prune_feedforward_layers(0.5)
    assert pruner.masks.keys() == ATTENTION | FEEDFORWARD


def test_the_whole_model_is_pruned_in_place_to_one_sparsity():
    model = random_model()
    assert apply_magnitude_pruning(model, sparsity=0.6) is model
    for name, sparsity in ModelPruner(model).get_model_statistics()["layers"].items():
        assert sparsity == pytest.approx(0.6, abs=1e-3), name


def test_pruned_weights_can_still_be_trained():
    model = random_model()
    apply_magnitude_pruning(model, 0.5)
    model(torch.zeros(1, 4, dtype=torch.int64)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("bad", [-0.1, 1.5, 50, float("nan"), True, "0.5"])
@pytest.mark.parametrize(
    "prune",
    [
        lambda model, s: quick_magnitude_prune(model, s, 0.5),
        lambda model, s: quick_magnitude_prune(model, 0.5, s),
        apply_magnitude_pruning,
        lambda model, s: ModelPruner(model).prune_attention_layers(s),
        lambda model, s: ModelPruner(model).prune_feedforward_layers(s),
        lambda model, s: ModelPruner(model).prune_globally(s),
    ],
    ids=["quick, attention", "quick, feed-forward", "apply", "attention", "feed-forward", "global"],
)
def test_a_sparsity_that_is_no_fraction_is_refused_before_anything_is_cut(prune, bad):
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match="fraction to remove"):
        prune(model, bad)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])


def test_masks_of_another_model_are_refused():
    model = random_model()
    with pytest.raises(ValueError, match=r"no parameter 'h\.9"):
        apply_masks(model, {"h.9.attn.c_attn.weight": torch.ones(1, dtype=torch.bool)})
    with pytest.raises(ValueError, match=r"shape \(2, 2\); \(72, 24\) is needed"):
        apply_masks(model, {"h.0.attn.c_attn.weight": torch.ones(2, 2, dtype=torch.bool)})
