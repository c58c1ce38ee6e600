"""Selection of weights: global magnitude, n:m, Wanda and SparseGPT, each compared with the code that people use today.

python benchmarks/selection.py [--wanda DIR] [--sparsegpt DIR] [--xl] [--out docs/benchmarks.md]

The peers for Wanda and SparseGPT are their authors' code, which has no package. Give a checkout of each:
git clone https://github.com/locuslab/wanda
git clone https://github.com/IST-DASLab/sparsegpt

Exits with an error when a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from report import environment, missed_note, publish, stop_if, table
from torch import Tensor, nn

from gpt2_lib import GPT2, corpus, load_pretrained_gpt2
from gpt2_lib.config import PRESETS
from gpt2_lib.pruning import scores, selection
from gpt2_lib.pruning.calibration import hessians, input_norms
from gpt2_lib.pruning.sparsegpt import sparsegpt

ROUNDS = 5
SPARSITY = 0.5
BARS = {"speed": 50.0, "memory": 0.5, "n:m": 20.0, "error": 1.01}

PEERS = """\
The peers for Wanda and SparseGPT are their authors' code, the reference for what the methods are. It has no package:
each is loaded from a checkout (`git clone https://github.com/locuslab/wanda`, `git clone
https://github.com/IST-DASLab/sparsegpt`) that `--wanda` and `--sparsegpt` name. Maintained implementations for work
are both in llm-compressor, and SparseGPT in NVIDIA's ModelOpt and coremltools (torchao dropped its Wanda in 2026)."""

Section = tuple[str, list[str]]  # Markdown, and the bars that were missed


def shapes(preset: str) -> list[tuple[int, int]]:
    """(out, in) of every attention and feed-forward matrix of a published GPT-2."""
    config = PRESETS[preset]
    c = config.n_embd
    return [(3 * c, c), (c, c), (4 * c, c), (c, 4 * c)] * config.n_layer


def random_weights(preset: str) -> dict[str, Tensor]:
    """One float32 tensor for each of `shapes`, from a single random one: drawing them all would take minutes."""
    base = torch.randn(max(o * i for o, i in shapes(preset)), generator=torch.Generator().manual_seed(0))
    weights = {}
    for k, (o, i) in enumerate(shapes(preset)):
        weights[str(k)] = torch.empty(o, i)
        torch.mul(base[: o * i].view(o, i), 0.02 + k / 10_000, out=weights[str(k)])
    return weights


# --- global magnitude, beside torch.nn.utils.prune -----------------------------------------------------------------

GLOBAL_PROTOCOL = f"""\
Random float32 weights in the shapes of the attention and feed-forward matrices; {SPARSITY:.0%} go, ranked over all of
them; one thread. `selection.global_masks` and `torch.nn.utils.prune.global_unstructured` (L1Unstructured) each have a
fresh process. Seconds are CPU time: the median of {ROUNDS} runs of ours, one run of PyTorch's. Extra memory is the
process's peak (VmHWM, so Linux) less that before the call, over the weights' bytes; the masks are in it. One read of
the weights is `sum`. Before that, ties: a million weights of 33 different values, the same masks as a stable sort of
all. Bars for GPT-2 124M: at least {BARS["speed"]:.0f} times as fast, at most {BARS["memory"]} of extra memory."""

GLOBAL = """
import sys, statistics, time, torch
from torch import nn
from torch.nn.utils import prune
sys.path.insert(0, {folder!r})
from selection import random_weights
from gpt2_lib.pruning import selection
torch.set_num_threads(1)
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
def seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start
weights = random_weights({preset!r})
size = sum(4 * w.numel() for w in weights.values())
def ours():
    selection.global_masks(weights, {sparsity})
def theirs():
    holders = []
    for w in weights.values():
        holders.append(nn.Module())
        holders[-1].weight = nn.Parameter(w)
    pairs = [(h, "weight") for h in holders]
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount={sparsity})
selection.global_masks({{"warm-up": torch.ones(2)}}, 0.5)
before = peak()
taken = statistics.median(seconds({work}) for _ in range({rounds}))
extra = (peak() - before) / size
read = statistics.median(seconds(lambda: [w.sum() for w in weights.values()]) for _ in range(3))
print(taken, extra, read)
"""


