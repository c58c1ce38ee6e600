"""Tests of every method of the pruner: it cuts what it says, refuses to ruin the model, and counts correctly."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TINY, UNEVEN, random_ids, random_model
from torch import nn

from gpt2_lib import GPT2, ModelPruner, apply_magnitude_pruning, metrics, quick_magnitude_prune
from gpt2_lib.gpt2 import Attention
from gpt2_lib.pruning.masking import apply_masks
from gpt2_lib.pruning.pruner import attention_weights, feedforward_weights, prunable_weights
from gpt2_lib.pruning.surgery import silencing_masks

ATTENTION = {f"h.{i}.attn.{leaf}.weight" for i in range(2) for leaf in ("c_attn", "c_proj")}
FEEDFORWARD = {f"h.{i}.mlp.{leaf}.weight" for i in range(2) for leaf in ("c_fc", "c_proj")}
ALL = ATTENTION | FEEDFORWARD
WINDOWS = random_ids(TINY, 8, 32)  # 256 tokens; the widest layer has 96 inputs
IDS = random_ids(TINY, 2, 20, seed=1)

Prune = Callable[[ModelPruner, float], dict[str, torch.Tensor]]
VERBS: dict[str, Prune] = {
    "attention": lambda pruner, s: pruner.prune_attention_layers(s),
    "feed-forward": lambda pruner, s: pruner.prune_feedforward_layers(s),
    "layers": lambda pruner, s: pruner.prune_layers(s),
    "global": lambda pruner, s: pruner.prune_globally(s),
    "rectangles": lambda pruner, s: pruner.prune_rectangles(s, block=(1, 1)),
    "random": lambda pruner, s: pruner.prune_randomly(s),
    "Taylor": lambda pruner, s: pruner.prune_taylor(WINDOWS, s),
    "Taylor, global": lambda pruner, s: pruner.prune_taylor(WINDOWS, s, globally=True),
    "Wanda": lambda pruner, s: pruner.prune_wanda(WINDOWS, s),
    "SparseGPT": lambda pruner, s: pruner.prune_sparsegpt(WINDOWS, s),
    "ADMM": lambda pruner, s: pruner.prune_admm(WINDOWS, s),
}
N_M: dict[str, Callable[[ModelPruner], dict[str, torch.Tensor]]] = {
    "magnitude": lambda pruner: pruner.prune_n_m(2, 4),
    "Wanda": lambda pruner: pruner.prune_wanda(WINDOWS, n_m=(2, 4)),
    "SparseGPT": lambda pruner: pruner.prune_sparsegpt(WINDOWS, n_m=(2, 4)),
    "ADMM": lambda pruner: pruner.prune_admm(WINDOWS, n_m=(2, 4)),
}
CORRECTING = {"SparseGPT", "ADMM"}  # they change what they keep
TOUCHED = {"attention": ATTENTION, "feed-forward": FEEDFORWARD}  # by all other verbs: ALL
every_verb = pytest.mark.parametrize("verb", VERBS)


def copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_as_before(model: nn.Module, before: dict[str, torch.Tensor]) -> None:
    """Assert that the bits are the same, NaN included, and that the modules have no additions."""
    for name, p in model.named_parameters():
        assert torch.equal(p.detach().view(torch.int32), before[name].view(torch.int32)), f"{name} has changed"
        assert p.grad is None
        assert p.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def removed(masks: dict[str, torch.Tensor]) -> int:
    return sum(int((~mask).sum()) for mask in masks.values())


def test_prunable_weights_are_named():
    model = random_model()
    assert set(attention_weights(model)) == ATTENTION
    assert set(feedforward_weights(model)) == FEEDFORWARD
    assert list(prunable_weights(model)) == [n for n, _ in model.named_parameters() if n in ALL]


# What the verbs cut


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
@every_verb
@settings(deadline=None, max_examples=6)
@given(sparsity=st.floats(0, 0.8) | st.sampled_from([0.0, 0.5]))
def test_a_verb_zeroes_what_its_masks_say_in_its_own_matrices_only(config, verb, sparsity):
    model = random_model(config)
    before = copies(model)
    pruner = ModelPruner(model)
    masks = VERBS[verb](pruner, sparsity)
    names = TOUCHED.get(verb, ALL)
    assert masks.keys() == names == pruner.masks.keys()
    for name, p in model.named_parameters():
        if name not in names:
            assert torch.equal(p, before[name]), f"{name} must not change"
        elif verb in CORRECTING:
            assert torch.equal(p != 0, masks[name])
        else:
            assert torch.equal(p, before[name] * masks[name])
    if verb in ("global", "Taylor, global"):
        assert removed(masks) == round(sparsity * sum(m.numel() for m in masks.values()))
    elif verb == "Wanda":
        for mask in masks.values():
            assert ((~mask).sum(dim=1) == round(sparsity * mask.size(1))).all()
    else:
        for mask in masks.values():
            assert int((~mask).sum()) == round(sparsity * mask.numel())


@pytest.mark.parametrize("verb", N_M)
def test_two_of_four_neighbours_stay(verb):
    model = random_model()
    before = copies(model)
    masks = N_M[verb](ModelPruner(model))
    assert masks.keys() == ALL
    for name, mask in masks.items():
        assert (mask.view(mask.size(0), -1, 4).sum(dim=2) == 2).all()
        assert torch.equal(prunable_weights(model)[name] != 0, mask)
    for name, p in model.named_parameters():
        if name not in ALL:
            assert torch.equal(p, before[name])


@every_verb
def test_at_sparsity_0_the_model_computes_what_it_did(verb):
    for config in (TINY, UNEVEN):
        model = random_model(config)
        dense = model(IDS)
        VERBS[verb](ModelPruner(model), 0.0)
        torch.testing.assert_close(model(IDS), dense, rtol=0, atol=1e-5 if verb in CORRECTING else 0.0)


@every_verb
def test_a_verb_leaves_mode_gradients_and_hooks_as_they_were(verb):
    model = random_model().train()
    VERBS[verb](ModelPruner(model), 0.5)
    assert all(module.training for module in model.modules())
    assert_as_before(model, copies(model))


@pytest.mark.parametrize("verb", ["attention", "feed-forward", "layers", "global"])
def test_nothing_that_is_kept_is_smaller_than_anything_that_went(verb):
    model = random_model()
    before = copies(model)
    masks = VERBS[verb](ModelPruner(model), 0.4)
    groups = [masks] if verb == "global" else [{name: mask} for name, mask in masks.items()]
    for group in groups:
        kept = torch.cat([before[name].abs()[mask] for name, mask in group.items()])
        gone = torch.cat([before[name].abs()[~mask] for name, mask in group.items()])
        assert gone.max() <= kept.min()


def test_whole_rectangles_go():
    masks = ModelPruner(random_model()).prune_rectangles(0.5, block=(4, 8))
    for mask in masks.values():
        tiles = mask.view(mask.size(0) // 4, 4, mask.size(1) // 8, 8).float().mean(dim=(1, 3))
        assert ((tiles == 0) | (tiles == 1)).all()
        assert (tiles == 0).sum() == round(0.5 * tiles.numel())


def test_random_pruning_is_that_of_its_seed():
    one, same, other = (ModelPruner(random_model()).prune_randomly(0.5, seed=seed) for seed in (1, 1, 2))
    for name, mask in one.items():
        assert torch.equal(mask, same[name])
        assert not torch.equal(mask, other[name])


def test_methods_that_read_text_heed_it():
    other = random_ids(TINY, 8, 32, seed=5)
    for prune in ("prune_taylor", "prune_wanda", "prune_sparsegpt", "prune_admm"):
        one, two = (getattr(ModelPruner(random_model()), prune)(windows, 0.5) for windows in (WINDOWS, other))
        assert any(not torch.equal(one[name], two[name]) for name in one), prune


def test_wanda_judges_a_layer_by_the_inputs_it_has_once_the_blocks_before_it_are_pruned():
    model, by_hand = random_model(), random_model()
    masks = ModelPruner(model).prune_wanda(WINDOWS, 0.5)
    for i in range(2):
        inputs: dict[str, torch.Tensor] = {}
        hooks = []
        for name in (n for n in ALL if n.startswith(f"h.{i}.")):

            def see(_, args, name=name, inputs=inputs):
                inputs[name] = args[0].flatten(0, 1)

            hooks.append(by_hand.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(see))
        by_hand(WINDOWS)
        for hook in hooks:
            hook.remove()
        for name, x in inputs.items():
            weight = by_hand.get_parameter(name)
            score = weight.abs() * x.norm(dim=0)
            mask = masks[name]
            assert (score.masked_fill(mask, 0).amax(1) <= score.masked_fill(~mask, torch.inf).amin(1) * 1.0001).all()
            with torch.no_grad():
                weight.masked_fill_(~mask, 0.0)


def test_sparsegpt_stays_closer_to_the_dense_model_than_magnitude_and_admm_closer_yet():
    dense = random_model()(IDS)

    def error(prune) -> float:
        model = random_model()
        prune(ModelPruner(model))
        return (model(IDS) - dense).square().mean().item()

    assert error(lambda p: p.prune_sparsegpt(WINDOWS, 0.6)) < error(lambda p: p.prune_layers(0.6))
    assert error(lambda p: p.prune_admm(WINDOWS, 0.6)) < error(lambda p: p.prune_sparsegpt(WINDOWS, 0.6))


def test_some_layers_can_be_pruned_by_name():
    names = ["h.1.mlp.c_fc.weight", "h.0.attn.c_proj.weight"]
    for given_names in (names, iter(names)):
        pruner = ModelPruner(random_model())
        assert set(pruner.prune_layers(0.5, given_names)) == set(names)
        layers = pruner.get_model_statistics()["layers"]
        assert {name for name, layer in layers.items() if layer["zeros"]} == set(names)


def test_pruning_further_keeps_what_is_gone():
    pruner = ModelPruner(random_model())
    first = dict(pruner.prune_attention_layers(0.3))
    second = pruner.prune_attention_layers(0.6)
    for name, mask in first.items():
        assert not (second[name] & ~mask).any()
    pruner.prune_feedforward_layers(0.5)
    assert pruner.masks.keys() == ALL


def test_admm_keeps_more_of_the_neurons_that_the_loss_depends_on():
    model = random_model()
    with torch.no_grad():
        model.h[0].mlp.c_proj.weight[:, :48] *= 1e-3  # half of the neurons hardly reach the loss
    kept = ModelPruner(model).prune_admm(WINDOWS, 0.5)["h.0.mlp.c_fc.weight"].sum(dim=1)
    assert kept[48:].sum() > 1.5 * kept[:48].sum()


def test_weights_pruned_by_sparsegpt_stay_pruned_when_it_prunes_further():
    torch.manual_seed(0)
    mixed = torch.randn(600, 300) @ torch.randn(300, 300)  # inputs that depend on each other, in three of its blocks
    batches: Any = [mixed]
    pruner = ModelPruner(nn.Linear(300, 16))
    first = pruner.prune_sparsegpt(batches, 0.4)["weight"]
    second = pruner.prune_sparsegpt(batches, 0.5)["weight"]
    assert removed({"weight": second}) == 2400
    assert not (second & ~first).any()


@pytest.mark.parametrize(
    "verbs",
    [
        [lambda p: p.prune_randomly(0.5, seed=0), lambda p: p.prune_randomly(0.5, seed=1)],
        [lambda p: p.prune_layers(0.6), lambda p: p.prune_layers(0.3)],
        [lambda p: p.prune_layers(0.6), lambda p: p.prune_n_m()],
        [lambda p: p.prune_n_m(), lambda p: p.prune_sparsegpt(WINDOWS, 0.3)],
    ],
    ids=["random, random", "more, less", "layers, n:m", "n:m, SparseGPT"],
)
def test_the_masks_name_every_pruned_weight_whichever_method_pruned_it(verbs):
    pruner = ModelPruner(random_model())
    for verb in verbs:
        verb(pruner)
    for name, w in prunable_weights(pruner.model).items():
        assert torch.equal(pruner.masks[name], w != 0), name


def test_pruned_weights_can_still_be_trained():
    model = random_model()
    apply_magnitude_pruning(model, 0.5)
    model(torch.zeros(1, 4, dtype=torch.int64)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_whole_model_is_pruned_in_place_to_one_sparsity():
    model = random_model()
    assert apply_magnitude_pruning(model, sparsity=0.6) is model
    for name, layer in ModelPruner(model).get_model_statistics()["layers"].items():
        assert layer["sparsity"] == pytest.approx(0.6, abs=1e-3), name


# Structures


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize(("heads", "neurons"), [(0.25, 0.25), (0.5, 0.0), (0.0, 0.6), (0.0, 0.0)])
def test_without_its_structures_the_model_is_smaller_and_computes_what_the_silenced_one_does(config, heads, neurons):
    if config is UNEVEN and heads == 0.5:
        heads = 0.4  # round(0.4 * 3) = 1 of three heads, and none of the only one
    model = random_model(config)
    before = copies(model)
    pruner = ModelPruner(model)
    smaller = pruner.remove_structures(heads, neurons)
    assert pruner.model is smaller
    assert smaller.config.heads == tuple(n - round(heads * n) for n in config.heads)
    assert smaller.config.neurons == tuple(n - round(neurons * n) for n in config.neurons)
    assert_as_before(model, before)

    kept_heads, kept_neurons = {}, {}
    for i, (old, new) in enumerate(zip(model.h, smaller.h, strict=True)):  # found again by their rows
        rows = [r.tolist() for r in old.mlp.c_fc.weight]
        kept_neurons[i] = torch.tensor([rows.index(r.tolist()) for r in new.mlp.c_fc.weight])
        size = old.attn.head_size
        queries = [q.tolist() for q in old.attn.c_attn.weight.view(3, old.attn.n_head, -1)[0]]
        found = [queries.index(q.tolist()) for q in new.attn.c_attn.weight.view(3, new.attn.n_head, -1)[0]]
        kept_heads[i] = torch.tensor(found)
        lost = [h for h in range(old.attn.n_head) if h not in found]
        strength = [_head_strength(old.attn, h, size) for h in range(old.attn.n_head)]
        assert max((strength[h] for h in lost), default=0.0) <= min(strength[h] for h in found)
    silenced = copy.deepcopy(model)
    apply_masks(silenced, silencing_masks(model, kept_heads, kept_neurons))
    torch.testing.assert_close(smaller(IDS), silenced(IDS), rtol=0, atol=1e-5)
    if heads or neurons:
        assert not torch.allclose(smaller(IDS), model(IDS), atol=1e-3)


def _head_strength(attention: Attention, head: int, size: int) -> float:
    rows = [part * attention.n_head * size + head * size + i for part in range(3) for i in range(size)]
    feeds = sum((attention.c_attn.weight[r].square().sum() + attention.c_attn.bias[r].square()).item() for r in rows)
    fed = attention.c_proj.weight[:, head * size : (head + 1) * size].square().sum().item()
    return (feeds * fed) ** 0.5


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
def test_structures_that_are_zeroed_leave_the_shapes_and_compute_what_the_smaller_model_does(config):
    model, other = random_model(config), random_model(config)
    before = copies(model)
    pruner = ModelPruner(model)
    masks = pruner.prune_structures(heads=0.25, neurons=0.5)
    smaller = ModelPruner(other).remove_structures(heads=0.25, neurons=0.5)
    torch.testing.assert_close(model(IDS), smaller(IDS), rtol=0, atol=1e-5)
    assert pruner.model is model
    assert pruner.masks.keys() == masks.keys()
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name] * masks.get(name, 1)), name
    sizes = {name: int(mask.sum()) for name, mask in masks.items()}
    assert sizes == {name: smaller.get_parameter(name).numel() for name in masks}
    again = pruner.remove_structures(heads=0.25, neurons=0.5)
    assert (again.config.heads, again.config.neurons) == (smaller.config.heads, smaller.config.neurons)
    torch.testing.assert_close(again(IDS), smaller(IDS), rtol=0, atol=1e-5)


def test_structures_with_the_least_contribution_to_a_text_are_removed():
    model = random_model()
    with torch.no_grad():  # the weights of these are the smallest, but what they read is large
        model.h[0].mlp.c_fc.weight[:10] *= 0.5
        model.h[0].mlp.c_proj.weight[:, :10] *= 0.5
        model.h[0].mlp.c_fc.bias[:10] = 100.0
    by_weights, by_text = (
        ModelPruner(copy.deepcopy(model)).prune_structures(0.0, 0.25, windows)["h.0.mlp.c_fc.bias"]
        for windows in (None, WINDOWS)
    )
    added: dict[int, torch.Tensor] = {}
    hook = model.h[0].mlp.c_proj.register_forward_pre_hook(lambda _, args: added.update({0: args[0].flatten(0, 1)}))
    model(WINDOWS)
    hook.remove()
    strength = added[0].norm(dim=0) * model.h[0].mlp.c_proj.weight.norm(dim=0)
    assert strength[~by_text].max() <= strength[by_text].min() * 1.0001
    assert by_text[:10].all()
    assert not torch.equal(by_text, by_weights)


def test_calibration_text_that_is_too_short_for_structures_is_refused():
    model = random_model()
    before = copies(model)
    for verb in ("prune_structures", "remove_structures"):
        pruner = ModelPruner(model)
        with pytest.raises(ValueError, match="too short"):
            getattr(pruner, verb)(windows=WINDOWS[:1])
        assert pruner.model is model
        assert_as_before(model, before)


def test_structures_can_go_after_weights_and_the_masks_follow():
    pruner = ModelPruner(random_model())
    pruner.prune_layers(0.5)
    pruner.remove_structures()
    weights = prunable_weights(pruner.model)
    assert pruner.masks.keys() == weights.keys()
    for name, mask in pruner.masks.items():
        assert torch.equal(mask, weights[name] != 0)
    zeros = {name: int((w == 0).sum()) for name, w in weights.items()}
    pruner.prune_layers(0.7)
    assert all(int((w == 0).sum()) > zeros[name] for name, w in prunable_weights(pruner.model).items())


@pytest.mark.parametrize("fractions", [(1.0, 0.0), (0.0, 1.0), (0.9, 0.25), (0.25, 0.999)])
def test_the_last_head_and_the_last_neuron_of_a_block_stay(fractions):
    model = random_model()
    before = copies(model)
    pruner = ModelPruner(model)
    for verb in (pruner.prune_structures, pruner.remove_structures):
        with pytest.raises(ValueError, match="would leave 0 of"):
            verb(*fractions)
        assert pruner.model is model
        assert_as_before(model, before)


# Other models


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4))


# Any: to the type checker, the verbs take a GPT-2's windows only.
BATCHES: Any = [torch.randn(32, 8, generator=torch.Generator().manual_seed(i)) for i in range(3)]
PLAIN: dict[str, Prune] = {
    "layers": VERBS["layers"],
    "global": VERBS["global"],
    "rectangles": VERBS["rectangles"],
    "random": VERBS["random"],
    "Wanda": lambda pruner, s: pruner.prune_wanda(BATCHES, s),
    "SparseGPT": lambda pruner, s: pruner.prune_sparsegpt(BATCHES, s),
    "ADMM": lambda pruner, s: pruner.prune_admm(BATCHES, s),
    "ADMM, by row": lambda pruner, s: pruner.prune_admm(BATCHES, s, by_row=True),
    "Wanda, one tensor": lambda pruner, s: pruner.prune_wanda(torch.cat(BATCHES), s),
    "n:m": lambda pruner, s: pruner.prune_n_m(),
    "Wanda, n:m": lambda pruner, s: pruner.prune_wanda(BATCHES, n_m=(2, 4)),
    "SparseGPT, n:m": lambda pruner, s: pruner.prune_sparsegpt(BATCHES, n_m=(2, 4)),
    "ADMM, n:m": lambda pruner, s: pruner.prune_admm(BATCHES, n_m=(2, 4)),
}


@pytest.mark.parametrize("verb", PLAIN)
def test_any_model_with_linear_layers_can_be_pruned_weight_by_weight(verb):
    model = plain()
    before = copies(model)
    pruner = ModelPruner(model)
    masks = PLAIN[verb](pruner, 0.5)
    assert list(masks) == ["0.weight", "3.weight"]
    assert removed(masks) == (8 * 16 + 16 * 4) // 2
    for name, p in model.named_parameters():
        if name in masks:
            assert torch.equal(p != 0, masks[name])
            if verb.partition(",")[0] not in CORRECTING:
                assert torch.equal(p, before[name] * masks[name])
        else:
            assert torch.equal(p, before[name])
    assert pruner.get_model_statistics()["sparsity"] == 0.5


@pytest.mark.parametrize("verb", [name for name in PLAIN if "n:m" not in name])
def test_any_model_computes_what_it_did_at_sparsity_0(verb):
    model = plain()
    dense = model(BATCHES[0])
    PLAIN[verb](ModelPruner(model), 0.0)
    torch.testing.assert_close(model(BATCHES[0]), dense, rtol=0, atol=1e-5)


def test_a_bare_linear_layer_is_a_model():
    layer = nn.Linear(4, 4)
    assert list(ModelPruner(layer).prune_layers(0.5)) == ["weight"]
    assert (layer.weight == 0).sum() == 8


class Tied(nn.Module):
    """Two layers that share a weight, and a head that shares the embedding's."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.third(self.second(self.first(self.embedding(ids)).relu()).relu()))


