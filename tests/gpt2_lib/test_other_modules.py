"""Tests of models that are no plain GPT2 of this library: transformers', wrapped, reparametrised, with adapters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from tiny import TINY, in_transformers, random_ids, random_model
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils import prune as torch_prune
from torch.optim.swa_utils import AveragedModel

from gpt2_lib import GPT2, ModelPruner, evaluate, quick_magnitude_prune
from gpt2_lib.metrics import sparsity
from gpt2_lib.pruning import calibration
from gpt2_lib.pruning.masking import MaskKeeper
from gpt2_lib.pruning.sparsegpt import sparsegpt
from gpt2_lib.pruning.targets import attention_weights, feedforward_weights, matrices, prunable_weights

WINDOWS = random_ids(TINY, 8, 32)
Cut = Callable[[ModelPruner], dict[str, Tensor]]
# By method: what prunes a language model of transformers too. Random masks are drawn in the weights' own layout.
CUTS: dict[str, Cut] = {
    "attention": lambda p: p.prune_attention_layers(0.5),
    "feed-forward": lambda p: p.prune_feedforward_layers(0.5),
    "layers": lambda p: p.prune_layers(0.5),
    "global": lambda p: p.prune_globally(0.5),
    "n:m": lambda p: p.prune_n_m(2, 4),
    "rectangles": lambda p: p.prune_rectangles(0.5, block=(4, 8)),
    "Taylor": lambda p: p.prune_taylor(WINDOWS, 0.5),
    "Taylor, global": lambda p: p.prune_taylor(WINDOWS, 0.5, globally=True, min_kept=0.1),
    "Wanda": lambda p: p.prune_wanda(WINDOWS, 0.5),
    "Wanda, n:m": lambda p: p.prune_wanda(WINDOWS, n_m=(2, 4)),
    "SparseGPT": lambda p: p.prune_sparsegpt(WINDOWS, 0.5),
    "SparseGPT, n:m": lambda p: p.prune_sparsegpt(WINDOWS, n_m=(2, 4)),
}


# transformers' GPT-2


@pytest.mark.parametrize("name", CUTS)
def test_transformers_gpt2_is_pruned_in_place_as_ours_is(name: str) -> None:
    """Its matrices are (in, out), attn.c_proj square: a mix-up of the two would not even raise an error."""
    ours = random_model()
    theirs = in_transformers(ours)
    before = {key: p.detach().clone() for key, p in theirs.named_parameters()}
    masks = CUTS[name](ModelPruner(theirs))
    expected = CUTS[name](ModelPruner(ours))
    assert masks.keys() == {f"transformer.{key}" for key in expected}
    for key, mask in expected.items():
        parameter = theirs.get_parameter(f"transformer.{key}")
        assert torch.equal(masks[f"transformer.{key}"], mask.t()), key
        assert torch.equal(parameter != 0, mask.t()), key
        torch.testing.assert_close(parameter, ours.get_parameter(key).t(), rtol=1e-3, atol=1e-5)
    for key, p in theirs.named_parameters():
        assert key in masks or torch.equal(p, before[key]), key


def test_transformers_gpt2_pruned_at_random_keeps_its_embedding() -> None:
    theirs = in_transformers(random_model())
    assert sparsity(ModelPruner(theirs).prune_randomly(0.5).values()) == pytest.approx(0.5, abs=0.01)
    assert sparsity([theirs.transformer.wte.weight]) == 0


def test_the_bare_gpt2_of_transformers_without_a_head_is_pruned_too() -> None:
    theirs = in_transformers(random_model()).transformer
    _, statistics = quick_magnitude_prune(theirs, 0.25, 0.5)
    assert statistics["attention_sparsity"] == pytest.approx(0.25, abs=0.01)
    assert statistics["feedforward_sparsity"] == pytest.approx(0.5, abs=0.01)
    masks = ModelPruner(theirs).prune_wanda(WINDOWS, 0.5)
    assert set(masks) == set(prunable_weights(theirs))


def test_masks_keep_while_transformers_gpt2_trains() -> None:
    theirs = in_transformers(random_model()).train()
    masks = ModelPruner(theirs).prune_wanda(WINDOWS, 0.5)
    before = {name: theirs.get_parameter(name).detach().clone() for name in masks}
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-2)
    keeper = MaskKeeper(theirs, [optimizer], masks)
    for _ in range(3):
        theirs(WINDOWS, labels=WINDOWS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    keeper.remove()
    for name, mask in masks.items():
        after = theirs.get_parameter(name).detach()
        assert torch.equal(after != 0, mask)
        assert not torch.equal(after, before[name])


def test_transformers_gpt2_has_the_quality_that_ours_has() -> None:
    ours = random_model()
    found, expected = evaluate(in_transformers(ours), WINDOWS), evaluate(ours, WINDOWS)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert found.accuracy == expected.accuracy


@pytest.mark.parametrize("verb", ["prune_structures", "remove_structures"])
def test_heads_and_neurons_of_transformers_gpt2_need_ours(verb: str) -> None:
    theirs = in_transformers(random_model())
    with pytest.raises(ValueError, match=r"GPT2LMHeadModel has no .* convert it with from_transformers or load"):
        getattr(ModelPruner(theirs), verb)()


# Llama


def llama(tied: bool = False) -> nn.Module:
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=TINY.vocab_size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=tied,
    )
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config).eval()


LLAMA = [
    f"model.layers.{i}.{part}_proj.weight"
    for i in range(2)
    for part in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down")
]


@pytest.mark.parametrize("tied", [False, True])
def test_all_weights_of_llama_but_embedding_norms_and_head_are_prunable(tied: bool) -> None:
    model = llama(tied)
    assert list(prunable_weights(model)) == LLAMA
    assert list(attention_weights(model) | feedforward_weights(model)) == sorted(LLAMA, key=lambda n: ".mlp." in n)


@pytest.mark.parametrize("name", [*CUTS, "random"])
def test_llama_is_pruned_weight_by_weight_and_nothing_else_of_it(name: str) -> None:
    model = llama()
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    cuts = CUTS | {"random": lambda p: p.prune_randomly(0.5)}
    masks = cuts[name](ModelPruner(model))
    assert sparsity(prunable_weights(model)[key] for key in masks) == pytest.approx(0.5, abs=0.01)
    for key, p in model.named_parameters():
        if key not in masks:
            assert torch.equal(p, before[key]), key
        elif "SparseGPT" not in name:
            assert torch.equal(p, before[key] * masks[key])


def inputs_of_llama(model: nn.Module, name: str) -> Tensor:
    """What the matrix ``name`` reads of the windows, by a hook that looks at nothing else."""
    seen: list[Tensor] = []
    hook = model.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(
        lambda _, args: seen.append(args[0].flatten(0, 1))
    )
    with torch.no_grad():
        model(WINDOWS)
    hook.remove()
    return torch.cat(seen)


def test_llamas_statistics_are_those_of_its_inputs() -> None:
    model = llama()
    norms, squares = (collect(model, WINDOWS, LLAMA) for collect in (calibration.input_norms, calibration.hessians))
    for name in LLAMA:
        x = inputs_of_llama(model, name).double()
        torch.testing.assert_close(norms[name], x.norm(dim=0).float(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(squares[name], x.t() @ x, rtol=1e-4, atol=1e-5)


def test_wanda_and_sparsegpt_go_through_llama_one_block_after_the_other() -> None:
    """In a plain loop: a block's matrices are judged by what they read when the blocks before it are pruned."""
    by_wanda, by_hand = llama(), llama()
    masks = ModelPruner(by_wanda).prune_wanda(WINDOWS, 0.5)
    for block in (LLAMA[:7], LLAMA[7:]):
        norms = {name: inputs_of_llama(by_hand, name).norm(dim=0) for name in block}
        for name in block:
            weight, mask = by_hand.get_parameter(name), masks[name]
            score = weight.detach().abs() * norms[name]
            assert ((~mask).sum(dim=1) == weight.size(1) // 2).all()
            assert (score.masked_fill(mask, 0).amax(1) <= score.masked_fill(~mask, torch.inf).amin(1) * 1.0001).all()
            with torch.no_grad():
                weight.masked_fill_(~mask, 0.0)

    by_sparsegpt, by_hand = llama(), llama()
    ModelPruner(by_sparsegpt).prune_sparsegpt(WINDOWS, 0.5)
    for block in (LLAMA[:7], LLAMA[7:]):
        inputs = {name: inputs_of_llama(by_hand, name) for name in block}
        for name, x in inputs.items():
            with torch.no_grad():
                weight = by_hand.get_parameter(name)
                weight.copy_(sparsegpt(weight, (x.t() @ x).double(), sparsity=0.5))
            torch.testing.assert_close(by_sparsegpt.get_parameter(name), weight, rtol=1e-2, atol=1e-4)


def test_the_taylor_score_of_llama_is_that_of_its_own_loss() -> None:
    model, other = llama(), llama()
    found = calibration.gradients(model, WINDOWS, LLAMA)
    expected = {name: torch.zeros_like(found[name]) for name in LLAMA}
    for window in WINDOWS:
        other.zero_grad()
        other(window[None], labels=window[None]).loss.backward()
        for name in LLAMA:
            gradient = other.get_parameter(name).grad
            assert gradient is not None
            expected[name] += gradient.abs() / len(WINDOWS)
    for name in LLAMA:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-7)


