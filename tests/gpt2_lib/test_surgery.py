"""Tests of surgery: the smaller model computes what the silenced one computes, and nothing else changes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from tiny import TINY, UNEVEN, random_ids, random_model, tokenizer
from torch.nn import functional as F

from gpt2_lib import GPT2, save_pretrained
from gpt2_lib.checkpoints import load_folder
from gpt2_lib.generate import generate_ids
from gpt2_lib.pruning.surgery import remove_blocks, remove_heads, remove_neurons, shrink, silencing_masks

# {name: (config, heads, neurons)}: which units of which blocks stay.
CUTS = {
    "heads": (TINY, {0: [1, 3], 1: [0]}, {}),
    "neurons": (TINY, {}, {0: [0, 5, 95], 1: list(range(1, 96, 2))}),
    "both, one block each": (TINY, {1: [0, 1, 2]}, {0: [7]}),
    "uneven blocks": (UNEVEN, {0: [0, 2]}, {0: list(range(30)), 1: [2, 6]}),
    "everything stays": (UNEVEN, {0: [0, 1, 2], 1: [0]}, {1: list(range(7))}),
    "nothing named": (TINY, {}, {}),
}


def keeps(lists: dict[int, list[int]]) -> dict[int, torch.Tensor]:
    return {i: torch.tensor(kept) for i, kept in lists.items()}


def silenced(model: GPT2, masks: dict[str, torch.Tensor]) -> GPT2:
    """A copy of ``model`` with zeros where a mask is False."""
    model = deepcopy(model)
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    return model


@torch.inference_mode()
def assert_same_function(a: GPT2, b: GPT2, atol: float = 1e-5) -> None:
    ids = random_ids(a.config, batch=3, length=17)
    torch.testing.assert_close(a(ids), b(ids), rtol=0, atol=atol)


@torch.inference_mode()
def assert_same_text(a: GPT2, b: GPT2) -> None:
    prompt = random_ids(a.config, batch=2, length=5)
    texts = [torch.cat(list(generate_ids(m, prompt, 20, temperature=0)), dim=1) for m in (a, b)]
    assert torch.equal(*texts)


@pytest.fixture(params=CUTS.values(), ids=list(CUTS))
def cut(request) -> tuple[GPT2, GPT2, GPT2]:
    """A model, the same silenced, the same shrunk."""
    config, heads, neurons = request.param
    heads, neurons = keeps(heads), keeps(neurons)
    model = random_model(config)
    return model, silenced(model, silencing_masks(model, heads, neurons)), shrink(model, heads, neurons)


# The smaller model is the silenced one


def test_the_smaller_model_equals_the_silenced_one(cut):
    _, masked, smaller = cut
    assert_same_function(masked, smaller)


def test_they_write_the_same_text_with_a_cache(cut):
    _, masked, smaller = cut
    assert_same_text(masked, smaller)


def test_silenced_units_are_told_apart_from_a_plain_loop():
    """The masks' own proof: a unit's output is set to zero by hand, inside the model."""
    model = random_model(UNEVEN)
    masked = silenced(model, silencing_masks(model, {0: torch.tensor([0, 2])}, {1: torch.tensor([0, 1, 2, 4, 6])}))

    def without(units: list[slice | int]):
        def hook(_, inputs):
            x = inputs[0].clone()
            for unit in units:
                x[..., unit] = 0
            return (x,)

        return hook

    model.h[0].attn.c_proj.register_forward_pre_hook(without([slice(6, 12)]))  # head 1, of size 6
    model.h[1].mlp.c_proj.register_forward_pre_hook(without([3, 5]))
    assert_same_function(model, masked)


@pytest.mark.parametrize("keep", [[0], [1], [0, 1]])
def test_removed_blocks_are_skipped(keep):
    model = random_model(UNEVEN)
    smaller, keep = remove_blocks(model, torch.tensor(keep)), torch.tensor(keep)
    assert smaller.config.n_layer == len(smaller.h) == len(keep)
    assert_same_function(smaller, silenced(model, silencing_masks(model, blocks=keep)))
    blocks = torch.nn.ModuleList(model.h[i] for i in keep.tolist())
    model.h = blocks  # pyright: ignore[reportAttributeAccessIssue]  # as in GPT2
    assert_same_function(smaller, model)


def test_a_shallower_model_writes_with_a_cache():
    model = random_model(UNEVEN)
    smaller, masked = (
        remove_blocks(model, torch.tensor([1])),
        silenced(model, silencing_masks(model, blocks=torch.tensor([1]))),
    )
    prompt = random_ids(TINY, batch=2, length=5)
    assert torch.equal(*(torch.cat(list(generate_ids(m, prompt, 20, temperature=0)), dim=1) for m in (smaller, masked)))


def test_all_three_kinds_together():
    model = random_model()
    heads, neurons, blocks = {0: torch.tensor([2]), 1: torch.tensor([0, 3])}, {1: torch.tensor([8, 9])}, [1]
    masks = silencing_masks(model, heads, neurons, torch.tensor(blocks))
    smaller = remove_blocks(shrink(model, heads, neurons), torch.tensor(blocks))
    assert (smaller.config.heads, smaller.config.neurons) == ((2,), (2,))
    assert_same_function(smaller, silenced(model, masks))


def test_shrinking_twice_equals_shrinking_once():
    model = random_model()
    twice = shrink(shrink(model, {0: torch.tensor([0, 1, 3])}, {1: torch.arange(50)}), {0: torch.tensor([0, 2])})
    assert_same_function(twice, shrink(model, {0: torch.tensor([0, 3])}, {1: torch.arange(50)}), atol=0)


def test_after_training_with_the_masks_the_surgery_still_changes_nothing():
    model = random_model()
    heads, neurons = {1: torch.tensor([1, 2])}, {0: torch.arange(0, 96, 3)}
    masks = silencing_masks(model, heads, neurons)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    ids = random_ids(TINY, batch=2, length=9)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
        optimizer.step()
        with torch.no_grad():
            for name, mask in masks.items():
                model.get_parameter(name).mul_(mask)
    assert_same_function(model, shrink(model, heads, neurons))


# Sizes, and what is left alone


def test_the_smaller_model_is_really_smaller():
    smaller = shrink(random_model(), keeps({0: [1], 1: [0, 2]}), keeps({1: [3, 4, 5]}))
    assert (smaller.config.heads, smaller.config.neurons) == ((1, 2), (96, 3))
    assert smaller.h[0].attn.c_attn.weight.shape == (3 * 6, 24)
    assert smaller.h[1].attn.c_proj.weight.shape == (24, 12)
    assert smaller.h[1].mlp.c_fc.bias.shape == (3,)
    assert all(p.is_contiguous() for p in smaller.parameters())


@pytest.mark.parametrize(
    "operate",
    [
        lambda model: shrink(model, {0: torch.tensor([1])}, {1: torch.arange(9)}),
        lambda model: remove_blocks(model, torch.tensor([0])),
    ],
    ids=["shrink", "remove_blocks"],
)
@pytest.mark.parametrize("training", [True, False])
def test_the_given_model_is_left_as_it_was(operate, training):
    model = random_model().train(training)
    model.tokenizer = tokenizer()
    before = deepcopy(model.state_dict())
    smaller = operate(model)
    assert smaller.training is smaller.h[0].training is training
    assert smaller.tokenizer is model.tokenizer
    assert all(p.requires_grad for p in smaller.parameters())
    with torch.no_grad():
        for p in smaller.parameters():
            p.fill_(7.0)  # shares no memory with the original
    assert model.config == TINY
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_half_precision_stays_half_precision():
    smaller = shrink(random_model().bfloat16(), {0: torch.tensor([1])}, {1: torch.arange(9)})
    assert {p.dtype for p in smaller.parameters()} == {torch.bfloat16}


def test_masks_cover_the_biases_that_would_leak():
    masks = silencing_masks(random_model(), keeps({0: [0, 1, 2]}), keeps({1: list(range(95))}), torch.tensor([0, 1]))
    assert {name: int((~mask).sum()) for name, mask in masks.items()} == {
        "h.0.attn.c_attn.weight": 3 * 6 * 24,
        "h.0.attn.c_attn.bias": 3 * 6,
        "h.0.attn.c_proj.weight": 24 * 6,
        "h.1.mlp.c_fc.weight": 24,
        "h.1.mlp.c_fc.bias": 1,
        "h.1.mlp.c_proj.weight": 24,
    }
    parameters = dict(random_model().named_parameters())
    assert all(mask.dtype == torch.bool and mask.shape == parameters[name].shape for name, mask in masks.items())


# It lives on


@pytest.mark.parametrize("keep_of_blocks", [None, [1], [0, 1]], ids=["all blocks", "one block", "all blocks, named"])
def test_the_smaller_model_survives_saving_and_loading(tmp_path, keep_of_blocks):
    smaller = shrink(random_model(), keeps({0: [1, 2], 1: [3]}), keeps({1: [3, 4, 5]}))
    if keep_of_blocks is not None:
        smaller = remove_blocks(smaller, torch.tensor(keep_of_blocks))
    smaller.tokenizer = tokenizer()
    save_pretrained(smaller, tmp_path)
    loaded = load_folder(tmp_path)
    assert loaded.config == smaller.config
    assert_same_function(loaded, smaller, atol=0)


def test_the_smaller_model_survives_a_copy_and_its_state_dict():
    smaller = shrink(random_model(), keeps({0: [1, 2]}), keeps({1: [3, 4, 5]}))
    assert_same_function(deepcopy(smaller), smaller, atol=0)
    other = GPT2(smaller.config).eval()
    other.load_state_dict(smaller.state_dict())
    assert_same_function(other, smaller, atol=0)


# The functions on tensors


@torch.no_grad()
def test_removed_neurons_are_missing_and_the_rest_computes_the_same():
    fc, bias, proj, x = torch.randn(7, 4), torch.randn(7), torch.randn(4, 7), torch.randn(5, 4)
    originals = [t.clone() for t in (fc, bias, proj)]
    keep = torch.tensor([0, 3, 4])
    small_fc, small_bias, small_proj = remove_neurons(fc, bias, proj, keep)
    expected = sum(F.gelu(x @ fc[j] + bias[j])[:, None] * proj[:, j] for j in (0, 3, 4))
    torch.testing.assert_close(F.gelu(x @ small_fc.t() + small_bias) @ small_proj.t(), expected)
    assert all(torch.equal(a, b) for a, b in zip((fc, bias, proj), originals, strict=True))


def test_queries_keys_and_values_lose_the_same_heads():
    n_head, size, width = 3, 2, 4
    rows = torch.arange(3 * n_head * size).float()
    attn, proj = rows[:, None].expand(-1, width), torch.arange(n_head * size).float().expand(width, -1)
    weight, bias, out = remove_heads(attn, rows, proj, n_head, torch.tensor([0, 2]))
    assert bias.tolist() == [0, 1, 4, 5, 6, 7, 10, 11, 12, 13, 16, 17]
    assert torch.equal(weight, bias[:, None].expand(-1, width))
    assert out[0].tolist() == [0, 1, 4, 5]


# What is refused


BAD_KEEPS = {
    "a list": ([0, 1], "1-D int64 tensor.*got list"),
    "a mask": (torch.ones(4, dtype=torch.bool), "1-D int64 tensor.*torch.bool"),
    "two dimensions": (torch.zeros(1, 1, dtype=torch.int64), r"1-D int64 tensor.*\(1, 1\)"),
    "nothing": (torch.empty(0, dtype=torch.int64), "at least one must stay"),
    "out of order": (torch.tensor([1, 0]), "ascending"),
    "twice": (torch.tensor([1, 1]), "once"),
    "negative": (torch.tensor([-1, 0]), "0 to"),
    "too high": (torch.tensor([0, 10**6]), "0 to"),
}


@pytest.mark.parametrize(("keep", "message"), BAD_KEEPS.values(), ids=BAD_KEEPS.keys())
def test_a_keep_that_makes_no_sense_is_refused(keep, message):
    model = random_model()
    feedforward = (torch.zeros(8, 4), torch.zeros(8), torch.zeros(4, 8))
    attention = (torch.zeros(24, 4), torch.zeros(24), torch.zeros(4, 8))
    for operate in (
        lambda: remove_neurons(*feedforward, keep),
        lambda: remove_heads(*attention, 4, keep),
        lambda: shrink(model, heads={1: keep}),
        lambda: shrink(model, neurons={1: keep}),
        lambda: remove_blocks(model, keep),
        lambda: silencing_masks(model, heads={1: keep}),
        lambda: silencing_masks(model, neurons={1: keep}),
        lambda: silencing_masks(model, blocks=keep),
    ):
        with pytest.raises(ValueError, match=message):
            operate()


def test_the_error_names_the_block():
    with pytest.raises(ValueError, match="4 heads of block 1"):
        shrink(random_model(), heads={1: torch.empty(0, dtype=torch.int64)})
    with pytest.raises(ValueError, match="neurons names block 2; this model's blocks are 0 to 1"):
        shrink(random_model(), neurons={2: torch.tensor([0])})


def test_weights_in_another_layout_are_refused():
    fc, bias, proj = torch.zeros(8, 4), torch.zeros(8), torch.zeros(4, 8)
    keep = torch.tensor([0])
    with pytest.raises(ValueError, match=r"\(out, in\)"):
        remove_neurons(fc.t(), bias, proj.t(), keep)  # as Hugging Face stores them
    with pytest.raises(ValueError, match=r"\(3 N H, C\)"):
        remove_heads(fc, bias, proj, 4, keep)
    with pytest.raises(ValueError, match=r"got \(8, 4\), \(4, 8\) and \(7,\)"):
        remove_neurons(fc, bias[1:], proj, keep)
    with pytest.raises(ValueError, match="3 heads can't share"):
        remove_heads(torch.zeros(24, 4), torch.zeros(24), proj, 3, keep)
