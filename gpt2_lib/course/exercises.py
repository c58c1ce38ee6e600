"""The reference solutions of Phase 2's exercises, run on the real model without a notebook.

``python -m gpt2_lib.exercises`` prunes gpt2-mini with each of the functions and prints what it did. The functions are
read from the instructor's masters, which only the course's own repository has.
"""

from __future__ import annotations

import argparse
import re
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from ..checkpoints import load_pretrained_gpt2
from ..corpus import calibration_windows, held_out_windows
from ..gpt2 import GPT2
from ..metrics import evaluate
from ..pruning import scores
from ..pruning.pruner import ModelPruner, prunable_weights
from ..system.command import run

FINAL = 0.8  # sparsity of the training runs
MASTERS = Path(__file__).parents[2] / "source" / "phase2_techniques"
CELL = re.compile(r'^# %% exercise="(\w+)"\n(.*?)(?=^# %%|\Z)', re.MULTILINE | re.DOTALL)  # name, code


class NoMastersError(Exception):
    """The instructor's masters are not beside the package; the message says what that means."""


@cache
def reference() -> SimpleNamespace:
    """Return Phase 2's functions by name, from the masters. Raises NoMastersError."""
    masters = sorted(MASTERS.glob("*.py"))
    if not masters:
        raise NoMastersError(f"The reference solutions are the instructor's: {MASTERS} is not there.")
    names: dict[str, Any] = {"__name__": __name__, "torch": torch, "GPT2": GPT2}
    found = [cell for path in masters for cell in CELL.findall(path.read_text(encoding="utf-8"))]
    for _, code in found:
        exec(code, names)
    return SimpleNamespace(**{name: names[name] for name, _ in found})


# The techniques at work. Each takes the dense model and leaves it as it is.


def perplexity(model: GPT2, windows: Tensor) -> str:
    return f"perplexity {evaluate(model, windows).perplexity:.1f}"


def show_magnitude(model: GPT2, windows: Tensor) -> None:
    """Print exercise 2.1: half of the weights, layer by layer."""
    pruned = deepcopy(model)
    masks = reference().magnitude_prune(pruned, 0.5)
    gone = sum(int((~mask).sum()) for mask in masks.values())
    every = sum(mask.numel() for mask in masks.values())
    print(f"2.1 magnitude: {gone:,} of {every:,} weights in {len(masks)} matrices gone, {perplexity(pruned, windows)}")


def show_structured(model: GPT2, windows: Tensor) -> None:
    """Print exercise 2.2: a quarter of the heads and neurons of every block, removed."""
    weights, n_heads, n_neurons = dict(model.state_dict()), [], []
    for i, block in enumerate(model.h):
        names = [f"h.{i}.mlp.c_fc.weight", f"h.{i}.mlp.c_fc.bias", f"h.{i}.mlp.c_proj.weight"]
        three = [weights[name] for name in names]
        keep = best_three_quarters(reference().neuron_scores(*three))
        weights |= zip(names, reference().remove_neurons(*three, keep), strict=True)
        n_neurons.append(len(keep))

        names = [f"h.{i}.attn.c_attn.weight", f"h.{i}.attn.c_attn.bias", f"h.{i}.attn.c_proj.weight"]
        three = [weights[name] for name in names]
        keep = best_three_quarters(scores.head(*three, block.attn.n_head))
        weights |= zip(names, reference().remove_heads(*three, block.attn.n_head, keep), strict=True)
        n_heads.append(len(keep))
    smaller = GPT2(replace(model.config, heads=tuple(n_heads), neurons=tuple(n_neurons))).eval()
    smaller.load_state_dict(weights)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model, smaller))
    print(f"2.2 structured: {before:,} -> {after:,} parameters, {perplexity(smaller, windows)}")


def best_three_quarters(values: Tensor) -> Tensor:
    """Return ascending indices of the highest three quarters of ``values`` (n,)."""
    return values.argsort(stable=True)[len(values) // 4 :].sort().values


def show_gradual(model: GPT2, windows: Tensor, steps: int) -> None:
    """Print exercise 2.3: a short training run with gradual pruning, and one with a single cut."""
    assert model.tokenizer is not None
    pages = calibration_windows(model.tokenizer, model.config.n_positions, 4 * steps)  # (4 steps, T)
    one_shot = deepcopy(model)
    reference().magnitude_prune(one_shot, FINAL)
    print(f"2.3 {FINAL:.0%} in one shot, no training: {perplexity(one_shot, windows)}")
    cutting = max(1, steps * 3 // 8)
    for label, begin in (("gradual", 0.0), ("all at once", FINAL)):
        copy = deepcopy(model)
        optimizer = torch.optim.AdamW(copy.parameters(), lr=1e-3)
        for step in tqdm(range(steps), desc=label):
            masks = reference().magnitude_prune(copy, reference().cubic_sparsity(step, 0, cutting, begin, FINAL))
            batch = pages[4 * step : 4 * step + 4]  # (4, T)
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
            reference().train_step_with_masks(copy, masks, optimizer, lambda m, batch=batch: next_token_loss(m, batch))
        print(f"2.3 {FINAL:.0%} {label}, {steps} steps of training: {perplexity(copy, windows)}")


def next_token_loss(model: GPT2, ids: Tensor) -> Tensor:
    return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def show_global(model: GPT2, windows: Tensor) -> None:
    """Print exercise 2.4: half of the weights, one ranking for all layers."""
    pruned = deepcopy(model)
    weights = prunable_weights(pruned)
    masks = reference().global_masks(weights, 0.5)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)
    shares = {name: 1 - mask.float().mean().item() for name, mask in masks.items()}
    least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    print(
        f"2.4 global: half of all weights gone, from {shares[least]:.0%} of {least} to {shares[most]:.0%} of {most}, "
        f"{perplexity(pruned, windows)}"
    )


def show_budget(model: GPT2, windows: Tensor) -> None:
    """Print exercise 2.5: 60 % of all weights, shared out over the layers."""
    pruned = deepcopy(model)
    sizes = {name: weight.numel() for name, weight in prunable_weights(pruned).items()}
    ModelPruner(pruned).prune("magnitude", reference().layer_sparsities(sizes))
    uniform = deepcopy(model)
    ModelPruner(uniform).prune("magnitude", 0.6)
    print(f"2.5 budget of 60 %: {perplexity(pruned, windows)}; 60 % of every layer: {perplexity(uniform, windows)}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = argparse.ArgumentParser(prog="python -m gpt2_lib.exercises", description=__doc__)
    found.add_argument("--steps", type=int, default=32, help="training steps of exercise 2.3 (default: 32)")
    return found


def main(arguments: list[str] | None = None) -> None:
    asked = parser()
    steps = asked.parse_args(arguments).steps
    if steps < 2:
        asked.error("--steps must be at least 2")
    try:
        reference()
    except NoMastersError as error:
        asked.exit(1, f"{error}\n")
    model, tokenizer = load_pretrained_gpt2()
    windows = held_out_windows(tokenizer, model.config.n_positions, 12)
    print(f"gpt2-mini as trained: {perplexity(model, windows)} on {len(windows)} held-out windows")
    show_magnitude(model, windows)
    show_structured(model, windows)
    show_gradual(model, windows, steps)
    show_global(model, windows)
    show_budget(model, windows)


if __name__ == "__main__":
    run(main)
