"""One-shot pruning of gpt2-mini: magnitude, Wanda, SparseGPT and ADMM, with the same calibration text.

python benchmarks/one_shot.py [--folder build/one_shot] [--out docs/benchmarks.md]

A run that was killed goes on where it was: ``--folder`` has what was measured. Exits with an error when a bar is
missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypedDict

import torch
from report import environment, first_line, publish, table
from torch import Tensor

from gpt2_lib import GPT2, corpus, load_pretrained_gpt2
from gpt2_lib.metrics import evaluate
from gpt2_lib.pruning import scores, selection
from gpt2_lib.pruning.admm import admm
from gpt2_lib.pruning.calibration import block_by_block, hessians, input_norms
from gpt2_lib.pruning.pruner import ModelPruner, prunable_weights
from gpt2_lib.pruning.sparsegpt import sparsegpt

SEEDS = (0, 1, 2)
WINDOWS = 128  # of calibration text a seed, 256 tokens each
EVERY = 3  # one held-out window of so many is measured

Target = float | tuple[int, int]  # a sparsity, or n:m
TARGETS: dict[str, Target] = {"50 %": 0.5, "60 %": 0.6, "70 %": 0.7, "2:4": (2, 4)}

BARS = {"50 %": 28.3, "60 %": 30.5, "70 %": 38.0, "2:4": 32.0}  # ADMM's perplexity, for every seed
TIMES = 4.0  # of SparseGPT's CPU time

PROTOCOL = """\
Every attention and feed-forward matrix of gpt2-mini is pruned in one shot, nothing is trained afterwards. Calibration:
{windows} windows of 256 tokens from random places of the training plays, {seeds} seeds; block after block, the
statistics taken anew after the earlier blocks are pruned. Magnitude: each matrix on its own. Wanda: each row on its
own. SparseGPT: blocks of 128 inputs, damping 1 %. ADMM: `prune_admm`, each matrix on its own; "outputs alike": without
the gradients that say what each output counts for. Perplexity on one of every {every} held-out windows ({tokens:,}
tokens; dense: {dense:.2f}), mean over the seeds, lowest and highest in brackets. CPU time as
a multiple of SparseGPT's is the whole verb's, calibration included, one thread, the two in turns. Bars, for every
seed: ADMM <= SparseGPT <= Wanda <= magnitude; ADMM at most {bars}; at most {times:g} times SparseGPT's time."""


def magnitude(model: GPT2, names: list[str], target: Target, _: object) -> None:
    """Prune a block's matrices, each on its own, the smallest weights first."""
    w = {name: model.get_parameter(name) for name in names}
    _keep(w, selection.n_m_masks(w, *target) if isinstance(target, tuple) else selection.layer_masks(w, target))


def wanda(model: GPT2, names: list[str], target: Target, text: Any) -> None:
    """Prune a block's matrices row by row, by weight times input norm."""
    w = {name: model.get_parameter(name) for name in names}
    s = scores.wanda(w, input_norms(model, text, names))
    _keep(w, selection.n_m_masks(s, *target) if isinstance(target, tuple) else selection.row_masks(s, target))


@torch.no_grad()
def solve(model: GPT2, names: list[str], target: Target, text: Any) -> None:
    """Prune and correct a block's matrices with SparseGPT."""
    sparsity, n_m = (None, target) if isinstance(target, tuple) else (target, None)
    for name, hessian in hessians(model, text, names).items():
        weight = model.get_parameter(name)
        weight.copy_(sparsegpt(weight, hessian, sparsity, n_m))


@torch.no_grad()
def _keep(weights: Mapping[str, Tensor], masks: dict[str, Tensor]) -> None:
    for name, mask in masks.items():
        weights[name].masked_fill_(~mask, 0.0)


def admm_alike(model: GPT2, names: list[str], target: Target, text: Any) -> None:
    """Prune and correct a block's matrices with ADMM, every output counting the same."""
    sparsity, n_m = (None, target) if isinstance(target, tuple) else (target, None)
    with torch.no_grad():
        for name, hessian in hessians(model, text, names).items():
            weight = model.get_parameter(name)
            weight.copy_(admm(weight, hessian, sparsity, n_m))


BY_BLOCK: dict[str, Callable[[GPT2, list[str], Target, Any], None]] = {
    "magnitude": magnitude,
    "Wanda": wanda,
    "SparseGPT": solve,
    "ADMM, outputs alike": admm_alike,
}
METHODS = (*BY_BLOCK, "ADMM")


class Found(TypedDict):
    """What one pruned model was measured to have."""

    perplexity: float
    seconds: float  # CPU time to prune


