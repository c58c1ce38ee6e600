"""What each target makes of a model on this machine: speed, size on disk, quality, and how exact it is.

``python -m gpt2_lib.deploy bench`` prints the table, and writes it as CSV with a picture of speed against size.
"""

from __future__ import annotations

import argparse
import csv
import io
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from tqdm.auto import tqdm

from .. import plots
from ..checkpoints import load_pretrained_gpt2, save_pretrained
from ..config import PRESETS
from ..corpus import calibration_windows, held_out_windows
from ..files import replace_whole
from ..gpt2 import GPT2, KVCache
from ..metrics import evaluate
from ..pruning.pruner import ModelPruner, apply_magnitude_pruning
from ..storage.packed import load_packed, save_packed
from .extras import DeployError, MissingExtraError

PROMPT = 128  # tokens that are read; then one more is decoded
SPARSITY, STRUCTURED = 0.6, 0.25  # fraction of zeros; fraction of heads and neurons removed
THREADS = 1
BASELINE = "PyTorch, dense"  # what the picture's speed-ups are over


@dataclass(frozen=True)
class Row:
    """One target's results; None where it has none. Times are CPU milliseconds, on one thread."""

    target: str
    prefill_ms: float | None = None  # reading the prompt, logits of all its positions: median
    prefill_p95_ms: float | None = None
    decode_ms: float | None = None  # one token after the prompt, with the cache: median
    size: int | None = None  # bytes on disk
    accuracy: float | None = None  # top-1, held-out text
    perplexity: float | None = None  # per token, held-out text
    error: float | None = None  # largest difference of a logit from the same model's in PyTorch
    note: str = ""


@dataclass(frozen=True)
class _Target:
    """A model on its target. ``logits(ids)`` (B, T) -> (B, T, V); ``decode()`` computes one token after the prompt."""

    model: GPT2  # what was exported, in PyTorch
    size: int
    logits: Callable[[Tensor], Tensor] | None = None
    decode: Callable[[], object] | None = None
    timed: bool = True
    note: str = ""


class _Module(nn.Module):
    """A target's logits as `metrics.evaluate` wants a model."""

    def __init__(self, logits: Callable[[Tensor], Tensor], model: GPT2) -> None:
        super().__init__()
        self.logits, self.tokenizer = logits, model.tokenizer

    def forward(self, ids: Tensor) -> Tensor:
        return self.logits(ids)


def bench(model: GPT2, windows: Tensor | None = None, repeats: int = 30) -> list[Row]:
    """Put ``model`` on every target that is installed, and measure it there; see `caption` for the protocol.

    ``windows``: held-out token ids (N, T), T >= 128, for accuracy and perplexity; None leaves these two out and
    prunes structures by their weights alone, as there is no text to calibrate on. A target whose extra is missing,
    or that can't take the model, is a row whose note says why. Files are written to a temporary folder, and removed.
    Raises ValueError for a context too short for the prompt and a token, or ``repeats`` below 1.
    """
    if model.config.n_positions <= PROMPT:
        raise ValueError(
            f"The context must be longer than {PROMPT} tokens; this model's is {model.config.n_positions}."
        )
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more; got {repeats}.")
    ids = windows[:1, :PROMPT] if windows is not None else torch.randint(model.config.vocab_size, (1, PROMPT))
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with tempfile.TemporaryDirectory() as folder:
            targets, notes = _prepare(model, ids, windows is not None, Path(folder))
            run = {name: target.logits for name, target in targets.items() if target.logits}
            timed = {name: targets[name] for name in run if targets[name].timed}
            with torch.inference_mode():
                prefill = take_turns({name: lambda logits=run[name]: logits(ids) for name in timed}, repeats, "prefill")
                decode = take_turns({name: t.decode for name, t in timed.items() if t.decode}, repeats, "decode")
                quality = {
                    name: _quality(logits, targets[name].model, ids, windows)
                    for name, logits in tqdm(run.items(), desc="quality")
                }
    finally:
        torch.set_num_threads(threads)
    rows = []
    for name, note in notes.items():
        values: dict[str, Any] = dict(quality.get(name, {}))
        if name in prefill:
            values["prefill_ms"] = 1e3 * statistics.median(prefill[name])
            values["prefill_p95_ms"] = 1e3 * float(np.percentile(prefill[name], 95))
        if name in decode:
            values["decode_ms"] = 1e3 * statistics.median(decode[name])
        if name in targets:
            values["size"] = targets[name].size
        rows.append(Row(name, **values, note=note))
    return rows


