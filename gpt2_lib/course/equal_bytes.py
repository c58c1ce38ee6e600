"""Quality against bytes on disk for pruning, int8, int4, and pruning with int8, all packed in the same way."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.axes import Axes
from torch import Tensor

from .. import plots
from ..gpt2 import GPT2
from ..metrics import evaluate
from ..pruning.pruner import ModelPruner
from ..storage.packed import load_packed, save_packed

SPARSITIES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
BOUND = 1.1  # times the dense model's perplexity: the bar for a smaller file
PRUNED, BOTH, INT8, INT4 = "pruned, float16", "pruned, int8", "int8 alone", "int4 alone"


@dataclass(frozen=True)
class Stored:
    """The size of a file that `save_packed` wrote, and the quality of the model loaded from it."""

    way: str
    sparsity: float  # that was asked for, of the attention and feed-forward weights
    bytes: int
    perplexity: float
    accuracy: float


def measure(
    model: GPT2, windows: Tensor, calibration: Tensor, sparsities: Iterable[float] = SPARSITIES
) -> list[Stored]:
    """Store ``model`` in each way, and measure the loaded models on ``windows`` (N, T).

    Pruning is ADMM, the library's best in one shot, on ``calibration`` (N, T); a sparsity of 0 is the dense model.
    Without integers the weights are stored in float16, as gpt2-mini's were, so that dropping unused bits counts for
    nothing.
    """
    stored: list[Stored] = []

    def store(way: str, sparsity: float, source: GPT2, **integers: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.gpt2pack")
            size = save_packed(source, path, **integers).file
            quality = evaluate(load_packed(path), windows)
        stored.append(Stored(way, sparsity, size, quality.perplexity, quality.accuracy))

    for sparsity in sparsities:
        pruned = deepcopy(model)
        if sparsity > 0:
            ModelPruner(pruned).prune_admm(calibration, sparsity)
        store(PRUNED, sparsity, deepcopy(pruned).half())
        store(BOTH, sparsity, pruned, int8=True)
    store(INT8, 0.0, model, int8=True)
    store(INT4, 0.0, model, int4=True)
    return stored


def draw(ax: Axes, stored: Sequence[Stored]) -> None:
    """Draw perplexity against file size: a line for each way with several sparsities, a marker for the others."""
    for way, (colour, marker, line) in zip((PRUNED, BOTH, INT8, INT4), plots.SERIES, strict=False):
        mine = sorted((s.sparsity, s.bytes / 1e6, s.perplexity) for s in stored if s.way == way)
        _, x, y = zip(*mine, strict=True)
        single = len(mine) == 1
        style = {"color": colour, "marker": marker, "markersize": 11 if single else 5, "label": way}
        ax.plot(x, y, linestyle="" if single else line, **style)
    plots.perplexity_axis(ax)
    ax.set_xlabel("MB on disk, packed with zstd")
    ax.legend(frameon=False, fontsize=plots.SIZE)


def smallest(stored: Sequence[Stored]) -> list[Stored]:
    """Return each way's smallest file within BOUND of the dense model's perplexity, smallest first."""
    dense = next(s.perplexity for s in stored if s.way == PRUNED and s.sparsity == 0)
    good = [s for s in stored if s.perplexity <= BOUND * dense]
    return sorted((min((s for s in good if s.way == way), key=_size) for way in {s.way for s in good}), key=_size)


def _size(stored: Stored) -> int:
    return stored.bytes


def answer(stored: Sequence[Stored]) -> str:
    """Return the smallest files as a Markdown table, the best first."""
    dense = next(s for s in stored if s.way == PRUNED and s.sparsity == 0)
    lines = [
        f"| smallest file within {BOUND - 1:.0%} of the dense perplexity | pruned | MB | perplexity | top-1 accuracy |",
        "|-|-:|-:|-:|-:|",
    ]
    lines += [
        f"| {s.way} | {s.sparsity:.0%} | {s.bytes / 1e6:.2f} | {s.perplexity:.1f} | {s.accuracy:.1%} |"
        for s in smallest(stored)
    ]
    last = f"| *dense, float16* | | {dense.bytes / 1e6:.2f} | {dense.perplexity:.1f} | {dense.accuracy:.1%} |"
    return "\n".join([*lines, last])


def write(stored: Sequence[Stored], path: Path) -> None:
    """Write the measurements to a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, asdict(stored[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(s) for s in stored)


def read(path: Path) -> list[Stored]:
    """Return the measurements that `write` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Stored(row["way"], float(row["sparsity"]), int(row["bytes"]), float(row["perplexity"]), float(row["accuracy"]))
        for row in rows
    ]