def test_tied_weights_count_once_and_an_embedding_is_never_pruned():
    model = Tied()
    embedding = model.embedding.weight.detach().clone()
    pruner = ModelPruner(model)
    masks = pruner.prune_globally(0.5)
    assert list(masks) == ["first.weight", "third.weight"]
    assert removed(masks) == 16
    assert model.second.weight is model.first.weight
    assert torch.equal(model.embedding.weight, embedding)
    stats = pruner.get_model_statistics()
    assert stats["prunable"] == 32
    assert stats["parameters"] == 40 + 2 * 16 + 3 * 4
    assert stats["zeros"] == 16


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("prune_attention_layers", [0.5]),
        ("prune_feedforward_layers", [0.5]),
        ("prune_structures", []),
        ("remove_structures", []),
    ],
)
def test_parts_that_only_a_gpt2_has_are_refused_in_another_model(verb, arguments):
    model = plain()
    before = copies(model)
    with pytest.raises(ValueError, match="A Sequential has no attention and feed-forward parts"):
        getattr(ModelPruner(model), verb)(*arguments)
    assert_as_before(model, before)


@pytest.mark.parametrize("globally", [False, True])
def test_the_taylor_score_of_any_model_is_that_of_the_loss_it_is_given(globally):
    """The mean over examples of |weight x gradient|, in a slow loop (Molchanov et al., 2017)."""
    model, other = plain(), plain()
    before = copies(model)
    masks = ModelPruner(model).prune_taylor(BATCHES, 0.5, lambda model, x: model(x).square().mean(), globally)
    found = {name: torch.zeros_like(before[name]) for name in masks}
    for example in torch.cat(BATCHES):
        other.zero_grad()
        other(example[None]).square().mean().backward()
        for name in masks:
            parameter = other.get_parameter(name)
            assert parameter.grad is not None
            found[name] += (parameter.detach() * parameter.grad).abs() / 96
    for group in [list(masks)] if globally else [[name] for name in masks]:
        gone = torch.cat([found[name][~masks[name]] for name in group])
        kept = torch.cat([found[name][masks[name]] for name in group])
        assert len(gone) == (len(gone) + len(kept)) // 2
        assert gone.max() <= kept.min() * 1.0001
    for name, mask in masks.items():
        assert torch.equal(model.get_parameter(name), before[name] * mask)


