"""ADMM on the layers of gpt2-mini: the error left of each, beside SparseGPT's and that of the author's code.

python benchmarks/admm.py [--admm DIR] [--out docs/benchmarks.md]

The author's code is research code without a package. To measure beside it, give a checkout:
git clone https://github.com/fmfi-compbio/admm-pruning

Exits with an error when a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from pathlib import Path

import torch
from report import environment, first_line, publish, table
from selection import holder, layer_inputs
from torch import Tensor

from gpt2_lib import corpus, load_pretrained_gpt2
from gpt2_lib.pruning.admm import admm
from gpt2_lib.pruning.sparsegpt import sparsegpt

Target = float | tuple[int, int]
TARGETS: dict[str, Target] = {"50 %": 0.5, "60 %": 0.6, "70 %": 0.7, "2:4": (2, 4)}
Solver = Callable[[Tensor, Tensor, Target], Tensor]  # weight (out, in), X^T X (in, in), target -> pruned weight

PROTOCOL = """\
Every attention and feed-forward matrix W of gpt2-mini with its real inputs X (8,192 tokens of the training plays), all
solvers on the same X^T X: the error ||X (W - W')^T||^2, summed over the layers, as a share of ||X W^T||^2, and CPU
seconds for all layers, one thread, in turns layer by layer, without the Hessians. The author's code is `AdmmPruner` of
`fmfi-compbio/admm-pruning` (`lib/admm.py`), as it stands, with its own settings: 20 steps, damping of 10 % (the others'
is 1 %), and over a whole matrix a mask that has all of the sparsity from the first step on; only by rows and in 2:4 it
grows. So its column compares programs, not methods. Bar: no layer's error is above SparseGPT's, nor their sum above the
author's."""


def ours(weight: Tensor, hessian: Tensor, target: Target) -> Tensor:
    return admm(weight, hessian, n_m=target) if isinstance(target, tuple) else admm(weight, hessian, target)


def by_sparsegpt(weight: Tensor, hessian: Tensor, target: Target) -> Tensor:
    return sparsegpt(weight, hessian, n_m=target) if isinstance(target, tuple) else sparsegpt(weight, hessian, target)


def authors(folder: Path) -> Solver:
    """The author's code in a checkout, as a solver."""
    file = folder / "lib" / "admm.py"
    if not file.is_file():
        raise SystemExit(f"{folder} is no checkout of admm-pruning: it has no lib/admm.py.")
    spec = importlib.util.spec_from_file_location("authors_admm", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def solve(weight: Tensor, hessian: Tensor, target: Target) -> Tensor:
        layer = holder(weight)
        state = module.AdmmPruner(layer)
        state.XX = hessian.float()
        how = {"sparsity": target} if isinstance(target, float) else {"sparsity": 0.5, "prune_n": 2, "prune_m": 4}
        with contextlib.redirect_stdout(io.StringIO()):
            state.fasterprune(**how)
        return layer.weight.detach()

    return solve


def measure(solvers: dict[str, Solver], weights: dict[str, Tensor], hessians: dict[str, Tensor], target: Target):
    """{solver: (errors of the layers as a share of the whole output (layers,), CPU seconds in all)}."""
    whole = sum(float(((w.double() @ hessians[n]) * w.double()).sum()) for n, w in weights.items())
    errors: dict[str, list[float]] = {name: [] for name in solvers}
    seconds = dict.fromkeys(solvers, 0.0)
    for layer, w in weights.items():
        for name, solve in solvers.items():
            started = time.process_time()
            new = solve(w, hessians[layer], target)
            seconds[name] += time.process_time() - started
            lost = (w - new).double()
            errors[name].append(float(((lost @ hessians[layer]) * lost).sum()) / whole)
    return {name: (torch.tensor(errors[name]), seconds[name]) for name in solvers}


def main() -> None:
    parser = argparse.ArgumentParser(description=first_line(__doc__))
    parser.add_argument("--admm", type=Path, help="a checkout of github.com/fmfi-compbio/admm-pruning")
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_pretrained_gpt2()
    assert model.tokenizer is not None
    ids = corpus.encode(corpus.training_plays(), model.tokenizer)
    windows = corpus.random_batch(ids, 32, model.config.n_positions, torch.Generator().manual_seed(0))[0]
    inputs = {name: x.flatten(0, 1).double() for name, x in layer_inputs(model, windows).items()}
    hessians = {name: x.t() @ x for name, x in inputs.items()}
    weights = {name: model.get_parameter(name).detach() for name in inputs}
    solvers: dict[str, Solver] = {"SparseGPT": by_sparsegpt, "ADMM": ours}
    if given.admm is not None:
        solvers["the author's ADMM"] = authors(given.admm)
    rows, missed = [], []
    for name, target in TARGETS.items():
        found = measure(solvers, weights, hessians, target)
        rows.append([name, *(f"{errors.sum():.2%}, {seconds:.1f} s" for errors, seconds in found.values())])
        best = found["ADMM"][0]
        if (best > found["SparseGPT"][0]).any():
            missed.append(f"a layer's error at {name} is above SparseGPT's")
        if any(best.sum() > errors.sum() for errors, _ in found.values()):
            missed.append(f"the error at {name} is not the lowest")
    text = table(["error, time at", *solvers], rows)
    if given.admm is None:
        text += "\n\nThe author's code was not measured (`--admm`)."
    publish("admm", f"## ADMM, layer by layer\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}", given.out, missed)


if __name__ == "__main__":
    main()