def pruned(model: GPT2, method: str, target: Target, windows: Tensor) -> GPT2:
    """A pruned copy of ``model``, calibrated block after block on ``windows`` (N, T)."""
    model = deepcopy(model)
    if method == "ADMM":
        sparsity, n_m = (None, target) if isinstance(target, tuple) else (target, None)
        ModelPruner(model).prune_admm(windows, sparsity, n_m)
        return model
    for names, text in block_by_block(model, windows, list(prunable_weights(model)), method):
        BY_BLOCK[method](model, names, target, text)
    return model


def calibration_windows(ids: Tensor, length: int, seed: int, count: int = WINDOWS) -> Tensor:
    """Windows (count, length) from random places of the training plays ``ids`` (n,)."""
    return corpus.random_batch(ids, count, length, torch.Generator().manual_seed(seed))[0]


def measure_one(model: GPT2, held_out: Tensor, method: str, name: str, seed: int, folder: Path) -> Found:
    """What ``folder`` has, or what is measured now."""
    file = folder / f"{method}, {name}, {seed}.json".replace(" ", "_").replace(":", "_")
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    assert model.tokenizer is not None
    ids = corpus.encode(corpus.training_plays(), model.tokenizer)
    windows = calibration_windows(ids, model.config.n_positions, seed)
    started = time.process_time()
    smaller = pruned(model, method, TARGETS[name], windows)
    seconds = time.process_time() - started
    found = Found(perplexity=evaluate(smaller, held_out).perplexity, seconds=seconds)
    print(method, name, seed, found, flush=True)
    file.write_text(json.dumps(found), encoding="utf-8")
    return found


def measure(model: GPT2, held_out: Tensor, folder: Path) -> dict[str, dict[str, list[Found]]]:
    """{target: {method: what was found for each seed}}."""
    found: dict[str, dict[str, list[Found]]] = {name: {method: [] for method in METHODS} for name in TARGETS}
    for name in TARGETS:
        for seed in SEEDS:
            for method in METHODS:
                if seed == SEEDS[0] or method != "magnitude":  # which reads no text
                    found[name][method].append(measure_one(model, held_out, method, name, seed, folder))
    return found


def missed(name: str, found: dict[str, list[Found]]) -> list[str]:
    """The bars that are missed at a target."""
    ppl = {method: [f["perplexity"] for f in of_method] for method, of_method in found.items()}
    ppl["magnitude"] *= len(SEEDS)
    sentences = []
    order = ("ADMM", "SparseGPT", "Wanda", "magnitude")
    for values in zip(*(ppl[method] for method in order), strict=True):
        if list(values) != sorted(values):
            sentences.append(f"{' <= '.join(order)} doesn't hold at {name}")
    if max(ppl["ADMM"]) > BARS[name]:
        sentences.append(f"ADMM at {name} reaches {max(ppl['ADMM']):.2f}, not {BARS[name]}")
    if _times(found) > TIMES:
        sentences.append(f"ADMM at {name} takes {_times(found):.1f} times SparseGPT's time, not {TIMES:g}")
    return sentences


def _times(found: dict[str, list[Found]]) -> float:
    """ADMM's CPU time over SparseGPT's: the median of the seeds' ratios."""
    pairs = zip(found["ADMM"], found["SparseGPT"], strict=True)
    return statistics.median(ours["seconds"] / theirs["seconds"] for ours, theirs in pairs)


def _cell(found: list[Found]) -> str:
    values = [f["perplexity"] for f in found]
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=first_line(__doc__))
    parser.add_argument("--folder", type=Path, default=Path("build/one_shot"), help="what was measured so far")
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = load_pretrained_gpt2()
    assert model.tokenizer is not None
    held_out = corpus.held_out_windows(model.tokenizer, model.config.n_positions)[::EVERY]
    dense = evaluate(model, held_out)
    found = measure(model, held_out, given.folder)
    protocol = PROTOCOL.format(
        windows=WINDOWS,
        seeds=len(SEEDS),
        every=EVERY,
        tokens=dense.tokens,
        dense=dense.perplexity,
        bars=", ".join(f"{bar:g} at {name}" for name, bar in BARS.items()),
        times=TIMES,
    )
    rows = [[name, *map(_cell, of.values()), f"{_times(of):.1f}"] for name, of in found.items()]
    text = table(["perplexity at", *METHODS, "ADMM's time / SparseGPT's"], rows)
    sentences = [sentence for name, of in found.items() for sentence in missed(name, of)]
    publish("one_shot", f"## One-shot pruning\n\n{protocol}\n\n{environment()}.\n\n{text}", given.out, sentences)


if __name__ == "__main__":
    main()
