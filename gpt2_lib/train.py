"""Training: the loop that trained the bundled gpt2-mini, and that lets a pruned model recover.

``python -m gpt2_lib.train --out build/gpt2-mini`` (``make train``) trains gpt2-mini again. Killed,
it continues where its last snapshot was; finished, its folder opens with `load_pretrained_gpt2`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import pickle
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from tqdm.auto import tqdm

from . import corpus
from .checkpoints import CheckpointError, save_pretrained
from .config import GPT2Config
from .files import replace_whole
from .gpt2 import GPT2
from .metrics import evaluate
from .modules import unwrap
from .system.command import count, output_folder, run
from .tokenizer import Tokenizer
from .training.autosave import Autosave
from .training.step import USUAL, Means, Recipe, check_optimizers, lr_scale, optimizers, train_step

__all__ = ["Means", "Recipe", "Run", "fit", "lr_scale", "optimizers", "train_step", "write_log"]


class Run:
    """A training run: model, optimisers and step, all of which a snapshot stores.

    Every step draws its batch and its dropout from the recipe's seed and the step's number alone,
    so a run that was killed continues to the same result: from its ``snapshot`` file, which `advance` writes once a
    minute and when it is interrupted (Ctrl-C). Make the run again with the same settings, and go on from ``run.step``;
    ``run.log`` is in the snapshot, too. Without a ``snapshot`` nothing is saved.
    ``teacher``: the model to imitate, in evaluation mode, where the recipe asks for distillation.
    ``means``: your own optimisers, schedulers, accumulation and autocast.

    Raises CheckpointError for a snapshot that is damaged or of a run with other settings, and where none can be
    written.
    """

    def __init__(
        self,
        model: GPT2,
        recipe: Recipe,
        snapshot: str | Path | None = None,
        teacher: GPT2 | None = None,
        means: Means = USUAL,
    ) -> None:
        unwrap(model)  # is it one?
        if not isinstance(recipe, Recipe):
            raise TypeError(f"A Recipe is needed; got a {type(recipe).__name__}. Were arguments swapped?")
        if (teacher is None) != (recipe.distillation == 0):
            raise ValueError(f"A teacher goes with distillation above 0; the recipe says {recipe.distillation:g}.")
        self.model, self.recipe, self.teacher, self.means = model, recipe, teacher, means
        self.snapshot = None if snapshot is None else _place(Path(snapshot))
        self.optimizers = list(means.optimizers) or optimizers(model, recipe)
        check_optimizers(model, self.optimizers)
        self._rates = [[float(group["lr"]) for group in optimizer.param_groups] for optimizer in self.optimizers]
        self._identity = self.identity()  # before the scheduler's step changes its value
        self.step = 0
        self.text: int | None = None  # a sum over the token ids that are trained on
        self.log: list[dict] = []
        self._autosave = nullcontext if self.snapshot is None else Autosave(self.save).step
        if self.snapshot is not None and self.snapshot.is_file():
            self._restore(self.snapshot)

    def _restore(self, snapshot: Path) -> None:
        try:
            state = torch.load(snapshot, map_location="cpu", weights_only=True)  # it may come from another device
            other = state["identity"] != self._identity
        except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{snapshot} is no snapshot of a run, or is damaged. Give another file, or delete it to start afresh."
            ) from error
        if other:
            raise CheckpointError(
                f"{snapshot} belongs to a run with other settings. Give another folder, or delete it to start afresh."
            )
        self.restore(state)

    @property
    def plain(self) -> GPT2:
        """Return the model without torch.compile, DataParallel and the like."""
        return cast("GPT2", unwrap(self.model))

    def identity(self) -> dict:
        """Return the settings that a snapshot must match before the run continues from it."""
        settings = {"recipe": asdict(self.recipe), "config": self.plain.config.of_the_model()}
        return settings if self.means == USUAL else settings | {"means": self.means.identity()}

    def state(self) -> dict:
        """Return the full state of the run, for a snapshot."""
        return {
            "model": self.plain.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.means.schedulers],
            "text": self.text,
            "step": self.step,
            "log": self.log,
        }

    def restore(self, state: dict) -> None:
        """Continue from ``state``."""
        self.plain.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.means.schedulers, state.get("schedulers", []), strict=True):
            scheduler.load_state_dict(saved)
        self.text = state.get("text")
        self.step, self.log = state["step"], state["log"]

    def save(self) -> None:
        """Write the snapshot, whole or not at all. Raises OSError on failure; an earlier snapshot stays."""
        if self.snapshot is None:
            return
        state = {"identity": self._identity} | self.state()
        try:
            replace_whole(self.snapshot, lambda path: torch.save(state, path))
        except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError on a full disk
            raise OSError(
                f"Can't write the snapshot {self.snapshot}: {str(error).splitlines()[0]}. Is the disk full? An earlier "
                "snapshot is as it was, and the run continues from it."
            ) from error

    def before_clipping(self) -> None:
        """Change the gradients before their norm is clipped; subclasses override this."""

    def check_text(self, ids: Tensor) -> None:
        """Raise CheckpointError unless ``ids`` are the corpus that the run was trained on before its snapshot."""
        text = zlib.crc32(ids.cpu().contiguous().numpy().data)
        if self.text not in (None, text):
            raise CheckpointError(
                f"{self.snapshot} belongs to a run on another text. Give that text, another folder, or delete the "
                "snapshot to start afresh."
            )
        self.text = text

    def advance(self, ids: Tensor) -> float:
        """Train one step on the corpus ``ids`` (n,); returns its loss."""
        with self._autosave():
            return self.train_one(ids)

    def train_one(self, ids: Tensor) -> float:
        """Train one step, as `advance` does; subclasses extend this."""
        if not self.means.schedulers:
            for optimizer, rates in zip(self.optimizers, self._rates, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * lr_scale(self.step, self.recipe)
        seed = self.recipe.seed * 1_000_003 + self.step
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        inputs, targets = corpus.random_batch(ids, self.recipe.batch, self.plain.config.n_positions, generator)
        loss = train_step(
            self.model,
            inputs,
            targets,
            self.optimizers,
            self.teacher,
            self.recipe.distillation,
            self.before_clipping,
            self.means,
        )
        for scheduler in self.means.schedulers:
            scheduler.step()
        self.step += 1
        return loss


def _place(snapshot: Path) -> Path:
    """Return ``snapshot``. Raises CheckpointError, before any training, if no such file can be written."""
    above = next(folder for folder in snapshot.absolute().parents if folder.exists())
    if snapshot.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        raise CheckpointError(
            f"Can't write the snapshot {snapshot}: give the name of a file in a folder that you may write to."
        )
    return snapshot


Callback = Callable[[Run, dict], object]  # the run, and a row of its log


def fit(run: Run, ids: Tensor, held_out: Tensor, every: int, callbacks: Iterable[Callback] = ()) -> None:
    """Train to the recipe's end; log the held-out quality and save a snapshot every ``every`` steps.

    ``ids`` (n,) is the text to train on, ``held_out`` the windows (N, T) to measure on. Each of the ``callbacks`` gets
    the run and each new row of its log, when the snapshot is taken: `deploy.tracking` has those for TensorBoard and
    MLflow. Raises CheckpointError where a run goes on with another text than it began with, ValueError for ``every``
    below 1 and where there is nothing to measure on.
    """
    if every < 1 or len(held_out) == 0:
        raise ValueError(f"every is at least 1, and held_out has a window or more; got {every} and {len(held_out)}.")
    run.check_text(ids)
    callbacks = list(callbacks)
    if run.step >= run.recipe.steps:
        tqdm.write(f"This run is finished: {run.step} of {run.recipe.steps} steps; nothing is trained.", sys.stderr)
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
                        "tokens": run.step * run.recipe.batch * run.plain.config.n_positions,
                        "train_loss": round(average, 4),
                        "held_out_loss": round(quality.loss, 4),
                        "bits_per_character": round(quality.bits_per_character, 4),
                        "accuracy": round(quality.accuracy, 4),
                        "seconds": round(seconds),
                    }
                )
                run.save()
                for callback in callbacks:
                    callback(run, run.log[-1])
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


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = argparse.ArgumentParser(prog="python -m gpt2_lib.train", description="Train gpt2-mini from scratch.")
    found.add_argument("--out", type=output_folder, default="build/gpt2-mini", help="folder for the model and its log")
    found.add_argument("--steps", type=count, default=2500, help="optimiser steps of 16 windows of 256 tokens")
    found.add_argument("--device", type=_device, default="cuda" if torch.cuda.is_available() else "cpu")
    return found


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    out = arguments.out

    texts = corpus.training_plays()
    tokenizer = Tokenizer.train(texts.values(), MINI["vocab_size"])
    ids = corpus.encode(texts, tokenizer)
    held_out = corpus.held_out_windows(tokenizer, MINI["n_positions"])

    recipe = Recipe(steps=arguments.steps)
    torch.manual_seed(recipe.seed)
    model = GPT2(GPT2Config(**MINI)).init_weights().to(arguments.device)
    model.tokenizer = tokenizer
    try:
        run = Run(model, recipe, out / "run.pt")
        fit(run, ids, held_out[:: len(held_out) // 120], every=250)  # about 120 windows show the curve
    except CheckpointError as error:
        sys.exit(str(error))
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
