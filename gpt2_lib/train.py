"""Training: the loop that made the bundled gpt2-mini, and that lets a pruned model recover.

``python -m gpt2_lib.train --out build/gpt2-mini`` (``make train``) trains gpt2-mini again. Killed,
it continues where its last snapshot was; finished, its folder opens with `load_pretrained_gpt2`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from . import corpus
from .checkpoints import save_pretrained
from .config import GPT2Config
from .files import replace_whole
from .gpt2 import GPT2
from .metrics import evaluate
from .modules import at_least_float32, to_device_of
from .muon import Muon
from .system.command import count, output_folder, run
from .tokenizer import Tokenizer


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a training run goes."""

    steps: int
    batch: int = 16  # windows a step
    adam_lr: float = 3e-3  # embeddings, biases, LayerNorm
    muon_lr: float = 0.02  # the blocks' matrices
    weight_decay: float = 0.1  # of the blocks' matrices
    warmup: int = 100  # steps
    seed: int = 0
    distillation: float = 0.0  # share of the loss that is imitating a teacher


def optimizers(model: GPT2, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for all else."""
    qkv, matrices, rest = [], [], []
    for name, p in model.named_parameters():
        inside = name.startswith("h.") and p.dim() == 2
        (rest if not inside else qkv if "c_attn" in name else matrices).append(p)
    groups = [{"params": qkv, "parts": 3}, {"params": matrices}]
    return [
        Muon(groups, lr=recipe.muon_lr, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(rest, lr=recipe.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def lr_scale(step: int, recipe: Recipe) -> float:
    """Factor on every learning rate: a linear rise over the warm-up, a linear fall to zero."""
    warmup = min(recipe.warmup, recipe.steps // 10)
    return min(1.0, (step + 1) / (warmup + 1)) * (1.0 - step / recipe.steps)


def train_step(
    model: GPT2,
    inputs: Tensor,
    targets: Tensor,
    optimizers: list[torch.optim.Optimizer],
    teacher: GPT2 | None = None,
    distillation: float = 0.0,
    before_clipping: Callable[[], None] = lambda: None,
) -> float:
    """One step on ``inputs`` and ``targets`` (B, T); returns the loss, nats per token.

    With a ``teacher``, the share ``distillation`` of the loss is the cross-entropy to its probabilities
    instead of to the text (Hinton et al., 2015, "Distilling the Knowledge in a Neural Network").
    ``before_clipping`` may change the gradients before their norm is clipped to 1.
    """
    model.train()
    inputs, targets = to_device_of(model, (inputs, targets))
    logits = at_least_float32(model(inputs).flatten(0, 1))  # (B T, V); a sum in half precision would be too coarse
    loss = F.cross_entropy(logits, targets.flatten())
    if teacher is not None:
        with torch.no_grad():
            imitated = at_least_float32(teacher(to_device_of(teacher, inputs)).flatten(0, 1))  # (B T, V)
            wanted = imitated.softmax(-1).to(logits)
        loss = (1 - distillation) * loss + distillation * F.cross_entropy(logits, wanted)
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    before_clipping()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


class Run:
    """A training run: model, optimisers and step, all of which a snapshot holds.

    Every step draws its batch and its dropout from the recipe's seed and the step's number alone,
    so a run that was killed continues to the same result. Without a ``snapshot`` file nothing is saved.
    ``teacher``: the model to imitate, in evaluation mode, where the recipe asks for distillation.
    """

    def __init__(self, model: GPT2, recipe: Recipe, snapshot: Path | None = None, teacher: GPT2 | None = None) -> None:
        if (teacher is None) != (recipe.distillation == 0):
            raise ValueError(f"A teacher goes with distillation above 0; the recipe says {recipe.distillation:g}.")
        self.model, self.recipe, self.snapshot, self.teacher = model, recipe, snapshot, teacher
        self.optimizers = optimizers(model, recipe)
        self.step = 0
        self.log: list[dict] = []
        if snapshot is not None and snapshot.is_file():
            self._restore(snapshot)

    def _restore(self, snapshot: Path) -> None:
        state = torch.load(snapshot, map_location="cpu", weights_only=True)  # it may come from another device
        if state["identity"] != self.identity():
            raise SystemExit(
                f"{snapshot} belongs to a run with other settings. Give another folder, or delete it to start afresh."
            )
        self.restore(state)

    def identity(self) -> dict:
        """What a snapshot must agree on to be continued."""
        return {"recipe": asdict(self.recipe), "config": asdict(self.model.config)}

    def state(self) -> dict:
        """All that changes while the run goes on."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "log": self.log,
        }

    def restore(self, state: dict) -> None:
        """Continue from ``state``."""
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.log = state["step"], state["log"]

    def save(self) -> None:
        """Write the snapshot, whole or not at all. Raises OSError when it can't be; an earlier one stays."""
        if self.snapshot is None:
            return
        state = {"identity": self.identity()} | self.state()
        try:
            replace_whole(self.snapshot, lambda path: torch.save(state, path))
        except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError on a full disk
            raise OSError(
                f"Can't write the snapshot {self.snapshot}: {str(error).splitlines()[0]}. Is the disk full? An earlier "
                "snapshot is as it was, and the run continues from it."
            ) from error

    def before_clipping(self) -> None:
        """For runs that change the gradients before their norm is clipped."""

    def advance(self, ids: Tensor) -> float:
        """Train one step on the corpus ``ids`` (n,); returns its loss."""
        base = {"Muon": self.recipe.muon_lr, "AdamW": self.recipe.adam_lr}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = base[type(optimizer).__name__] * lr_scale(self.step, self.recipe)
        seed = self.recipe.seed * 1_000_003 + self.step
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        inputs, targets = corpus.random_batch(ids, self.recipe.batch, self.model.config.n_positions, generator)
        loss = train_step(
            self.model,
            inputs,
            targets,
            self.optimizers,
            self.teacher,
            self.recipe.distillation,
            self.before_clipping,
        )
        self.step += 1
        return loss


