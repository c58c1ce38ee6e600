"""How much of gpt2-mini can go for under 2 % of its accuracy, in under ten minutes on two cores?

``python benchmarks/gradual.py --sparsity 0.6 0.7 0.8``; a run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import report
import torch
from tqdm.auto import tqdm

from gpt2_lib import corpus, evaluate, load_pretrained_gpt2
from gpt2_lib.metrics import Quality, sparsity
from gpt2_lib.pruning.gradual import RECOVERY, GradualRun, admm_cuts, sparsegpt_cuts
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.schedules import Schedule

CUTS = 6
METHODS = {"SparseGPT": sparsegpt_cuts, "ADMM": admm_cuts}
BAR, MINUTES = 0.02, 10


def prune(
    target: float, steps: int, method: str, ids: torch.Tensor, held_out: torch.Tensor, folder: Path
) -> tuple[Quality, dict]:
    """Prune a fresh gpt2-mini to ``target`` along the cubic schedule, then train on; quality and how it went."""
    model, tokenizer = load_pretrained_gpt2()
    teacher = load_pretrained_gpt2()
    recipe = replace(RECOVERY, steps=steps)
    half = steps // 2 // (CUTS - 1) * (CUTS - 1)  # the cuts take half of the steps
    started = time.monotonic()
    cuts = METHODS[method](model, corpus.calibration_windows(tokenizer, model.config.n_positions))
    # The first cut, at step 0, goes a third of the way at once: one shot is nearly free that far.
    schedule = Schedule(target, half, initial=target / 3, every=half // (CUTS - 1))
    run = GradualRun(model, recipe, schedule, folder / f"{target:g}_{method}_{steps}.pt", teacher, cuts)
    earlier = run.log[-1]["seconds"] if run.log else 0.0
    for _ in tqdm(range(run.step, steps), desc=f"{target:.0%}", initial=run.step, total=steps):
        run.advance(ids)
        if run.step % 100 == 0 or run.step == steps:
            run.log.append({"step": run.step, "seconds": earlier + time.monotonic() - started})
            run.save()
    zeros = sparsity(prunable_weights(model).values())
    return evaluate(model, held_out), {"seconds": run.log[-1]["seconds"], "sparsity": zeros}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.6, 0.7, 0.8])
    parser.add_argument("--steps", type=int, default=RECOVERY.steps, help="of 8 windows of 256 tokens")
    parser.add_argument("--cuts", choices=METHODS, default="SparseGPT", help="what chooses and corrects")
    parser.add_argument("--folder", type=Path, default=Path("build/gradual"), help="snapshots and results")
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    model, tokenizer = load_pretrained_gpt2()
    held_out = corpus.held_out_windows(tokenizer, model.config.n_positions)
    ids = corpus.encode(corpus.training_plays(), tokenizer)
    dense = evaluate(model, held_out)
    rows, lost = [], {}
    for target in sorted(arguments.sparsity):
        quality, went = prune(target, arguments.steps, arguments.cuts, ids, held_out, arguments.folder)
        lost[target] = 1 - quality.accuracy / dense.accuracy
        minutes = went["seconds"] / 60
        rows.append(
            (
                f"{went['sparsity']:.1%}",
                f"{quality.perplexity:.2f}",
                f"{quality.accuracy:.2%}",
                f"**{lost[target]:.2%}**",
                f"{minutes:.1f}",
            )
        )
        print(json.dumps({"target": target, "lost": lost[target], "minutes": minutes}), flush=True)
    under = [target for target, share in lost.items() if share < BAR]
    highest = f"{max(under):.0%}" if under else "none of these"
    dense_row = ("0 %, as bundled", f"{dense.perplexity:.2f}", f"{dense.accuracy:.2%}", "", "")
    header = ("sparsity", "perplexity", "top-1 accuracy", "accuracy lost, relative", "minutes")
    report.publish(
        "gradual",
        f"""## Gradual pruning

gpt2-mini, pruned along the cubic schedule in {CUTS} cuts by {arguments.cuts} on 64 pages of the training plays, trained
between and after them for {arguments.steps} steps of {RECOVERY.batch} windows of 256 tokens, with the unpruned model as
the teacher. Measured on all held-out windows ({dense.tokens:,} tokens); minutes are wall-clock on
{torch.get_num_threads()} threads. Bar: 60 % with under {BAR:.0%} lost, in under {MINUTES} minutes. The highest sparsity
that stays under {BAR:.0%} here: **{highest}**. The dense model had no such training: the next section has, for a
shorter run, a dense model that had it and a small dense one. On all windows the dense model's perplexity is another
one than on the {corpus.MEASURED} of the other pages.

{report.environment()}

{report.table(header, [dense_row, *rows])}
""",
        arguments.out,
    )
    sys.exit(0.6 in lost and lost[0.6] >= BAR)


if __name__ == "__main__":
    main()
