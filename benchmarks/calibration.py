"""What does pruning block after block cost beside one calibration pass and the solver?

python benchmarks/calibration.py [--out docs/benchmarks.md]

Exits with an error when the bar is missed.
"""

from __future__ import annotations

import statistics
from copy import deepcopy

import torch
from report import arguments, environment, publish, table

from gpt2_lib import GPT2, ModelPruner
from gpt2_lib.config import PRESETS
from gpt2_lib.pruning.calibration import hessians
from gpt2_lib.pruning.sparsegpt import sparsegpt
from gpt2_lib.pruning.targets import prunable_weights
from gpt2_lib.system.timing import take_turns

TOKENS, LENGTH = 4096, 128  # of calibration text; the widest matrix has 3,072 inputs
ROUNDS = 3
BAR = 1.5

PROTOCOL = f"""\
A model with the shape of GPT-2 124M (random weights, float32) is pruned by half with SparseGPT, on {TOKENS:,}
random tokens in windows of {LENGTH}. One calibration pass: the Hessians of all matrices of the unpruned model. Solver:
`sparsegpt` on each matrix with its Hessian. CPU time, one thread, the three in turns, median of {ROUNDS} rounds, as a
multiple of one calibration pass. Bar: `prune_sparsegpt` without the solver costs at most {BAR:g} passes."""


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    model = GPT2(PRESETS["gpt2"]).init_weights()
    names = list(prunable_weights(model))
    windows = torch.randint(model.config.vocab_size, (TOKENS // LENGTH, LENGTH))
    found = hessians(model, windows, names)

    @torch.no_grad()
    def solve() -> None:
        for name in names:
            sparsegpt(model.get_parameter(name), found[name], 0.5)

    copies = [deepcopy(model) for _ in range(ROUNDS)]
    seconds = take_turns(
        {
            "one calibration pass": lambda: hessians(model, windows, names),
            "solver": solve,
            "prune_sparsegpt": lambda: ModelPruner(copies.pop()).prune_sparsegpt(windows, 0.5),
        },
        ROUNDS,
        warm_up=0,
        title="calibrating",
    )
    one, solver, whole = (statistics.median(values) for values in seconds.values())
    passes = (whole - solver) / one
    rows = [[name, f"{statistics.median(values) / one:.2f}"] for name, values in seconds.items()]
    rows.append(["prune_sparsegpt without the solver", f"{passes:.2f}"])
    text = table(["CPU time", "passes"], rows)
    missed = [f"{passes:.2f} passes, not {BAR:g}"] if passes > BAR else []
    publish(
        "calibration", f"## Calibration block after block\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}", page, missed
    )


if __name__ == "__main__":
    main()
