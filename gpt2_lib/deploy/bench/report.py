"""Reports of the measurements: Markdown, CSV, and a plot of speed against size."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ...files import replace_whole
from ..extras import DeployError

BASELINE = "PyTorch, dense"  # what the picture's speed-ups are over


@dataclass(frozen=True)
class Row:
    """One target's results; None where there is none. Times are CPU milliseconds, on one thread."""

    target: str
    prefill_ms: float | None = None  # reading the prompt, logits of all its positions: median
    prefill_p95_ms: float | None = None
    decode_ms: float | None = None  # one token after the prompt, with the cache: median
    size: int | None = None  # bytes on disk
    accuracy: float | None = None  # top-1, held-out text
    perplexity: float | None = None  # per token, held-out text
    error: float | None = None  # largest difference of a logit from the same model's in PyTorch
    note: str = ""


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""

    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    lines = [
        "| target | prefill, ms | p95 | decode, ms a token | MB on disk | accuracy | perplexity | logit error | |",
        "|-|-:|-:|-:|-:|-:|-:|-:|-|",
    ]
    for r in rows:
        cells = (
            cell(r.prefill_ms, ".1f"),
            cell(r.prefill_p95_ms, ".1f"),
            cell(r.decode_ms, ".2f"),
            cell(None if r.size is None else r.size / 1e6, ".2f"),
            cell(r.accuracy, ".1%"),
            cell(r.perplexity, ".2f"),
            cell(r.error, ".1g"),
        )
        lines.append(f"| {r.target} | {' | '.join(cells)} | {r.note} |")
    return "\n".join(lines)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as CSV, whole or not at all: one column for each field of `Row`, empty for None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    _write(path, text.getvalue().encode())


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a PNG of prefill speed against size on disk, for the targets that were timed."""
    from matplotlib.figure import Figure  # an extra, which the table does without

    from ... import plots

    timed = [(row.target, row.size, row.prefill_ms) for row in rows if row.size and row.prefill_ms]
    dense = next(prefill for target, _, prefill in timed if target == BASELINE)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    ax = figure.add_subplot()
    for (target, size, prefill), (colour, marker, _) in zip(timed, plots.SERIES, strict=False):
        ax.plot(size / 1e6, dense / prefill, marker, color=colour, markersize=9, label=target)
    ax.set(xlabel="size on disk, MB", ylabel=f"prefill speed, times {BASELINE}", xlim=(0, None), ylim=(0, None))
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    _write(path, picture.getvalue())


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, lambda part: part.write_bytes(data))
    except OSError as error:
        raise DeployError(f"Can't write {path}: {error}. Choose a file in a folder that you may write to.") from error
