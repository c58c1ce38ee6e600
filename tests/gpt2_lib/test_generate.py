"""Sampling: greedy or by chance, repeatable, and beyond the end of the context."""

from __future__ import annotations

import pytest
import torch
from tiny import TINY, random_ids, random_model, tokenizer

from gpt2_lib import generate
from gpt2_lib.generate import generate_ids


@pytest.fixture
def model():
    model = random_model()
    model.tokenizer = tokenizer()
    return model


def sample(model, prompt, new_tokens, **options) -> list[int]:
    return [int(token) for token in generate_ids(model, prompt, new_tokens, **options)]


def test_the_same_seed_gives_the_same_text_and_another_seed_another(model):
    first = generate(model, "To be", 20, seed=1)
    assert first == generate(model, "To be", 20, seed=1)
    assert first != generate(model, "To be", 20, seed=2)
    assert first.startswith("To be")


def test_sampling_among_one_token_is_greedy(model):
    prompt = random_ids(TINY, 1, 5)
    assert sample(model, prompt, 12, temperature=3.0, top_k=1) == sample(model, prompt, 12, temperature=0)


@torch.inference_mode()
def test_top_k_samples_each_of_the_k_likeliest_and_no_other(model):
    prompt = random_ids(TINY, 1, 5)
    likeliest = set(model(prompt)[0, -1].topk(3).indices.tolist())
    drawn = {sample(model, prompt, 1, temperature=100.0, top_k=3, seed=seed)[0] for seed in range(60)}
    assert drawn == likeliest


def test_a_batch_is_continued_row_by_row(model):
    prompts = random_ids(TINY, 3, 5)
    together = torch.cat(list(generate_ids(model, prompts, 8, temperature=0)), dim=1)
    assert together.tolist() == [sample(model, row[None], 8, temperature=0) for row in prompts]


@torch.inference_mode()
def test_when_the_context_is_full_the_older_half_is_forgotten(model):
    context, new_tokens = TINY.n_positions, 40
    prompt = random_ids(TINY, 1, 20)
    seen, expected = prompt, []
    for _ in range(new_tokens):
        if seen.size(1) > context:
            seen = seen[:, -(context // 2) :]
        token = model(seen)[:, -1:].argmax(-1)
        expected.append(int(token))
        seen = torch.cat([seen, token], dim=1)
    assert len(set(expected)) > 10
    assert sample(model, prompt, new_tokens, temperature=0) == expected


def test_a_prompt_longer_than_the_context_is_read_from_its_end(model):
    prompt = random_ids(TINY, 1, TINY.n_positions + 7)
    assert sample(model, prompt, 3, temperature=0) == sample(model, prompt[:, -TINY.n_positions :], 3, temperature=0)


def test_no_new_tokens_leave_the_prompt(model):
    assert generate(model, "To be, or not", 0) == "To be, or not"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must be 0"),
        ({"temperature": float("nan")}, "temperature must be 0"),
        ({"temperature": float("inf")}, "temperature must be 0"),
        ({"top_k": 0}, "top_k must be 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        generate(model, "To be", 5, **options)


def test_an_empty_prompt_is_refused(model):
    with pytest.raises(ValueError, match="prompt is empty"):
        generate(model, "", 5)
    with pytest.raises(ValueError, match="one token at least"):
        sample(model, torch.zeros(1, 0, dtype=torch.int64), 5)


def test_a_model_without_a_tokenizer_cannot_continue_text():
    with pytest.raises(ValueError, match="carries no tokenizer"):
        generate(random_model(), "To be", 5)


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_left_as_it_was(model, training):
    model.train(training)
    generate(model, "To be", 2)
    assert model.training is training
    with pytest.raises(ValueError, match="temperature"):
        generate(model, "To be", 2, temperature=-1)
    assert model.training is training