# Wrappers


def compiled(model: GPT2) -> nn.Module:
    return cast("nn.Module", torch.compile(model, backend="eager"))


def averaged(model: GPT2) -> nn.Module:
    wrapped = AveragedModel(model)
    wrapped.module = model  # not a copy, so that the tests can look at it
    return wrapped


WRAPPERS: dict[str, Callable[[GPT2], nn.Module]] = {
    "averaged": averaged,
    "compiled": compiled,
    "DataParallel": nn.DataParallel,
    "compiled, in DataParallel": lambda model: nn.DataParallel(compiled(model)),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("name", ["layers", "attention", "Taylor", "Wanda", "SparseGPT"])
def test_a_wrapped_model_is_pruned_as_the_model_inside(name: str, wrap: Callable[[GPT2], nn.Module]) -> None:
    model, alone = random_model(), random_model()
    pruner = ModelPruner(wrap(model))
    assert pruner.model is model
    masks = CUTS[name](pruner)
    expected = CUTS[name](ModelPruner(alone))
    assert masks.keys() == expected.keys()
    for key, mask in expected.items():
        assert torch.equal(masks[key], mask)
        assert torch.equal(model.get_parameter(key), alone.get_parameter(key))


@pytest.mark.parametrize("wrap", [WRAPPERS["compiled"], nn.DataParallel], ids=["compiled", "DataParallel"])
def test_a_wrapped_model_is_measured_counted_and_held_to_its_masks(wrap: Callable[[GPT2], nn.Module]) -> None:
    model = random_model()
    wrapped = wrap(model)
    quick_magnitude_prune(wrapped, 0.5, 0.5)
    assert sparsity(prunable_weights(wrapped).values()) == pytest.approx(0.5, abs=0.01)
    assert list(prunable_weights(wrapped)) == list(prunable_weights(model))
    masks = {name: w != 0 for name, w in prunable_weights(model).items()}
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    keeper = MaskKeeper(wrapped, [optimizer], masks)
    F.cross_entropy(model(WINDOWS)[:, :-1].flatten(0, 1), WINDOWS[:, 1:].flatten()).backward()
    optimizer.step()
    keeper.remove()
    assert all(torch.equal(w != 0, masks[name]) for name, w in prunable_weights(model).items())
    if wrap is nn.DataParallel:
        assert evaluate(wrapped, WINDOWS).loss == pytest.approx(evaluate(model, WINDOWS).loss)


# Weights that are computed from others


def weight_normed(layer: nn.Linear) -> None:
    nn.utils.parametrizations.weight_norm(layer)


def old_weight_norm(layer: nn.Linear) -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(layer)  # pyright: ignore[reportDeprecated]


def orthogonal(layer: nn.Linear) -> None:
    parametrize.register_parametrization(layer, "weight", nn.Identity())


CHANGES: dict[str, tuple[Callable[[nn.Linear], Any], str]] = {
    "prune": (lambda layer: torch_prune.l1_unstructured(layer, "weight", 0.3), r"prune\.remove\(layer, 'weight'\)"),
    "prune, bias": (lambda layer: torch_prune.l1_unstructured(layer, "bias", 0.3), r"prune\.remove\(layer, 'bias'\)"),
    "weight_norm": (weight_normed, r"remove_parametrizations\(layer, 'weight'\)"),
    "weight_norm, old": (old_weight_norm, r"remove_weight_norm\(layer, 'weight'\)"),
    "spectral_norm, old": (nn.utils.spectral_norm, r"remove_spectral_norm\(layer, 'weight'\)"),
    "parametrize": (orthogonal, r"remove_parametrizations\(layer, 'weight'\)"),
}
USES: dict[str, Callable[[GPT2], object]] = {
    "ModelPruner": ModelPruner,
    "quick_magnitude_prune": quick_magnitude_prune,
    "prunable_weights": prunable_weights,
    "input_norms": lambda m: calibration.input_norms(m, WINDOWS, ["h.0.mlp.c_fc.weight"]),
    "gradients": lambda m: calibration.gradients(m, WINDOWS, ["h.0.mlp.c_fc.weight"]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("use", USES)
def test_a_layer_whose_weight_is_computed_is_refused_by_its_name_with_the_way_out(change: str, use: str) -> None:
    model = random_model()
    alter, way = CHANGES[change]
    alter(model.h[0].mlp.c_fc)
    with pytest.raises(ValueError, match=rf"(?s)'h\.0\.mlp\.c_fc' computes its (weight|bias).*{way}"):
        USES[use](model)


def test_the_way_out_leads_out() -> None:
    model = random_model()
    torch_prune.l1_unstructured(model.h[0].mlp.c_fc, "weight", 0.3)
    torch_prune.remove(model.h[0].mlp.c_fc, "weight")
    nn.utils.parametrizations.weight_norm(model.h[1].mlp.c_fc)
    parametrize.remove_parametrizations(model.h[1].mlp.c_fc, "weight")
    assert sparsity(ModelPruner(model).prune_layers(0.5).values()) == pytest.approx(0.5, abs=0.01)


def test_integers_are_refused_as_weights() -> None:
    model = random_model()
    model.h[0].mlp.c_fc.weight = nn.Parameter(torch.ones(96, 24, dtype=torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"'h\.0\.mlp\.c_fc' has weights of torch\.int8: prune .* before"):
        ModelPruner(model)


class Quantised(nn.Module):
    """As torch.ao's nn.quantized.Linear, whose ``weight`` is a method."""

    def weight(self) -> Tensor:
        return torch.ones(96, 24)


def test_a_quantised_layer_is_not_left_out_without_a_word() -> None:
    model = random_model()
    model.h[1].mlp.c_fc = Quantised()  # pyright: ignore[reportAttributeAccessIssue]
    for use in (ModelPruner, quick_magnitude_prune, prunable_weights):
        with pytest.raises(ValueError, match=r"'h\.1\.mlp\.c_fc' is quantised.*prune before you quantise"):
            use(model)


# Adapters


class LoRA(nn.Module):
    """As PEFT names its parts."""

    def __init__(self, base: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(width, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, outputs, bias=False)})
        self.extra = nn.Linear(2, 2)  # called as it likes, but beside a base_layer

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


@pytest.mark.parametrize("name", ["layers", "attention", "Taylor", "Wanda", "SparseGPT"])
@pytest.mark.parametrize("of", ["ours", "transformers'"])
def test_adapters_are_left_alone_and_the_layers_that_they_adapt_are_pruned(name: str, of: str) -> None:
    model: Any = random_model()
    blocks = model.h
    if of != "ours":
        model = in_transformers(model)
        blocks = model.transformer.h
    for block in blocks:
        block.attn.c_attn = LoRA(block.attn.c_attn, 24, 72)
    masks = CUTS[name](ModelPruner(model))
    assert sum("base_layer" in key for key in masks) == 2
    assert not any("lora" in key or "extra" in key for key in masks)
    for block in blocks:
        parts = block.attn.c_attn
        assert sparsity([parts.base_layer.weight]) == pytest.approx(0.5, abs=0.01)
        assert sparsity([parts.lora_A["default"].weight, parts.lora_B["default"].weight, parts.extra.weight]) == 0


# No numbers


@pytest.mark.parametrize("use", ["ModelPruner", "quick_magnitude_prune"])
def test_a_model_without_numbers_is_refused_in_words(use: str) -> None:
    with torch.device("meta"):
        model = GPT2(TINY)
    with pytest.raises(ValueError, match=r"is on the meta device: .* load_pretrained_gpt2"):
        USES[use](model)


def test_a_view_for_what_depends_on_the_inputs_is_of_the_weight_itself() -> None:
    theirs = in_transformers(random_model())
    name = "transformer.h.0.mlp.c_fc.weight"
    view = matrices(theirs, [name])[name]
    assert view.shape == (96, 24)
    view[3, 5] = 7.0
    assert theirs.get_parameter(name)[5, 3] == 7.0
    assert list(matrices(copy.deepcopy(theirs))) == list(prunable_weights(theirs))


# Hand-made adapters


class Lora(nn.Module):
    """What many write by themselves: a layer and two small ones beside it."""

    def __init__(self, base: Any, inputs: int, outputs: int, layers: bool = True) -> None:
        super().__init__()
        self.base = base
        self.A = nn.Linear(inputs, 2, bias=False) if layers else nn.Parameter(torch.zeros(inputs, 2))
        self.B = nn.Linear(2, outputs, bias=False) if layers else nn.Parameter(torch.zeros(2, outputs))


@pytest.mark.parametrize("layers", [True, False])
@pytest.mark.parametrize("kind", ["GPT2", "transformers", "another"])
def test_a_hand_made_adapter_is_refused_by_name(kind: str, layers: bool) -> None:
    if kind == "another":
        model: Any = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        model[1] = Lora(model[1], 8, 8, layers)
        name = "1"
    else:
        model = random_model() if kind == "GPT2" else in_transformers(random_model())
        mlp = (model if kind == "GPT2" else model.transformer).h[0].mlp
        mlp.c_fc = Lora(mlp.c_fc, 24, 96, layers)
        name = r"h\.0\.mlp\.c_fc"
    with pytest.raises(ValueError, match=rf"{name} is not one layer: it computes with base and other weights"):
        ModelPruner(model)


def test_models_with_narrow_layers_beside_others_are_no_adapters() -> None:
    wide = nn.Linear(6, 6)
    model = nn.ModuleDict({"linear": wide, "down": nn.Linear(6, 6), "up": nn.Linear(6, 6)})
    assert len(prunable_weights(model)) == 3
    assert len(prunable_weights(nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(3, 6)))) == 3
