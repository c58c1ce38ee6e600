"""Interactive demos, one for each technique: threshold, neurons, schedule, one ranking for all layers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from .. import plots
from ..gpt2 import GPT2
from ..metrics import evaluate
from ..pruning import scores, selection
from ..pruning.pruner import prunable_weights
from ..pruning.schedules import cubic_sparsity, linear_sparsity
from ..pruning.surgery import FEEDFORWARD, shrink
from .page.live import PIXELS, Control, Live, Seen

TRAINING = 1000  # steps of the run that ScheduleDemo shows
EVERY = 50  # steps between its cuts
WIDTH = 6.2  # inches of a picture beside its controls


class Demo(Live):
    """Controls, a line of numbers and a figure; the caption says what to look for."""

    caption = ""
    height = 3.0  # inches
    axes = (1, 2)  # rows and columns

    def _build(self, css: str, *controls: Control) -> None:
        self._controls = controls
        self._figure = Figure(figsize=(WIDTH, self.height), dpi=PIXELS, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        self._axes: Sequence[Axes] = list(self._figure.subplots(*self.axes, squeeze=False).flat)
        caption = f"<p style='line-height: 1.5; max-width: 46em'><b>What to look for.</b> {self.caption}</p>"
        self._lay_out(css, [control.view for control in controls], caption)
        self._follow(*controls)

    def _settings(self) -> tuple[int, ...]:
        return tuple(control.value for control in self._controls)

    def _compute(self, settings: tuple[int, ...]) -> Seen:
        for ax in self._axes:
            ax.clear()
        plots.dress(*self._axes)
        numbers, alt = self._draw(*settings)
        png = io.BytesIO()
        self._canvas.print_png(png)
        self._figure.set_layout_engine("none")  # the first drawing laid everything out; that takes longest
        return Seen(numbers, png.getvalue(), alt)

    def _draw(self, *settings: int) -> tuple[str, str]:
        """Draw on the axes; returns the numbers, in HTML, and the picture's alt text."""
        raise NotImplementedError


class ThresholdDemo(Demo):
    """The histogram of one weight matrix, and the weights that a threshold removes."""

    caption = (
        "How little the band between the lines has to widen to take the first half of the weights, and how much for "
        "the last tenth. Are the holes on the right spread evenly?"
    )

    def __init__(self, weight: Tensor) -> None:
        """Show the demo for ``weight`` (out, in)."""
        self._weight = weight.detach().float().cpu().clone()
        self.sparsity = Control("sparsity", 50, highest=99)
        self._build("gpt2-threshold", self.sparsity)

    def _draw(self, percent: int) -> tuple[str, str]:
        keep = selection.layer_masks({"": self._weight}, percent / 100)[""]
        gone = self._weight[~keep].abs()
        threshold = gone.max().item() if len(gone) else 0.0
        histogram, mask = self._axes
        limit = self._weight.abs().max().item()
        for weights, colour, label in ((self._weight, plots.STAYS, "stay"), (self._weight[~keep], plots.GOES, "go")):
            counts, edges = np.histogram(weights.flatten().numpy(), bins=121, range=(-limit, limit))
            histogram.stairs(counts, edges, color=colour, fill=True, label=label)
        for side in (-threshold, threshold):
            histogram.axvline(side, color=plots.HERE, linestyle="--", linewidth=1)
        histogram.set_xlabel("weight")
        histogram.set_ylabel("number of weights")
        histogram.legend(frameon=False, fontsize=plots.SIZE)
        plots.title(histogram, "Between the lines: all go")
        plots.mask(mask, keep, "Dark: what stays")
        alt = (
            f"A histogram of the weights, high and narrow around zero: those within {threshold:.4f} of it, "
            f"{percent}%, are marked as gone. Beside it the mask of the matrix, as dark as much of it stays."
        )
        return f"<b>{len(gone):,}</b> of {keep.numel():,} weights go: all within ±<b>{threshold:.4f}</b>", alt


