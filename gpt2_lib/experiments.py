"""Phase 1 as a program: prune the real model in every way and measure what is left.

``python -m gpt2_lib.experiments`` prints the table and draws the curves to a PNG.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm.auto import tqdm

from . import plots
from .checkpoints import CheckpointError, load_pretrained_gpt2
from .corpus import held_out_windows
from .generate import generate
from .gpt2 import GPT2
from .metrics import evaluate
from .pruner import ModelPruner, quick_magnitude_prune

SPARSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PROMPT = "**MACBETH**  \n"


@dataclass(frozen=True)
class Method:
    """A way to prune: ``prune(model, attention, feedforward)`` cuts in place.

    ``separate``: whether attention and feed-forward weights can have sparsities of their own.
    """

    name: str
    prune: Callable[[GPT2, float, float], object]
    separate: bool


def _prune_globally(model: GPT2, sparsity: float, _: float) -> None:
    ModelPruner(model).prune_globally(sparsity)


# Every method of the course; a new one joins the table, the curves and the explorer from here.
METHODS = (
    Method("magnitude, layer by layer", quick_magnitude_prune, separate=True),
    Method("magnitude, global", _prune_globally, separate=False),
)


@dataclass(frozen=True)
class Point:
    """What was measured at one sparsity."""

    method: str
    sparsity: float
    perplexity: float
    accuracy: float
    bits_per_character: float
    sample: str


def measure(model: GPT2, windows: Tensor, method: str, sparsity: float, prompt: str = PROMPT) -> Point:
    """Measure ``model`` as it is on ``windows`` (N, T) and let it write a few words."""
    quality = evaluate(model, windows)
    sample = generate(model, prompt, 40, seed=1)
    return Point(method, sparsity, quality.perplexity, quality.accuracy, quality.bits_per_character, sample)


def sweep(
    model: GPT2, windows: Tensor, sparsities: Iterable[float] = SPARSITIES, methods: Iterable[Method] = METHODS
) -> list[Point]:
    """Prune a copy of ``model`` with each method to each sparsity, in one shot, and measure it."""
    jobs = [(method, sparsity) for method in methods for sparsity in sparsities]
    points = []
    for method, sparsity in tqdm(jobs, desc="pruning and measuring"):
        pruned = deepcopy(model)
        method.prune(pruned, sparsity, sparsity)
        points.append(measure(pruned, windows, method.name, sparsity))
    return points


def table(points: Iterable[Point]) -> str:
    """The points as a Markdown table."""
    lines = ["| method | sparsity | perplexity | accuracy | bits per character |", "|-|-:|-:|-:|-:|"]
    lines += [
        f"| {p.method} | {p.sparsity:.0%} | {p.perplexity:,.1f} | {p.accuracy:.1%} | {p.bits_per_character:.3f} |"
        for p in points
    ]
    return "\n".join(lines)


def draw(points: list[Point], path: Path) -> None:
    """Draw the curves to a PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    plots.quality_curves(*figure.subplots(1, 2), points)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gpt2_lib.experiments", description=__doc__)
    parser.add_argument("--model", default="gpt2-mini", help="a name or folder that load_pretrained_gpt2 takes")
    parser.add_argument("--windows", type=int, default=40, help="held-out windows to measure on (default: 40)")
    parser.add_argument("--out", type=Path, default=Path("build/curves.png"), help="where the picture goes")
    arguments = parser.parse_args()
    if arguments.windows < 1:
        parser.error("--windows must be at least 1")
    torch.manual_seed(0)
    try:
        model, tokenizer = load_pretrained_gpt2(arguments.model)
    except CheckpointError as error:
        parser.error(str(error))
    windows = held_out_windows(tokenizer, model.config.n_positions, arguments.windows)
    points = sweep(model, windows)
    print(table(points))
    for point in points:
        if point.sparsity in (0.0, 0.5, 0.8):
            print(f"\n--- {point.method}, {point.sparsity:.0%}\n{point.sample}")
    draw(points, arguments.out)
    print(f"\nMeasured on {windows.size(0)} held-out windows of {windows.size(1)} tokens; curves: {arguments.out}")


if __name__ == "__main__":
    main()
