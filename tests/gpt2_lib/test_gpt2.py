"""Tests of the model: the original's outputs, with a cache and without, and refusals of bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny import TINY, UNEVEN, in_transformers, random_ids, random_model, tokenizer

from gpt2_lib import GPT2, GPT2Config, load_pretrained_gpt2
from gpt2_lib.config import PRESETS
from gpt2_lib.generate import generate_ids
from gpt2_lib.gpt2 import KVCache


@pytest.fixture(scope="module", params=["gpt2-mini", "gpt2 124M"])
def pair(request):
    """A model with random weights and transformers' model with the same."""
    model = random_model(load_pretrained_gpt2().config if request.param == "gpt2-mini" else PRESETS["gpt2"])
    return model, in_transformers(model)


@torch.inference_mode()
def test_logits_equal_those_of_transformers(pair):
    model, theirs = pair
    ids = random_ids(model.config, batch=2, length=48)
    torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=0, atol=1e-4)


@torch.inference_mode()
def test_greedy_generation_equals_that_of_transformers_and_that_without_a_cache(pair):
    model, theirs = pair
    prompt = random_ids(model.config, batch=1, length=12)
    cached = torch.cat([prompt, *generate_ids(model, prompt, 6, temperature=0)], dim=1)
    uncached = prompt
    for _ in range(6):
        uncached = torch.cat([uncached, model(uncached)[:, -1:].argmax(-1)], dim=1)
    assert len(set(uncached[0, 12:].tolist())) > 3
    assert cached.tolist() == uncached.tolist()
    assert cached.tolist() == theirs.generate(prompt, max_new_tokens=6, do_sample=False).tolist()


@torch.inference_mode()
def test_logits_of_a_full_context_equal_those_of_transformers():
    model = random_model()
    ids = random_ids(TINY, batch=3, length=TINY.n_positions)
    torch.testing.assert_close(model(ids), in_transformers(model)(ids).logits, rtol=0, atol=1e-5)


def test_parameters_are_named_as_in_transformers():
    ours = {f"transformer.{name}" for name, _ in random_model().named_parameters()}
    theirs = {name for name, _ in in_transformers(random_model()).named_parameters()}
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("distilgpt2", 81_912_576),
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_presets_have_the_published_number_of_parameters(name, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in GPT2(PRESETS[name]).parameters()) == parameters


@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("pieces", [[1] * 9, [4, 1, 4], [1, 5, 3], [9]])
@torch.inference_mode()
def test_logits_are_the_same_with_a_cache_however_the_text_is_cut(config, pieces):
    model = random_model(config)
    ids = random_ids(config, batch=2, length=sum(pieces))
    cache = KVCache(sum(pieces))
    logits = torch.cat([model(piece, cache) for piece in ids.split(pieces, dim=1)], dim=1)
    torch.testing.assert_close(logits, model(ids), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_token_sees_nothing_that_comes_after_it():
    model = random_model()
    ids = random_ids(TINY, batch=1, length=10)
    other = ids.clone()
    other[:, 6:] = (other[:, 6:] + 1) % TINY.vocab_size
    before, after = model(ids), model(other)
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 6:], after[:, 6:])


@torch.inference_mode()
def test_a_block_with_fewer_heads_and_neurons_equals_the_full_one_with_the_others_silenced():
    full = random_model()
    small = GPT2(UNEVEN).eval()
    H = TINY.head_size
    weights = {name: p.clone() for name, p in full.named_parameters()}
    for block, (heads, neurons) in enumerate(zip(UNEVEN.heads, UNEVEN.neurons, strict=True)):
        weights[f"h.{block}.attn.c_proj.weight"][:, heads * H :] = 0
        weights[f"h.{block}.mlp.c_proj.weight"][:, neurons:] = 0
    full.load_state_dict(weights)
    for block, (heads, neurons) in enumerate(zip(UNEVEN.heads, UNEVEN.neurons, strict=True)):
        for leaf in ("weight", "bias"):
            stacked = weights[f"h.{block}.attn.c_attn.{leaf}"].chunk(3)
            weights[f"h.{block}.attn.c_attn.{leaf}"] = torch.cat([part[: heads * H] for part in stacked])
            weights[f"h.{block}.mlp.c_fc.{leaf}"] = weights[f"h.{block}.mlp.c_fc.{leaf}"][:neurons]
        for name, size in ((f"h.{block}.attn.c_proj.weight", heads * H), (f"h.{block}.mlp.c_proj.weight", neurons)):
            weights[name] = weights[name][:, :size]
    small.load_state_dict(weights)
    ids = random_ids(TINY, batch=2, length=11)
    torch.testing.assert_close(small(ids), full(ids), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_dropout_acts_in_training_only():
    model = random_model(replace(TINY, dropout=0.5))
    ids = random_ids(TINY, batch=1, length=8)
    assert torch.equal(model(ids), random_model()(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


def test_fresh_weights_have_the_papers_spread():
    model = GPT2(replace(TINY, n_embd=128)).init_weights()
    assert model.wte.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.h[0].mlp.c_fc.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.h[1].mlp.c_proj.weight.std().item() == pytest.approx(0.02 / math.sqrt(4), rel=0.05)
    assert not model.h[0].attn.c_attn.bias.any()
    assert (model.ln_f.weight == 1).all()


def test_a_model_unpacks_into_itself_and_its_tokenizer():
    model = random_model()
    model.tokenizer = tokenizer()
    first, second = model
    assert first is model
    assert second is model.tokenizer


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(1, TINY.n_positions + 1, dtype=torch.int64), "33 tokens are more than the 32"),
        (torch.tensor([[0, TINY.vocab_size]]), r"lie in \[0, 300\); got 0 to 300"),
        (torch.tensor([[-1, 5]]), "got -1 to 5"),
        (torch.tensor([[0.5, 1.0]]), "float32"),
        (torch.tensor([[True, False]]), "bool"),
        (torch.tensor([1, 2, 3]), r"\(B, T\)"),
        (torch.zeros(1, 0, dtype=torch.int64), "one token at least"),
        (torch.zeros(0, 4, dtype=torch.int64), "one token at least"),
    ],
    ids=["too long", "above the vocabulary", "negative", "float", "bool", "one-dimensional", "no token", "no text"],
)
def test_ids_that_make_no_sense_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        random_model()(ids)


@torch.inference_mode()
def test_a_full_cache_refuses_another_token():
    model, cache = random_model(), KVCache(4)
    model(random_ids(TINY, 1, 4), cache)
    with pytest.raises(ValueError, match="5 tokens are more than the 4"):
        model(random_ids(TINY, 1, 1), cache)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_head": 5}, "multiple of n_head"),
        ({"heads": (4,)}, "heads needs 2"),
        ({"neurons": (96, 0)}, "neurons takes whole numbers of at least 1; got 0"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        GPT2Config(**({"vocab_size": 300, "n_embd": 24, "n_layer": 2, "n_head": 4} | sizes))
