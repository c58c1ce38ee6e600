"""Tests of sampling: greedy or random, repeatable, and beyond the end of the context."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import TINY, random_ids, random_model, tokenizer, tokenizer_with_end

from gpt2_lib import generate
from gpt2_lib.deploy.onnx import OnnxGPT2, export_onnx
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
def test_the_older_half_is_dropped_when_the_context_is_full(model):
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
        ({"seed": 2**70}, "seed must fit 64 bits"),
    ],
)
def test_options_that_make_no_sense_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        generate(model, "To be", 5, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("temperature", [1e-5, 1e-30, 1e-320])
def test_a_temperature_near_zero_is_greedy(model, temperature, dtype):
    prompt = random_ids(TINY, 1, 5)
    assert sample(model.to(dtype), prompt, 8, temperature=temperature) == sample(model, prompt, 8, temperature=0)


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


# The end of a text


@pytest.fixture
def ending(model):
    """A model that ends every text at once, greedily: its last token is <|endoftext|>."""
    model.tokenizer = tokenizer_with_end()
    end = model.tokenizer.end_of_text
    with torch.no_grad():
        model.ln_f.bias.fill_(1.0)
        model.wte.weight[end].fill_(3.0)
    assert end == TINY.vocab_size - 1
    return model


def test_a_text_ends_before_the_end_token(ending):
    assert generate(ending, "to be", 6, temperature=0) == "to be"
    assert sample(ending, random_ids(TINY, 1, 5), 6, temperature=0) == []


def test_the_end_of_a_text_can_be_chosen(ending):
    assert generate(ending, "to be", 3, temperature=0, stop_at=None) == "to be" + 3 * "<|endoftext|>"
    assert generate(ending, "to be", 3, temperature=0, stop_at=5) == "to be" + 3 * "<|endoftext|>"


def test_the_configuration_tells_the_end_where_no_tokenizer_does(ending):
    ending.config = replace(ending.config, eos_token_id=ending.tokenizer.end_of_text)
    ending.tokenizer = None
    assert sample(ending, random_ids(TINY, 1, 5), 6, temperature=0) == []


def test_a_text_ends_at_any_of_several_ends(ending, tmp_path):
    end = ending.tokenizer.end_of_text
    for config in (replace(ending.config, eos_token_id=5, other_ends=(end, 7)), replace(TINY, other_ends=(end,))):
        ending.config, ending.tokenizer = config, None
        assert sample(ending, random_ids(TINY, 2, 5), 6, temperature=0) == []
    assert sample(ending, random_ids(TINY, 1, 5), 2, temperature=0, stop_at=5) == [end, end]
    exported = OnnxGPT2(export_onnx(ending, tmp_path / "model.onnx"))
    assert list(exported.generate_ids(random_ids(TINY, 1, 5), 6, temperature=0)) == []


def test_a_row_that_ends_before_others_repeats_the_end(model):
    with torch.no_grad():
        model.wpe.weight *= 0.3  # else the rows are much alike
    prompts = random_ids(TINY, 3, 5)
    alone = [sample(model, row[None], 12, temperature=0, stop_at=None) for row in prompts]
    stop = alone[1][3]
    together = torch.cat(list(generate_ids(model, prompts, 12, temperature=0, stop_at=stop)), dim=1).tolist()
    lengths = [row.index(stop) if stop in row else 12 for row in alone]
    assert len(together[0]) == max(lengths) > min(lengths) > 0
    for row, expected, length in zip(together, alone, lengths, strict=True):
        assert row == expected[:length] + [stop] * (len(row) - length)


def test_the_old_name_of_the_number_of_tokens_still_works(model):
    expected = generate(model, "to be", max_new_tokens=3, seed=1)
    old: dict[str, int] = {"new_tokens": 3}
    with pytest.warns(DeprecationWarning, match="new_tokens is now called max_new_tokens"):
        assert generate(model, "to be", seed=1, **old) == expected
    with (
        pytest.raises(TypeError, match="are the same argument"),
        pytest.warns(DeprecationWarning, match="max_new_tokens"),
    ):
        generate(model, "to be", max_new_tokens=3, **old)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_a_model_of_nan_writes_nothing(model, temperature, value):
    with torch.no_grad():
        model.h[0].mlp.c_fc.weight[0, 0] = value
    with pytest.raises(ValueError, match="NaN"):
        generate(model, "to be", 3, temperature=temperature)
