"""Tests of every method by name, by layer and by n:m; and of comparison and allocation."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import TINY, in_transformers, random_ids, random_model, tokenizer
from torch import nn

from gpt2_lib import (
    GPT2,
    MaskKeeper,
    ModelPruner,
    allocate,
    compare,
    evaluate,
    masks_of_zeros,
    remove_silenced,
)
from gpt2_lib.pruning.methods.registry import METHODS, method_table
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.sensitivity import LayerPoint

WINDOWS = random_ids(TINY, 8, 32)
SINGLE = [m.name for m in METHODS.values() if m.choose is not None and m.name != "rectangles"]
ONE_FRACTION = {"magnitude-global", "taylor-global"}


def prune(model: GPT2, method: str, sparsity: Any = None, **options: Any) -> dict[str, float]:
    """The sparsity of each matrix afterwards."""
    text = None if METHODS[method].text == "no" else WINDOWS
    ModelPruner(model).prune(method, sparsity, text=text, **options)
    return {name: (w == 0).double().mean().item() for name, w in prunable_weights(model).items()}


@pytest.mark.parametrize("method", SINGLE)
def test_every_method_leaves_ignored_layers_alone_and_cuts_the_others_exactly(method: str) -> None:
    model = random_model()
    before = copy.deepcopy(model.state_dict())
    found = prune(model, method, 0.5, ignore=["h.0.*", "*.attn.c_proj.weight"])
    for name, share in found.items():
        if name.startswith("h.0.") or name.endswith("attn.c_proj.weight"):
            assert torch.equal(model.state_dict()[name], before[name])
        elif method not in ONE_FRACTION:
            assert share == 0.5
    cut = [name for name, share in found.items() if share > 0]
    assert sum(found[n] * before[n].numel() for n in cut) == sum(before[n].numel() for n in cut) / 2


@pytest.mark.parametrize("method", [m for m in SINGLE if m not in ONE_FRACTION])
def test_every_method_takes_a_sparsity_for_each_layer_and_the_last_glob_counts(method: str) -> None:
    found = prune(random_model(), method, {"*.mlp.*": 0.5, "h.1.mlp.c_fc.weight": 0.25})
    for name, share in found.items():
        assert share == (0.25 if name == "h.1.mlp.c_fc.weight" else 0.5 if ".mlp." in name else 0)


@pytest.mark.parametrize("method", [m.name for m in METHODS.values() if m.n_m])
def test_n_of_m_by_every_method_that_can(method: str) -> None:
    model = random_model()
    prune(model, method, n_m=(2, 4), names=["h.1.*"])
    for name, w in prunable_weights(model).items():
        kept = (w.view(w.size(0), -1, 4) != 0).sum(-1)
        assert bool((kept == (2 if name.startswith("h.1.") else 4)).all())


def test_structures_and_rectangles_go_by_the_same_call() -> None:
    model = random_model()
    prune(model, "structured", 0.25)
    assert len(remove_silenced(model).h[0].mlp.c_fc.bias) == 72  # of 96
    with pytest.raises(ValueError, match="blocks of 16 x 16 don't fit"):
        prune(model, "rectangles", 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, "magnitude"), r"No method is called 0\.5\. There are: magnitude, "),
        (("magnitude", WINDOWS), "from 0 to 1; got a Tensor"),
        (("magnitude", {"h.7.*": 0.5}), r"No prunable layer is called 'h\.7\.\*'\. The nearest of the 8 that"),
        (("magnitude", {"*": 50}), r"Did you mean 0\.5"),
        (("magnitude", {}), "Nothing is left to prune"),
        (("magnitude",), "Give either sparsity"),
        (("wanda", 0.5), "wanda needs text: give text="),
        (("magnitude-global", {"h.0.*": 0.5, "h.1.*": 0.4}), "one sparsity for all layers"),
        (("structured", {"*": 0.5}), "one fraction for the heads"),
        (("structured",), "one fraction for the heads"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused_in_a_sentence(arguments: tuple[Any, ...], message: str) -> None:
    model = random_model()
    pruner, before = ModelPruner(model), copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        pruner.prune(*arguments)
    assert pruner.masks == {}
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_m": (2, 4)}, "magnitude-global doesn't prune n:m"),
        ({"sparsity": 0.5, "text": WINDOWS}, "uses no text"),
        ({"sparsity": 0.5, "ignore": "h.0.*"}, r"ignore is a list of layers' names; got the text 'h\.0\.\*'"),
        ({"sparsity": 0.5, "ignore": ["wte*"]}, "No prunable layer is called 'wte"),
        ({"sparsity": 0.5, "ignore": ["*"]}, "Nothing is left to prune"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelPruner(random_model()).prune("magnitude-global", **options)


def test_a_message_names_the_nearest_of_many_layers_and_not_all() -> None:
    model = random_model(replace(TINY, n_layer=9, heads=(), neurons=()))
    misspelt = {"h.0.atn.c_attn.weight": "h.0.attn.c_attn.weight", "h.7.mlp.c_fc": "h.7.mlp.c_fc.weight"}
    for name, near in misspelt.items():
        choices: list[dict[str, Any]] = [{"names": [name]}, {"ignore": [name]}]
        for options in choices:
            with pytest.raises(ValueError, match=f"nearest of the 36 that there are: {near}, ") as told:
                ModelPruner(model).prune("magnitude", 0.5, **options)
            assert len(str(told.value)) < 300
    for sparsities in ({}, {"*": 1.0}):
        with pytest.raises(ValueError, match=r"h\.0\.mlp\.c_fc\.weight and 33 more") as told:
            ModelPruner(model).prune("magnitude", sparsities)
        assert len(str(told.value)) < 300


def test_own_masks_are_applied_and_remembered() -> None:
    model = random_model()
    pruner = ModelPruner(model)
    mask = {"h.0.mlp.c_fc.weight": torch.rand(96, 24) < 0.5}
    pruner.apply(mask)
    assert torch.equal(pruner.masks["h.0.mlp.c_fc.weight"], mask["h.0.mlp.c_fc.weight"])
    assert not prunable_weights(model)["h.0.mlp.c_fc.weight"][~mask["h.0.mlp.c_fc.weight"]].any()
    with pytest.raises(ValueError, match="must be a bool tensor"):
        pruner.apply({"h.0.mlp.c_fc.weight": torch.ones(96, 24)})


def test_masks_read_from_zeros_hold_a_loaded_model_in_training() -> None:
    model = random_model()
    ModelPruner(model).prune("magnitude", 0.5, names=["h.1.*"])
    masks = masks_of_zeros(model)
    assert set(masks) == {name for name in prunable_weights(model) if name.startswith("h.1.")}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    MaskKeeper(model, [optimizer], masks)
    model(WINDOWS).square().mean().backward()
    optimizer.step()
    assert all((w == 0).double().mean() == 0.5 for name, w in prunable_weights(model).items() if name in masks)


@pytest.mark.parametrize("text", [None, WINDOWS])
def test_silenced_units_are_removed_and_the_model_computes_the_same(text: torch.Tensor | None) -> None:
    model = random_model()
    ModelPruner(model).prune("structured", 0.5, text=text)
    smaller = remove_silenced(model)
    assert smaller.config.heads == (2, 2)
    assert smaller.config.neurons == (48, 48)
    torch.testing.assert_close(smaller(WINDOWS), model(WINDOWS), atol=1e-4, rtol=1e-4)
    assert remove_silenced(random_model()).config == TINY


def test_one_unit_stays_of_a_block_that_is_all_silent() -> None:
    model = random_model()
    with torch.no_grad():
        model.h[0].mlp.c_proj.weight.zero_()
        model.h[0].attn.c_proj.weight.zero_()
    smaller = remove_silenced(model)
    assert (smaller.config.heads[0], smaller.config.neurons[0]) == (1, 1)
    torch.testing.assert_close(smaller(WINDOWS), model(WINDOWS))


def points(curves: dict[str, list[float]], weights: dict[str, int]) -> list[LayerPoint]:
    return [
        LayerPoint(layer, "magnitude", s, 0.0, rise, weights[layer])
        for layer, rises in curves.items()
        for s, rise in zip((0.25, 0.5, 0.75), rises, strict=True)
    ]


def test_an_allocation_takes_where_it_costs_least_and_has_the_mean_over_all_weights() -> None:
    scanned = points({"cheap": [0.01, 0.02, 0.03], "dear": [1.0, 2.0, 4.0]}, {"cheap": 100, "dear": 300})
    assert allocate(scanned, 0.125) == pytest.approx({"cheap": 0.5, "dear": 0.0})
    found = allocate(scanned, 0.375)
    assert found == pytest.approx({"cheap": 0.75, "dear": 0.25})
    assert (100 * found["cheap"] + 300 * found["dear"]) / 400 == pytest.approx(0.375)


def test_an_allocation_looks_past_a_step_that_is_dear_alone() -> None:
    scanned = points({"a": [0.9, 0.9, 0.9], "b": [0.5, 1.0, 1.5]}, {"a": 100, "b": 100})
    assert allocate(scanned, 0.375) == pytest.approx({"a": 0.75, "b": 0.0})


@pytest.mark.parametrize("method", ["magnitude", "taylor"])
def test_an_allocation_needs_one_method_and_a_mean_within_the_scan(method: str) -> None:
    scanned = points({"a": [0.1, 0.2, 0.3]}, {"a": 10})
    with pytest.raises(ValueError, match="more than was scanned"):
        allocate(scanned, 0.9)
    with pytest.raises(ValueError, match="of one method"):
        allocate([*scanned, LayerPoint("a", "other", 0.5, 0.0, 0.1, 10)] if method == "taylor" else [], 0.5)


def test_a_comparison_measures_as_a_plain_loop_of_transformers_does() -> None:
    model = random_model()
    model.tokenizer = tokenizer()
    before = copy.deepcopy(model.state_dict())
    test = random_ids(TINY, 6, 24, seed=5)
    found = compare(model, ["magnitude", "wanda", "sparsegpt"], 0.5, text=WINDOWS, test=test)
    assert [row.method for row in found.rows] == ["unpruned", "magnitude", "wanda", "sparsegpt"]
    for row in found.rows:
        pruned = copy.deepcopy(model)
        if row.method != "unpruned":
            prune(pruned, row.method, 0.5)
        theirs = in_transformers(pruned).eval()
        with torch.no_grad():
            losses = [theirs(ids[None].long(), labels=ids[None].long()).loss.item() for ids in test]
        assert row.quality.perplexity == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-4)
        assert row.sparsity == (0 if row.method == "unpruned" else 0.5)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    lines = str(found).splitlines()
    assert lines[2].startswith("| unpruned | 0.0% |")
    assert lines[-1] == f"Measured on the test text: {6 * 23} tokens."


def test_a_comparison_reads_batches_again_for_each_method_and_refuses_before_it_works() -> None:
    model = random_model()
    batches = ({"input_ids": ids} for ids in WINDOWS.split(2))
    found = compare(model, ["magnitude", "random"], 0.5, test=batches)
    assert found.rows[0].quality.loss == pytest.approx(evaluate(model, WINDOWS).loss, rel=1e-5)
    assert found.as_json()["rows"][1]["bits_per_character"] is None  # no tokenizer
    with pytest.raises(ValueError, match="wanda needs text"):
        compare(model, ["magnitude", "wanda"], 0.5, test=WINDOWS)
    with pytest.raises(ValueError, match="No method is called 'wander'"):
        compare(model, ["wander"], 0.5, test=WINDOWS)
    with pytest.raises(ValueError, match="doesn't prune n:m"):
        compare(model, ["magnitude", "magnitude-global"], n_m=(2, 4), test=WINDOWS)


def test_the_table_of_methods_names_each_and_its_paper() -> None:
    rows = method_table().splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(METHODS)
    assert "| sparsegpt | needed | yes | Frantar" in rows[list(METHODS).index("sparsegpt")]


def sign(model: nn.Module) -> dict[str, torch.Tensor]:
    """Scores: negative weights go first."""
    return {name: (w.detach() > 0) + 1.0 for name, w in prunable_weights(model).items()}


def every_third(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.arange(w.size(1)).expand_as(w) % 3 != 0 for name, w in prunable_weights(model).items()}


def test_functions_of_ones_own_stand_beside_the_methods_under_their_names() -> None:
    methods = ["magnitude", sign, every_third, {"mine": lambda model: sign(model)}]
    found = compare(random_model(), methods, 0.25, test=WINDOWS, ignore=["h.0.*"])
    assert [row.method for row in found.rows] == ["unpruned", "magnitude", "sign", "every_third", "mine"]
    assert [row.sparsity for row in found.rows] == pytest.approx([0, 0.125, 0.125, 1 / 6, 0.125], abs=1e-3)
    assert found.rows[2].quality.loss == found.rows[4].quality.loss
    assert [row.method for row in compare(random_model(), sign, n_m=(2, 4), test=WINDOWS).rows] == ["unpruned", "sign"]


def test_the_pruner_takes_a_function_and_cuts_where_it_says() -> None:
    model, before = random_model(), random_model()
    ModelPruner(model).prune(every_third, 0.5)
    for name, w in prunable_weights(before).items():
        assert torch.equal(prunable_weights(model)[name], w * every_third(before)[name])
    model = random_model()
    ModelPruner(model).prune(sign, n_m=(2, 4))
    for w in prunable_weights(model).values():
        assert bool(((w.view(w.size(0), -1, 4) != 0).sum(2) == 2).all())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (lambda model: {}, "A function without a name"),
        ({"mine": lambda model: {}}, r"mask \(72, 24\) of h\.0\.attn\.c_attn\.weight; it is missing"),
        ({"mine": lambda model: {"h.0.attn.c_attn.weight": torch.ones(3)}}, r"it is of shape \(3,\)"),
        ({"mine": lambda model: torch.ones(3)}, "returns {parameter name: tensor}; got a Tensor"),
        ({"mine": "wander"}, "No method is called 'wander'"),
        ({"mine": lambda model: {n: w * torch.nan for n, w in prunable_weights(model).items()}}, "NaN or infinite"),
        (3, "No method is called 3"),
    ],
)
def test_a_function_that_gives_no_scores_is_told_what_is_needed(method: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(random_model(), [method], 0.5, test=WINDOWS)


def test_swapped_arguments_of_compare_are_told() -> None:
    with pytest.raises(TypeError, match="Were arguments swapped"):
        compare(["magnitude"], random_model(), 0.5, test=WINDOWS)  # type: ignore[arg-type]
