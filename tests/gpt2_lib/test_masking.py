"""Tests of masking: pruned weights stay exactly zero in training, can be restored, and nothing else changes."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch
from tiny import TINY, random_ids, random_model
from torch import nn
from torch.nn.utils import parametrize

from gpt2_lib.pruning.masking import MaskKeeper, apply_masks, masks_of_zeros
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.selection import layer_masks
from gpt2_lib.train import train_step
from gpt2_lib.training.muon import Muon

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randn(32, 4, generator=torch.Generator().manual_seed(2))


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))


def matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.dim() == 2}


def vectors(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.dim() != 2]


OPTIMIZERS = {
    "SGD": lambda model: [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)],
    "Adam": lambda model: [torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)],
    "AdamW": lambda model: [torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1, amsgrad=True)],
    "AdamW, one by one": lambda model: [torch.optim.AdamW(model.parameters(), lr=0.01, foreach=False)],
    "Muon": lambda model: [Muon(matrices(model).values(), lr=0.02), torch.optim.AdamW(vectors(model), lr=0.01)],
}
twin = copy.deepcopy
adamw = OPTIMIZERS["AdamW"]
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def half(model: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """Masks of all matrices with half of the entries, by chance, pruned."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(p.shape, generator=generator) < 0.5 for name, p in matrices(model).items()}


def step(model: nn.Module, optimizers: list[torch.optim.Optimizer], x=X, y=Y) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    nn.functional.mse_loss(model(x), y).backward()
    for optimizer in optimizers:
        optimizer.step()


def copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def state_of(optimizers: list[torch.optim.Optimizer], p: nn.Parameter) -> list[torch.Tensor]:
    """Return the optimisers' state of each entry of ``p``."""
    tensors = [v for o in optimizers for v in o.state.get(p, {}).values() if isinstance(v, torch.Tensor)]
    return [t for t in tensors if t.shape == p.shape]


@every_optimizer
@pytest.mark.parametrize("dense_steps", [0, 3], ids=["from the start", "with momentum from dense steps"])
def test_pruned_weights_and_their_optimizer_state_stay_exactly_zero_and_all_else_learns(make, dense_steps):
    model = small()
    optimizers = make(model)
    for _ in range(dense_steps):
        step(model, optimizers)
    masks = half(model)
    keeper = MaskKeeper(model, optimizers, masks)
    start = copies(model)
    for _ in range(5):
        step(model, optimizers)
        for name, p in matrices(model).items():
            assert (p[~masks[name]] == 0).all(), name
            states = state_of(optimizers, p)
            assert states
            for state in states:
                assert (state[~masks[name]] == 0).all(), name
                assert (state[masks[name]] != 0).any()
    for name, p in model.named_parameters():
        kept = masks.get(name, torch.ones_like(p, dtype=torch.bool))
        assert (p[kept] != start[name][kept]).all(), f"{name} must learn"
    assert keeper.masks.keys() == masks.keys()
    for name, mask in keeper.masks.items():
        assert torch.equal(mask, masks[name])


def test_without_a_keeper_momentum_and_weight_decay_move_pruned_weights_off_zero():
    model = small()
    optimizers = OPTIMIZERS["AdamW"](model)
    step(model, optimizers)
    masks = half(model)
    apply_masks(model, masks)
    step(model, optimizers)
    assert any((p[~masks[name]] != 0).any() for name, p in matrices(model).items())


@every_optimizer
def test_the_state_of_pruned_weights_is_cleared_at_once_and_that_of_the_others_is_not(make):
    model = small()
    optimizers = make(model)
    step(model, optimizers)
    before = {name: [s.clone() for s in state_of(optimizers, p)] for name, p in matrices(model).items()}
    masks = half(model)
    MaskKeeper(model, optimizers, masks)
    for name, p in matrices(model).items():
        for state, old in zip(state_of(optimizers, p), before[name], strict=True):
            assert torch.equal(state, old * masks[name])


