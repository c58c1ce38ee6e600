"""Gradual pruning compared with its controls: the dense model trained as long, and a small dense one of the same size.

    python benchmarks/controls.py [--steps 600 --batch 8] [--seeds 0 1 2] [--out docs/benchmarks.md]

A pruned model that was trained is compared with a dense one that was not: which of the two did the work? (Zhu and
Gupta, 2017, and Xu et al., 2026, "Small LLMs: Pruning vs. Training from Scratch", measure the small dense one.)
A run that was killed goes on with the first model that is not measured yet.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import report
from torch import Tensor
from tqdm.auto import tqdm

from gpt2_lib import GPT2, ModelPruner, corpus, evaluate, load_pretrained_gpt2
from gpt2_lib.metrics import Quality, paired
from gpt2_lib.pruning.gradual import RECOVERY, GradualRun, sparsegpt_cuts
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.schedules import Schedule
from gpt2_lib.train import Recipe, Run

TARGET, CUTS, CALIBRATION = 0.6, 5, 32
HEADS, NEURONS = 0.5, 0.65  # removed from every block: a third of 50 % and two thirds of 65 % are TARGET

Made = Callable[[Recipe, Tensor], GPT2]


def pruned(recipe: Recipe, ids: Tensor) -> GPT2:
    """Pruned gradually: TARGET of the prunable weights, in CUTS cuts in the first half of the steps."""
    model, tokenizer = load_pretrained_gpt2()
    half = recipe.steps // 2 // (CUTS - 1) * (CUTS - 1)
    schedule = Schedule(TARGET, half, initial=TARGET / 3, every=half // (CUTS - 1))
    calibration = corpus.calibration_windows(tokenizer, model.config.n_positions, CALIBRATION)
    cuts = sparsegpt_cuts(model, calibration)
    return trained(GradualRun(model, recipe, schedule, teacher=load_pretrained_gpt2(), select=cuts), ids)


def dense(recipe: Recipe, ids: Tensor) -> GPT2:
    """Nothing pruned, trained just as long, by the same recipe and teacher."""
    return trained(Run(load_pretrained_gpt2(), recipe, teacher=load_pretrained_gpt2()), ids)


def small(recipe: Recipe, ids: Tensor) -> GPT2:
    """Dense with as many weights as the pruned model has left: heads and neurons removed, then trained just as long."""
    whole, tokenizer = load_pretrained_gpt2()
    calibration = corpus.calibration_windows(tokenizer, whole.config.n_positions, CALIBRATION)
    model = ModelPruner(whole).remove_structures(HEADS, NEURONS, calibration)
    return trained(Run(model, recipe, teacher=load_pretrained_gpt2()), ids)


MODELS: dict[str, Made] = {
    f"{TARGET:.0%} zeros, gradual": pruned,
    "dense, trained as long": dense,
    "small and dense, trained as long": small,
}


def trained(run: Run, ids: Tensor) -> GPT2:
    for _ in tqdm(range(run.recipe.steps), unit="step"):
        run.advance(ids)
    return run.model


def measured(name: str, recipe: Recipe, ids: Tensor, windows: Tensor, file: Path) -> dict[str, float]:
    """The model's quality, and beside gpt2-mini as bundled; read from ``file`` if it is there, else kept in it."""
    if not file.is_file():
        model = MODELS[name](recipe, ids)
        quality, beside = evaluate(model, windows), paired(model, load_pretrained_gpt2(), windows)
        found = {
            "weights": sum(int(w.count_nonzero()) for w in prunable_weights(model).values()),
            "perplexity": quality.perplexity,
            "accuracy": quality.accuracy,
            "more": beside.perplexity,
            "more_error": beside.perplexity_error,
            "lost": beside.accuracy_lost,
            "lost_error": beside.accuracy_error,
        }
        file.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def spread(values: list[float], form: str) -> str:
    """The mean and, in brackets, the lowest and the highest."""
    ends = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{form}}{ends}"


def answer(found: dict[str, list[dict[str, float]]]) -> str:
    """Return the loss of the pruned model compared with its controls, in a sentence."""
    mean = {name: statistics.fmean(run["perplexity"] for run in runs) for name, runs in found.items()}
    right = {name: statistics.fmean(run["accuracy"] for run in runs) for name, runs in found.items()}
    ours, as_long, small_dense = mean
    return (
        f"Beside the dense model that was trained as long, the pruned one has {mean[ours] / mean[as_long] - 1:+.1%} of "
        f"perplexity and {right[ours] / right[as_long] - 1:+.1%} of accuracy; beside the small dense one "
        f"{mean[ours] / mean[small_dense] - 1:+.1%} and {right[ours] / right[small_dense] - 1:+.1%}."
    )


def section(found: dict[str, list[dict[str, float]]], bundled: Quality, arguments: argparse.Namespace) -> str:
    rows = [["dense, as bundled", "", f"{bundled.perplexity:.2f}", "", f"{bundled.accuracy:.2%}", ""]]
    for name, seeds in found.items():
        columns = {key: [run[key] for run in seeds] for key in seeds[0]}
        rows.append(
            [
                name,
                f"{columns['weights'][0]:,.0f}",
                spread(columns["perplexity"], ".2f"),
                f"{statistics.fmean(columns['more']):+.1%} ± {statistics.fmean(columns['more_error']):.1%}",
                spread(columns["accuracy"], ".2%"),
                f"{statistics.fmean(columns['lost']):.1%} ± {statistics.fmean(columns['lost_error']):.1%}",
            ]
        )
    header = [
        "model",
        "weights left in the blocks",
        "perplexity",
        "against bundled",
        "top-1 accuracy",
        "lost, relative",
    ]
    seeds = ", ".join(map(str, arguments.seeds))
    return f"""## Gradual pruning compared with its controls

Three models from gpt2-mini, all trained for {arguments.steps} steps of {arguments.batch} windows of 256 tokens by the
same recipe (`RECOVERY`) with the bundled model as the teacher: pruned gradually to {TARGET:.0%} in {CUTS} cuts by
SparseGPT; dense; and small and dense, with as many weights left, after {HEADS:.0%} of the heads and {NEURONS:.0%} of
the neurons of every block were removed. {corpus.MEASURED} held-out windows. Seeds: {seeds}; the mean, and where there
are several the lowest and the highest in brackets. After ± stands one standard error of the difference to the bundled
model, window by window (`metrics.paired`): that of the choice of windows, not of the seed.

What pruning costs is its row beside the dense one that was trained as long, not beside the bundled model. Runs of other
lengths (`--steps`) have other answers: none of these is a limit.

**{answer(found)}**

{report.environment()}

{report.table(header, rows)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=report.first_line(__doc__))
    parser.add_argument("--steps", type=int, default=RECOVERY.steps)
    parser.add_argument("--batch", type=int, default=RECOVERY.batch, help="windows of 256 tokens a step")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("build/controls"), help="what is measured already")
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer = load_pretrained_gpt2()
    ids = corpus.encode(corpus.training_plays(), tokenizer)
    windows = corpus.held_out_windows(tokenizer, model.config.n_positions, corpus.MEASURED)
    recipe = replace(RECOVERY, steps=arguments.steps, batch=arguments.batch)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in MODELS}
    for seed in arguments.seeds:
        for number, name in enumerate(MODELS):
            file = arguments.folder / f"{number}_{arguments.steps}x{arguments.batch}_{seed}.json"
            found[name].append(measured(name, replace(recipe, seed=seed), ids, windows, file))
    report.publish("controls", section(found, evaluate(model, windows), arguments), arguments.out)


if __name__ == "__main__":
    main()