class NeuronDemo(Demo):
    """The removal of neurons from one feed-forward layer: its smaller matrices, and the model's perplexity."""

    waiting = "removing neurons and measuring ..."
    caption = (
        "A neuron takes a column of both matrices with it (a row of c_fc, which is turned for the picture): what is "
        "left is smaller and without holes. How many can go before it costs more than you would pay?"
    )
    height = 4.6
    axes = (2, 2)

    def __init__(self, model: GPT2, windows: Tensor, block: int = 0) -> None:
        """Show the demo for the neurons of ``block``; ``windows`` (N, T) are for measuring the model."""
        self._model, self._windows, self._block = model, windows, block
        weights = model.state_dict()
        self._weights = [weights[f"h.{block}.{part}"].clone() for part in FEEDFORWARD]
        self._scores = scores.neuron(*self._weights)
        self._measured = {0: evaluate(model, windows).perplexity}  # {percent: perplexity}
        self.removed = Control("neurons removed", 50, highest=95)
        self._build("gpt2-neurons", self.removed)

    def _draw(self, percent: int) -> tuple[str, str]:
        keep = selection.keep_units(self._scores, percent / 100)
        smaller = shrink(self._model, neurons={self._block: keep})
        self._measured[percent] = evaluate(smaller, self._windows).perplexity
        ranking, curve, fc, proj = self._axes
        self._ranking(ranking, keep)
        self._curve(curve, percent)
        c_fc, _, c_proj = self._weights
        self._matrix(fc, "c_fc", c_fc[keep].t())
        self._matrix(proj, "c_proj", c_proj[:, keep])
        shapes = f"c_fc {tuple(c_fc.shape)} → ({len(keep)}, {c_fc.size(1)})"
        shapes += f", c_proj {tuple(c_proj.shape)} → ({c_proj.size(0)}, {len(keep)})"
        left = f"<b>{len(keep)}</b> of {len(self._scores)} neurons left in block {self._block}"
        perplexity = f"{self._measured[percent]:,.2f}"
        alt = (
            f"The neurons of block {self._block} by score: the upper {len(keep)} stay. Perplexity where you have been, "
            f"{perplexity} here. Below, c_fc and c_proj, as wide as the neurons that are left."
        )
        return f"{left}<br>{shapes}<br>perplexity <b>{perplexity}</b>", alt

    def _ranking(self, ax: Axes, keep: Tensor) -> None:
        ranked, order = self._scores.sort(descending=True)
        place = torch.arange(len(ranked))
        stays = torch.isin(order, keep)
        for which, colour, label in ((stays, plots.STAYS, "stay"), (~stays, plots.GOES, "go")):
            ax.fill_between(place[which], ranked[which], color=colour, label=label, step="mid")
        ax.set_xlabel("neurons, by score")
        ax.set_ylabel("score")
        ax.set_ylim(0)
        ax.legend(frameon=False, fontsize=plots.SIZE)
        plots.title(ax, "The least important go")

    def _matrix(self, ax: Axes, name: str, weight: Tensor) -> None:
        """Draw ``weight`` (C, neurons left), larger entries darker; removed columns stay white."""
        size = weight.abs()
        limit = float(torch.quantile(size.flatten()[:: max(1, size.numel() // 10_000)], 0.99))
        ax.imshow(size.numpy(), cmap=plots.KEPT, vmin=0, vmax=limit, aspect="auto", interpolation="auto")
        ax.grid(visible=False)
        ax.set_xlim(-0.5, len(self._scores) - 0.5)
        ax.set_yticks([])
        ax.set_xlabel("neurons")
        plots.title(ax, f"{name}: {weight.size(1)} neurons wide")

    def _curve(self, ax: Axes, percent: int) -> None:
        visited = sorted(self._measured)
        style = {"color": plots.STAYS, "marker": "o", "markersize": 4, "linewidth": 1}
        ax.plot([p / 100 for p in visited], [self._measured[p] for p in visited], **style)
        ax.plot([percent / 100], [self._measured[percent]], color=plots.HERE, marker="*", markersize=14)
        ax.set_xlim(-0.02, 1)
        plots.percent(ax.xaxis)
        ax.set_xlabel(f"removed from block {self._block}")
        ax.set_ylim(0, max(1.1 * max(self._measured.values()), 2 * self._measured[visited[0]]))  # noise stays small
        plots.title(ax, "Perplexity where you were")


class ScheduleDemo(Demo):
    """The cubic schedule beside a linear one: the sparsity over time, and the size of each cut."""

    caption = (
        "The cubic curve cuts most at the beginning, while there is much to spare, and hardly at all at the end: the "
        "last cuts hurt most, so the model gets time to recover from them. Where are cubic and straight furthest apart?"
    )

    height = 4.6
    axes = (2, 1)

    def __init__(self) -> None:
        self.final = Control("final sparsity", 80, highest=95)
        self.start = Control("cuts start at", 100, highest=400, step=EVERY, unit="steps")
        self.steps = Control("they last for", 600, lowest=EVERY, highest=600, step=EVERY, unit="steps")
        self._build("gpt2-schedule", self.final, self.start, self.steps)

    def _draw(self, percent: int, start: int, steps: int) -> tuple[str, str]:
        sparsity, cuts = self._axes
        time = np.arange(TRAINING + 1)
        updates = np.arange(start, start + steps + 1, EVERY)
        curves = (("cubic", cubic_sparsity, plots.SERIES[0], -EVERY), ("straight", linear_sparsity, plots.SERIES[1], 0))
        for name, curve, (colour, _, line), shift in curves:
            height = [curve(int(t), start, steps, 0.0, percent / 100) for t in time]
            sparsity.plot(time, height, color=colour, linestyle=line, label=name)
            taken = np.diff([height[t] for t in updates], prepend=0.0)
            cuts.bar(updates + shift / 2, taken, width=EVERY / 2, align="edge", color=colour, label=name)
        plots.title(sparsity, "How much is gone")
        plots.title(cuts, "What each cut takes of all weights")
        sparsity.set_ylim(0, 1)
        cuts.set_xlabel("step of the training")
        for ax in self._axes:
            ax.set_xlim(0, TRAINING)
            plots.percent(ax.yaxis)
            ax.legend(frameon=False, fontsize=plots.SIZE)
        quarter = 1 - 0.75**3  # of the way, whatever the settings
        numbers = (
            f"A quarter of the way to <b>{percent}%</b>, the cubic curve has taken <b>{quarter:.0%}</b> of all that "
            f"goes, the straight one 25%<br>{TRAINING - start - steps} steps are left to recover"
        )
        alt = (
            f"Sparsity from 0 at step {start} to {percent}% at step {start + steps}: the cubic curve is steep "
            "first and flat at its end, the other is straight. Below, what each cut takes: less and less by the "
            "cubic curve, always the same by the straight one."
        )
        return numbers, alt


class GlobalDemo(Demo):
    """The weights that one ranking of all layers leaves in each layer."""

    caption = (
        "One ranking over all layers keeps the total exact and lets each layer's share go where its weights are small. "
        "Which layer pays most? At which sparsity is the first layer nearly empty?"
    )
    height = 4.6
    axes = (1, 1)

    def __init__(self, model: GPT2) -> None:
        self._weights: Mapping[str, Tensor] = {n: w.detach().clone() for n, w in prunable_weights(model).items()}
        self.sparsity = Control("sparsity", 50, highest=99)
        self._build("gpt2-global", self.sparsity)

    def _draw(self, percent: int) -> tuple[str, str]:
        masks = selection.global_masks(self._weights, percent / 100)
        gone = {name.removesuffix(".weight"): 1 - mask.float().mean().item() for name, mask in masks.items()}
        (ax,) = self._axes
        places = np.arange(len(gone))
        parts = ["attention" if ".attn." in name else "feed-forward" for name in gone]
        ax.barh(places, list(gone.values()), color=[plots.PARTS[part] for part in parts])
        for part, colour in plots.PARTS.items():
            ax.barh([0], [0], color=colour, label=part)
        ax.axvline(percent / 100, color=plots.HERE, linestyle="--", label="layer by layer: the same for all")
        ax.set_yticks(places, list(gone), fontsize=plots.SIZE - 1)
        ax.invert_yaxis()
        ax.set_xlim(0, 1)
        plots.percent(ax.xaxis)
        ax.set_xlabel("sparsity of the layer")
        ax.legend(frameon=False, fontsize=plots.SIZE - 1, loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
        most, least = max(gone, key=gone.__getitem__), min(gone, key=gone.__getitem__)
        numbers = (
            f"<b>{percent}%</b> of all weights go<br>most in {most}: <b>{gone[most]:.0%}</b>, "
            f"least in {least}: <b>{gone[least]:.0%}</b>"
        )
        shares = ", ".join(f"{name} {share:.0%}" for name, share in gone.items())
        return numbers, f"Bars: the share that one ranking of all weights takes of each layer. {shares}"