class Masked(nn.Module):
    """For `parametrize`: a weight whose pruned entries the model never sees."""

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * self.mask


@pytest.mark.parametrize("make", [v for k, v in OPTIMIZERS.items() if k != "Muon"])  # which mixes a matrix's entries
def test_the_weights_that_stay_learn_as_if_the_others_had_never_been_there(make):
    masked, reference = small(), small()
    masks = half(masked)
    optimizers = make(masked)
    MaskKeeper(masked, optimizers, masks)
    for i in (0, 2):
        parametrize.register_parametrization(reference[i], "weight", Masked(masks[f"{i}.weight"]))
    expected = make(reference)
    for _ in range(10):
        step(masked, optimizers)
        step(reference, expected)
    for i in (0, 2):
        torch.testing.assert_close(masked[i].weight, reference[i].weight)
        torch.testing.assert_close(masked[i].bias, reference[i].bias)


@pytest.mark.parametrize("make", [v for k, v in OPTIMIZERS.items() if k != "Muon"])
def test_pruning_an_input_is_training_without_it(make):
    masked, smaller = nn.Linear(6, 4), nn.Linear(4, 4)
    kept = torch.tensor([0, 2, 3, 5])
    with torch.no_grad():
        smaller.weight.copy_(masked.weight[:, kept])
        smaller.bias.copy_(masked.bias)
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[:, kept] = True
    optimizers, expected = make(masked), make(smaller)
    MaskKeeper(masked, optimizers, {"weight": mask})
    for _ in range(10):
        step(masked, optimizers)
        step(smaller, expected, X[:, kept])
    torch.testing.assert_close(masked.weight[:, kept], smaller.weight)
    torch.testing.assert_close(masked.bias, smaller.bias)


def test_pruned_weights_have_no_part_in_the_clipping_of_gradients():
    masked, reference = random_model(), random_model()
    with torch.no_grad():  # sharp logits, so that there is something to clip
        for model in (masked, reference):
            model.ln_f.weight.mul_(20)
    masks = layer_masks(prunable_weights(masked), 0.9)
    ids = random_ids(TINY, 4, 17)
    optimizers: list[torch.optim.Optimizer] = [torch.optim.SGD(masked.parameters(), lr=0.1)]
    keeper = MaskKeeper(masked, optimizers, masks)
    for name, mask in masks.items():
        owner = reference.get_submodule(name.removesuffix(".weight"))
        parametrize.register_parametrization(owner, "weight", Masked(mask))
    expected: list[torch.optim.Optimizer] = [torch.optim.SGD(reference.parameters(), lr=0.1)]
    for _ in range(3):
        loss = train_step(masked, ids[:, :-1], ids[:, 1:], optimizers, before_clipping=keeper.zero_gradients)
        assert loss == pytest.approx(train_step(reference, ids[:, :-1], ids[:, 1:], expected), rel=1e-4)
    for name, p in masked.named_parameters():
        owner, _, leaf = name.rpartition(".")
        torch.testing.assert_close(p, getattr(reference.get_submodule(owner), leaf), rtol=1e-3, atol=1e-5)


# New masks


@every_optimizer
def test_a_weight_that_comes_back_has_the_value_it_had_when_it_went_and_no_momentum(make):
    model = small()
    optimizers = make(model)
    step(model, optimizers)
    at_first = copies(model)
    first, second = half(model), half(model, seed=1)
    keeper = MaskKeeper(model, optimizers, first)
    for _ in range(3):
        step(model, optimizers)
    trained = copies(model)
    keeper.set_masks(second)
    for name, p in matrices(model).items():
        back, stayed, gone = second[name] & ~first[name], second[name] & first[name], ~second[name]
        assert back.any()
        assert torch.equal(p[back], at_first[name][back])
        assert torch.equal(p[stayed], trained[name][stayed])
        assert (p[gone] == 0).all()
        assert all((state[back] == 0).all() for state in state_of(optimizers, p))
    step(model, optimizers)
    for name, p in matrices(model).items():
        back = second[name] & ~first[name]
        assert (p[back] != at_first[name][back]).all()
        assert (p[~second[name]] == 0).all()


