"""Phase 1 as a program: prune the real model with every method and measure the result.

``python -m gpt2_lib.experiments`` prints the table and draws the curves to a PNG, always on the plays;
``python -m gpt2_lib compare`` measures on a text of your own.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm.auto import tqdm

from .. import plots
from ..checkpoints import CheckpointError, load_pretrained_gpt2
from ..corpus import calibration_windows, held_out_windows
from ..files import replace_whole
from ..generate import generate
from ..gpt2 import GPT2
from ..metrics import evaluate, sparsity
from ..pruning.gradual import RECOVERY, GradualRun
from ..pruning.methods.registry import find_method
from ..pruning.pruner import ModelPruner, prunable_weights, quick_magnitude_prune
from ..pruning.schedules import Schedule, linear_sparsity
from ..system.command import count, output_file, run

SPARSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GRADUAL_SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9)
PROMPT = "**MACBETH**  \n"
REFIT_PAGES = 8  # that structured pruning gets: few, since the explorer waits for it


@dataclass(frozen=True)
class Method:
    """A method that prunes in one shot: ``prune(model, attention, feedforward)`` works in place.

    ``separate``: whether attention and feed-forward weights can have different sparsities; other methods use the
    first of the two.
    """

    name: str
    prune: Callable[[GPT2, float, float], object]
    separate: bool = False


def _pages(model: GPT2, count: int = 64) -> Tensor:
    """Return windows of the training plays, of the model's full context."""
    assert model.tokenizer is not None
    return calibration_windows(model.tokenizer, model.config.n_positions, count)


def _prune_structures(model: GPT2, attention: float, feedforward: float) -> None:
    one_head = 1 - 1 / min(model.config.heads)  # of each block's heads one stays, however high the sparsity
    ModelPruner(model).prune_structures(min(attention, one_head), feedforward, _pages(model, REFIT_PAGES))


def _prune_by_parts(model: GPT2, attention: float, feedforward: float) -> None:
    quick_magnitude_prune(model, attention, feedforward)


def _from_registry(name: str) -> Method:
    """Return a method of the registry; one that needs text gets always the same 64 training windows."""
    method = find_method(name)

    def run(model: GPT2, sparsity: float, _: float) -> None:
        ModelPruner(model).prune(name, sparsity, text=_pages(model) if method.text == "needed" else None)

    return Method(method.title, run)


# The course's methods in one shot: they join the table, the curves and the explorer from here.
METHODS = (
    replace(_from_registry("magnitude"), prune=_prune_by_parts, separate=True),
    _from_registry("magnitude-global"),
    replace(_from_registry("structured"), prune=_prune_structures, separate=True),
)
# Besides the four: random pruning, and the methods that need text.
BEYOND = tuple(map(_from_registry, ("random", "taylor", "taylor-global", "wanda", "sparsegpt", "admm")))


@dataclass(frozen=True)
class Point:
    """The measurements at one sparsity."""

    method: str
    sparsity: float  # zeros among the prunable weights, to three digits
    perplexity: float
    accuracy: float
    bits_per_character: float
    sample: str


def measure(model: GPT2, windows: Tensor, method: str, prompt: str = PROMPT) -> Point:
    """Measure ``model`` on ``windows`` (N, T) and let it generate a short sample."""
    quality = evaluate(model, windows)
    zeros = sparsity(prunable_weights(model).values())
    sample = generate(model, prompt, 40, seed=1)
    return Point(method, round(zeros, 3), quality.perplexity, quality.accuracy, quality.bits_per_character, sample)


def sweep(
    model: GPT2, windows: Tensor, sparsities: Iterable[float] = SPARSITIES, methods: Iterable[Method] = METHODS
) -> list[Point]:
    """Prune a copy of ``model`` with each method to each sparsity, in one shot, and measure it."""
    jobs = [(method, s) for method in methods for s in sparsities]
    points = []
    for method, s in tqdm(jobs, desc="pruning and measuring"):
        pruned = deepcopy(model)
        method.prune(pruned, s, s)
        points.append(measure(pruned, windows, method.name))
    return points


