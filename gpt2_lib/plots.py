"""Pictures: arrays in, drawn on Axes. Colours are Okabe and Ito's, which colour-blind eyes tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter
from torch import Tensor

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GREY = "#999999"
SERIES = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (GREEN, "^", "-."),
    (PINK, "D", ":"),
    (SKY, "v", "-"),
    (GREY, "x", "--"),
    ("black", "P", "-."),
    (RED, "*", ":"),
)


def parameter_bars(ax: Axes, models: Mapping[str, Mapping[str, int]]) -> None:
    """One stacked bar a model: {model: {part: parameters}}, as shares of the whole."""
    names = list(models)
    left = np.zeros(len(names))
    parts = list(next(iter(models.values())))
    for part, (colour, *_) in zip(parts, SERIES, strict=False):
        share = np.array([models[name][part] / sum(models[name].values()) for name in names])
        ax.barh(names, share, left=left, color=colour, label=part)
        for y, (start, width) in enumerate(zip(left, share, strict=True)):
            if width > 0.05:
                ax.text(start + width / 2, y, f"{width:.0%}", ha="center", va="center", color="white", weight="bold")
        left += share
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the parameters")
    ax.legend(ncols=len(parts), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def weight_histogram(ax: Axes, weights: Mapping[str, Tensor], bins: int = 121) -> None:
    """Overlaid histograms of the entries of {label: tensor of any shape}, as shares of each."""
    arrays = {label: w.detach().float().flatten().numpy() for label, w in weights.items()}
    limit = max(np.quantile(np.abs(a), 0.999) for a in arrays.values())
    for (label, a), (colour, _, line) in zip(arrays.items(), SERIES, strict=False):
        counts, edges = np.histogram(a, bins=bins, range=(-limit, limit))
        ax.stairs(counts / a.size, edges, color=colour, linestyle=line, label=label, linewidth=1.5)
    ax.set_xlabel("weight")
    ax.set_ylabel("share of the weights")
    ax.legend(frameon=False)


def pruned_histogram(ax: Axes, before: Tensor, after: Tensor, bins: int = 121) -> None:
    """How many weights of each size there were ``before`` pruning and are left ``after`` it (not zero)."""
    limit = before.abs().max().item()
    for label, weight, colour, fill in (("before", before, GREY, False), ("left", after[after != 0], BLUE, True)):
        counts, edges = np.histogram(weight.detach().flatten().numpy(), bins=bins, range=(-limit, limit))
        ax.stairs(counts, edges, color=colour, fill=fill, label=label)
    ax.set_xlabel("weight")
    ax.set_ylabel("number of weights")
    ax.legend(frameon=False)


def matrix(ax: Axes, values: Tensor, title: str = "", keep: Tensor | None = None) -> None:
    """A small matrix (rows, columns) as a table of numbers; entries that ``keep`` drops are struck out."""
    grid = values.detach().float().numpy()
    top = max(np.abs(grid).max(), 1e-9)
    ax.imshow(grid, cmap="PuOr", vmin=-1.6 * top, vmax=1.6 * top)
    for (row, column), value in np.ndenumerate(grid):
        gone = keep is not None and not bool(keep[row, column])
        ax.text(column, row, f"{value:g}", ha="center", va="center", color=GREY if gone else "black")
        if gone:
            ax.plot([column - 0.35, column + 0.35], [row + 0.35, row - 0.35], color=RED, linewidth=2)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title)


def quality_curves(perplexity: Axes, accuracy: Axes, points: Sequence) -> None:
    """Curves of sparsity against perplexity (log scale) and top-1 accuracy, one a method.

    ``points``: objects with ``method``, ``sparsity``, ``perplexity`` and ``accuracy``.
    """
    methods = list(dict.fromkeys(p.method for p in points))
    for method, (colour, marker, line) in zip(methods, SERIES, strict=False):
        mine = sorted((p for p in points if p.method == method), key=lambda p: p.sparsity)
        x = [p.sparsity for p in mine]
        style = {"color": colour, "marker": marker, "linestyle": line, "markersize": 5, "label": method}
        perplexity.plot(x, [p.perplexity for p in mine], **style)
        accuracy.plot(x, [p.accuracy for p in mine], **style)
    perplexity.set_yscale("log")
    perplexity.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    perplexity.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    perplexity.yaxis.set_minor_formatter(NullFormatter())
    perplexity.set_ylabel("perplexity (log scale)")
    accuracy.set_ylabel("top-1 accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for ax in (perplexity, accuracy):
        ax.set_xlabel("sparsity of attention and feed-forward weights")
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.grid(alpha=0.3)
        ax.legend(frameon=False)


def sensitivity(ax: Axes, points: Sequence, title: str = "") -> None:
    """A grid of layers and sparsities: how far the whole model's loss rises when one layer alone is pruned.

    ``points``: of one method, objects with ``layer``, ``sparsity`` and ``loss_rise`` (`sensitivity.scan`).
    """
    layers = list(dict.fromkeys(p.layer for p in points))
    columns = sorted({p.sparsity for p in points})
    grid = np.full((len(layers), len(columns)), np.nan)
    for p in points:
        grid[layers.index(p.layer), columns.index(p.sparsity)] = p.loss_rise
    top = max(np.nanmax(grid), 1e-9)
    ax.imshow(grid, cmap="cividis_r", vmin=0, vmax=top, aspect="auto")
    for (row, column), rise in np.ndenumerate(grid):
        ax.text(column, row, f"{rise:+.2f}", ha="center", va="center", color="white" if rise > top / 2 else "black")
    ax.set_xticks(range(len(columns)), [f"{s:.0%}" for s in columns])
    ax.set_yticks(range(len(layers)), [name.removesuffix(".weight") for name in layers])
    ax.set_xlabel("sparsity of this layer alone")
    ax.set_title(title)


def mask(ax: Axes, keep: Tensor, title: str = "") -> None:
    """A keep-mask (rows, columns): dark where weights stay, white where they are gone."""
    ax.imshow(keep.numpy(), cmap="Blues", vmin=0, vmax=1.2, aspect="auto", interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"{keep.size(1)} inputs")
    ax.set_ylabel(f"{keep.size(0)} outputs")
    ax.set_title(title)