def test_without_a_loss_the_taylor_score_of_another_model_is_refused():
    model = plain()
    before = copies(model)
    with pytest.raises(ValueError, match="A Sequential has no loss that is known here: give one"):
        ModelPruner(model).prune_taylor(BATCHES, 0.5)
    assert_as_before(model, before)


def test_a_model_without_linear_layers_is_refused():
    with pytest.raises(ValueError, match=r"Sequential has no nn\.Linear layer: there is nothing to prune"):
        ModelPruner(nn.Sequential(nn.Embedding(4, 4), nn.LayerNorm(4)))


# Statistics


@settings(deadline=None, max_examples=15)
@given(st.floats(0, 0.9), st.floats(0, 0.9))
def test_the_statistics_add_up(att_sparsity, ff_sparsity):
    model = random_model(UNEVEN)
    pruner, stats = quick_magnitude_prune(model, att_sparsity, ff_sparsity)
    assert stats == pruner.get_model_statistics()
    zeros = {name: int((p == 0).sum()) for name, p in model.named_parameters()}
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    packed = {name: -(-sizes[name] // 8) + 4 * (sizes[name] - zeros[name]) for name in ALL}  # bitmask, values

    def share(names):
        return sum(zeros[n] for n in names) / sum(sizes[n] for n in names)

    assert stats["parameters"] == sum(sizes.values())
    assert stats["zeros"] == sum(zeros.values())
    assert stats["prunable"] == sum(sizes[n] for n in ALL)
    assert stats["sparsity"] == pytest.approx(share(ALL))
    assert stats["whole_model_sparsity"] == pytest.approx(share(sizes))
    assert stats["attention_sparsity"] == pytest.approx(share(ATTENTION))
    assert stats["feedforward_sparsity"] == pytest.approx(share(FEEDFORWARD))
    assert stats["bytes_dense"] == 4 * stats["prunable"]
    assert stats["bytes_packed"] == sum(packed.values())
    assert stats["layers"].keys() == ALL
    for name, layer in stats["layers"].items():
        assert layer["parameters"] == sizes[name]
        assert layer["zeros"] == zeros[name]
        assert layer["sparsity"] == pytest.approx(zeros[name] / sizes[name])
        assert layer["bytes_dense"] == 4 * sizes[name]
        assert layer["bytes_packed"] == packed[name]
    smallest = min(sizes[n] for n in ALL)
    assert stats["attention_sparsity"] == pytest.approx(att_sparsity, abs=0.5 / smallest)
    assert stats["feedforward_sparsity"] == pytest.approx(ff_sparsity, abs=0.5 / smallest)


def test_zeros_save_no_flops_and_removed_structures_do():
    model = random_model()
    pruner = ModelPruner(model)
    dense = pruner.get_model_statistics()
    flops = metrics.flops(model, TINY.n_positions)
    assert dense["flops"] == sum(flops.values())
    for name, layer in dense["layers"].items():
        assert layer["flops"] == flops[name] == 2 * TINY.n_positions * layer["parameters"]
    pruner.prune_layers(0.5)
    assert pruner.get_model_statistics()["flops"] == dense["flops"]
    pruner.remove_structures(heads=0.5, neurons=0.5)
    stats = pruner.get_model_statistics()
    assert stats["flops"] < dense["flops"]
    for name in ALL:
        assert 2 * stats["layers"][name]["flops"] == dense["layers"][name]["flops"]


def test_half_precision_weights_count_two_bytes():
    model = plain().to(torch.bfloat16)
    pruner = ModelPruner(model)
    pruner.prune_layers(0.5)
    stats = pruner.get_model_statistics()
    assert stats["bytes_dense"] == 2 * 192
    assert stats["bytes_packed"] == 192 // 8 + 2 * 96
    assert "flops" not in stats
    assert "attention_sparsity" not in stats


# State


def pruned_and_shrunk() -> ModelPruner:
    pruner = ModelPruner(random_model())
    pruner.prune_attention_layers(0.3)
    pruner.prune_feedforward_layers(0.6)
    pruner.remove_structures()
    return pruner


def assert_same(one: ModelPruner, other: ModelPruner) -> None:
    assert one.get_model_statistics() == other.get_model_statistics()
    assert one.masks.keys() == other.masks.keys()
    for name, mask in one.masks.items():
        assert torch.equal(mask, other.masks[name])
    assert torch.equal(one.model(IDS), other.model(IDS))


def test_a_deep_copy_is_the_same_and_goes_its_own_way():
    pruner = pruned_and_shrunk()
    other = copy.deepcopy(pruner)
    assert_same(pruner, other)
    stats = pruner.get_model_statistics()
    other.prune_layers(0.8)
    assert pruner.get_model_statistics() == stats


def test_the_state_survives_a_file():
    pruner = pruned_and_shrunk()
    file = io.BytesIO()
    torch.save({"model": pruner.model.state_dict(), "pruner": pruner.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert isinstance(pruner.model, GPT2)
    other = ModelPruner(random_model(pruner.model.config, seed=9))
    other.model.load_state_dict(state["model"])
    other.load_state_dict(state["pruner"])
    assert_same(pruner, other)


def test_masks_that_are_loaded_are_applied():
    pruner = ModelPruner(random_model())
    pruner.prune_layers(0.5)
    other = ModelPruner(random_model())
    other.load_state_dict(pruner.state_dict())
    assert_same(pruner, other)


def test_the_masks_of_a_state_are_not_those_of_later_pruning():
    pruner = ModelPruner(random_model())
    pruner.prune_layers(0.5)
    state = pruner.state_dict()
    pruner.prune_layers(0.8)
    assert removed(state["masks"]) == pytest.approx(0.5 * 13824, abs=4)


def test_masks_of_another_model_are_refused():
    model = random_model()
    before = copies(model)
    pruner = ModelPruner(model)
    others = ModelPruner(random_model(UNEVEN))
    others.prune_layers(0.5)
    with pytest.raises(ValueError, match=r"has shape .* is needed"):
        pruner.load_state_dict(others.state_dict())
    assert pruner.masks == {}
    assert_as_before(model, before)


# Bad input


@pytest.mark.parametrize("bad", [-0.1, 1.5, 50, float("nan"), True, "0.5"])
def test_a_sparsity_that_is_no_fraction_is_refused_before_anything_is_cut(bad):
    attempts = {name: lambda model, prune=prune: prune(ModelPruner(model), bad) for name, prune in VERBS.items()} | {
        "quick, attention": lambda model: quick_magnitude_prune(model, bad, 0.5),
        "quick, feed-forward": lambda model: quick_magnitude_prune(model, 0.5, bad),
        "apply": lambda model: apply_magnitude_pruning(model, bad),
        "heads": lambda model: ModelPruner(model).remove_structures(heads=bad),
        "neurons": lambda model: ModelPruner(model).remove_structures(neurons=bad),
    }
    model = random_model()
    before = copies(model)
    for attempt in attempts.values():
        with pytest.raises(ValueError, match="fraction to remove"):
            attempt(model)
        assert_as_before(model, before)


@every_verb
@pytest.mark.parametrize("sparsity", [1.0, 0.99999])
def test_a_sparsity_that_would_empty_a_layer_is_refused(verb, sparsity):
    model = random_model()
    before = copies(model)
    pruner = ModelPruner(model)
    with pytest.raises(ValueError, match=r"would leave nothing of h\.0\..*lower the sparsity"):
        VERBS[verb](pruner, sparsity)
    assert pruner.masks == {}
    assert_as_before(model, before)


def test_a_global_cut_that_would_empty_one_layer_names_it_and_the_guard_that_helps():
    model = random_model()
    with torch.no_grad():
        model.h[1].attn.c_proj.weight.mul_(1e-6)
    before = copies(model)
    pruner = ModelPruner(model)
    with pytest.raises(ValueError, match=r"nothing of h\.1\.attn\.c_proj\.weight, .*min_kept"):
        pruner.prune_globally(0.5)
    assert_as_before(model, before)
    masks = pruner.prune_globally(0.5, min_kept=0.25)
    assert masks["h.1.attn.c_proj.weight"].sum() == 144
    assert removed(masks) == 13824 // 2


def test_neither_of_two_sparsities_is_applied_when_one_is_refused():
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match="would leave nothing"):
        quick_magnitude_prune(model, 0.5, 1.0)
    assert_as_before(model, before)


@pytest.mark.parametrize("verb", [*VERBS, "structures"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_nan_or_infinite_are_refused_by_the_layers_name(verb, bad):
    sick = "h.1.attn.c_proj.weight" if verb == "attention" else "h.1.mlp.c_proj.weight"
    model = random_model()
    with torch.no_grad():
        model.get_parameter(sick)[2, 3] = bad
    before = copies(model)
    prune = VERBS.get(verb, lambda pruner, s: pruner.remove_structures(s, s))
    with pytest.raises(ValueError, match=rf"{sick}.*(NaN|infinite)"):
        prune(ModelPruner(model), 0.5)
    assert_as_before(model, before)


@pytest.mark.parametrize("verb", N_M)
def test_a_layer_that_n_of_m_does_not_fit_is_refused_by_name_and_the_ones_before_it_are_whole(verb):
    model = random_model(replace(TINY, neurons=(40, 7)))  # all but the second block's mlp.c_proj would do
    before = copies(model)
    pruner = ModelPruner(model)
    with pytest.raises(ValueError, match=r"h\.1\.mlp\.c_proj\.weight has 7 inputs, not a multiple of 4"):
        N_M[verb](pruner)
    assert pruner.masks == {}
    assert_as_before(model, before)


@pytest.mark.parametrize("method", ["scores", "sparsegpt", "admm"])
def test_an_error_or_an_interrupt_in_a_later_block_gives_the_earlier_ones_back(method, monkeypatch):
    from gpt2_lib.pruning.methods import one_shot as module

    model = random_model()
    before = copies(model)
    calls = 0
    owner, name = (module.scores, "wanda") if method == "scores" else (module, method)
    solve = getattr(owner, name)

    def failing(*args, **options):
        nonlocal calls
        calls += 1
        if calls == (2 if method == "scores" else 6):  # once a block, or once a matrix
            assert any(not torch.equal(p, before[n]) for n, p in model.named_parameters())
            raise KeyboardInterrupt
        return solve(*args, **options)

    monkeypatch.setattr(owner, name, failing)
    pruner = ModelPruner(model)
    with pytest.raises(KeyboardInterrupt):
        VERBS[{"scores": "Wanda", "sparsegpt": "SparseGPT", "admm": "ADMM"}[method]](pruner, 0.5)
    assert pruner.masks == {}
    assert_as_before(model, before)


@pytest.mark.parametrize("prune", ["prune_wanda", "prune_sparsegpt", "prune_admm"])
@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (WINDOWS[:2], r"too short: .* at least 96 are needed.*Give more text"),
        (WINDOWS[:0], "empty"),
        (WINDOWS + 1000, r"must lie in \[0, 300\)"),
        (random_ids(TINY, 4, 40), "shorten the text"),
    ],
    ids=["short", "empty", "another vocabulary", "long windows"],
)
def test_calibration_text_that_will_not_do_is_refused(prune, windows, message):
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match=message):
        getattr(ModelPruner(model), prune)(windows, 0.5)
    assert_as_before(model, before)


@pytest.mark.parametrize(
    ("windows", "message"),
    [(WINDOWS[:, :1], "T >= 2"), (WINDOWS[:0], "empty"), (WINDOWS + 1000, "must lie in")],
    ids=["one token", "empty", "another vocabulary"],
)
def test_text_that_has_no_gradient_is_refused(windows, message):
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match=message):
        ModelPruner(model).prune_taylor(windows, 0.5)
    assert_as_before(model, before)


@pytest.mark.parametrize("prune", ["prune_wanda", "prune_sparsegpt", "prune_admm"])
@pytest.mark.parametrize("options", [{}, {"sparsity": 0.5, "n_m": (2, 4)}], ids=["neither", "both"])
def test_sparsity_and_n_of_m_are_one_or_the_other(prune, options):
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match="Give either sparsity"):
        getattr(ModelPruner(model), prune)(WINDOWS, **options)
    assert_as_before(model, before)


