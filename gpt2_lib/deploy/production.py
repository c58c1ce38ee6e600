"""Metrics of a served model (latency, memory, size, quality), and comparison of a pruned model with its original."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from .. import metrics
from ..corpus import held_out_windows
from ..gpt2 import GPT2, KVCache
from ..pruning.targets import as_gpt2
from ..storage.packed import packed_sizes
from ..system.extras import need
from ..system.timing import p95, p99, percentile, turns, wall_seconds

PREFILL = 128  # tokens that are read at once, or as many as the model's context allows
DECODE = 16  # tokens that are then written one by one
PAGES = 24  # of the held-out plays, where no other data are given


@dataclass(frozen=True)
class Protocol:
    """The protocol of a measurement."""

    device: str
    dtype: str
    threads: int  # of torch
    batch: int
    prefill_tokens: int
    decode_tokens: int
    warm_up: int  # passes that are not counted
    repeats: int
    test_tokens: int  # that the quality was measured on


@dataclass(frozen=True)
class ProductionMetrics:
    """Metrics of a served model: one sequence at a time, on this machine, with torch's current settings."""

    latency: float  # seconds from a prompt of 128 tokens to the first token after it (time to first token): median
    latency_p95: float  # the same: 95th percentile
    latency_p99: float
    time_per_output_token: float  # seconds for each token after the first, with a key-value cache: median
    time_per_output_token_p95: float
    time_per_output_token_p99: float
    memory: int  # bytes of the weights in memory, a tied one once
    kv_cache: int  # bytes of keys and values, one sequence of the full context: what serving adds for each
    peak_memory: int  # bytes: the largest resident memory of this whole process while it ran
    file: int  # bytes as safetensors, every zero written out
    packed: int  # bytes as `packed.save_packed` writes it, exactly
    packed_int8: int  # and in int8
    accuracy: float  # next-token quality on the test data, as `metrics.evaluate` measures it
    perplexity: float
    bits_per_character: float
    protocol: Protocol


@dataclass(frozen=True)
class DeploymentAnalysis:
    """Gain and loss by pruning: ratios of the original's metrics and the pruned model's."""

    compression: float  # original's packed file over the pruned model's: both exact, packed in the same way
    compression_int8: float  # the same, both in int8: what pruning adds to int8
    int8_alone: float  # original's packed file over its own in int8: what there is without pruning
    memory: float  # weights in memory, original over pruned: zeros don't change it
    kv_cache: float  # keys and values, original over pruned: heads change it, neurons and zeros don't
    speedup: float  # time of the original over time of the pruned one, to the first token
    speedup_range: tuple[float, float]  # the same, round by round: 25th and 75th percentile, the noise of this machine
    speedup_decode: float  # and for each token after it
    flops: float  # operations of the original over those of the pruned one: the ideal speed-up
    quality: float  # accuracy of the pruned model over the original's: 0.98 is 2 % lost
    perplexity: float  # perplexity of the pruned model over the original's
    original: ProductionMetrics
    pruned: ProductionMetrics


def evaluate_production_metrics(model: GPT2, test_data: Tensor | None = None, repeats: int = 15) -> dict[str, Any]:
    """Measure ``model`` as it would be served; returns the fields of `ProductionMetrics` as a dictionary.

    ``test_data``: windows of token ids (N, T), T >= 2; by default 24 of the held-out plays' pages.

    Each pass is timed on the clock, after one pass that is not counted. Compare models by the median; a service is
    held to p95 and p99, which of few repeats are close to the slowest, and which say nothing of waiting in a queue
    (`serving.load_test` does). The model is left as it was. Raises ValueError for data that are no windows of ids.
    """
    measured, _ = _measure({"model": as_gpt2(model)}, test_data, repeats)
    return asdict(measured["model"])


