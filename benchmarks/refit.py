"""Heads and neurons removed in one shot, and what least squares on the rest give back.

python benchmarks/refit.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import torch
from report import arguments, environment, publish, table

from gpt2_lib import ModelPruner, evaluate, held_out_windows, load_pretrained_gpt2
from gpt2_lib.corpus import calibration_windows

BARS = {0.25: 29.5, 0.5: 41.0}  # perplexity, for every seed
SEEDS = 3
CALIBRATION = 128  # windows of the training plays

PROTOCOL = f"""\
gpt2-mini, one shot, no training: the same share of the heads and of the neurons of every block is removed by
contribution, then every `c_proj` is solved anew (`ModelPruner.remove_structures`). {CALIBRATION} windows of the
training plays choose and refit, drawn with {SEEDS} seeds; perplexity of every third held-out window. Bars, each seed:
{" and ".join(f"{bar:g} at {share:.0%}" for share, bar in BARS.items())}."""


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    model, tokenizer = load_pretrained_gpt2()
    length = model.config.n_positions
    held_out = held_out_windows(tokenizer, length)[::3]
    texts = [calibration_windows(tokenizer, length, CALIBRATION, seed) for seed in range(SEEDS)]
    rows = [["dense", f"{evaluate(model, held_out).perplexity:.2f}", "", ""]]
    missed: list[str] = []
    for share, bar in BARS.items():
        plain = ModelPruner(model).remove_structures(share, share, texts[0], refit=False)
        fitted = [ModelPruner(model).remove_structures(share, share, text) for text in texts]
        found = [evaluate(m, held_out).perplexity for m in fitted]
        before = evaluate(plain, held_out).perplexity
        rows.append([f"{share:.0%}", f"{before:.2f}", ", ".join(f"{p:.2f}" for p in found), f"{bar:g}"])
        missed += [f"{p:.2f} at {share:.0%}, not {bar:g}" for p in found if p > bar]
    text = table(["heads and neurons gone", "not refitted", "refitted, by seed", "bar"], rows)
    publish("refit", f"## Structured pruning, refitted\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}", page, missed)


if __name__ == "__main__":
    main()
