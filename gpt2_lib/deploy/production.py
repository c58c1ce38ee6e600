"""What counts in production: how long, how large, how good; and a pruned model against the one it came from."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from .. import metrics
from ..corpus import held_out_windows
from ..gpt2 import GPT2, KVCache
from ..storage.packed import packed_sizes

PREFILL = 128  # tokens that are read at once, or as many as the model's context allows
DECODE = 16  # tokens that are then written one by one
PAGES = 24  # of the held-out plays, where no other data are given


def evaluate_production_metrics(model: GPT2, test_data: Tensor | None = None, repeats: int = 15) -> dict[str, Any]:
    """Measure ``model`` as it would be served: one sequence at a time, on this machine, with torch as it is set now.

    ``test_data``: windows of token ids (N, T), T >= 2; by default 24 of the held-out plays' pages.

    ============================= =======================================================================
    ``latency``, ``latency_p95``  seconds to read a prompt of 128 tokens (prefill): median, 95th percentile
    ``decode``, ``decode_p95``    seconds for each token written after it, with a key-value cache
    ``memory``                    bytes of the weights in memory, a tied one once
    ``peak_memory``               bytes: the largest resident memory of this whole process while it ran
    ``file``                      bytes as safetensors, every zero written out
    ``packed``, ``packed_int8``   bytes as `packed.save_packed` writes it, exactly and in int8
    ``accuracy``, ``perplexity``, next-token quality on ``test_data`` (`metrics.evaluate`)
    ``bits_per_character``
    ``protocol``                  how it was measured: threads, repeats, warm-up, tokens, device, dtype
    ============================= =======================================================================

    Each pass is timed on the clock, after one pass that is not counted. The 95th percentile of few repeats is
    close to the slowest one. The model is left as it was. Raises ValueError for data that are no windows of ids.
    """
    return _measure({"model": model}, test_data, repeats)["model"]


def deployment_analysis(
    original_model: GPT2, pruned_model: GPT2, test_data: Tensor | None = None, repeats: int = 15
) -> dict[str, Any]:
    """What pruning has bought and what it cost: ratios of `evaluate_production_metrics` of both models.

    ================================= ===================================================================
    ``compression``                   original's file over the pruned model's packed file (exact weights)
    ``compression_int8``              original's file over the pruned model's packed file in int8
    ``memory``                        weights in memory, original over pruned: zeros don't change it
    ``speedup``, ``speedup_decode``   time of the original over time of the pruned one
    ``flops``                         operations of the original over those of the pruned one: what to hope for
    ``quality``                       accuracy of the pruned model over the original's: 0.98 is 2 % lost
    ``perplexity``                    perplexity of the pruned model over the original's
    ``original``, ``pruned``          both models' metrics
    ================================= ===================================================================

    The two take turns while they are timed, so that a busy machine slows both alike.
    """
    if original_model.config.vocab_size != pruned_model.config.vocab_size:
        raise ValueError(
            f"The models have vocabularies of {original_model.config.vocab_size} and "
            f"{pruned_model.config.vocab_size} tokens: they can't be compared on the same text."
        )
    measured = _measure({"original": original_model, "pruned": pruned_model}, test_data, repeats)
    before, after = measured["original"], measured["pruned"]
    tokens = before["protocol"]["prefill_tokens"]
    work = [sum(metrics.flops(model, tokens).values()) for model in (original_model, pruned_model)]
    return {
        "compression": before["file"] / after["packed"],
        "compression_int8": before["file"] / after["packed_int8"],
        "memory": before["memory"] / after["memory"],
        "speedup": before["latency"] / after["latency"],
        "speedup_decode": before["decode"] / after["decode"],
        "flops": work[0] / work[1],
        "quality": after["accuracy"] / before["accuracy"] if before["accuracy"] else math.nan,
        "perplexity": after["perplexity"] / before["perplexity"],
        **measured,
    }


def analysis_table(report: Mapping[str, Any]) -> str:
    """A `deployment_analysis` as a Markdown table, with the protocol under it."""
    before, after, p = report["original"], report["pruned"], report["original"]["protocol"]

    def row(what: str, key: str, unit: float, text: str, gain: str) -> str:
        return f"| {what} | {before[key] / unit:{text}} | {after[key] / unit:{text}} | {gain} |"

    lines = [
        "| | original | pruned | |",
        "|-|-:|-:|-:|",
        row(f"{p['prefill_tokens']} tokens read, ms, median", "latency", 1e-3, ".1f", f"{report['speedup']:.2f}x"),
        row("the same, 95th percentile", "latency_p95", 1e-3, ".1f", ""),
        row("a token written, ms, median", "decode", 1e-3, ".2f", f"{report['speedup_decode']:.2f}x"),
        row("weights in memory, MB", "memory", 1e6, ".2f", f"{report['memory']:.2f}x"),
        row("file as it is, MB", "file", 1e6, ".2f", f"{before['file'] / after['file']:.2f}x"),
        f"| packed, MB (gain over the original's file) | {before['packed'] / 1e6:.2f} | {after['packed'] / 1e6:.2f} "
        f"| **{report['compression']:.2f}x** |",
        f"| packed in int8, MB (the same) | {before['packed_int8'] / 1e6:.2f} | {after['packed_int8'] / 1e6:.2f} "
        f"| **{report['compression_int8']:.2f}x** |",
        row("top-1 accuracy, %", "accuracy", 0.01, ".2f", f"{report['quality']:.1%} kept"),
        row("perplexity", "perplexity", 1, ".2f", f"{report['perplexity']:.2f}x"),
        f"| operations | | | {report['flops']:.2f}x fewer |",
        "",
        f"{p['device']}, {p['dtype']}, {p['threads']} threads; median of {p['repeats']} passes in turns after "
        f"{p['warm_up']} warm-up; quality on {p['test_tokens']:,} tokens.",
    ]
    return "\n".join(lines)


@torch.inference_mode()
def _measure(models: Mapping[str, GPT2], test_data: Tensor | None, repeats: int) -> dict[str, dict[str, Any]]:
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
    prompt = test_data[:1, :reading]
    modes = {name: model.training for name, model in models.items()}
    prefill: dict[str, list[float]] = {name: [] for name in models}
    decode: dict[str, list[float]] = {name: [] for name in models}
    peaks = dict.fromkeys(models, 0)
    try:
        for round_ in range(1 + repeats):
            for name, model in models.items():
                model.eval()
                _forget_peak()
                took, each = _pass(model, prompt, writing)
                peaks[name] = max(peaks[name], _peak())
                if round_ > 0:
                    prefill[name].append(took)
                    decode[name] += each
    finally:
        for name, model in models.items():
            model.train(modes[name])
    found: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        weight = model.wte.weight
        found[name] = {
            "latency": statistics.median(prefill[name]),
            "latency_p95": _p95(prefill[name]),
            "decode": statistics.median(decode[name]),
            "decode_p95": _p95(decode[name]),
            "memory": sum(p.numel() * p.element_size() for p in model.parameters()),
            "peak_memory": peaks[name],
            "file": len(safetensors.torch.save({n: p.detach().contiguous() for n, p in model.named_parameters()})),
            "packed": packed_sizes(model).file,
            "packed_int8": packed_sizes(model, int8=True).file,
            "accuracy": quality[name].accuracy,
            "perplexity": quality[name].perplexity,
            "bits_per_character": quality[name].bits_per_character,
            "protocol": {
                "device": str(weight.device),
                "dtype": str(weight.dtype).removeprefix("torch."),
                "threads": torch.get_num_threads(),
                "batch": 1,
                "prefill_tokens": reading,
                "decode_tokens": writing,
                "warm_up": 1,
                "repeats": repeats,
                "test_tokens": quality[name].tokens,
            },
        }
    return found


def _pass(model: GPT2, prompt: Tensor, new_tokens: int) -> tuple[float, list[float]]:
    """Seconds to read ``prompt`` (1, T), and seconds of each of ``new_tokens`` tokens written after it."""
    cache = KVCache(prompt.size(1) + new_tokens)
    fed = prompt.to(model.wte.weight.device)
    times: list[float] = []
    for _ in range(1 + new_tokens):
        started = time.perf_counter()
        fed = model.head(model.hidden(fed, cache)[:, -1]).argmax(-1, keepdim=True)  # (1, 1)
        fed.item()  # waits for a GPU
        times.append(time.perf_counter() - started)
    return times[0], times[1:]


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def _forget_peak() -> None:
    """Let Linux count the peak of resident memory anew; elsewhere it stays that of the process's whole life."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The largest resident memory of this process so far, in bytes."""
    with suppress(OSError, IndexError):
        return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