def deployment_analysis(
    original_model: GPT2, pruned_model: GPT2, test_data: Tensor | None = None, repeats: int = 15
) -> dict[str, Any]:
    """Measure both models as they would be served; returns the fields of `DeploymentAnalysis` as a dictionary.

    The two take turns while they are timed, so that a busy machine slows both about alike. Raises as
    `evaluate_production_metrics` does, and ValueError for models with different vocabularies.
    """
    original_model, pruned_model = as_gpt2(original_model), as_gpt2(pruned_model)
    if original_model.config.vocab_size != pruned_model.config.vocab_size:
        raise ValueError(
            f"The models have vocabularies of {original_model.config.vocab_size} and "
            f"{pruned_model.config.vocab_size} tokens: they can't be compared on the same text."
        )
    measured, times = _measure({"original": original_model, "pruned": pruned_model}, test_data, repeats)
    rounds = [a / b for a, b in zip(times["original"].prefill, times["pruned"].prefill, strict=True)]
    before, after = measured["original"], measured["pruned"]
    tokens = before.protocol.prefill_tokens
    work = [sum(metrics.flops(model, tokens).values()) for model in (original_model, pruned_model)]
    analysis = DeploymentAnalysis(
        compression=before.packed / after.packed,
        compression_int8=before.packed_int8 / after.packed_int8,
        int8_alone=before.packed / before.packed_int8,
        memory=before.memory / after.memory,
        kv_cache=before.kv_cache / after.kv_cache,
        speedup=before.latency / after.latency,
        speedup_range=(percentile(rounds, 25), percentile(rounds, 75)),
        speedup_decode=before.time_per_output_token / after.time_per_output_token,
        flops=work[0] / work[1],
        quality=after.accuracy / before.accuracy if before.accuracy else math.nan,
        perplexity=after.perplexity / before.perplexity,
        original=before,
        pruned=after,
    )
    return asdict(analysis)


def analysis_table(report: Mapping[str, Any]) -> str:
    """Return a `deployment_analysis` as a Markdown table, with the protocol below it."""
    before, after, p = report["original"], report["pruned"], report["original"]["protocol"]

    def row(what: str, key: str, unit: float, text: str, gain: str) -> str:
        return f"| {what} | {before[key] / unit:{text}} | {after[key] / unit:{text}} | {gain} |"

    lines = [
        "| metric | original | pruned | change |",
        "|-|-:|-:|-:|",
        row(f"first token after {p['prefill_tokens']}, ms, p50", "latency", 1e-3, ".1f", faster(report)),
        row("the same, p95", "latency_p95", 1e-3, ".1f", ""),
        row("the same, p99", "latency_p99", 1e-3, ".1f", ""),
        row("each token after it, ms, p50", "time_per_output_token", 1e-3, ".2f", f"{report['speedup_decode']:.2f}x"),
        row("the same, p95", "time_per_output_token_p95", 1e-3, ".2f", ""),
        row("the same, p99", "time_per_output_token_p99", 1e-3, ".2f", ""),
        row("weights in memory, MB", "memory", 1e6, ".2f", f"{report['memory']:.2f}x"),
        row("KV cache of a full context, MB", "kv_cache", 1e6, ".2f", f"{report['kv_cache']:.2f}x"),
        row("file as it is, MB", "file", 1e6, ".2f", f"{before['file'] / after['file']:.2f}x"),
        row("packed, MB", "packed", 1e6, ".2f", f"**{report['compression']:.2f}x**"),
        row("packed in int8, MB", "packed_int8", 1e6, ".2f", f"**{report['compression_int8']:.2f}x**"),
        f"| *int8 alone, nothing pruned* | | | {report['int8_alone']:.2f}x |",
        row("top-1 accuracy, %", "accuracy", 0.01, ".2f", f"{report['quality']:.1%} kept"),
        row("perplexity", "perplexity", 1, ".2f", f"{report['perplexity']:.2f}x"),
        f"| operations | | | {report['flops']:.2f}x fewer |",
        "",
        f"{p['device']}, {p['dtype']}, {p['threads']} threads; median of {p['repeats']} passes in turns after "
        f"{p['warm_up']} warm-up (in brackets the middle half of the rounds); quality on {p['test_tokens']:,} tokens.",
    ]
    return "\n".join(lines)


def faster(report: Mapping[str, Any]) -> str:
    """Return a report's speed-up with its range over the rounds: "1.2x (1.1 to 1.3)"."""
    low, high = report["speedup_range"]
    return f"{report['speedup']:.1f}x ({low:.1f} to {high:.1f})"