def take_turns(calls: Mapping[str, Callable[[], object]], repeats: int, title: str) -> dict[str, list[float]]:
    """CPU seconds of ``repeats`` calls of each, after one that doesn't count.

    The calls take turns, another one first in each round, so that a busy machine slows all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for i in tqdm(range(-1, repeats), desc=title):
        first = i % len(names) if names else 0
        for name in names[first:] + names[:first]:
            start = time.process_time()
            calls[name]()
            if i >= 0:
                seconds[name].append(time.process_time() - start)
    return seconds


def caption(shape: str, repeats: int, windows: int) -> str:
    """How the table was measured."""
    quality = (
        f"accuracy and perplexity: {windows} held-out windows of the whole context"
        if windows
        else "random weights, so no accuracy and no perplexity"
    )
    return (
        f"{shape}, float32 unless it says int8, {platform.machine()}, PyTorch {torch.__version__}. CPU time on "
        f"{THREADS} thread, batch 1; prefill: {PROMPT} tokens, logits of all; decode: one token after them, with the "
        f"cache. The targets take turns, {repeats} times after one that doesn't count; median and 95th percentile. "
        f"Pruned in one shot, with no training after it. Logit error: the largest difference from the same model in "
        f"PyTorch, over the prompt; {quality}."
    )


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""

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
    """The rows as CSV: a column for each field of `Row`, empty where there is no value; whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    _write(path, text.getvalue().encode())


def draw(rows: Sequence[Row], path: Path) -> None:
    """A PNG of prefill speed against size on disk, of the targets that were timed."""
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


def main(argv: list[str]) -> None:
    """The command ``bench``."""
    parser = argparse.ArgumentParser(
        prog="python -m gpt2_lib.deploy bench", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--shape",
        choices=("gpt2-mini", "gpt2"),
        default="gpt2-mini",
        help="the bundled model, or the size of GPT-2 124M with random weights (gigabytes of memory, minutes)",
    )
    parser.add_argument("--repeats", type=int, default=30, help="how often each is timed (default: 30)")
    parser.add_argument("--windows", type=int, default=40, help="held-out windows to measure on (default: 40)")
    parser.add_argument("--out", type=Path, default=Path("build/deploy.csv"), help="the CSV; beside it a .png")
    arguments = parser.parse_args(argv)
    if min(arguments.repeats, arguments.windows) < 1:
        parser.error("--repeats and --windows must be at least 1")
    torch.manual_seed(0)
    if arguments.shape == "gpt2-mini":
        model, tokenizer = load_pretrained_gpt2()
        windows = held_out_windows(tokenizer, model.config.n_positions, arguments.windows)
    else:
        model = GPT2(PRESETS[arguments.shape]).init_weights().eval()
        windows = None
    rows = bench(model, windows, arguments.repeats)
    picture = arguments.out.with_suffix(".png")
    write_csv(rows, arguments.out)
    draw(rows, picture)
    print(table(rows))
    print(f"\n{caption(arguments.shape, arguments.repeats, 0 if windows is None else len(windows))}")
    print(f"\nWritten: {arguments.out}, {picture}")


# The targets.


