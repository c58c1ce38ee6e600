"""Write docs/MODEL_PRUNING_GUIDE.md: docs/guide_template.md with pictures and figures measured here.

``python docs/guide.py`` (``make docs`` calls it) takes about four minutes on two idle cores. Each section of
the guide has a function below, which draws docs/pictures/guide_<section>.png and returns the figures
that stand as <<section.figure>> in the template.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from gpt2_lib import plots
from gpt2_lib.checkpoints import load_pretrained_gpt2
from gpt2_lib.config import PRESETS
from gpt2_lib.corpus import MEASURED, calibration_windows, encode, held_out_windows, training_plays
from gpt2_lib.course import equal_bytes as ways
from gpt2_lib.course import facts
from gpt2_lib.gpt2 import GPT2
from gpt2_lib.metrics import Quality, evaluate, flops, paired
from gpt2_lib.pruning import admm as admm_solver
from gpt2_lib.pruning import calibration, scores, selection, surgery
from gpt2_lib.pruning import sparsegpt as solver
from gpt2_lib.pruning.gradual import RECOVERY, GradualRun, prune_iteratively
from gpt2_lib.pruning.masking import apply_masks
from gpt2_lib.pruning.pruner import ModelPruner, prunable_weights
from gpt2_lib.pruning.schedules import Schedule, cubic_sparsity, linear_sparsity, one_shot_sparsity
from gpt2_lib.pruning.sensitivity import scan
from gpt2_lib.storage.int4 import GROUP, bits
from gpt2_lib.storage.packed import Sizes, packed_sizes
from gpt2_lib.train import lr_scale

DOCS = Path(__file__).parent
PICTURES = DOCS / "pictures"
TEMPLATE = DOCS / "guide_template.md"
GUIDE = DOCS / "MODEL_PRUNING_GUIDE.md"
PLACEHOLDER = re.compile(r"<<((?:(?:fact|table) )?[a-z0-9_.]+)>>")  # a figure, or what facts.toml says

HALF = 0.5
QUARTER = 0.25
MIN_KEPT = 0.4  # the guard that global pruning is tried with
WINDOWS = MEASURED  # held-out windows that a quality is measured on
FEW = 12  # of them, where many models are measured
RECIPE = replace(RECOVERY, steps=45, batch=4, warmup=5)  # a taste of training: minutes would be better
SCHEDULE = Schedule(HALF, steps=30, every=5)  # the steps after it are recovery
ROUNDS = 3  # of cutting and rewinding, in as many steps all together
SHOWN = "h.1.mlp.c_fc.weight"  # the matrix in the pictures, or a corner of it
LOUD = "h.0.attn.c_proj.weight"  # one whose inputs differ much in size
INPUT_NAMES = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


@dataclass
class Lab:
    """The model and the texts that every section measures with."""

    model: GPT2
    held_out: Tensor  # (WINDOWS, T)
    few: Tensor  # (FEW, T)
    windows: Tensor  # calibration text (64, T), from the training plays
    text: Tensor  # token ids (n,) to train on: all training plays
    dense: Quality
    dense_few: Quality  # on those few
    at_half: dict[str, Quality]  # filled by the sections: {method: quality at 50 %}

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: w.detach() for name, w in prunable_weights(self.model).items()}

    def prune(self, cut: Callable[[ModelPruner], object]) -> tuple[float, Quality]:
        """Prune a copy: seconds (median of up to five, the more the quicker it goes) and quality."""
        seconds: list[float] = []
        while len(seconds) < 5 and sum(seconds) < 1:
            pruner = ModelPruner(deepcopy(self.model))
            started = time.perf_counter()
            cut(pruner)
            seconds.append(time.perf_counter() - started)
        assert isinstance(pruner.model, GPT2)
        return statistics.median(seconds), evaluate(pruner.model, self.held_out)

    def cost(self, method: str, cut: Callable[[ModelPruner], object]) -> str:
        """What pruning to 50 % costs, as a sentence."""
        seconds, quality = self.prune(cut)
        self.at_half[method] = quality
        return f"{_seconds(seconds)} to prune. At {HALF:.0%}, in one shot: {self.against_dense(quality)}."

    def against_dense(self, quality: Quality) -> str:
        return (
            f"perplexity {_perplexity(quality)} (dense {_perplexity(self.dense)}), "
            f"top-1 accuracy {quality.accuracy:.1%} (dense {self.dense.accuracy:.1%})"
        )


def main() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    lab = open_lab()
    figures = about(lab)
    for section in SECTIONS:
        found = section(lab)
        figures |= {f"{section.__name__}.{name}": value for name, value in found.items()}
    GUIDE.write_text(fill(text, figures), encoding="utf-8")
    print(f"Wrote docs/{GUIDE.name} and docs/pictures/guide_*.png")


def open_lab() -> Lab:
    torch.manual_seed(0)
    model, tokenizer = load_pretrained_gpt2()
    length = model.config.n_positions
    held_out = held_out_windows(tokenizer, length, WINDOWS)
    few = held_out[torch.linspace(0, WINDOWS - 1, FEW).long()]
    return Lab(
        model=model,
        held_out=held_out,
        few=few,
        windows=calibration_windows(tokenizer, length),
        text=encode(training_plays(), tokenizer),
        dense=evaluate(model, held_out),
        dense_few=evaluate(model, few),
        at_half={},
    )


def fill(template: str, figures: Mapping[str, str]) -> str:
    """``template`` with each <<figure>> filled in, and each <<fact NAME>> from facts.toml.

    Raises KeyError unless both name the same figures, and for a fact that there is not.
    """
    template = facts.fill_in(template)
    wanted = set(PLACEHOLDER.findall(template))
    if wanted != set(figures):
        raise KeyError(
            f"The template asks for {sorted(wanted - set(figures))}, which nothing measures; "
            f"nothing in it asks for {sorted(set(figures) - wanted)}."
        )
    return PLACEHOLDER.sub(lambda match: figures[match[1]], template)


def about(lab: Lab) -> dict[str, str]:
    return {
        "half": f"{HALF:.0%}",
        "quarter": f"{QUARTER:.0%}",
        "windows": str(WINDOWS),
        "tokens": f"{lab.dense.tokens:,}",
        "few": str(FEW),
        "calibration": str(len(lab.windows)),
        "context": str(lab.windows.size(1)),
        "threads": f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}",
        "torch": torch.__version__.partition("+")[0],
        "steps": str(RECIPE.steps),
        "batch": str(RECIPE.batch),
        "distillation": f"{RECIPE.distillation:g}",
        "written": f"<!-- docs/guide.py wrote this page: change docs/{TEMPLATE.name} and run `make docs`. -->",
    }


# Words


def words(lab: Lab) -> dict[str, str]:
    pruner = ModelPruner(deepcopy(lab.model))
    pruner.prune_layers(HALF)
    found = pruner.get_model_statistics()
    beside = paired(pruner.model, lab.model, lab.held_out)
    with torch.device("meta"):
        sizes = {"gpt2-mini": lab.model, "GPT-2 124M": GPT2(PRESETS["gpt2"])}
    shares, whole = {}, {}
    for name, model in sizes.items():
        prunable = sum(w.numel() for w in prunable_weights(model).values())
        everything = sum(p.numel() for p in model.parameters())
        gone = round(HALF * prunable)
        shares[name] = {"not prunable": everything - prunable, "prunable, kept": prunable - gone, "pruned": gone}
        whole[name] = f"{gone / everything:.1%}"
    figure = Figure(figsize=(7, 1.8), layout="constrained")
    plots.parameter_bars(figure.subplots(), shares)
    _save(figure, "words")
    names = ("parameters", "zeros", "prunable", "bytes_dense", "bytes_packed", "flops")
    return {name: f"{found[name]:,}" for name in names} | {
        "dense": _perplexity(lab.dense),
        "ratio": f"{1 + beside.perplexity:.2f}",
        "error": f"{beside.perplexity_error:.2f}",
        "sparsity": f"{found['sparsity']:.1%}",
        "whole_model_sparsity": f"{found['whole_model_sparsity']:.1%}",
        "attention_sparsity": f"{found['attention_sparsity']:.1%}",
        "feedforward_sparsity": f"{found['feedforward_sparsity']:.1%}",
        "whole_mini": whole["gpt2-mini"],
        "whole_124m": whole["GPT-2 124M"],
    }


# Scores


def magnitude(lab: Lab) -> dict[str, str]:
    before = lab.weights[SHOWN]
    after = before * selection.layer_masks({SHOWN: before}, HALF)[SHOWN]
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    plots.pruned_histogram(figure.subplots(), before, after)
    _save(figure, "magnitude")
    return {
        "cost": lab.cost("magnitude, layer by layer", lambda p: p.prune_layers(HALF)),
        "threshold": f"{before.abs()[after == 0].max():.3f}",
    }


def random(lab: Lab) -> dict[str, str]:
    weight = {SHOWN: lab.weights[SHOWN]}
    masks = {
        "magnitude": selection.layer_masks(weight, HALF)[SHOWN],
        "random": selection.layer_masks(scores.random(weight), HALF)[SHOWN],
    }
    figure = Figure(figsize=(7, 2.2), layout="constrained")
    sizes, *axes = figure.subplots(1, 3)
    _sizes(sizes, weight[SHOWN], "size of the weights")
    for ax, (name, mask) in zip(axes, masks.items(), strict=True):
        plots.mask(ax, _corner(mask), name)
        ax.set_ylabel("")
    _save(figure, "random")
    both = (masks["magnitude"] & masks["random"]).float().mean().item()
    cost = lab.cost("random", lambda p: p.prune_randomly(HALF))
    _holds(lab.at_half["random"].loss > 1.5 * lab.at_half["magnitude, layer by layer"].loss, "random ruins the model")
    return {"cost": cost, "both": f"{both:.0%}"}


def wanda(lab: Lab) -> dict[str, str]:
    weight = {LOUD: lab.weights[LOUD]}
    norms = calibration.input_norms(lab.model, lab.windows, [LOUD])
    ours = selection.row_masks(scores.wanda(weight, norms), HALF)[LOUD]
    theirs = selection.row_masks(weight, HALF)[LOUD]
    kind = theirs * 1 + ours * 2  # 0 neither keeps it, 1 magnitude does, 2 Wanda does, 3 both

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    (strip, empty), (sizes, choice) = figure.subplots(2, 2, height_ratios=(1, 2.4))
    strip.bar(range(32), norms[LOUD][:32], color=plots.REFERENCE)
    strip.set_xlim(-0.5, 31.5)
    strip.set_xticks([])
    strip.set_yticks([])
    strip.set_title("norm of each input, of its weights below")
    _sizes(sizes, weight[LOUD], "")
    sizes.set_ylabel("16 outputs")
    colours = ("white", plots.GOES, plots.REFERENCE, plots.STAYS)
    choice.imshow(_corner(kind), cmap=ListedColormap(colours), vmin=0, vmax=3, aspect="auto", interpolation="nearest")
    choice.set_xticks([])
    choice.set_yticks([])
    choice.set_xlabel("32 inputs")
    empty.axis("off")
    labels = ("neither keeps it", "only magnitude", "only Wanda", "both")
    handles = [Patch(facecolor=c, edgecolor="black", label=label) for c, label in zip(colours, labels, strict=True)]
    empty.legend(handles=handles, loc="center", ncols=2, frameon=False, title="which of two keeps a weight")
    _save(figure, "wanda")

    found = norms[LOUD]
    return {
        "cost": lab.cost("Wanda", lambda p: p.prune_wanda(lab.windows, HALF)),
        "spread": f"{(found.max() / found.min()):.0f}",
        "differs": f"{(ours != theirs).float().mean():.0%}",
    }


def taylor(lab: Lab) -> dict[str, str]:
    weight = lab.weights[SHOWN]
    sizes = calibration.gradients(lab.model, lab.windows, list(lab.weights))
    score = scores.taylor({SHOWN: weight}, sizes)[SHOWN]
    keep = selection.layer_masks({SHOWN: score}, HALF)[SHOWN]
    some = torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(0))[:3000]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax = figure.subplots()
    for which, colour, marker, label in ((keep, plots.STAYS, "o", "kept"), (~keep, plots.GOES, "x", "pruned")):
        mine = some[which.flatten()[some]]
        x, y = weight.abs().flatten()[mine], score.flatten()[mine]
        ax.scatter(x, y, s=8, color=colour, marker=marker, linewidths=0.8, label=label, alpha=0.6)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(1e-4)
    ax.set_ylim(1e-9)
    ax.set_xlabel("|weight|")
    ax.set_ylabel("mean |weight x gradient|")
    ax.legend(frameon=False)
    _save(figure, "taylor")
    cost = lab.cost("Taylor", lambda p: p.prune_taylor(lab.windows, HALF))
    together = lab.prune(
        lambda p: apply_masks(p.model, selection.global_masks(scores.taylor(lab.weights, sizes), HALF))
    )[1]
    cancelled = lab.prune(lambda p: apply_masks(p.model, selection.layer_masks(_of_mean_gradient(lab), HALF)))[1]
    lab.at_half["Taylor, global"] = together
    _holds(lab.at_half["Taylor"].loss < lab.at_half["Wanda"].loss, "Taylor is before Wanda")
    _holds(together.loss < 1.02 * lab.at_half["Taylor"].loss, "one ranking for all layers works with Taylor")
    _holds(cancelled.loss > lab.at_half["magnitude, layer by layer"].loss, "the mean gradient is worse than magnitude")
    return {
        "cost": cost,
        "layers": _perplexity(lab.at_half["Taylor"]),
        "together": _perplexity(together),
        "cancelled": _perplexity(cancelled),
    }


def _of_mean_gradient(lab: Lab) -> dict[str, Tensor]:
    """|w| times the size of the mean loss's gradient: not Taylor's criterion, in which the mean is the last step."""
    model = deepcopy(lab.model)
    for batch in lab.windows.split(4):
        (calibration.next_token_loss(model, batch) * len(batch) / len(lab.windows)).backward()
    return {name: w.detach() * w.grad for name, w in prunable_weights(model).items() if w.grad is not None}


def sparsegpt(lab: Lab) -> dict[str, str]:
    names = [f"h.1.{part}.weight" for part in INPUT_NAMES]
    hessians = calibration.hessians(lab.model, lab.windows, names)
    errors: dict[str, list[float]] = {"magnitude": [], "Wanda": [], "SparseGPT": []}
    for name in names:
        w, h = lab.weights[name], hessians[name]
        norms = {name: h.diagonal().sqrt()}
        solved = solver.sparsegpt(w, h, HALF)
        candidates = {
            "magnitude": w * selection.layer_masks({name: w}, HALF)[name],
            "Wanda": w * selection.row_masks(scores.wanda({name: w}, norms), HALF)[name],
            "SparseGPT": solved,
        }
        for method, pruned in candidates.items():
            errors[method].append(_output_error(w, pruned, h))
        if name == SHOWN:
            before, after = w.flatten(), solved.flatten()
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    bars, cloud = figure.subplots(1, 2, width_ratios=(1.2, 1))
    for i, (method, values) in enumerate(errors.items()):
        places = [j + 0.27 * (i - 1) for j in range(len(names))]
        bars.bar(places, values, width=0.25, color=plots.SERIES[i][0], label=method)
    bars.set_xticks(range(len(names)), INPUT_NAMES, fontsize=8)
    bars.yaxis.set_major_formatter(PercentFormatter(1))
    bars.set_ylabel("error of the layer's output")
    bars.legend(frameon=False)
    some = torch.randperm(len(before), generator=torch.Generator().manual_seed(0))[:3000]
    some = some[after[some] != 0]
    cloud.scatter(before[some], after[some], s=4, color=plots.STAYS, alpha=0.4)
    limit = 1.05 * before[some].abs().max().item()
    cloud.plot([-limit, limit], [-limit, limit], color="black", linewidth=1)
    cloud.set_xlabel("weight before")
    cloud.set_ylabel("weight after (those kept)")
    _save(figure, "sparsegpt")
    for m, w, s in zip(*(errors[k] for k in ("magnitude", "Wanda", "SparseGPT")), strict=True):
        _holds(s < w < m, "SparseGPT's error is below Wanda's, which is below magnitude's")
    cost = lab.cost("SparseGPT", lambda p: p.prune_sparsegpt(lab.windows, HALF))
    losses = [lab.at_half[k].loss for k in ("SparseGPT", "Taylor", "Wanda", "magnitude, layer by layer")]
    _holds(losses == sorted(losses), "SparseGPT beats Taylor and Wanda, which beat magnitude")
    return {"cost": cost}


def admm(lab: Lab) -> dict[str, str]:
    names = [f"h.1.{part}.weight" for part in INPUT_NAMES]
    hessians = calibration.hessians(lab.model, lab.windows, names)
    solvers = {"SparseGPT": solver.sparsegpt, "ADMM": admm_solver.admm}
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    bars, curve = figure.subplots(1, 2, width_ratios=(1.2, 1))
    errors: dict[str, list[float]] = {}
    sparsities = [k / 10 for k in range(3, 10)]
    for i, (method, solve) in enumerate(solvers.items()):
        colour, places = plots.SERIES[i + 2][0], [j + 0.35 * (i - 0.5) for j in range(len(names))]
        errors[method] = [
            _output_error(lab.weights[name], solve(lab.weights[name], hessians[name], HALF), hessians[name])
            for name in names
        ]
        bars.bar(places, errors[method], width=0.32, color=colour, label=method)
        w, h = lab.weights[SHOWN], hessians[SHOWN]
        found = [_output_error(w, solve(w, h, s), h) for s in sparsities]
        curve.plot(sparsities, found, color=colour, marker="os"[i], label=method)
    bars.set_xticks(range(len(names)), INPUT_NAMES, fontsize=8)
    bars.set_ylabel("error of the layer's output")
    curve.set_xlabel(f"sparsity of {SHOWN.removesuffix('.weight')}")
    curve.xaxis.set_major_formatter(PercentFormatter(1))
    for ax in (bars, curve):
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.legend(frameon=False)
    _save(figure, "admm")
    for plain, ours in zip(errors["SparseGPT"], errors["ADMM"], strict=True):
        _holds(ours < plain, "ADMM's error is below SparseGPT's")
    cost = lab.cost("ADMM", lambda p: p.prune_admm(lab.windows, HALF))
    _holds(lab.at_half["ADMM"].loss < lab.at_half["SparseGPT"].loss, "ADMM beats SparseGPT")
    return {"cost": cost}


def _output_error(before: Tensor, after: Tensor, hessian: Tensor) -> float:
    """|(W - W') X|^2 / |W X|^2, from X X^T alone."""
    lost, whole = (before - after).double(), before.double()
    return float(((lost @ hessian) * lost).sum() / ((whole @ hessian) * whole).sum())


# Structures


def structures(lab: Lab) -> dict[str, str]:
    attention = {f"h.{i}.attn.c_proj.weight": block.attn for i, block in enumerate(lab.model.h)}
    last = len(lab.model.h) - 1
    neurons, feedforward = f"h.{last}.mlp.c_proj.weight", lab.model.h[last].mlp
    grams = calibration.hessians(lab.model, lab.windows, [*attention, neurons])
    of_heads = [scores.contribution(grams[name], a.c_proj.weight, a.n_head) for name, a in attention.items()]
    by_norms = scores.neuron(feedforward.c_fc.weight, feedforward.c_fc.bias, feedforward.c_proj.weight)
    by_contribution = scores.contribution(grams[neurons], feedforward.c_proj.weight, len(by_norms))

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    cloud, grid = figure.subplots(1, 2, width_ratios=(1.2, 1))
    keep, keep_by_norms = (torch.zeros(len(by_norms), dtype=torch.bool) for _ in range(2))
    keep[selection.keep_units(by_contribution, QUARTER)] = True
    keep_by_norms[selection.keep_units(by_norms, QUARTER)] = True
    for which, colour, marker, label in ((keep, plots.STAYS, "o", "kept"), (~keep, plots.GOES, "x", "removed")):
        x, y = by_norms[which], by_contribution[which]
        cloud.scatter(x, y, s=9, color=colour, marker=marker, linewidths=0.8, label=label)
    cloud.set_xlabel("product of the norms of its weights")
    cloud.set_ylabel("contribution")
    cloud.set_title(f"neurons of block {last}")
    cloud.set_yscale("log")
    cloud.yaxis.set_major_formatter("{x:g}")
    cloud.yaxis.set_minor_formatter("")
    cloud.legend(frameon=False)
    table = torch.stack(of_heads).float()  # (blocks, heads)
    lowest = table == table.min(dim=1, keepdim=True).values
    grid.imshow(table / table.max(dim=1, keepdim=True).values, cmap="Blues", vmin=0, vmax=1.5, aspect="auto")
    for row in range(table.size(0)):
        for column in range(table.size(1)):
            grid.text(column, row, f"{table[row, column]:.0f}", ha="center", va="center")
            if lowest[row, column]:
                grid.plot([column - 0.4, column + 0.4], [row + 0.35, row - 0.35], color=plots.HERE, linewidth=2)
    grid.set_xticks(range(table.size(1)))
    grid.set_yticks(range(table.size(0)))
    grid.set_xlabel("head")
    grid.set_ylabel("block")
    grid.set_title("contribution of the heads")
    _save(figure, "structures")

    found: dict[tuple[float, str], Quality] = {}
    for share in (QUARTER, HALF):
        for name, windows in (("norms", None), ("contribution", lab.windows)):
            cut = partial(ModelPruner.remove_structures, heads=share, neurons=share, windows=windows, refit=False)
            seconds, found[share, name] = lab.prune(cut)
    _holds(found[QUARTER, "contribution"].loss < found[QUARTER, "norms"].loss, "contribution beats norms at 25 %")
    _holds(found[HALF, "contribution"].loss > found[HALF, "norms"].loss, "norms beat contribution at 50 %")
    lab.at_half["structured, by contribution"] = found[HALF, "contribution"]
    lab.at_half["structured, by norms"] = found[HALF, "norms"]
    return {
        "seconds": _seconds(seconds),
        "quarter": lab.against_dense(found[QUARTER, "contribution"]),
        "half": lab.against_dense(found[HALF, "contribution"]),
        "block": str(last),
        "same": f"{(~keep & ~keep_by_norms).sum() / (~keep).sum():.0%}",
        "norms_quarter": _perplexity(found[QUARTER, "norms"]),
        "norms_half": _perplexity(found[HALF, "norms"]),
    }


def removal(lab: Lab) -> dict[str, str]:
    model = lab.model
    silenced = ModelPruner(deepcopy(model))
    silenced.prune_structures(QUARTER, QUARTER)
    smaller = ModelPruner(deepcopy(model)).remove_structures(QUARTER, QUARTER)
    with torch.inference_mode():
        difference = (silenced.model(lab.few) - smaller(lab.few)).abs().max().item()
    _holds(difference < 1e-4, "the smaller model computes what the silenced one does")

    versions = {
        "whole": lab.weights[SHOWN],
        "silenced": silenced.model.get_parameter(SHOWN).detach(),
        "removed": smaller.get_parameter(SHOWN).detach(),
    }
    left = int((_corner(versions["silenced"]) != 0).any(dim=1).sum())  # of the 16 neurons drawn
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    for ax, (name, weight) in zip(figure.subplots(1, 3), versions.items(), strict=True):
        drawn = _corner(weight)[:left] if name == "removed" else _corner(weight)
        image = torch.where(drawn == 0, torch.nan, drawn)
        top = 1.2 * versions["whole"].abs().quantile(0.999)
        ax.imshow(image, cmap="PuOr", vmin=-top, vmax=top, aspect="auto", interpolation="nearest")
        ax.set_ylim(15.5, -0.5)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(f"{name}: {weight.size(0)} x {weight.size(1)}")
    _save(figure, "removal")

    context = model.config.n_positions
    dense, small = (sum(flops(m, context).values()) for m in (model, smaller))
    parameters = [sum(p.numel() for p in m.parameters()) for m in (model, smaller)]
    return {
        "difference": f"{difference:.0e}",
        "parameters": f"{parameters[0] / parameters[1]:.2f}",
        "flops": f"{dense / small:.2f}",
    }


def blocks(lab: Lab) -> dict[str, str]:
    model, seen = lab.model, {}
    handles = [
        block.register_forward_hook(lambda _, inputs, output, i=i: seen.update({i: (inputs[0], output)}))
        for i, block in enumerate(model.h)
    ]
    with torch.inference_mode():
        model.hidden(lab.windows[:FEW])
    for handle in handles:
        handle.remove()
    influence = [scores.block_influence(*(x.flatten(0, 1) for x in seen[i])) for i in range(len(model.h))]
    qualities = []
    for i in range(len(model.h)):
        keep = torch.tensor([j for j in range(len(model.h)) if j != i])
        qualities.append(evaluate(surgery.remove_blocks(model, keep), lab.held_out))

    figure = Figure(figsize=(7, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.bar(range(len(influence)), influence, color=plots.STAYS)
    left.set_ylabel("block influence")
    right.bar(range(len(qualities)), [q.perplexity for q in qualities], color=plots.GOES)
    right.axhline(lab.dense.perplexity, color="black", linestyle="--", label="no block removed")
    right.set_yscale("log")
    right.set_ylim(10)
    right.yaxis.set_major_formatter("{x:,.0f}")
    right.set_ylabel("perplexity without it")
    right.legend(frameon=False)
    for ax in (left, right):
        ax.set_xticks(range(len(influence)))
        ax.set_xlabel("transformer block")
    _save(figure, "blocks")

    rows = [f"| {i} | {influence[i]:.3f} | {_perplexity(q)} | {q.accuracy:.1%} |" for i, q in enumerate(qualities)]
    cheapest = min(range(len(qualities)), key=lambda i: qualities[i].loss)
    lowest = min(range(len(influence)), key=influence.__getitem__)
    agree = "and so it is" if cheapest == lowest else f"but the one that hurts least is block {cheapest}"
    one = sum(p.numel() for p in model.h[0].parameters()) / sum(p.numel() for p in model.parameters())
    return {
        "table": "\n".join(["| block | influence | perplexity without it | top-1 accuracy |", "|-|-:|-:|-:|", *rows]),
        "verdict": f"By its influence block {lowest} should hurt least, {agree}",
        "share": f"{one:.0%}",
    }


# Patterns


def patterns(lab: Lab) -> dict[str, str]:
    def measured(cut: Callable[[ModelPruner], object]) -> Quality:
        return lab.prune(cut)[1]

    lab.at_half["magnitude, global"] = measured(lambda p: p.prune_globally(HALF))
    lab.at_half["magnitude, rectangles"] = measured(lambda p: p.prune_rectangles(HALF))
    by_row = measured(lambda p: apply_masks(p.model, selection.row_masks(prunable_weights(p.model), HALF)))
    rows: dict[str, dict[str, Quality]] = {
        "per layer": {"magnitude": lab.at_half["magnitude, layer by layer"]},
        "per row": {"magnitude": by_row, "Wanda": lab.at_half["Wanda"]},
        f"per {solver.BLOCK} inputs": {"SparseGPT": lab.at_half["SparseGPT"]},
        "global": {"magnitude": lab.at_half["magnitude, global"]},
        "rectangles of 16 x 16": {"magnitude": lab.at_half["magnitude, rectangles"]},
    }
    for n, m in ((2, 4), (4, 8)):
        rows[f"{n}:{m}"] = {
            "magnitude": measured(lambda p, n=n, m=m: p.prune_n_m(n, m)),
            "Wanda": measured(lambda p, n=n, m=m: p.prune_wanda(lab.windows, n_m=(n, m))),
            "SparseGPT": measured(lambda p, n=n, m=m: p.prune_sparsegpt(lab.windows, n_m=(n, m))),
        }
    plain = {pattern: found["magnitude"].loss for pattern, found in rows.items() if "magnitude" in found}
    order = ["per row", "4:8", "per layer", "2:4", "global", "rectangles of 16 x 16"]
    _holds(sorted(plain, key=plain.__getitem__) == order, f"by magnitude, the order of the patterns is {order}")
    methods = ("magnitude", "Wanda", "SparseGPT")
    table = [f"| pattern | {' | '.join(methods)} |", "|-" + "|-:" * len(methods) + "|"]
    for pattern, found in rows.items():
        cells = (_perplexity(found[method]) if method in found else "" for method in methods)
        table.append(f"| {pattern} | {' | '.join(cells)} |")

    one = {SHOWN: lab.weights[SHOWN]}
    drawn = {
        "per layer": selection.layer_masks(one, HALF),
        "per row": selection.row_masks(one, HALF),
        "global": selection.global_masks(lab.weights, HALF),
        "2:4": selection.n_m_masks(one, 2, 4),
        "4:8": selection.n_m_masks(one, 4, 8),
        "rectangles of 4 x 4": selection.block_masks(one, HALF, (4, 4)),
    }
    figure = Figure(figsize=(7, 4), layout="constrained")
    for ax, (name, masks) in zip(figure.subplots(2, 3).flat, drawn.items(), strict=True):
        plots.mask(ax, _corner(masks[SHOWN]), name)
        ax.set_xlabel("")
        ax.set_ylabel("")
    _save(figure, "patterns")
    return {"table": "\n".join(table)}


def one_ranking(lab: Lab) -> dict[str, str]:
    weights = lab.weights
    masks = selection.global_masks(weights, HALF)
    gone = [1 - m.float().mean().item() for m in masks.values()]
    sizes = [w.square().mean().sqrt().item() for w in weights.values()]
    names = [name.removesuffix(".weight") for name in weights]
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh(names, gone, color=plots.STAYS)
    left.axvline(HALF, color="black", linestyle="--", linewidth=1)
    left.xaxis.set_major_formatter(PercentFormatter(1))
    left.set_xlim(0, 1)
    left.set_xlabel("sparsity of each layer")
    left.invert_yaxis()
    left.tick_params(axis="y", labelsize=8)
    right.barh(names, sizes, color=plots.GOES)
    right.set_xlabel("root mean square of its weights")
    _save(figure, "one_ranking")

    same_scale = {name: w / size for (name, w), size in zip(weights.items(), sizes, strict=True)}
    scaled = lab.prune(lambda p: apply_masks(p.model, selection.global_masks(same_scale, HALF)))[1]
    guarded = lab.prune(lambda p: p.prune_globally(HALF, MIN_KEPT))[1]
    together, apart = lab.at_half["magnitude, global"], lab.at_half["magnitude, layer by layer"]
    _holds(together.loss > apart.loss, "one ranking is worse than layer by layer")
    _holds(scaled.loss < together.loss, "with all layers at one scale, one ranking does better")
    return {
        "seconds": _seconds(lab.prune(lambda p: p.prune_globally(HALF))[0]),
        "global": _perplexity(together),
        "layers": _perplexity(apart),
        "scaled": _perplexity(scaled),
        "guarded": _perplexity(guarded),
        "min_kept": f"{MIN_KEPT:g}",
        "most": f"{max(gone):.0%}",
        "least": f"{min(gone):.0%}",
    }


# Training


def schedules(lab: Lab) -> dict[str, str]:
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    ax = figure.subplots()
    for (name, curve), (colour, marker, line) in zip(CURVES.items(), plots.SERIES, strict=False):
        schedule = replace(SCHEDULE, curve=curve)
        steps = range(RECIPE.steps + 1)
        ax.plot(steps, [schedule.sparsity(s) for s in steps], color=colour, linestyle=line, label=name)
        cuts = [s for s in steps if schedule.is_due(s)]
        ax.plot(cuts, [schedule.sparsity(s) for s in cuts], color=colour, marker=marker, linestyle="", markersize=6)
    ax.set_xlabel("step of the training; at a mark the masks are chosen anew")
    ax.set_ylabel("sparsity")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    _save(figure, "schedules")
    taken = [curve(1, 0, 4, 0.0, 1.0) for curve in (cubic_sparsity, linear_sparsity)]
    return {"cubic": f"{taken[0]:.0%}", "linear": f"{taken[1]:.0%}"}


CURVES = {"one shot": one_shot_sparsity, "linear": linear_sparsity, "cubic": cubic_sparsity}


def training(lab: Lab) -> dict[str, str]:
    figures: dict[str, str] = {}
    progress: dict[str, list[tuple[int, float]]] = {}
    returned: dict[str, dict[int, int]] = {}  # {curve: {step of the cut: weights brought back}}
    for name, curve in CURVES.items():
        student = deepcopy(lab.model)
        run = GradualRun(student, RECIPE, replace(SCHEDULE, curve=curve), teacher=lab.model)
        progress[name], returned[name] = [(0, lab.dense_few.perplexity)], {}
        seconds = 0.0
        for step in range(RECIPE.steps):
            before = dict(run.keeper.masks) if run.schedule.is_due(step) else {}
            started = time.perf_counter()
            run.advance(lab.text)
            seconds += time.perf_counter() - started
            if before:
                after = run.keeper.masks
                returned[name][step] = sum(int((~mask & after[key]).sum()) for key, mask in before.items())
            if run.step % 5 == 0:
                progress[name].append((run.step, evaluate(student, lab.few).perplexity))
        quality = evaluate(student, lab.held_out)
        key = name.replace(" ", "_")
        figures[f"{key}_perplexity"], figures[f"{key}_accuracy"] = _perplexity(quality), f"{quality.accuracy:.1%}"
        figures[f"{key}_returned"] = f"{sum(returned[name].values()):,}"
    lab.at_half["magnitude, gradual"] = quality  # that of the last, cubic
    back = {name: sum(cuts.values()) for name, cuts in returned.items()}
    _holds(back["one shot"] > 10 * back["cubic"] > 10 * back["linear"], "the flatter the curve, the more come back")
    _holds(progress["one shot"][-1] < progress["cubic"][-1] < progress["linear"][-1], "one shot, cubic, linear")
    _draw_returned(returned)
    _draw_progress(progress)
    return figures | {
        "seconds": _seconds(seconds),
        "step": _seconds(seconds / RECIPE.steps),
        "prunable": f"{sum(w.numel() for w in lab.weights.values()):,}",
        "cuts": str(len(returned["cubic"])),
        "last_cut": str(SCHEDULE.steps),
    }


def _draw_returned(returned: Mapping[str, Mapping[int, int]]) -> None:
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    ax = figure.subplots()
    for i, (name, cuts) in enumerate(returned.items()):
        places = [step + 1.3 * (i - 1) for step in cuts]
        ax.bar(places, list(cuts.values()), width=1.2, color=plots.SERIES[i][0], label=name)
    ax.set_xticks(list(cuts))
    ax.set_xlabel("step of the cut")
    ax.set_ylabel("weights brought back")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend(frameon=False)
    _save(figure, "masks")


def _draw_progress(progress: Mapping[str, list[tuple[int, float]]]) -> None:
    figure = Figure(figsize=(7, 3), layout="constrained")
    ax = figure.subplots()
    for (name, points), (colour, marker, line) in zip(progress.items(), plots.SERIES, strict=False):
        ax.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle=line, markersize=4, label=name)
    ax.axvline(SCHEDULE.steps, color="black", linewidth=1, linestyle="--")
    ax.text(SCHEDULE.steps + 0.5, 0.03, "recovery", transform=ax.get_xaxis_transform())
    ax.set_xlabel("step of the training")
    ax.set_ylabel("perplexity, held out")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    _save(figure, "gradual")


def iterative(lab: Lab) -> dict[str, str]:
    recipe = replace(RECIPE, steps=RECIPE.steps // ROUNDS, distillation=0.0)
    student = deepcopy(lab.model)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = prune_iteratively(
            student, lab.text, lab.few, recipe, Path(folder), HALF, ROUNDS, select=selection.layer_masks
        )
    seconds = time.perf_counter() - started
    quality = evaluate(student, lab.held_out)

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    sparsity, rate = figure.subplots(2, 1, sharex=True)
    ends = [recipe.steps * i for i in range(ROUNDS + 1)]
    sparsity.stairs([row["sparsity"] for row in rows], ends, color=plots.STAYS, linewidth=2, baseline=None)
    sparsity.plot(0, 0, color=plots.STAYS, marker="o")
    for row, end in zip(rows, ends, strict=False):
        sparsity.annotate(f"{row['sparsity']:.0%}", (end + 0.5, row["sparsity"]), va="bottom")
    sparsity.set_ylim(-0.02, 1.25 * HALF)
    sparsity.yaxis.set_major_formatter(PercentFormatter(1))
    sparsity.set_ylabel("sparsity")
    steps = range(ROUNDS * recipe.steps)
    scale = [recipe.muon_lr * lr_scale(s % recipe.steps, recipe) for s in steps]
    rate.plot(steps, scale, color=plots.GOES, linewidth=2)
    rate.set_ylim(0)
    rate.set_ylabel("learning rate")
    rate.set_xlabel(f"step: {ROUNDS} rounds of {recipe.steps}")
    for ax in (sparsity, rate):
        ax.grid(alpha=0.3)
        for end in ends[1:-1]:
            ax.axvline(end, color="black", linestyle="--", linewidth=1)
    _save(figure, "iterative")
    return {
        "seconds": _seconds(seconds),
        "quality": lab.against_dense(quality),
        "rounds": str(ROUNDS),
        "steps": str(recipe.steps),
        "targets": ", ".join(f"{row['sparsity']:.0%}" for row in rows),
    }


def resume(lab: Lab) -> dict[str, str]:
    steps, killed = 16, 8
    recipe = replace(RECIPE, steps=steps, batch=2, distillation=0.0)
    schedule = replace(SCHEDULE, steps=12, every=3)
    through = GradualRun(deepcopy(lab.model), recipe, schedule)
    whole = [through.advance(lab.text) for _ in range(steps)]
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Path(folder) / "run.pt"
        first = GradualRun(deepcopy(lab.model), recipe, schedule, snapshot)
        begun = [first.advance(lab.text) for _ in range(killed)]
        started = time.perf_counter()
        first.save()
        seconds = time.perf_counter() - started
        size = snapshot.stat().st_size
        second = GradualRun(deepcopy(lab.model), recipe, schedule, snapshot)
    goes_on = [second.advance(lab.text) for _ in range(killed, steps)]
    pairs = zip(through.model.parameters(), second.model.parameters(), strict=True)
    _holds(all(torch.equal(a, b) for a, b in pairs), "a run that was killed ends with the same weights")

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    ax = figure.subplots()
    ax.plot(range(steps), whole, color=plots.REFERENCE, linewidth=6, alpha=0.6, label="never killed")
    ax.plot(range(killed), begun, color=plots.STAYS, marker="o", label="until it was killed")
    ax.plot(range(killed, steps), goes_on, color=plots.GOES, marker="s", linestyle="--", label="from its snapshot")
    ax.set_xlabel("step of the training")
    ax.set_ylabel("loss of the step")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    _save(figure, "resume")
    return {"seconds": _seconds(seconds), "size": f"{size / 1e6:.1f} MB"}


# Looking at a model


def sensitivity(lab: Lab) -> dict[str, str]:
    weights = lab.weights
    norms = calibration.input_norms(lab.model, lab.windows, list(weights))
    methods = {"magnitude": scores.magnitude(weights), "Wanda": scores.wanda(weights, norms)}
    started = time.perf_counter()
    points = scan(lab.model, lab.few, methods)
    seconds = time.perf_counter() - started
    figure = Figure(figsize=(7, 5), layout="constrained")
    for ax, method in zip(figure.subplots(1, 2, sharey=True), methods, strict=True):
        plots.sensitivity(ax, [p for p in points if p.method == method], method)
        ax.tick_params(axis="y", labelsize=9)
    _save(figure, "sensitivity")
    highest = max(p.sparsity for p in points)
    worst = max((p for p in points if p.sparsity == highest and p.method == "magnitude"), key=lambda p: p.loss_rise)
    return {
        "seconds": _seconds(seconds),
        "models": str(len(points)),
        "highest": f"{highest:.0%}",
        "worst": worst.layer.removesuffix(".weight"),
        "rise": f"{worst.loss_rise:.2f}",
    }


def storage(lab: Lab) -> dict[str, str]:
    sparsities = (0.0, 0.25, 0.5, 0.75, 0.9)
    found: dict[tuple[float, bool], Sizes] = {}
    for sparsity in sparsities:
        model = deepcopy(lab.model)
        ModelPruner(model).prune_layers(sparsity)
        for int8 in (False, True):
            found[sparsity, int8] = packed_sizes(model, int8)
    started = time.perf_counter()
    packed_sizes(lab.model)
    seconds = time.perf_counter() - started
    dense = found[0.0, False].dense

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax = figure.subplots()
    ax.axhline(dense / 1e6, color="black", linestyle="--", label="dense, float32")
    lines = (("float32", False, "packed"), ("float32", False, "file"), ("int8", True, "packed"), ("int8", True, "file"))
    for (kind, int8, part), (colour, marker, line) in zip(lines, plots.SERIES, strict=False):
        label = f"{kind}, {'bitmask and values' if part == 'packed' else 'the file, compressed'}"
        y = [getattr(found[s, int8], part) / 1e6 for s in sparsities]
        ax.plot(sparsities, y, color=colour, marker=marker, linestyle=line, label=label)
    ax.set_ylim(0)
    ax.set_ylabel("MB, whole model")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("sparsity of attention and feed-forward weights")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.94))
    _save(figure, "storage")

    rows = ["| gpt2-mini | values | bitmasks | scales | other | file | dense / file |", "|-|-:|-:|-:|-:|-:|-:|"]
    for (sparsity, int8), s in found.items():
        if sparsity in (0.0, HALF, 0.9):
            cells = [f"{n:,}" for n in (s.values, s.bitmasks, s.scales, s.other, s.file)]
            name = f"{sparsity:.0%} zeros, {'int8' if int8 else 'float32'}"
            rows.append(f"| {name} | {' | '.join(cells)} | {dense / s.file:.1f} |")
    return {"table": "\n".join(rows), "dense": f"{dense:,}", "seconds": _seconds(seconds)}


def equal_bytes(lab: Lab) -> dict[str, str]:
    stored = ways.measure(lab.model, lab.held_out, lab.windows)
    ways.write(stored, PICTURES / "guide_equal_bytes.csv")
    draw_equal_bytes(stored)
    smallest, *_, largest = (s.way for s in ways.smallest(stored))
    _holds(smallest == ways.INT4, "four bits are the smallest file within the bound")
    _holds(largest == ways.PRUNED, "pruning alone is the largest")
    return {"answer": ways.answer(stored), "group": str(GROUP), "bits": f"{bits(lab.weights[SHOWN]):g}"}


def draw_equal_bytes(stored: list[ways.Stored]) -> None:
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    ax = figure.subplots()
    plots.dress(ax)
    ways.draw(ax, stored)
    _save(figure, "equal_bytes")


def layers(lab: Lab) -> dict[str, str]:
    pruner = ModelPruner(deepcopy(lab.model))
    pruner.prune_attention_layers(0.4)
    pruner.prune_feedforward_layers(0.6)
    started = time.perf_counter()
    found = pruner.get_model_statistics()
    seconds = time.perf_counter() - started
    names = [name.removesuffix(".weight") for name in found["layers"]]
    kept = [layer["parameters"] - layer["zeros"] for layer in found["layers"].values()]
    zeros = [layer["zeros"] for layer in found["layers"].values()]
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh(names, kept, color=plots.STAYS, label="kept")
    left.barh(names, zeros, left=kept, color=plots.GOES, label="zeros")
    left.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:.0f}k")
    left.set_xlabel("entries")
    left.invert_yaxis()
    left.tick_params(axis="y", labelsize=8)
    for key, colour, height in (("bytes_dense", plots.REFERENCE, 0.8), ("bytes_packed", plots.STAYS, 0.4)):
        values = [layer[key] / 1000 for layer in found["layers"].values()]
        right.barh(names, values, height=height, color=colour, label=key)
    right.set_xlabel("kB")
    for ax in (left, right):
        ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    _save(figure, "layers")
    return {
        "seconds": _seconds(seconds),
        "sparsity": f"{found['sparsity']:.1%}",
        "whole": f"{found['whole_model_sparsity']:.1%}",
    }