@torch.inference_mode()
def _measure(
    models: Mapping[str, GPT2], test_data: Tensor | None, repeats: int
) -> tuple[dict[str, ProductionMetrics], dict[str, _Times]]:
    """Return each model's metrics, and the times behind them."""
    if repeats < 1:
        raise ValueError(f"At least one repeat is needed; got {repeats}.")
    first = next(iter(models.values()))
    if test_data is None:
        if first.tokenizer is None:
            raise ValueError("The model carries no tokenizer: give test_data, windows of token ids (N, T).")
        test_data = held_out_windows(first.tokenizer, first.config.n_positions, PAGES)
    quality = {name: metrics.evaluate(model, test_data) for name, model in models.items()}  # checks the data, too
    context = min(model.config.n_positions for model in models.values())
    reading = min(PREFILL, context - 1, test_data.size(1))
    writing = min(DECODE, context - reading)
    times = _time(models, test_data[:1, :reading], writing, repeats)
    found = {
        name: ProductionMetrics(
            latency=statistics.median(times[name].prefill),
            latency_p95=p95(times[name].prefill),
            latency_p99=p99(times[name].prefill),
            time_per_output_token=statistics.median(times[name].decode),
            time_per_output_token_p95=p95(times[name].decode),
            time_per_output_token_p99=p99(times[name].decode),
            memory=sum(p.numel() * p.element_size() for p in model.parameters()),
            kv_cache=metrics.kv_cache_bytes(model, model.config.n_positions),
            peak_memory=times[name].peak_memory,
            file=len(safetensors.torch.save({n: p.detach().contiguous() for n, p in model.named_parameters()})),
            packed=packed_sizes(model).file,
            packed_int8=packed_sizes(model, int8=True).file,
            accuracy=quality[name].accuracy,
            perplexity=quality[name].perplexity,
            bits_per_character=quality[name].bits_per_character,
            protocol=Protocol(
                device=str(model.wte.weight.device),
                dtype=str(model.wte.weight.dtype).removeprefix("torch."),
                threads=torch.get_num_threads(),
                batch=1,
                prefill_tokens=reading,
                decode_tokens=writing,
                warm_up=1,
                repeats=repeats,
                test_tokens=quality[name].tokens,
            ),
        )
        for name, model in models.items()
    }
    return found, times


@dataclass
class _Times:
    """Measurements of one model: seconds of each prompt and of each token after it; peak resident memory."""

    prefill: list[float] = field(default_factory=list[float])
    decode: list[float] = field(default_factory=list[float])
    peak_memory: int = 0


def _time(models: Mapping[str, GPT2], prompt: Tensor, new_tokens: int, repeats: int) -> dict[str, _Times]:
    times = {name: _Times() for name in models}
    modes = {name: model.training for name, model in models.items()}
    try:
        for name, counts in turns([*models], repeats):
            _forget_peak()
            first, *rest = _pass(models[name].eval(), prompt, new_tokens)
            times[name].peak_memory = max(times[name].peak_memory, _peak())
            if counts:
                times[name].prefill.append(first)
                times[name].decode += rest
    finally:
        for name, model in models.items():
            model.train(modes[name])
    return times


def _pass(model: GPT2, prompt: Tensor, new_tokens: int) -> Iterator[float]:
    """Return the seconds to read ``prompt`` (1, T), and those of each of the ``new_tokens`` tokens after it."""
    cache = KVCache(prompt.size(1) + new_tokens)
    fed = prompt.to(model.wte.weight.device)

    def write() -> None:
        nonlocal fed
        fed = model.next_logits(fed, cache).argmax(-1, keepdim=True)  # (1, 1)

    for _ in range(1 + new_tokens):
        yield wall_seconds(write)


def _forget_peak() -> None:
    """Reset the peak of resident memory on Linux; elsewhere it is that of the process's whole life."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Return the peak resident memory of this process so far, in bytes."""
    with suppress(OSError, IndexError):
        return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    if sys.platform == "win32":
        return need("psutil", "deploy").Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