def test_a_weight_that_stays_pruned_over_many_masks_is_remembered_from_its_first_cut():
    model = nn.Linear(3, 1, bias=False)
    start = model.weight.detach().clone()
    keeper = MaskKeeper(model, OPTIMIZERS["SGD"](model), {"weight": torch.tensor([[False, True, True]])})
    keeper.set_masks({"weight": torch.tensor([[False, False, True]])})
    keeper.set_masks({"weight": torch.tensor([[False, True, False]])})
    assert torch.equal(model.weight, start * torch.tensor([[0.0, 1.0, 0.0]]))
    keeper.set_masks({"weight": torch.tensor([[True, True, True]])})
    assert torch.equal(model.weight, start)


def test_new_masks_are_chosen_from_the_weights_as_they_are_and_as_they_were_when_pruned():
    model = small()
    optimizers = OPTIMIZERS["SGD"](model)
    masks = half(model)
    before = copies(model)
    keeper = MaskKeeper(model, optimizers, masks)
    step(model, optimizers)
    seen = {}

    def select(weights):
        seen.update(weights)
        return layer_masks(weights, 0.25)

    trained = copies(model)
    keeper.update(select, matrices(model))
    for name, weight in seen.items():
        assert torch.equal(weight, torch.where(masks[name], trained[name], before[name]))
        assert torch.equal(matrices(model)[name], weight * keeper.masks[name])
        assert (keeper.masks[name] & ~masks[name]).any()


def test_masks_of_some_layers_leave_those_of_the_others():
    model = small()
    masks = half(model)
    keeper = MaskKeeper(model, OPTIMIZERS["SGD"](model), masks)
    keeper.set_masks({"0.weight": torch.ones(8, 6, dtype=torch.bool)})
    assert keeper.masks["0.weight"].all()
    assert torch.equal(keeper.masks["2.weight"], masks["2.weight"])


def test_removed_it_lets_go_of_the_optimizers_and_the_zeros_stay_until_the_next_step():
    model = small()
    optimizers = OPTIMIZERS["AdamW"](model)
    masks = half(model)
    keeper = MaskKeeper(model, optimizers, masks)
    step(model, optimizers)
    keeper.remove()
    assert all((p[~masks[name]] == 0).all() for name, p in matrices(model).items())
    step(model, optimizers)
    assert all((p[~masks[name]] != 0).any() for name, p in matrices(model).items())


# State