@pytest.mark.parametrize("n_m", [(0, 4), (5, 4)])
def test_an_n_of_m_that_makes_no_sense_is_refused(n_m):
    model = random_model()
    before = copies(model)
    for prune in (
        lambda p: p.prune_n_m(*n_m),
        lambda p: p.prune_wanda(WINDOWS, n_m=n_m),
        lambda p: p.prune_sparsegpt(WINDOWS, n_m=n_m),
        lambda p: p.prune_admm(WINDOWS, n_m=n_m),
    ):
        with pytest.raises(ValueError, match="keeps n of every m"):
            prune(ModelPruner(model))
        assert_as_before(model, before)


@pytest.mark.parametrize("name", ["h.9.attn.c_attn.weight", "wte.weight", "h.0.ln_1.weight", "h.0.attn.c_attn.bias"])
def test_a_layer_that_is_unknown_or_not_prunable_is_refused_and_the_nearest_are_named(name):
    model = random_model()
    before = copies(model)
    with pytest.raises(ValueError, match=rf"No prunable layer is called '{name}'\. The nearest of the 8 .*: h\."):
        ModelPruner(model).prune_layers(0.5, ["h.0.attn.c_attn.weight", name])
    assert_as_before(model, before)


def test_rectangles_that_do_not_fit_a_layer_are_refused():
    model = random_model(UNEVEN)
    before = copies(model)
    with pytest.raises(ValueError, match=r"h\.\d\.\w+\.\w+\.weight is \d+ x \d+: blocks of 4 x 4 don't fit"):
        ModelPruner(model).prune_rectangles(0.5, block=(4, 4))
    assert_as_before(model, before)