def in_fresh_process(preset: str, work: str, rounds: int) -> tuple[float, float, float]:
    """CPU seconds of ``work``, its extra memory over the weights' bytes, and seconds of one read of the weights."""
    script = GLOBAL.format(
        folder=str(Path(__file__).parent), preset=preset, work=work, rounds=rounds, sparsity=SPARSITY
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    taken, extra, read = map(float, done.stdout.split())
    return taken, extra, read


def check_ties() -> None:
    """Exactly k, ties by order then position, against a stable sort of everything."""
    generator = torch.Generator().manual_seed(0)
    weights = {str(k): torch.randint(-16, 17, (500, 400), generator=generator) / 16 for k in range(5)}
    flat = torch.cat([w.flatten() for w in weights.values()]).abs()
    expected = torch.ones(len(flat), dtype=torch.bool)
    expected[flat.argsort(stable=True)[: round(SPARSITY * len(flat))]] = False
    masks = torch.cat([m.flatten() for m in selection.global_masks(weights, SPARSITY).values()])
    if not torch.equal(masks, expected):
        raise SystemExit("global_masks disagrees with a stable sort: there is nothing to measure.")


def global_section(xl: bool) -> Section:
    check_ties()
    torch_s, torch_extra, _ = in_fresh_process("gpt2", "theirs", 1)
    ours_s, ours_extra, read = in_fresh_process("gpt2", "ours", ROUNDS)
    ratio = torch_s / ours_s
    count = sum(o * i for o, i in shapes("gpt2"))
    label = f"GPT-2 124M, {count / 1e6:.1f} M weights"
    rows = [
        [f"{label}: one read", f"{read:.3f}", "", ""],
        [f"{label}: PyTorch", f"{torch_s:.1f}", f"{torch_extra:.2f}", ""],
        [f"{label}: gpt2_lib", f"{ours_s:.2f}", f"{ours_extra:.2f}", f"**{ratio:.0f}**"],
    ]
    if xl:
        count = sum(o * i for o, i in shapes("gpt2-xl"))
        xl_s, xl_extra, xl_read = in_fresh_process("gpt2-xl", "ours", 1)
        label = f"GPT-2 1.5B, {count / 1e6:,.0f} M weights"
        rows += [[f"{label}: one read", f"{xl_read:.2f}", "", ""]]
        rows += [[f"{label}: gpt2_lib", f"{xl_s:.1f}", f"{xl_extra:.2f}", ""]]
    text = table(["global masks", "seconds", "extra memory", "times as fast"], rows)
    if not xl:
        text += "\n\nThe 1.5 B shape was not measured (`--xl`)."
    missed = []
    if ratio < BARS["speed"]:
        missed.append(f"global masks are {ratio:.0f} times as fast as PyTorch's, not {BARS['speed']:.0f}")
    if ours_extra > BARS["memory"]:
        missed.append(f"global masks take {ours_extra:.2f} of the weights' bytes, more than {BARS['memory']}")
    return f"### Global magnitude\n\n{GLOBAL_PROTOCOL}\n\n{text}{missed_note(missed)}", missed


# --- n:m and Wanda's masks, beside wanda's code --------------------------------------------------------------------

N_M_PROTOCOL = f"""\
The 48 matrices of the 124M shape, random weights. The peer is `prune_magnitude` of wanda's `lib/prune.py`, called on
them: a loop over groups of columns with `topk` and `scatter_`. Only the masks are timed; the weights that it is given
take note of the mask where it would write the zeros. Wall-clock, both with all of PyTorch's threads, in turns,
median of {ROUNDS} rounds; the ratio is the median of the rounds' ratios. The masks must be equal, but for groups with
ties. Bar: {BARS["n:m"]:.0f}."""

WANDA_PROTOCOL = """\
Every attention and feed-forward matrix of gpt2-mini with its real inputs (8,192 tokens of the training plays). The peer
is `prune_wanda` of wanda's `lib/prune.py` and its own statistics; ours is `selection.row_masks` or `n_m_masks` of
`scores.wanda`. An entry that differs counts as a tie when its score lies within a relative 1e-5 of one that it was
preferred to: the two sum the norms in a different order. Bar: no other differences."""


def load_wanda(folder: Path) -> types.ModuleType:
    """wanda's lib/prune.py from a checkout; its data loaders need a package that isn't needed here."""
    if not (folder / "lib" / "prune.py").is_file():
        raise SystemExit(f"{folder} is no checkout of wanda: it has no lib/prune.py.")
    datasets = types.ModuleType("datasets")
    vars(datasets)["load_dataset"] = None
    with mock.patch.dict(sys.modules, {"datasets": datasets}), mock.patch.object(sys, "path", [str(folder), *sys.path]):
        return importlib.import_module("lib.prune")


def holder(weight: Tensor) -> nn.Linear:
    """An nn.Linear with a copy of ``weight`` (out, in)."""
    layer = nn.Linear(weight.size(1), weight.size(0), bias=False, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    return layer


class AsBlock(nn.Module):
    """A layer as wanda's code meets it: inside a block, called with its inputs, which go on unchanged."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, **_: object) -> tuple[Tensor]:
        self.layer(x)
        return (x,)


def as_llama(layers: list[nn.Linear]) -> types.SimpleNamespace:
    """Just enough of the model that wanda's functions ask for."""
    blocks = [AsBlock(layer) for layer in layers]
    return types.SimpleNamespace(
        model=types.SimpleNamespace(layers=blocks),
        config=types.SimpleNamespace(use_cache=False),
        hf_device_map={},
        seqlen=0,
    )


def wanda_prunes(prune: types.ModuleType, weight: Tensor, inputs: Tensor, sparsity: float, n: int, m: int) -> Tensor:
    """The mask that wanda's code gives ``weight`` (out, in) for ``inputs`` (windows, T, in); n of m are pruned."""
    layer = holder(weight)
    arguments = types.SimpleNamespace(nsamples=len(inputs), seed=0, sparsity_ratio=sparsity, use_variant=False)
    fed = (inputs.clone(), torch.empty_like(inputs), None, None)
    with (
        mock.patch.object(prune, "get_loaders", return_value=(None, None)),
        mock.patch.object(prune, "prepare_calibration_input", return_value=fed),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        prune.prune_wanda(arguments, as_llama([layer]), None, prune_n=n, prune_m=m)
    return layer.weight != 0


class Recorder(Tensor):
    """A weight that takes note of the mask (True = prune) where wanda's code would write zeros through it."""

    # What is computed from it is a plain tensor.
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]  # as PyTorch says
    mask: Tensor

    def __setitem__(self, mask: Tensor, value: float) -> None:
        self.mask = mask


def wanda_n_m(prune: types.ModuleType, weights: list[Recorder], n: int, m: int) -> None:
    """Let wanda's code choose n:m masks of ``weights``."""
    layers = [{"layer": types.SimpleNamespace(weight=types.SimpleNamespace(data=w))} for w in weights]
    model = types.SimpleNamespace(model=types.SimpleNamespace(layers=layers))
    with mock.patch.object(prune, "find_layers", dict):
        prune.prune_magnitude(None, model, None, prune_n=m - n, prune_m=m)


def n_m_rows(prune: types.ModuleType) -> tuple[list[list[str]], list[str]]:
    weights = random_weights("gpt2")
    recorders = [w.as_subclass(Recorder) for w in weights.values()]
    rows, missed = [], []
    torch.set_num_threads(os.cpu_count() or 1)
    for n, m in ((2, 4), (4, 8)):
        ours, theirs = [], []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            wanda_n_m(prune, recorders, n, m)
            theirs.append(time.perf_counter() - start)
            start = time.perf_counter()
            masks = selection.n_m_masks(weights, n, m)
            ours.append(time.perf_counter() - start)
        for w, mask, recorder in zip(weights.values(), masks.values(), recorders, strict=True):
            _check_same(w, mask, ~recorder.mask, m)
        ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
        rows.append(
            [f"{n}:{m}", f"{statistics.median(ours):.2f}", f"{statistics.median(theirs):.2f}", f"**{ratio:.1f}**"]
        )
        if ratio < BARS["n:m"]:
            missed.append(f"{n}:{m} masks are {ratio:.1f} times as fast as wanda's, not {BARS['n:m']:.0f}")
    torch.set_num_threads(1)
    return rows, missed


def _check_same(weight: Tensor, ours: Tensor, theirs: Tensor, m: int) -> None:
    """Equal, but for groups in which two magnitudes are equal."""
    differ = (ours != theirs).view(-1, m).any(dim=1)
    ordered = weight.abs().view(-1, m)[differ].sort(dim=1).values
    if not (ordered.diff(dim=1) == 0).any(dim=1).all():
        raise SystemExit("n_m_masks and wanda's loop disagree: there is nothing to compare.")


@torch.inference_mode()
def layer_inputs(model: GPT2, windows: Tensor) -> dict[str, Tensor]:
    """{weight name: inputs (N, T, in)} of every attention and feed-forward matrix, for windows (N, T)."""
    inputs, hooks = {}, []
    for name, module in model.named_modules():
        if name.startswith("h.") and isinstance(module, nn.Linear):
            keep = lambda _, args, name=name: inputs.update({f"{name}.weight": args[0].clone()})  # noqa: E731
            hooks.append(module.register_forward_pre_hook(keep))
    model.hidden(windows)
    for hook in hooks:
        hook.remove()
    return inputs


def wanda_rows(prune: types.ModuleType, model: GPT2, inputs: dict[str, Tensor]) -> tuple[list[list[str]], list[str]]:
    rows, missed = [], []
    for label, sparsity, n, m in (("rows, 50 %", 0.5, 0, 0), ("rows, 75 %", 0.75, 0, 0), ("2:4", 0.5, 2, 4)):
        entries = ties = differences = 0
        for name, x in inputs.items():
            w = model.get_parameter(name).detach()
            score = scores.wanda({name: w}, {name: input_norms(holder(w), [x], ["weight"])["weight"]})
            ours = (selection.n_m_masks(score, n, m) if m else selection.row_masks(score, sparsity))[name]
            theirs = wanda_prunes(prune, w, x, sparsity, n, m)
            width = m or w.size(1)
            tied, other = _differences(score[name].view(-1, width), ours.view(-1, width), theirs.view(-1, width))
            entries, ties, differences = entries + w.numel(), ties + tied, differences + other
        rows.append([label, f"{entries:,}", str(ties), f"**{differences}**"])
        if differences:
            missed.append(f"Wanda's masks ({label}) differ from the reference in {differences} entries")
    return rows, missed


def _differences(score: Tensor, ours: Tensor, theirs: Tensor) -> tuple[int, int]:
    """How many entries differ in groups where that is a matter of rounding, and in others; all (groups, width)."""
    differ = ours != theirs
    high = torch.where(differ, score, 0.0).amax(dim=1)
    low = torch.where(differ, score, torch.inf).amin(dim=1)
    counts = differ.sum(dim=1)
    tie = (high - low <= 1e-5 * high) & (ours.sum(dim=1) == theirs.sum(dim=1))
    return int(counts[tie].sum()), int(counts[~tie].sum())


def wanda_section(folder: Path | None, model: GPT2, inputs: dict[str, Tensor]) -> Section:
    title = "### n:m and Wanda"
    if folder is None:
        return f"{title}\n\nNot measured: this needs a checkout of wanda (`--wanda`).", []
    prune = load_wanda(folder)
    rows, missed = n_m_rows(prune)
    text = table(["n:m masks", "gpt2_lib, s", "wanda, s", "ratio"], rows) + missed_note(missed)
    wanda, more = wanda_rows(prune, model, inputs)
    text = f"{title}\n\n{N_M_PROTOCOL}\n\n{text}\n\n{WANDA_PROTOCOL}\n\n"
    text += table(["Wanda's masks", "entries", "differ by a tie", "differ"], wanda) + missed_note(more)
    return text, missed + more


# --- SparseGPT, beside its authors' code ---------------------------------------------------------------------------

SPARSEGPT_PROTOCOL = f"""\
Every attention and feed-forward matrix W of gpt2-mini with its real inputs X (8,192 tokens of the training plays): the
reconstruction error ||X (W - W')^T||^2 of `sparsegpt.sparsegpt` over that of the reference's `SparseGPT.fasterprune`,
summed over the layers, and that of the worst layer; seconds of both for all layers, median CPU time of 3 rounds in
turns, one thread, without the Hessians. Below that, one layer of the 124M shape with random, correlated inputs. (The
reference takes one entry more than asked for from each block of 128 inputs.) Bar: at most {BARS["error"]} over all
layers, at every sparsity."""


def load_sparsegpt(folder: Path) -> type:
    """The class SparseGPT of a checkout."""
    if not (folder / "sparsegpt.py").is_file():
        raise SystemExit(f"{folder} is no checkout of sparsegpt: it has no sparsegpt.py.")
    with mock.patch.object(sys, "path", [str(folder), *sys.path]):
        return importlib.import_module("sparsegpt").SparseGPT


def reference_solver(solver: type, weight: Tensor, inputs: Tensor) -> Callable[..., Tensor]:
    """A function that solves with the reference's code; like ours, it starts from a Hessian that is there."""
    layer = holder(weight)
    state = solver(layer)
    for x in inputs:
        state.add_batch(x, None)

    def solve(**how: float) -> Tensor:
        with mock.patch("torch.cuda.synchronize"), contextlib.redirect_stdout(io.StringIO()):
            state.fasterprune(**how)
        return layer.weight

    return solve


def solve_both(solver: type, weight: Tensor, inputs: Tensor, target: float | tuple[int, int]) -> Tensor:
    """(2, 2): error and CPU seconds of ours, then of the reference."""
    if isinstance(target, tuple):
        sparsity, n_m = None, target
        theirs = {"sparsity": 0.0, "prunen": target[1] - target[0], "prunem": target[1]}
    else:
        sparsity, n_m = target, None
        theirs = {"sparsity": target}
    hessian = hessians(holder(weight), [inputs], ["weight"])["weight"]
    reference = reference_solver(solver, weight, inputs)
    works = (lambda: sparsegpt(weight, hessian, sparsity, n_m), lambda: reference(**theirs))
    results = []
    for work in works:
        start = time.process_time()
        new = work()
        taken = time.process_time() - start
        lost = (weight - new).double()  # (out, in)
        results.append([float(((lost @ hessian) * lost).sum()), taken])
    return torch.tensor(results, dtype=torch.float64)


def sparsegpt_section(folder: Path | None, model: GPT2, inputs: dict[str, Tensor]) -> Section:
    title = "### SparseGPT"
    if folder is None:
        return f"{title}\n\nNot measured: this needs a checkout of sparsegpt (`--sparsegpt`).", []
    solver = load_sparsegpt(folder)
    weights = {name: model.get_parameter(name).detach() for name in inputs}
    rows, missed = [], []
    for label, target in (("50 %", 0.5), ("60 %", 0.6), ("2:4", (2, 4))):
        rounds = torch.stack(
            [torch.stack([solve_both(solver, weights[n], x, target) for n, x in inputs.items()]) for _ in range(3)]
        )  # (rounds, layers, 2, 2)
        errors = rounds[0, :, :, 0]  # (layers, 2)
        seconds = rounds[..., 1].sum(dim=1).median(dim=0).values  # (2,)
        total = float(errors[:, 0].sum() / errors[:, 1].sum())
        worst = float((errors[:, 0] / errors[:, 1]).max())
        rows.append([f"gpt2-mini, {label}", f"**{total:.4f}**", f"{worst:.4f}", *(f"{s:.2f}" for s in seconds)])
        if total > BARS["error"]:
            missed.append(f"SparseGPT's error at {label} is {total:.4f} of the reference's, more than {BARS['error']}")
    generator = torch.Generator().manual_seed(0)
    for o, i in ((3072, 768), (768, 3072)):
        x = torch.randn(4, 2048, i, generator=generator) @ (
            torch.randn(i, i, generator=generator) / i**0.5 + torch.eye(i)
        )
        found = solve_both(solver, 0.02 * torch.randn(o, i, generator=generator), x, 0.5)
        ratio = f"{found[0, 0] / found[1, 0]:.4f}"
        rows.append([f"one layer {o} x {i}, 50 %", ratio, ratio, *(f"{s:.2f}" for s in found[:, 1])])
    text = table(["SparseGPT", "error / reference's", "worst layer", "gpt2_lib, s", "reference, s"], rows)
    return f"{title}\n\n{SPARSEGPT_PROTOCOL}\n\n{text}{missed_note(missed)}", missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    parser.add_argument("--wanda", type=Path, help="a checkout of github.com/locuslab/wanda")
    parser.add_argument("--sparsegpt", type=Path, help="a checkout of github.com/IST-DASLab/sparsegpt")
    parser.add_argument("--xl", action="store_true", help="the 1.5 B shape too: needs 9 GB of memory")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_pretrained_gpt2()
    assert model.tokenizer is not None
    ids = corpus.encode(corpus.training_plays(), model.tokenizer)
    windows = corpus.random_batch(ids, 32, model.config.n_positions, torch.Generator().manual_seed(0))[0]
    inputs = {name: x.clone() for name, x in layer_inputs(model, windows).items()}
    sections = [
        wanda_section(given.wanda, model, inputs),
        sparsegpt_section(given.sparsegpt, model, inputs),
        global_section(given.xl),
    ]
    text = "\n\n".join(text for text, _ in sections)
    publish("selection", f"## Selection of weights\n\n{PEERS}\n\n{environment()}.\n\n{text}", given.out)
    stop_if([bar for _, bars in sections for bar in bars])


if __name__ == "__main__":
    main()
