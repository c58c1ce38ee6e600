"""Benchmark of 2:4 and structured pruning on an NVIDIA GPU: fp16, at the shapes of GPT-2 124M and 1.5B.

    python -m gpt2_lib.deploy.semi_structured

For each shape and batch: the milliseconds of one forward pass over 128 tokens a text, median of 20 after 5 to warm
up, timed by CUDA's own events; the models take turns. 2:4 is torch's,
``torch.sparse.to_sparse_semi_structured``, in every attention and feed-forward matrix; structured is a model without
a quarter of its heads and neurons. Random weights: speed doesn't depend on them. Without a GPU it says that nothing
was measured, and exits with 1.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from ..config import PRESETS, GPT2Config
from ..gpt2 import GPT2
from ..pruning.pruner import ModelPruner, prunable_weights
from ..system.command import run
from ..system.timing import take_turns

SHAPES = {"124M": PRESETS["gpt2"], "1.5B": PRESETS["gpt2-xl"]}
BATCHES = (1, 32, 128)
TOKENS = 128
REPEATS, WARM_UP = 20, 5


def smaller(config: GPT2Config) -> GPT2Config:
    """Return a model without a quarter of its heads (rounded) and neurons."""
    return replace(
        config,
        heads=tuple(h - round(h / 4) for h in config.heads),
        neurons=tuple(n - n // 4 for n in config.neurons),
    )


def to_2_4(model: GPT2) -> GPT2:
    """Return a copy with attention and feed-forward weights pruned 2:4, in torch's compressed format."""
    model = copy.deepcopy(model)
    ModelPruner(model).prune_n_m(2, 4)
    for name in prunable_weights(model):
        owner, _, leaf = name.rpartition(".")
        layer = model.get_submodule(owner)
        sparse = torch.sparse.to_sparse_semi_structured(getattr(layer, leaf).detach())
        setattr(layer, leaf, nn.Parameter(sparse, requires_grad=False))
    return model


def cuda_seconds(call: Callable[[], object]) -> float:
    """Return the seconds between two events of the GPU's stream, before and after the call's work."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


@torch.inference_mode()
def milliseconds(models: Mapping[str, GPT2], ids: torch.Tensor) -> dict[str, float]:
    """Return the median time of a forward pass to the last hidden state, without the head, which is dense in all."""
    passes = {name: partial(model.hidden, ids) for name, model in models.items()}
    seconds = take_turns(passes, REPEATS, timer=cuda_seconds, warm_up=WARM_UP)
    return {name: 1e3 * statistics.median(took) for name, took in seconds.items()}


def measure() -> list[str]:
    """Return the measurements as a Markdown table."""
    lines = [
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, fp16, {TOKENS} tokens a text, head left out",
        "",
        "| shape | batch | dense, ms | 2:4, ms | against dense | 25 % fewer heads and neurons, ms | against dense |",
        "|-|-:|-:|-:|-:|-:|-:|",
    ]
    for shape, config in SHAPES.items():
        with torch.device("cuda"):
            models = {"dense": GPT2(config), "structured": GPT2(smaller(config))}
        models = {name: model.init_weights().half().eval() for name, model in models.items()}
        models["2:4"] = to_2_4(models["dense"])
        for batch in BATCHES:
            ids = torch.randint(config.vocab_size, (batch, TOKENS), device="cuda")
            ms = milliseconds(models, ids)
            cells = [f"{ms['dense']:.2f}"]
            for name in ("2:4", "structured"):
                cells += [f"{ms[name]:.2f}", f"{ms['dense'] / ms[name]:.2f}x"]
            lines.append(f"| {shape} | {batch} | {' | '.join(cells)} |")
    return lines


def main() -> int:
    if not torch.cuda.is_available():
        print("Nothing was measured: there is no NVIDIA GPU here (torch.cuda.is_available() is False).")
        return 1
    print("\n".join(measure()))
    return 0


if __name__ == "__main__":
    run(main)