def fit(
    run: Run, ids: Tensor, held_out: Tensor, every: int, measured: Callable[[dict], object] = lambda row: None
) -> None:
    """Train to the recipe's end; log the held-out quality and take a snapshot each ``every`` steps.

    ``measured`` is called with each new row of the log, when the snapshot is taken.
    """
    average, started = math.nan, time.monotonic()
    earlier = run.log[-1]["seconds"] if run.log else 0.0
    with tqdm(total=run.recipe.steps, initial=run.step, desc="training", unit="step") as bar:
        while run.step < run.recipe.steps:
            loss = run.advance(ids)
            average = loss if math.isnan(average) else 0.98 * average + 0.02 * loss
            bar.update()
            bar.set_postfix(loss=f"{average:.3f}", refresh=False)
            if run.step % every == 0 or run.step == run.recipe.steps:
                quality = evaluate(run.model, held_out)
                seconds = earlier + time.monotonic() - started
                run.log.append(
                    {
                        "step": run.step,
                        "tokens": run.step * run.recipe.batch * run.model.config.n_positions,
                        "train_loss": round(average, 4),
                        "held_out_loss": round(quality.loss, 4),
                        "bits_per_character": round(quality.bits_per_character, 4),
                        "accuracy": round(quality.accuracy, 4),
                        "seconds": round(seconds),
                    }
                )
                run.save()
                measured(run.log[-1])
                tqdm.write(" ".join(f"{k}={v}" for k, v in run.log[-1].items()))


def write_log(rows: list[dict], path: Path) -> None:
    """Write the learning curve as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# gpt2-mini: the size that benchmarks/model_sweep.py chose (docs/model_sweep.md).
MINI: dict[str, Any] = {"vocab_size": 2048, "n_positions": 256, "n_embd": 192, "n_layer": 4, "n_head": 4}


def _device(text: str) -> torch.device:
    try:
        return torch.empty(1, device=text).device
    except (RuntimeError, AssertionError) as error:  # no such device, or a PyTorch without it
        raise argparse.ArgumentTypeError(f"{text} can't be used here ({str(error).splitlines()[0]})") from error


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m gpt2_lib.train", description="Train gpt2-mini from scratch.")
    parser.add_argument("--out", type=output_folder, default="build/gpt2-mini", help="folder for the model and its log")
    parser.add_argument("--steps", type=count, default=2500, help="optimiser steps of 16 windows of 256 tokens")
    parser.add_argument("--device", type=_device, default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args(argv)
    out = arguments.out

    texts = corpus.training_plays()
    tokenizer = Tokenizer.train(texts.values(), MINI["vocab_size"])
    ids = corpus.encode(texts, tokenizer)
    held_out = corpus.held_out_windows(tokenizer, MINI["n_positions"])

    recipe = Recipe(steps=arguments.steps)
    torch.manual_seed(recipe.seed)
    model = GPT2(GPT2Config(**MINI)).init_weights().to(arguments.device)
    model.tokenizer = tokenizer
    run = Run(model, recipe, out / "run.pt")
    fit(run, ids, held_out[:: len(held_out) // 120], every=250)  # about 120 windows show the curve
    quality = evaluate(model, held_out)
    write_log(run.log, out / "learning_curve.csv")
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8", newline="\n")
    save_pretrained(model, out, dtype=torch.float16)
    print(
        f"{out}: perplexity {quality.perplexity:.2f}, {quality.bits_per_character:.3f} bits per character, "
        f"accuracy {quality.accuracy:.1%} on the three held-out plays"
    )


if __name__ == "__main__":
    run(main)