def choice(lab: Lab) -> dict[str, str]:
    ranked = sorted(lab.at_half.items(), key=lambda item: -item[1].loss)
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax = figure.subplots()
    names, values = [name for name, _ in ranked], [q.perplexity for _, q in ranked]
    ax.barh(names, values, color=plots.STAYS)
    for i, (_, quality) in enumerate(ranked):
        ax.text(1.05 * quality.perplexity, i, _perplexity(quality), va="center")
    ax.axvline(lab.dense.perplexity, color="black", linestyle="--")
    ax.set_xscale("log")
    ax.set_xlim(10, 4 * max(values))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("perplexity (log scale); dashed: dense")
    _save(figure, "choice")
    return {}


SECTIONS: tuple[Callable[[Lab], dict[str, str]], ...] = (
    words,
    magnitude,
    random,
    wanda,
    taylor,
    sparsegpt,
    admm,
    structures,
    removal,
    blocks,
    patterns,
    one_ranking,
    schedules,
    training,
    iterative,
    resume,
    sensitivity,
    storage,
    equal_bytes,
    layers,
    choice,
)


# Small things


def _holds(true: bool, sentence: str) -> None:
    """The template says so in words; RuntimeError when what was measured says otherwise."""
    if not true:
        raise RuntimeError(f"This is no longer so, and docs/{TEMPLATE.name} must not say it: {sentence}.")


def _corner(matrix: Tensor) -> Tensor:
    return matrix[:16, :32]


def _sizes(ax, weight: Tensor, title: str) -> None:
    """The sizes of a corner's weights: the darker, the larger."""
    ax.imshow(_corner(weight).abs(), cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("32 inputs")
    ax.set_ylabel("16 outputs")
    ax.set_title(title)


def _save(figure: Figure, name: str) -> None:
    figure.savefig(PICTURES / f"guide_{name}.png", dpi=120)


def _perplexity(quality: Quality) -> str:
    return f"{quality.perplexity:,.1f}" if quality.perplexity < 1000 else f"{quality.perplexity:,.0f}"


def _seconds(seconds: float) -> str:
    """Two significant digits; less would be said with more than timing can tell."""
    if seconds < 0.095:
        return f"{1000 * seconds:.2g} ms"
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
