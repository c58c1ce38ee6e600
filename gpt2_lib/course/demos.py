"""Four small things to drag, one for each technique: threshold, neurons, schedule, one ranking for all."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import ipywidgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from .. import plots
from ..gpt2 import GPT2
from ..metrics import evaluate
from ..pruning import scores, selection
from ..pruning.pruner import prunable_weights
from ..pruning.schedules import cubic_sparsity, linear_sparsity
from ..pruning.surgery import FEEDFORWARD, shrink
from .widgets import Live

TRAINING = 1000  # steps of the run that ScheduleDemo shows
EVERY = 50  # steps between its cuts


class Demo(Live):
    """Sliders, a line of text and a figure; the caption says what to look for."""

    caption = ""
    size = (10.0, 3.4)  # inches
    axes = (1, 2)  # rows and columns

    def _build(self, css: str, *sliders: ipywidgets.IntSlider) -> None:
        self._sliders = sliders
        for slider in sliders:
            slider.layout.width = "32%" if len(sliders) > 1 else "60%"
        self._figure = Figure(figsize=self.size, dpi=80, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        self._axes: Sequence[Axes] = list(self._figure.subplots(*self.axes, squeeze=False).flat)
        self.status = ipywidgets.HTML()
        self.image = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        caption = ipywidgets.HTML(f"<b>What to look for.</b> {self.caption}")
        self.view = ipywidgets.VBox([caption, ipywidgets.HBox(sliders), self.status, self.image])
        for widget, part in ((self.view, "demo"), (self.status, "status"), (self.image, "figure")):
            widget.add_class(f"gpt2-{part}")
        self.view.add_class(css)
        self._follow(*sliders)

    def _settings(self) -> tuple[int, ...]:
        return tuple(slider.value for slider in self._sliders)

    def _compute(self, settings: tuple[int, ...]) -> tuple[str, bytes]:
        for ax in self._axes:
            ax.clear()
        status = self._draw(*settings)
        png = io.BytesIO()
        self._canvas.print_png(png)
        self._figure.set_layout_engine("none")  # the first drawing laid everything out; that takes longest
        return status, png.getvalue()

    def _draw(self, *settings: int) -> str:
        """Draw on the axes and return the status."""
        raise NotImplementedError

    def _show(self, result: tuple[str, bytes]) -> None:
        self.status.value, self.image.value = result


class ThresholdDemo(Demo):
    """The histogram of one weight matrix, and what a threshold takes out of it."""

    caption = (
        "How little the band between the lines has to widen to take the first half of the weights, and how much for "
        "the last tenth. Are the holes on the right spread evenly?"
    )

    def __init__(self, weight: Tensor) -> None:
        """``weight``: (out, in)."""
        self._weight = weight.detach().float().cpu().clone()
        self.sparsity = _slider("sparsity %", value=50, highest=99)
        self._build("gpt2-threshold", self.sparsity)

    def _draw(self, percent: int) -> str:
        keep = selection.layer_masks({"": self._weight}, percent / 100)[""]
        gone = self._weight[~keep].abs()
        threshold = gone.max().item() if len(gone) else 0.0
        histogram, mask = self._axes
        limit = self._weight.abs().max().item()
        for weights, colour, label in ((self._weight, plots.BLUE, "stay"), (self._weight[~keep], plots.ORANGE, "go")):
            counts, edges = np.histogram(weights.flatten().numpy(), bins=121, range=(-limit, limit))
            histogram.stairs(counts, edges, color=colour, fill=True, label=label)
        for side in (-threshold, threshold):
            histogram.axvline(side, color=plots.RED, linestyle="--", linewidth=1)
        histogram.set_xlabel("weight")
        histogram.set_ylabel("number of weights")
        histogram.legend(frameon=False)
        plots.mask(mask, keep, "what stays is dark")
        return f"<b>{len(gone):,}</b> of {keep.numel():,} weights go: all within ±<b>{threshold:.4f}</b>"


class NeuronDemo(Demo):
    """Neurons fall out of one feed-forward layer: its matrices get smaller, and the model is measured."""

    waiting = "removing neurons and measuring ..."
    caption = (
        "A neuron takes a column of both pictures with it (a row of c_fc and a column of c_proj, turned for the "
        "picture): what is left is a smaller matrix without holes. How many can go before the curve bends?"
    )
    size = (11.0, 3.8)
    axes = (1, 3)

    def __init__(self, model: GPT2, windows: Tensor, block: int = 0) -> None:
        """``windows`` (N, T): what the model is measured on; ``block``: whose neurons fall."""
        self._model, self._windows, self._block = model, windows, block
        weights = model.state_dict()
        self._weights = [weights[f"h.{block}.{part}"].clone() for part in FEEDFORWARD]
        self._scores = scores.neuron(*self._weights)
        self._measured: dict[int, float] = {}
        self.removed = _slider("neurons removed %", value=0, highest=95)
        self._build("gpt2-neurons", self.removed)

    def _draw(self, percent: int) -> str:
        keep = selection.keep_units(self._scores, percent / 100)
        smaller = shrink(self._model, neurons={self._block: keep})
        self._measured[percent] = evaluate(smaller, self._windows).perplexity
        ranking, matrices, curve = self._axes
        self._ranking(ranking, keep)
        self._matrices(matrices, keep)
        self._curve(curve, percent)
        c_fc, _, c_proj = self._weights
        shapes = f"c_fc {tuple(c_fc.shape)} → ({len(keep)}, {c_fc.size(1)})"
        shapes += f", c_proj {tuple(c_proj.shape)} → ({c_proj.size(0)}, {len(keep)})"
        left = f"<b>{len(keep)}</b> of {len(self._scores)} neurons left in block {self._block}"
        return f"{left} · {shapes} · perplexity <b>{self._measured[percent]:,.2f}</b>"

    def _ranking(self, ax: Axes, keep: Tensor) -> None:
        ranked, order = self._scores.sort(descending=True)
        place = torch.arange(len(ranked))
        stays = torch.isin(order, keep)
        for which, colour, label in ((stays, plots.BLUE, "stay"), (~stays, plots.ORANGE, "go")):
            ax.fill_between(place[which], ranked[which], color=colour, label=label, step="mid")
        ax.set_xlabel("neurons, most important first")
        ax.set_ylabel("score")
        ax.set_ylim(0)
        ax.legend(frameon=False)

    def _matrices(self, ax: Axes, keep: Tensor) -> None:
        c_fc, _, c_proj = self._weights
        both = torch.cat([c_fc[keep].t(), c_proj[:, keep]])  # (2 C, neurons left)
        limit = float(torch.quantile(both.abs().flatten()[:: max(1, both.numel() // 10_000)], 0.99))
        ax.imshow(both.numpy(), cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        ax.axhline(c_fc.size(1) - 0.5, color="black", linewidth=1)
        ax.set_xlim(-0.5, len(self._scores) - 0.5)
        ax.set_yticks([c_fc.size(1) / 2, c_fc.size(1) * 3 / 2], ["c_fc", "c_proj"])
        ax.set_xlabel("neurons")

    def _curve(self, ax: Axes, percent: int) -> None:
        visited = sorted(self._measured)
        style = {"color": plots.BLUE, "marker": "o", "markersize": 4, "linewidth": 1}
        ax.plot([p / 100 for p in visited], [self._measured[p] for p in visited], **style)
        ax.plot([percent / 100], [self._measured[percent]], color=plots.RED, marker="*", markersize=14)
        ax.set_xlim(-0.02, 1)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xlabel(f"neurons removed from block {self._block}")
        ax.set_ylim(0, max(1.1 * max(self._measured.values()), 2 * self._measured[visited[0]]))  # noise stays small
        ax.set_title("perplexity, where you have been", fontsize=10)
        ax.grid(alpha=0.3)


class ScheduleDemo(Demo):
    """The cubic schedule beside a straight one: how much is gone, and how much each cut takes."""

    caption = (
        "The cubic curve cuts most at the beginning, while there is much to spare, and hardly at all at the end: the "
        "last cuts hurt most, so the model gets time to recover from them. Where are cubic and straight furthest apart?"
    )

    def __init__(self) -> None:
        self.final = _slider("final sparsity %", value=80, highest=95)
        self.start = _slider("cuts start at step", value=100, highest=400, step=EVERY)
        self.steps = _slider("steps to the last cut", value=600, lowest=EVERY, highest=600, step=EVERY)
        self._build("gpt2-schedule", self.final, self.start, self.steps)

    def _draw(self, percent: int, start: int, steps: int) -> str:
        sparsity, cuts = self._axes
        time = np.arange(TRAINING + 1)
        updates = np.arange(start, start + steps + 1, EVERY)
        curves = (("cubic", cubic_sparsity, plots.SERIES[0], -EVERY), ("straight", linear_sparsity, plots.SERIES[1], 0))
        for name, curve, (colour, _, line), shift in curves:
            height = [curve(int(t), start, steps, 0.0, percent / 100) for t in time]
            sparsity.plot(time, height, color=colour, linestyle=line, label=name)
            taken = np.diff([height[t] for t in updates], prepend=0.0)
            cuts.bar(updates + shift / 2, taken, width=EVERY / 2, align="edge", color=colour, label=name)
        cuts.set_ylabel("weights that each cut takes")
        sparsity.set_ylabel("sparsity")
        sparsity.set_ylim(0, 1)
        for ax in self._axes:
            ax.set_xlim(0, TRAINING)
            ax.set_xlabel("step of the training")
            ax.yaxis.set_major_formatter(PercentFormatter(1))
            ax.grid(alpha=0.3)
            ax.legend(frameon=False)
        quarter = 1 - 0.75**3  # of the way, whatever the settings
        return (
            f"A quarter of the way to <b>{percent}%</b>, the cubic curve has taken <b>{quarter:.0%}</b> of all that "
            f"goes, the straight one 25% · {TRAINING - start - steps} steps are left to recover"
        )


class GlobalDemo(Demo):
    """What one ranking of all weights leaves in each layer."""

    caption = (
        "One ranking over all layers keeps the total exact and lets each layer's share go where its weights are small. "
        "Which layer pays most? At which sparsity is the first layer nearly empty?"
    )
    size = (10.0, 4.4)
    axes = (1, 1)

    def __init__(self, model: GPT2) -> None:
        self._weights: Mapping[str, Tensor] = {n: w.detach().clone() for n, w in prunable_weights(model).items()}
        self.sparsity = _slider("sparsity %", value=50, highest=99)
        self._build("gpt2-global", self.sparsity)

    def _draw(self, percent: int) -> str:
        masks = selection.global_masks(self._weights, percent / 100)
        gone = {name.removesuffix(".weight"): 1 - mask.float().mean().item() for name, mask in masks.items()}
        (ax,) = self._axes
        places = np.arange(len(gone))
        colours = [plots.ORANGE if ".attn." in name else plots.BLUE for name in gone]
        ax.barh(places, list(gone.values()), color=colours)
        for colour, label in ((plots.ORANGE, "attention"), (plots.BLUE, "feed-forward")):
            ax.barh([0], [0], color=colour, label=label)
        ax.axvline(percent / 100, color="black", linestyle="--", label="layer by layer: the same for all")
        ax.set_yticks(places, list(gone), fontsize=8)
        ax.invert_yaxis()
        ax.set_xlim(0, 1)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xlabel("sparsity of the layer")
        ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        most, least = max(gone, key=gone.__getitem__), min(gone, key=gone.__getitem__)
        return (
            f"<b>{percent}%</b> of all weights go · most in {most}: <b>{gone[most]:.0%}</b>, "
            f"least in {least}: <b>{gone[least]:.0%}</b>"
        )


def _slider(label: str, value: int, highest: int, lowest: int = 0, step: int = 1) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(
        value=value,
        min=lowest,
        max=highest,
        step=step,
        description=label,
        style={"description_width": "initial"},
        layout={"min_width": "250px"},
    )
