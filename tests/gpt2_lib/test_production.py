"""Tests of production metrics: they measure what they say, and leave the model unchanged."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from tiny import TINY, UNEVEN, random_ids, random_model, tokenizer

from gpt2_lib import apply_magnitude_pruning, metrics
from gpt2_lib.deploy.production import analysis_table, deployment_analysis, evaluate_production_metrics
from gpt2_lib.storage.packed import save_packed

WINDOWS = random_ids(TINY, 3, 20)


def test_the_figures_are_those_of_the_functions_they_name(tmp_path):
    model = random_model()
    found = evaluate_production_metrics(model, WINDOWS, repeats=2)
    quality = metrics.evaluate(model, WINDOWS)
    assert (found["accuracy"], found["perplexity"]) == (quality.accuracy, quality.perplexity)
    assert found["memory"] == sum(p.numel() * 4 for p in model.parameters())
    assert found["packed"] == save_packed(model, tmp_path / "exact").file == (tmp_path / "exact").stat().st_size
    assert found["packed_int8"] == save_packed(model, tmp_path / "int8", int8=True).file
    assert found["memory"] < found["file"] < found["memory"] + 5000  # the names of the weights come on top
    assert found["protocol"] == {
        "device": "cpu",
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "batch": 1,
        "prefill_tokens": 20,
        "decode_tokens": 12,
        "warm_up": 1,
        "repeats": 2,
        "test_tokens": 57,
    }


class Slow(torch.nn.Module):
    """Sleeps before its first passes, so long as ``naps`` says."""

    def __init__(self, inner: torch.nn.Module, naps: list[float]) -> None:
        super().__init__()
        self.inner, self.naps = inner, naps

    def forward(self, x):
        time.sleep(self.naps.pop(0) if self.naps else 0.0)
        return self.inner(x)


def test_times_are_of_reading_and_of_each_token_and_without_the_warm_up():
    model = random_model()
    naps = [3.0] + [0.0] * 12  # the warm-up: reading, and twelve tokens
    naps += [0.2] + [0.05] * 12  # the pass that counts
    model.ln_f = Slow(model.ln_f, naps)  # pyright: ignore[reportAttributeAccessIssue]  # no LayerNorm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "evaluate", lambda *_: metrics.Quality(1.0, 0.5, 1.0, 57))
        patch.setattr("gpt2_lib.deploy.production.packed_sizes", lambda *_, **__: metrics.Cost(0, 0, 1, 0))
        found = evaluate_production_metrics(model, WINDOWS, repeats=1)
    assert 0.2 <= found["latency"] < 3.0
    assert 0.05 <= found["time_per_output_token"] <= found["time_per_output_token_p95"] < 0.2
    assert found["time_per_output_token_p95"] <= found["time_per_output_token_p99"]
    assert found["latency"] <= found["latency_p95"] <= found["latency_p99"]


def test_the_model_is_left_as_it_was():
    model = random_model(replace(TINY, dropout=0.5)).train()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    first = evaluate_production_metrics(model, WINDOWS, repeats=1)
    assert model.training
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert evaluate_production_metrics(model, WINDOWS, repeats=1)["accuracy"] == first["accuracy"]  # no dropout in it


def test_the_peak_of_memory_is_at_least_what_the_process_has():
    found = evaluate_production_metrics(random_model(), WINDOWS, repeats=1)
    assert found["peak_memory"] > 50_000_000  # PyTorch alone is more


def test_an_analysis_is_the_ratio_of_both_models_metrics():
    dense = random_model()
    pruned = apply_magnitude_pruning(deepcopy(dense), 0.8)
    data = WINDOWS.clone()
    data[:, -1] = dense(WINDOWS)[:, -2].argmax(-1)  # else a random model is never right
    report = deployment_analysis(dense, pruned, data, repeats=2)
    before, after = report["original"], report["pruned"]
    assert report["compression"] == before["packed"] / after["packed"] > 1  # both packed: what pruning adds
    assert report["compression_int8"] == before["packed_int8"] / after["packed_int8"] > 1
    assert report["int8_alone"] == before["packed"] / before["packed_int8"] > 1
    assert report["speedup"] == before["latency"] / after["latency"]
    assert report["speedup_decode"] == before["time_per_output_token"] / after["time_per_output_token"]
    assert before["accuracy"] > 0
    assert report["quality"] == after["accuracy"] / before["accuracy"]
    assert report["perplexity"] == after["perplexity"] / before["perplexity"]
    assert report["memory"] == report["flops"] == report["kv_cache"] == 1.0  # zeros change none of them
    text = analysis_table(report)
    assert f"**{report['compression']:.2f}x**" in text
    assert "median of 2 passes" in text
    low, high = report["speedup_range"]
    assert 0 < low <= high
    assert f"{report['speedup']:.1f}x ({low:.1f} to {high:.1f})" in text


def test_a_smaller_model_has_fewer_operations_and_less_in_memory():
    report = deployment_analysis(random_model(), random_model(UNEVEN), WINDOWS, repeats=1)
    assert report["memory"] > 1
    assert report["flops"] > 1
    assert report["kv_cache"] > 1


def test_two_models_with_other_vocabularies_are_refused():
    with pytest.raises(ValueError, match="vocabularies of 300 and 299"):
        deployment_analysis(random_model(), random_model(replace(TINY, vocab_size=299)), WINDOWS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (WINDOWS[0], r"shape \(N, T\)"),
        (WINDOWS.float(), "whole numbers"),
        (WINDOWS + 300, "must lie in"),
        (None, "test_data"),
    ],
    ids=["one window", "floats", "foreign ids", "no data and no tokenizer"],
)
def test_data_that_are_no_windows_of_ids_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        evaluate_production_metrics(random_model(), data)


def test_no_repeats_are_refused():
    with pytest.raises(ValueError, match="one repeat"):
        evaluate_production_metrics(random_model(), WINDOWS, repeats=0)


def test_without_data_the_held_out_plays_are_taken():
    model = random_model(replace(TINY, vocab_size=tokenizer().bpe.get_vocab_size()))
    model.tokenizer = tokenizer()
    assert evaluate_production_metrics(model, repeats=1)["protocol"]["test_tokens"] == 24 * 31
