"""Measurement of every target on this machine: speed, size on disk, quality, and numerical error."""

from __future__ import annotations

import platform
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ...gpt2 import GPT2
from ...metrics import evaluate
from ...system.timing import p95, take_turns
from .report import Row
from .targets import PROMPT, THREADS, Target, prepare


def bench(
    model: GPT2, windows: Tensor | None = None, repeats: int = 30, calibration: Tensor | None = None
) -> list[Row]:
    """Export ``model`` to every installed target, and measure it there; see `caption` for the protocol.

    ``windows``: held-out token ids (N, T), no shorter than `prompt_of` the model; None: no accuracy, no perplexity.
    ``calibration``: ids (N, T) to choose structures by; None chooses them by their weights alone. A target whose extra
    is missing, or that can't take the model, is a row whose note says why. Files are written to a temporary folder, and
    removed. Raises ValueError for a context of one token, shorter windows, or ``repeats`` below 1.
    """
    prompt = prompt_of(model)
    if prompt < 1 or (windows is not None and windows.size(1) < prompt):
        raise ValueError(f"The context and the windows need {max(prompt, 1)} tokens, and the context one more.")
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more; got {repeats}.")
    ids = windows[:1, :prompt] if windows is not None else torch.randint(model.config.vocab_size, (1, prompt))
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            targets, notes = prepare(model, ids, calibration, Path(folder))
            timed = {name: target.logits for name, target in targets.items() if target.timed and target.logits}
            readers = {name: lambda logits=logits: logits(ids) for name, logits in timed.items()}
            writers = {name: target.decode for name, target in targets.items() if target.decode}
            prefill = take_turns(readers, repeats, title="prefill")
            decode = take_turns(writers, repeats, title="decode")
            exact = {name: _exactness(target, ids, windows) for name, target in tqdm(targets.items(), desc="quality")}
    finally:
        torch.set_num_threads(threads)
    return [
        Row(
            name,
            prefill_ms=1e3 * statistics.median(prefill[name]) if name in prefill else None,
            prefill_p95_ms=1e3 * p95(prefill[name]) if name in prefill else None,
            decode_ms=1e3 * statistics.median(decode[name]) if name in decode else None,
            size=targets[name].size if name in targets else None,
            note=note,
            **exact.get(name, {}),
        )
        for name, note in notes.items()
    ]


class _Module(nn.Module):
    """A target's logits behind the interface of a model, for `metrics.evaluate`."""

    def __init__(self, logits: Callable[[Tensor], Tensor], model: GPT2) -> None:
        super().__init__()
        self.logits, self.tokenizer = logits, model.tokenizer

    def forward(self, ids: Tensor) -> Tensor:
        return self.logits(ids)


def _exactness(target: Target, ids: Tensor, windows: Tensor | None) -> dict[str, float]:
    """Return fields of a `Row`: the largest logit error and, with ``windows``, the quality; {} if it can't run here."""
    if target.logits is None:
        return {}
    error = (target.logits(ids) - target.model(ids)).abs().max().item()
    if windows is None:
        return {"error": error}
    quality = evaluate(cast(GPT2, _Module(target.logits, target.model)), windows)
    return {"error": error, "accuracy": quality.accuracy, "perplexity": quality.perplexity}


def prompt_of(model: GPT2) -> int:
    """Return how many tokens are read: 128, or all of a shorter context but one."""
    return min(PROMPT, model.config.n_positions - 1)


def caption(label: str, prompt: int, repeats: int, tested: str | None, calibrated: str | None) -> str:
    """Return a description of the table's protocol; ``tested``, ``calibrated``: what to call the texts, if any."""
    quality = f"accuracy and perplexity: {tested}" if tested else "no text, so no accuracy and no perplexity"
    structures = f"with calibration on {calibrated}" if calibrated else "by their weights alone"
    return (
        f"{label}, float32 unless it says int8, {platform.machine()}, PyTorch {torch.__version__}. CPU time on "
        f"{THREADS} thread, batch 1; prefill: {prompt} tokens, logits of all; decode: one token after them, with the "
        f"cache. The targets take turns, {repeats} times after one that doesn't count; median and 95th percentile. "
        f"Pruned in one shot, structures {structures}, with no training after it. "
        f"Logit error: the largest difference from the same model in PyTorch, over the prompt; {quality}."
    )