def _prepare(model: GPT2, ids: Tensor, calibrated: bool, folder: Path) -> tuple[dict[str, _Target], dict[str, str]]:
    """The targets that work here, by name, and what there is to say of every one."""
    zeros = apply_magnitude_pruning(deepcopy(model), SPARSITY)
    text = None
    if calibrated:
        assert model.tokenizer is not None
        text = calibration_windows(model.tokenizer, model.config.n_positions)
    smaller = ModelPruner(model).remove_structures(STRUCTURED, STRUCTURED, text)
    zeroed, structured = f"{SPARSITY:.0%} zeros", f"structured {STRUCTURED:.0%}"
    makers = {
        BASELINE: lambda: _pytorch(model, ids, folder / "dense"),
        f"PyTorch, {zeroed}": lambda: _pytorch(zeros, ids, folder / "zeros"),
        f"PyTorch, {structured}": lambda: _pytorch(smaller, ids, folder / "smaller"),
        "ONNX, dense": lambda: _onnx(model, ids, folder / "dense.onnx", int8=False),
        f"ONNX, {structured}": lambda: _onnx(smaller, ids, folder / "smaller.onnx", int8=False),
        "ONNX, int8": lambda: _onnx(model, ids, folder / "int8.onnx", int8=True),
        f"ONNX, {structured}, int8": lambda: _onnx(smaller, ids, folder / "smaller_int8.onnx", int8=True),
        f"packed, {zeroed}, int8": lambda: _packed(zeros, folder / "zeros.packed"),
        "ExecuTorch, int8": lambda: _executorch(model, folder / "model.pte"),
        f"Core ML, {zeroed}, int8": lambda: _coreml(zeros, folder / "model.mlpackage"),
    }
    targets, notes = {}, {}
    for name, make in tqdm(makers.items(), desc="exporting"):
        try:
            targets[name] = make()
            notes[name] = targets[name].note
        except (MissingExtraError, DeployError) as error:
            notes[name] = str(error)
    return targets, notes


@torch.inference_mode()
def _pytorch(model: GPT2, ids: Tensor, folder: Path) -> _Target:
    save_pretrained(model, folder)
    cache = KVCache(PROMPT + 1)
    model(ids, cache)

    def decode() -> Tensor:
        cache.seen = PROMPT  # the same token again
        return model(ids[:, -1:], cache)

    return _Target(model, (folder / "model.safetensors").stat().st_size, model, decode)


def _onnx(model: GPT2, ids: Tensor, path: Path, int8: bool) -> _Target:
    from .onnx import OnnxGPT2, export_onnx

    exported = OnnxGPT2(export_onnx(model, path, int8), THREADS)
    _, past = exported.step(ids, last=1)
    return _Target(
        model,
        exported.size,
        lambda ids: torch.from_numpy(exported.logits(ids)),
        lambda: exported.step(ids[:, -1:], past),
    )


def _packed(model: GPT2, path: Path) -> _Target:
    size = save_packed(model, path, int8=True).file
    return _Target(model, size, load_packed(path), timed=False, note="loads into PyTorch, dense again")


def _executorch(model: GPT2, path: Path) -> _Target:
    from .executorch import ExecuTorchGPT2, export_executorch

    program = ExecuTorchGPT2(export_executorch(model, path, int8=True))
    size = path.stat().st_size
    return _Target(model, size, lambda ids: torch.from_numpy(program.logits(ids)), note="no cache: not decoded")


def _coreml(model: GPT2, path: Path) -> _Target:
    from .coreml import export_coreml

    path = export_coreml(model, path, sparse=True, int8=True)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return _Target(model, size, note="runs on macOS and iOS only: size alone")


def _quality(logits: Callable[[Tensor], Tensor], model: GPT2, ids: Tensor, windows: Tensor | None) -> dict[str, float]:
    error = (logits(ids) - model(ids)).abs().max().item()
    if windows is None:
        return {"error": error}
    quality = evaluate(cast(GPT2, _Module(logits, model)), windows)
    return {"error": error, "accuracy": quality.accuracy, "perplexity": quality.perplexity}


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, lambda part: part.write_bytes(data))
    except OSError as error:
        raise DeployError(f"Can't write {path}: {error}. Choose a file in a folder that you may write to.") from error
