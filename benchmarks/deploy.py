"""ONNX Runtime beside PyTorch: does int8 pay in speed and size, and do removed heads and neurons?

python benchmarks/deploy.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import statistics
import tempfile
from importlib import metadata
from pathlib import Path

import torch
from report import arguments, environment, publish, table

from gpt2_lib import GPT2, GPT2Config, ModelPruner, load_pretrained_gpt2, save_pretrained
from gpt2_lib.deploy.onnx import OnnxGPT2, export_onnx
from gpt2_lib.metrics import flops
from gpt2_lib.system.timing import take_turns

TOKENS = 128
RATIO = 0.25  # of the heads and of the neurons of every block
INT8_SPEED_BAR, INT8_SIZE_BAR = 2.5, 3.0  # times faster, times smaller than PyTorch at the 124M shape
STRUCTURED_BAR = 0.95  # speed-up in ONNX Runtime / FLOP ratio

PROTOCOL = f"""\
CPU, one thread, batch 1, {TOKENS} tokens, the logits of all. The models take turns, another one first in each round; a
time is the median CPU time of the rounds (after one that doesn't count), a ratio of times the median of the rounds'
ratios. GPT-2 124M has random weights. int8 and dense are compared with eager PyTorch, float32, and its safetensors
file; {RATIO:.0%} of heads and neurons removed is compared with the dense model, in ONNX Runtime both. FLOPs are those
of `metrics.flops`. Bars: int8 at the 124M shape {INT8_SPEED_BAR} times faster and {INT8_SIZE_BAR:.0f} times smaller;
structured, {STRUCTURED_BAR} of the FLOP ratio."""


def compare(name: str, model: GPT2, rounds: int, folder: Path) -> tuple[list[list[str]], dict[str, float]]:
    """Table rows, and the figures that the bars are about."""
    smaller = ModelPruner(model).remove_structures(RATIO, RATIO)
    save_pretrained(model, folder)
    dense = OnnxGPT2(export_onnx(model, folder / "dense.onnx"), threads=1)
    structured = OnnxGPT2(export_onnx(smaller, folder / "structured.onnx"), threads=1)
    int8 = OnnxGPT2(export_onnx(model, folder / "int8.onnx", int8=True), threads=1)
    ids = torch.randint(model.config.vocab_size, (1, TOKENS))
    calls = {
        "PyTorch": lambda: model(ids),
        "ONNX, dense": lambda: dense.logits(ids),
        "ONNX, int8": lambda: int8.logits(ids),
        "ONNX, structured": lambda: structured.logits(ids),
    }
    with torch.inference_mode():
        seconds = take_turns(calls, rounds, title=name)

    def speed_up(slow: str, fast: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))

    bytes_ = {
        "PyTorch": (folder / "model.safetensors").stat().st_size,
        "ONNX, dense": dense.size,
        "ONNX, int8": int8.size,
        "ONNX, structured": structured.size,
    }
    rows = [
        [
            f"{name}: {target}",
            f"{1e3 * statistics.median(seconds[target]):.1f}",
            f"{speed_up('PyTorch', target):.2f}",
            f"{bytes_[target] / 1e6:.2f}",
            f"{bytes_['PyTorch'] / bytes_[target]:.2f}",
        ]
        for target in calls
    ]
    expected = sum(flops(model, TOKENS).values()) / sum(flops(smaller, TOKENS).values())
    gain = speed_up("ONNX, dense", "ONNX, structured")
    figures = {
        "int8 speed": speed_up("PyTorch", "ONNX, int8"),
        "int8 size": bytes_["PyTorch"] / bytes_["ONNX, int8"],
        "structured speed": gain,
        "FLOP ratio": expected,
        "share": gain / expected,
    }
    return rows, figures


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = [
        ("gpt2-mini", load_pretrained_gpt2(), 60),
        ("GPT-2 124M", GPT2(GPT2Config()).init_weights().eval(), 15),
    ]
    rows, figures = [], {}
    for name, model, rounds in cases:
        with tempfile.TemporaryDirectory() as folder:
            more, figures[name] = compare(name, model, rounds, Path(folder))
        rows += more
    header = ["model: target", "ms", "speed, times PyTorch", "MB on disk", "times smaller"]
    structured = [
        [name, f"{f['structured speed']:.3f}", f"{f['FLOP ratio']:.3f}", f"**{f['share']:.3f}**"]
        for name, f in figures.items()
    ]
    large = figures["GPT-2 124M"]
    text = (
        f"## Deployment\n\n{PROTOCOL}\n\n{environment()}, ONNX Runtime {metadata.version('onnxruntime')}.\n\n"
        f"{table(header, rows)}\n\nint8 at the 124M shape: **{large['int8 speed']:.2f}** times faster than "
        f"PyTorch, **{large['int8 size']:.2f}** times smaller.\n\n"
        f"{table(['structured in ONNX Runtime', 'speed-up', 'FLOP ratio', 'speed-up / FLOP ratio'], structured)}"
    )
    reached = {
        "structured pruning's speed-up over the FLOP ratio": (
            min(f["share"] for f in figures.values()),
            STRUCTURED_BAR,
        ),
        "int8's speed-up": (large["int8 speed"], INT8_SPEED_BAR),
        "int8's size": (large["int8 size"], INT8_SIZE_BAR),
    }
    missed = [f"{what} is {value:.3f}, not {bar:g}" for what, (value, bar) in reached.items() if value < bar]
    publish("deploy", text, page, missed)


if __name__ == "__main__":
    main()
