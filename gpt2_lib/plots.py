"""Plots: arrays drawn on Axes. Each colour has one meaning, and all are distinct for colour-blind readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from torch import Tensor

from .files import replace_whole

STAYS, GOES = "#0B5CAD", "#BF5700"  # weights; "yours" is also something that stays
ATTENTION, FEEDFORWARD = "#6A1B6E", "#1B9AAA"
REFERENCE, HERE = "#57606A", "#111111"  # what yours is compared with; the point where you are
COLOURS = (STAYS, GOES, ATTENTION, FEEDFORWARD, REFERENCE, HERE)
WRITTEN = {FEEDFORWARD: "#0F7C8A"}  # this one is too light for text, and is drawn below it
INK, PALE, GRID = "#1F2328", "#D0D7DE", "#E6E9EC"
PARTS = {"attention": ATTENTION, "feed-forward": FEEDFORWARD}
ORDER = (
    STAYS,
    GOES,
    REFERENCE,
    ATTENTION,
    FEEDFORWARD,
    HERE,
)  # of series without a meaning
SERIES = tuple(zip(ORDER * 2, "os^DvPx*<>ph", ("-", "--", "-.", ":") * 3, strict=True))
SIZE = 11  # points, of all text
TICKS = (1, 2, 5, 10, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)  # of perplexity
KEPT = LinearSegmentedColormap.from_list("kept", ["white", STAYS])


def dress(*axes: Axes) -> None:
    """Style ``axes`` as the course's plots: a frame on two sides, a pale grid behind, one text size."""
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(visible=True, color=GRID)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=SIZE)
        for axis in (ax.xaxis, ax.yaxis):
            axis.label.set_fontsize(SIZE)


def title(ax: Axes, text: str) -> None:
    """Set the title of ``ax``."""
    ax.set_title(text, loc="left", fontsize=SIZE, fontweight="bold", color=INK)


def percent(*axes: Axis) -> None:
    """Label an axis of shares in percent."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))


def name_ends(ax: Axes, lines: Iterable[Line2D] | None = None) -> None:
    """Label each line at the right end of ``ax``, at its height; labels keep their distance.

    Call it last, when the limits of the axes are final.
    """
    named = [line for line in (ax.lines if lines is None else lines) if not str(line.get_label()).startswith("_")]
    ends = [ax.transLimits.transform(ax.transScale.transform(np.asarray(line.get_xydata())[-1]))[1] for line in named]
    figure = ax.get_figure(root=True)
    assert figure is not None
    inches = ax.bbox.height / figure.dpi
    for line, height in zip(named, _apart(ends, 1.3 * SIZE / 72 / inches), strict=True):
        colour = to_hex(line.get_color()).upper()
        ax.text(
            1.02,
            height,
            str(line.get_label()),
            transform=ax.transAxes,
            va="center",
            color=WRITTEN.get(colour, colour),
            fontsize=SIZE,
            fontweight="bold",
        )


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Return numbers close to ``heights``, in the same order, and at least ``gap`` apart."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = [0.0] * len(heights)
    lowest, highest = -np.inf, max([1.0, *heights]) + gap
    for number in order:
        lowest = placed[number] = max(heights[number], lowest + gap)
    for number in reversed(order):
        highest = placed[number] = min(placed[number], highest - gap)
    return placed


def parameter_bars(ax: Axes, models: Mapping[str, Mapping[str, int]]) -> None:
    """Draw one stacked bar a model, {model: {part: parameters}}, as shares of the whole."""
    names = list(models)
    left = np.zeros(len(names))
    for part in next(iter(models.values())):
        colour = PARTS.get(part, PALE)
        share = np.array([models[name][part] / sum(models[name].values()) for name in names])
        ax.barh(names, share, left=left, color=WRITTEN.get(colour, colour), label=part, edgecolor="white", linewidth=2)
        for y, (start, width) in enumerate(zip(left, share, strict=True)):
            words = f"{width:.0%}".replace("%", " %")
            if y == 0 and width > 0.015 * (len(part) + 6):
                words = f"{part} {words}"  # the first bar names its parts
            if width > 0.05:
                style = {"color": INK if colour == PALE else "white", "weight": "bold", "fontsize": SIZE}
                ax.text(start + width / 2, y, words, ha="center", va="center", **style)
        left += share
    ax.grid(visible=False)
    ax.invert_yaxis()
    percent(ax.xaxis)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the parameters")


def weight_histogram(ax: Axes, weights: Mapping[str, Tensor], bins: int = 121) -> None:
    """Draw overlaid histograms of the entries of {label: tensor of any shape}, as shares of each."""
    arrays = {label: w.detach().float().flatten().numpy() for label, w in weights.items()}
    limit = max(np.quantile(np.abs(a), 0.999) for a in arrays.values())
    for (label, a), (colour, _, line) in zip(arrays.items(), SERIES, strict=False):
        counts, edges = np.histogram(a, bins=bins, range=(-limit, limit))
        style = {"color": PARTS.get(label, colour), "linestyle": line, "linewidth": 1.5}
        ax.stairs(counts / a.size, edges, label=label, **style)
    ax.set_xlabel("weight")
    ax.set_ylabel("share of the weights")
    percent(ax.yaxis)
    ax.legend(frameon=False, fontsize=SIZE)


def pruned_histogram(ax: Axes, before: Tensor, after: Tensor, bins: int = 121) -> None:
    """Draw histograms of the weights ``before`` pruning and of the non-zero ones ``after`` it."""
    limit = before.abs().max().item()
    for label, weight, colour, fill in (("before", before, REFERENCE, False), ("left", after[after != 0], STAYS, True)):
        counts, edges = np.histogram(weight.detach().flatten().numpy(), bins=bins, range=(-limit, limit))
        ax.stairs(counts, edges, color=colour, fill=fill, label=label)
    ax.set_xlabel("weight")
    ax.set_ylabel("number of weights")
    ax.legend(frameon=False, fontsize=SIZE)


def perplexity_axis(ax: Axes) -> None:
    """Set the y axis to perplexity on a logarithmic scale with plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(FixedLocator(TICKS))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    ax.set_ylabel("perplexity")


