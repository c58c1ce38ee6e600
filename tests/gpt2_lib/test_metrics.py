"""Tests of quality against a plain loop, and of sparsity against a plain count."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TINY, UNEVEN, random_ids, random_model, tokenizer
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gpt2_lib import evaluate
from gpt2_lib.gpt2 import KVCache
from gpt2_lib.metrics import Quality, flops, kv_cache_bytes, paired, sparsity


@torch.inference_mode()
def test_quality_equals_that_of_a_plain_loop():
    model = random_model()
    model.tokenizer = tokenizer()
    windows = random_ids(TINY, batch=7, length=9)
    loss, hits, tokens, characters = 0.0, 0, 0, 0
    for window in windows:
        logits = model(window[None])[0]
        for t in range(8):
            scores = [math.exp(x) for x in logits[t].tolist()]
            loss -= math.log(scores[window[t + 1]] / sum(scores))
            hits += scores.index(max(scores)) == window[t + 1]
            tokens += 1
        characters += len(model.tokenizer.decode(window[1:].tolist()))
    quality = evaluate(model, windows)
    assert quality.tokens == tokens == 56
    assert quality.loss == pytest.approx(loss / tokens, rel=1e-5)
    assert quality.perplexity == pytest.approx(math.exp(loss / tokens), rel=1e-4)
    assert quality.accuracy == pytest.approx(hits / tokens)
    assert quality.bits_per_character == pytest.approx(loss / math.log(2) / characters, rel=1e-5)


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 10_000])
def test_quality_does_not_depend_on_the_batches(tokens_per_batch):
    model, windows = random_model(), random_ids(TINY, batch=7, length=9)
    assert evaluate(model, windows, tokens_per_batch).loss == pytest.approx(evaluate(model, windows).loss, rel=1e-5)


def test_a_model_that_is_always_right_scores_a_perplexity_of_one():
    model = random_model()
    windows = random_ids(TINY, batch=2, length=9)
    following = torch.zeros(2, 9, TINY.vocab_size)
    following.scatter_(2, windows.roll(-1, dims=1)[..., None], 100.0)
    model.forward = lambda ids, cache=None: following
    quality = evaluate(model, windows)
    assert quality.perplexity == pytest.approx(1.0)
    assert quality.accuracy == 1.0


def test_without_a_tokenizer_bits_per_character_are_unknown():
    assert math.isnan(evaluate(random_model(), random_ids(TINY, 1, 4)).bits_per_character)


def test_a_hopeless_loss_has_a_finite_perplexity():
    assert math.isfinite(Quality(loss=1e6, accuracy=0.0, bits_per_character=1.0, tokens=1).perplexity)


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_left_as_it_was(training):
    model = random_model().train(training)
    evaluate(model, random_ids(TINY, 1, 4))
    assert model.training is training


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (torch.zeros(0, 5, dtype=torch.int64), "There is no text to measure on"),
        (torch.zeros(3, 1, dtype=torch.int64), r"T >= 2"),
        (torch.zeros(5, dtype=torch.int64), r"shape \(N, T\)"),
        (torch.zeros(2, TINY.n_positions + 1, dtype=torch.int64), "more than the 32"),
        (torch.full((2, 5), TINY.vocab_size), "another model's tokenizer"),
        (torch.zeros(2, 5), "float32"),
    ],
    ids=["empty corpus", "single tokens", "one-dimensional", "too long", "out of range", "float"],
)
def test_windows_that_make_no_sense_are_refused(windows, message):
    with pytest.raises(ValueError, match=message):
        evaluate(random_model(), windows)


ENTRIES = st.lists(st.sampled_from([0.0, -0.0, 1.0, -2.5, 1e-30, float("inf"), float("nan")]), max_size=12)


@settings(deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=5), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_sparsity_is_the_share_of_exact_zeros_over_all_tensors_together(rows, dtype):
    tensors = [torch.tensor(row, dtype=dtype) for row in rows]
    entries = [x for row in rows for x in row]
    if entries:
        assert sparsity(tensors) == pytest.approx(sum(x == 0 for x in entries) / len(entries))
        assert sparsity(iter(tensors)) == sparsity(tensors)
    else:
        with pytest.raises(ValueError, match="at least one non-empty tensor"):
            sparsity(tensors)


def test_sparsity_weighs_tensors_by_their_size():
    assert sparsity([torch.zeros(1), torch.ones(3, 3)]) == pytest.approx(0.1)


def test_sparsity_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one non-empty tensor"):
        sparsity([])


@torch.inference_mode()
@pytest.mark.parametrize("config", [TINY, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("tokens", [1, 9, 32])
def test_flops_are_those_that_pytorch_counts(config, tokens):
    model = random_model(config)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(random_ids(config, batch=1, length=tokens))
    assert sum(flops(model, tokens).values()) == counter.get_total_flops()


def test_flops_are_given_part_by_part():
    parts = flops(random_model(UNEVEN), tokens=5)
    assert parts["h.0.attn.c_attn.weight"] == 2 * 5 * 24 * (3 * 3 * 6)
    assert parts["h.0.attn"] == 2 * 2 * 5 * 5 * 3 * 6
    assert parts["h.1.mlp.c_proj.weight"] == 2 * 5 * 7 * 24
    assert parts["wte.weight"] == 2 * 5 * 24 * 300
    assert len(parts) == 2 * 5 + 1


@pytest.mark.parametrize("tokens", [0, TINY.n_positions + 1])
def test_flops_of_more_tokens_than_the_model_can_see_are_refused(tokens):
    with pytest.raises(ValueError, match="from 1 to 32"):
        flops(random_model(), tokens)


def test_a_pair_of_models_is_compared_window_by_window():
    ours, theirs = random_model(seed=1), random_model()
    windows = random_ids(TINY, batch=5, length=9)
    windows[0, 1:] = theirs(windows[:1])[0, :-1].argmax(-1)  # some of theirs are right
    found = paired(ours, theirs, windows)
    losses, hits = [], []
    for window in windows:
        a, b = evaluate(ours, window[None]), evaluate(theirs, window[None])
        losses.append(a.loss - b.loss)
        hits.append(b.accuracy - a.accuracy)
    spread = math.sqrt(sum((d - sum(losses) / 5) ** 2 for d in losses) / 4 / 5)
    ratio = evaluate(ours, windows).perplexity / evaluate(theirs, windows).perplexity
    assert found.perplexity == pytest.approx(ratio - 1, abs=1e-4)
    assert found.perplexity_error == pytest.approx(ratio * spread, rel=1e-3)
    right = evaluate(theirs, windows).accuracy
    assert found.accuracy_lost == pytest.approx(sum(hits) / 5 / right)
    assert found.accuracy_error == pytest.approx(
        math.sqrt(sum((d - sum(hits) / 5) ** 2 for d in hits) / 4 / 5) / right, rel=1e-6
    )


def test_a_model_beside_itself_has_neither_difference_nor_error():
    model = random_model()
    found = paired(model, model, random_ids(TINY, batch=3, length=9))
    assert (found.perplexity, found.perplexity_error, found.windows) == (0.0, 0.0, 3)
    with pytest.raises(ValueError, match="two windows at least; got 1"):
        paired(model, model, random_ids(TINY, batch=1, length=9))


def test_the_cache_holds_what_reading_and_writing_leave_in_it():
    for config in (TINY, UNEVEN):
        model, cache = random_model(config), KVCache(TINY.n_positions)
        model.next_logits(random_ids(TINY, batch=3, length=4), cache)
        held = sum(kv.numel() * kv.element_size() for kv in cache._blocks.values())
        assert kv_cache_bytes(model, TINY.n_positions, batch=3) == held
    assert kv_cache_bytes(random_model(UNEVEN), 8) < kv_cache_bytes(random_model(), 8)
    fewer_neurons = random_model(replace(TINY, neurons=(40, 7)))
    assert kv_cache_bytes(fewer_neurons, 8) == kv_cache_bytes(random_model(), 8)
    assert 2 * kv_cache_bytes(random_model().half(), 8) == kv_cache_bytes(random_model(), 8)