@every_optimizer
@pytest.mark.parametrize("saved", [False, True], ids=["deepcopy", "torch.save"])
def test_training_continues_from_a_saved_state_to_the_same_bits(make, saved):
    def new(seed: int):
        model = small(seed)
        optimizers = make(model)
        return model, optimizers, MaskKeeper(model, optimizers, None)

    def finish(model, optimizers, keeper) -> None:
        step(model, optimizers)
        keeper.set_masks(half(model, seed=1))  # some weights come back: what is remembered must have survived
        step(model, optimizers)

    model, optimizers, keeper = new(seed=0)
    step(model, optimizers)
    keeper.set_masks(half(model))
    step(model, optimizers)
    state = {
        "model": model.state_dict(),
        "optimizers": [o.state_dict() for o in optimizers],
        "keeper": keeper.state_dict(),
    }
    if saved:
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
    else:
        state = copy.deepcopy(state)
    finish(model, optimizers, keeper)

    other, other_optimizers, other_keeper = new(seed=5)
    other.load_state_dict(state["model"])
    for optimizer, optimizer_state in zip(other_optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(optimizer_state)
    other_keeper.load_state_dict(state["keeper"])
    finish(other, other_optimizers, other_keeper)
    for name, p in model.named_parameters():
        assert torch.equal(p, other.get_parameter(name)), name
    for name, mask in keeper.masks.items():
        assert torch.equal(mask, other_keeper.masks[name])


def test_a_copy_of_the_model_is_free_of_the_masks():
    model = small()
    optimizers = OPTIMIZERS["AdamW"](model)
    masks = half(model)
    MaskKeeper(model, optimizers, masks)
    step(model, optimizers)
    other = copy.deepcopy(model)
    step(other, OPTIMIZERS["AdamW"](other))
    assert all((p[~masks[name]] != 0).any() for name, p in matrices(other).items())


# Bad input

WRONG = {
    "unknown parameter": ({"9.weight": torch.ones(1, dtype=torch.bool)}, r"no parameter '9\.weight'"),
    "numbers": ({"2.weight": torch.ones(4, 8)}, r"mask of 2\.weight must be a bool tensor.*got torch\.float32"),
    "shape": ({"2.weight": torch.ones(8, dtype=torch.bool)}, r"2\.weight has shape \(8,\); \(4, 8\) is needed"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("how", ["apply", "new keeper", "set", "load"])
def test_masks_that_do_not_fit_are_refused_and_the_model_is_left_as_it_was(wrong, how):
    bad, message = WRONG[wrong]
    model = small()
    optimizers = OPTIMIZERS["AdamW"](model)
    keeper = MaskKeeper(model, optimizers, half(model))
    before, masks = copies(model), keeper.masks
    bad = {"0.weight": torch.zeros(8, 6, dtype=torch.bool)} | bad  # the first would fit
    attempts = {
        "apply": lambda: apply_masks(model, bad),
        "new keeper": lambda: MaskKeeper(model, optimizers, bad),
        "set": lambda: keeper.set_masks(bad),
        "load": lambda: keeper.load_state_dict({"masks": bad, "remembered": {}}),
    }
    with pytest.raises(ValueError, match=message):
        attempts[how]()
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])
    for name, mask in keeper.masks.items():
        assert torch.equal(mask, masks[name])


def test_training_without_masks_is_unrestrained():
    free, kept = small(), small()
    one, other = OPTIMIZERS["AdamW"](free), OPTIMIZERS["AdamW"](kept)
    MaskKeeper(kept, other, None)
    for _ in range(3):
        step(free, one)
        step(kept, other)
    for p, q in zip(free.parameters(), kept.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (
            lambda m: MaskKeeper(m, adamw(twin(m)), half(m)),
            r"AdamW trains no parameter of this model, such as 0\.weight",
        ),
        (lambda m: MaskKeeper(m, adamw(m) + adamw(twin(m)), half(m)), "trains no parameter of this model"),
        (lambda m: MaskKeeper(m, [torch.optim.SGD(vectors(m))], half(m)), r"none of the masked .*, such as 0\.weight"),
        (lambda m: MaskKeeper(m, [], half(m)), "hold none of the masked parameters"),
        (lambda m: MaskKeeper(m, adamw(m), {}), "no masks to keep"),
        (lambda m: MaskKeeper(m, adamw(m), masks_of_zeros(m)), "no masks to keep"),
        (lambda m: MaskKeeper(m, adamw(m), None).set_masks({}), "no masks to keep"),
        (
            lambda m: MaskKeeper(m, adamw(twin(m)), None).set_masks(half(m)),
            "trains no parameter of this model",
        ),
    ],
)
def test_a_keeper_that_would_keep_nothing_is_refused(attempt: Callable[[nn.Module], object], message: str):
    model = small()
    before = copies(model)
    with pytest.raises(ValueError, match=message):
        attempt(model)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_masks_of_a_layer_that_is_not_trained_are_fine_beside_those_of_one_that_is():
    model = small()
    optimizers: list[torch.optim.Optimizer] = [torch.optim.SGD([matrices(model)["0.weight"]], lr=0.1)]
    MaskKeeper(model, optimizers, half(model))
    step(model, optimizers)
    assert all((p[~half(small())[name]] == 0).all() for name, p in matrices(model).items())