def perplexity_curves(ax: Axes, points: Sequence) -> None:
    """Draw perplexity against sparsity, one labelled curve a method; the unpruned model is dotted.

    ``points``: objects with ``method``, ``sparsity``, ``perplexity``.
    """
    lines = _curves(ax, points, "perplexity")
    perplexity_axis(ax)
    ax.relim()
    ax.autoscale_view()
    dense = next((p.perplexity for p in points if p.sparsity == 0), None)
    if dense is not None:
        ax.axhline(dense, color=HERE, linestyle=":", linewidth=1.5, label="_dense")
        style = {"va": "top", "ha": "right", "fontsize": SIZE - 1, "color": HERE, "textcoords": "offset points"}
        ax.annotate(f"unpruned: {dense:.1f}", (1, dense), xycoords=ax.get_yaxis_transform(), xytext=(0, -3), **style)
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, dense * (low / high) ** 0.15), high)  # room for the words below the line
    name_ends(ax, lines)


def quality_curves(perplexity: Axes, accuracy: Axes, points: Sequence) -> None:
    """Draw perplexity and top-1 accuracy against sparsity, one curve a method.

    ``points``: objects with ``method``, ``sparsity``, ``perplexity`` and ``accuracy``.
    """
    perplexity_curves(perplexity, points)
    _curves(accuracy, points, "accuracy")
    accuracy.set_ylabel("top-1 accuracy")
    accuracy.set_ylim(0)
    percent(accuracy.yaxis)


def _curves(ax: Axes, points: Sequence, what: str) -> list[Line2D]:
    lines = []
    methods = list(dict.fromkeys(p.method for p in points))
    for method, (colour, marker, line) in zip(methods, SERIES, strict=False):
        mine = sorted((p.sparsity, getattr(p, what)) for p in points if p.method == method)
        style = {"color": colour, "marker": marker, "linestyle": line, "markersize": 5, "label": method}
        lines += ax.plot(*zip(*mine, strict=True), **style)
    ax.set_xlabel("weights pruned")
    percent(ax.xaxis)
    return lines


def perplexity_bars(ax: Axes, perplexities: Mapping[str, float]) -> None:
    """Draw one bar a model, {name: perplexity}, the first (unpruned) on top; NaN and infinity are left out."""
    finite = {name: value for name, value in perplexities.items() if math.isfinite(value)}
    names = list(finite)[::-1]
    bars = ax.barh(names, [finite[name] for name in names], color=[GOES] * (len(names) - 1) + [REFERENCE])
    ax.bar_label(bars, [f" {finite[name]:,.2f}" for name in names], color=INK)
    ax.set(xscale="log", xlabel="perplexity (lower is better)")
    ax.margins(x=0.15)
    dress(ax)


def save(draw: Callable[[Axes], object], path: Path, size: tuple[float, float] = (8, 4.5)) -> None:
    """Let ``draw`` fill one figure of ``size`` (inches), and write it atomically in the format of the file's suffix."""
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    replace_whole(path, lambda part: figure.savefig(part, format=path.suffix.removeprefix("."), dpi=110))


def sensitivity(ax: Axes, points: Sequence, heading: str = "") -> None:
    """Draw a grid of layers and sparsities: the rise of the model's loss when one layer alone is pruned.

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
    ax.grid(visible=False)
    ax.set_xticks(range(len(columns)), [f"{s:.0%}" for s in columns])
    ax.set_yticks(range(len(layers)), [name.removesuffix(".weight") for name in layers])
    ax.set_xlabel("sparsity of this layer alone")
    title(ax, heading)


def mask(ax: Axes, keep: Tensor, heading: str = "") -> None:
    """Draw a keep-mask (rows, columns): dark where weights stay, white where they are pruned.

    Where a mask has more entries than the picture has pixels, a pixel is as dark as its entries are on average.
    """
    ax.imshow(keep.float().numpy(), cmap=KEPT, vmin=0, vmax=1, aspect="auto", interpolation="auto")
    ax.grid(visible=False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"{keep.size(1)} inputs")
    ax.set_ylabel(f"{keep.size(0)} outputs")
    title(ax, heading)
