"""What does a training step cost with masks, beside the same step without? Same model, same batch, one run.

python benchmarks/masked_training.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from copy import deepcopy

import torch
from report import arguments, environment, publish, table

from gpt2_lib import GPT2, load_pretrained_gpt2
from gpt2_lib.pruning.masking import MaskKeeper
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.selection import layer_masks
from gpt2_lib.train import Recipe, optimizers, train_step

BAR = 1.05
SPARSITY = 0.5
ROUNDS = {16: 11, 4: 25}  # by the batch's size
Optimizers = Callable[[GPT2], list[torch.optim.Optimizer]]
RECIPES: dict[str, Optimizers] = {
    "Muon and AdamW, as in `train`": lambda model: optimizers(model, Recipe(steps=1000)),
    "AdamW alone": lambda model: [torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1)],
}

PROTOCOL = f"""\
gpt2-mini; float32; CPU; one thread. Two copies train on the same batches with `train.train_step`: one dense, one with
{SPARSITY:.0%} of its attention and feed-forward weights held at zero by a `MaskKeeper`. They take turns, and swap who
goes first from round to round; a figure is the median CPU time of the rounds ({ROUNDS[16]} of the large batch,
{ROUNDS[4]} of the small one, after one that doesn't count), the ratio the median of the rounds' ratios. Afterwards
exactly the masked copy's zeros must still be there. Bar: at most {BAR}."""


def measure(model: GPT2, make: Optimizers, batch: int) -> tuple[float, float, float]:
    """Median CPU seconds of a dense and of a masked step, and the median ratio masked / dense."""
    dense, masked = deepcopy(model), deepcopy(model)
    masks = layer_masks(prunable_weights(masked), SPARSITY)
    optimizers_of = {dense: make(dense), masked: make(masked)}
    keeper = MaskKeeper(masked, optimizers_of[masked], masks)
    before_clipping = {dense: lambda: None, masked: keeper.zero_gradients}  # as `gradual.MaskedRun` does it
    ids = torch.randint(model.config.vocab_size, (batch, model.config.n_positions + 1))
    times: dict[GPT2, list[float]] = {dense: [], masked: []}
    for i in range(ROUNDS[batch] + 1):
        for copy in (dense, masked) if i % 2 else (masked, dense):
            start = time.process_time()
            train_step(copy, ids[:, :-1], ids[:, 1:], optimizers_of[copy], before_clipping=before_clipping[copy])
            if i > 0:
                times[copy].append(time.process_time() - start)
    for name, weight in prunable_weights(masked).items():
        if not torch.equal(weight != 0, masks[name]):
            raise SystemExit(f"{name} has left its mask: there is nothing to compare.")
    ratio = statistics.median(m / d for d, m in zip(times[dense], times[masked], strict=True))
    return statistics.median(times[dense]), statistics.median(times[masked]), ratio


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = load_pretrained_gpt2()
    length = model.config.n_positions
    rows, ratios = [], []
    for name, make in RECIPES.items():
        for batch in ROUNDS:
            dense, masked, ratio = measure(model, make, batch)
            ratios.append(ratio)
            row = [f"{name}, {batch}x{length}", f"{dense * 1e3:.0f}", f"{masked * 1e3:.0f}", f"**{ratio:.3f}**"]
            rows.append(row)
    missed = [f"a masked step takes {max(ratios):.3f} times a dense one, not {BAR:g}"] if max(ratios) > BAR else []
    text = table(["optimizer, batch", "dense step, ms", "masked step, ms", "ratio"], rows)
    publish("masked_training", f"## Training with masks\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}", page, missed)


if __name__ == "__main__":
    main()