def sweep_gradually(
    model: GPT2, windows: Tensor, sparsities: Sequence[float] = GRADUAL_SPARSITIES, steps: int = 10, batch: int = 4
) -> list[Point]:
    """Prune a copy of ``model`` to each of ``sparsities`` (ascending, evenly spaced), training in between.

    ``steps`` of ``batch`` windows after each cut: a taste of gradual pruning, not its best.
    """
    pruned = deepcopy(model)
    length = len(sparsities) * steps
    schedule = Schedule(sparsities[-1], length - steps, initial=sparsities[0], every=steps, curve=linear_sparsity)
    recipe = replace(RECOVERY, steps=length, batch=batch, warmup=5)
    run = GradualRun(pruned, recipe, schedule, teacher=model)
    pages = _pages(model, length * batch // 4).flatten()
    points = []
    for step in tqdm(range(length), desc="pruning and training"):
        run.advance(pages)
        if (step + 1) % steps == 0:
            points.append(measure(pruned, windows, f"gradual, {steps} steps a cut"))
    return points


def readable(sample: str) -> str:
    """Return a sample for a page, without the endless line breaks of a ruined model but with their number."""
    shown = re.sub(r"\n{3,}", "\n\n", sample).rstrip()
    left_out = sample.count("\n") - shown.count("\n")
    return shown + (f"\n\n*(and {left_out} line breaks)*" if left_out > 3 else "")


def table(points: Iterable[Point]) -> str:
    """Return the points as a Markdown table."""
    lines = ["| method | sparsity | perplexity | accuracy | bits per character |", "|-|-:|-:|-:|-:|"]
    lines += [
        f"| {p.method} | {p.sparsity:.0%} | {p.perplexity:,.1f} | {p.accuracy:.1%} | {p.bits_per_character:.3f} |"
        for p in points
    ]
    return "\n".join(lines)


def draw(points: list[Point], path: Path) -> None:
    """Draw the curves to a PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    perplexity, accuracy = figure.subplots(1, 2)
    plots.quality_curves(perplexity, accuracy, points)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_whole(path, lambda part: figure.savefig(part, dpi=120, format="png"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = argparse.ArgumentParser(prog="python -m gpt2_lib.experiments", description=__doc__)
    found.add_argument("--model", default="gpt2-mini", help="a name or folder that load_pretrained_gpt2 takes")
    found.add_argument("--windows", type=count, default=40, help="held-out windows to measure on (default: 40)")
    found.add_argument("--out", type=output_file, default="build/curves.png", help="where the picture, a PNG, goes")
    return found


def main(argv: list[str] | None = None) -> None:
    asked = parser()
    arguments = asked.parse_args(argv)
    torch.manual_seed(0)
    try:
        model, tokenizer = load_pretrained_gpt2(arguments.model)
    except CheckpointError as error:
        asked.error(str(error))
    if tokenizer is None:
        asked.error(f"{arguments.model} has no tokenizer, which the plays need: copy tokenizer.json into its folder")
    windows = held_out_windows(tokenizer, model.config.n_positions, arguments.windows)
    points = sweep(model, windows, methods=METHODS + BEYOND) + sweep_gradually(model, windows)
    print(table(points))
    for point in points:
        if point.method == METHODS[0].name and point.sparsity in (0.0, 0.5, 0.8):
            print(f"\n--- {point.method}, {point.sparsity:.0%}\n{point.sample}")
    draw(points, arguments.out)
    print(
        f"\nMeasured on {windows.size(0)} windows of {windows.size(1)} tokens of the course's three held-out plays, "
        f"calibrated on the others; curves: {arguments.out}"
    )


if __name__ == "__main__":
    run(main)
