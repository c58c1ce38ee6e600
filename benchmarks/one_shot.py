"""One-shot pruning of gpt2-mini: magnitude, Wanda and SparseGPT, with the same calibration text.

python benchmarks/one_shot.py [--out docs/benchmarks.md]

Exits with an error when the order SparseGPT <= Wanda <= magnitude doesn't hold.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy

import torch
from report import arguments, environment, publish, table
from torch import Tensor

from gpt2_lib import GPT2, corpus, load_pretrained_gpt2
from gpt2_lib.metrics import evaluate
from gpt2_lib.pruning import scores, selection
from gpt2_lib.pruning.calibration import hessians, input_norms, layer_groups
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.sparsegpt import sparsegpt

SEEDS = (0, 1, 2)
WINDOWS = 128  # of calibration text a seed, 256 tokens each
EVERY = 3  # one held-out window of so many is measured

Target = float | tuple[int, int]  # a sparsity, or n:m
TARGETS: dict[str, Target] = {"50 %": 0.5, "60 %": 0.6, "2:4": (2, 4)}

PROTOCOL = """\
Every attention and feed-forward matrix of gpt2-mini is pruned in one shot, nothing is trained afterwards. Calibration:
{windows} windows of 256 tokens from random places of the training plays, {seeds} seeds; block after block, the
statistics taken anew after the earlier blocks are pruned. Magnitude: each matrix on its own. Wanda: each row on its
own. SparseGPT: blocks of 128 inputs, damping 1 %. Perplexity on one of every {every} held-out windows ({tokens:,}
tokens; dense: {dense:.2f}), mean over the seeds, lowest and highest in brackets. Bar: SparseGPT <= Wanda <= magnitude
for every seed."""


def magnitude(model: GPT2, names: list[str], target: Target, _: Tensor) -> None:
    """Prune a block's matrices, each on its own, the smallest weights first."""
    w = {name: model.get_parameter(name) for name in names}
    _keep(w, selection.n_m_masks(w, *target) if isinstance(target, tuple) else selection.layer_masks(w, target))


def wanda(model: GPT2, names: list[str], target: Target, windows: Tensor) -> None:
    """Prune a block's matrices row by row, by weight times input norm."""
    w = {name: model.get_parameter(name) for name in names}
    s = scores.wanda(w, input_norms(model, windows, names))
    _keep(w, selection.n_m_masks(s, *target) if isinstance(target, tuple) else selection.row_masks(s, target))


@torch.no_grad()
def solve(model: GPT2, names: list[str], target: Target, windows: Tensor) -> None:
    """Prune and correct a block's matrices with SparseGPT."""
    sparsity, n_m = (None, target) if isinstance(target, tuple) else (target, None)
    for name, hessian in hessians(model, windows, names).items():
        weight = model.get_parameter(name)
        weight.copy_(sparsegpt(weight, hessian, sparsity, n_m))


@torch.no_grad()
def _keep(weights: Mapping[str, Tensor], masks: dict[str, Tensor]) -> None:
    for name, mask in masks.items():
        weights[name].masked_fill_(~mask, 0.0)


METHODS: dict[str, Callable[[GPT2, list[str], Target, Tensor], None]] = {
    "magnitude": magnitude,
    "Wanda": wanda,
    "SparseGPT": solve,
}


def pruned(model: GPT2, method: str, target: Target, windows: Tensor) -> GPT2:
    """A pruned copy of ``model``, calibrated block after block on ``windows`` (N, T)."""
    model = deepcopy(model)
    for names in layer_groups(model, list(prunable_weights(model))):
        METHODS[method](model, names, target, windows)
    return model


def calibration_windows(ids: Tensor, length: int, seed: int, count: int = WINDOWS) -> Tensor:
    """Windows (count, length) from random places of the training plays ``ids`` (n,)."""
    return corpus.random_batch(ids, count, length, torch.Generator().manual_seed(seed))[0]


def measure(model: GPT2, held_out: Tensor) -> dict[str, dict[str, list[float]]]:
    """{target: {method: perplexity for each seed}}."""
    assert model.tokenizer is not None
    ids = corpus.encode(corpus.training_plays(), model.tokenizer)
    found: dict[str, dict[str, list[float]]] = {}
    for name, target in TARGETS.items():
        found[name] = {method: [] for method in METHODS}
        for method in METHODS:
            for seed in SEEDS if method != "magnitude" else SEEDS[:1]:  # magnitude reads no text
                windows = calibration_windows(ids, model.config.n_positions, seed)
                quality = evaluate(pruned(model, method, target, windows), held_out)
                found[name][method].append(quality.perplexity)
    return found


def in_order(perplexities: dict[str, list[float]]) -> bool:
    """Whether SparseGPT <= Wanda <= magnitude for every seed."""
    ours, wanda_, plain = (perplexities[method] for method in ("SparseGPT", "Wanda", "magnitude"))
    return all(a <= b <= plain[0] for a, b in zip(ours, wanda_, strict=True))


def _cell(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    model = load_pretrained_gpt2()
    assert model.tokenizer is not None
    held_out = corpus.held_out_windows(model.tokenizer, model.config.n_positions)[::EVERY]
    dense = evaluate(model, held_out)
    found = measure(model, held_out)
    protocol = PROTOCOL.format(
        windows=WINDOWS, seeds=len(SEEDS), every=EVERY, tokens=dense.tokens, dense=dense.perplexity
    )
    rows = [[name, *map(_cell, perplexities.values())] for name, perplexities in found.items()]
    text = table(["perplexity at", *METHODS], rows)
    publish("one_shot", f"## One-shot pruning\n\n{protocol}\n\n{environment()}.\n\n{text}", page)
    missed = [name for name, perplexities in found.items() if not in_order(perplexities)]
    if missed:
        sys.exit(f"SparseGPT <= Wanda <= magnitude doesn't hold at {', '.join(missed)}.")


if __name__ == "__main__":
    main()
