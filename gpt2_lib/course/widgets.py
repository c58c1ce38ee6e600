"""The explorer: prune the real model interactively."""

from __future__ import annotations

import html
import io
import re
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import ipywidgets
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from .. import plots
from ..gpt2 import GPT2
from ..pruning.pruner import prunable_weights
from .experiments import METHODS, Point, measure, readable
from .page.live import PIXELS, Control, Live, Seen

START = 50  # percent: the first picture already shows an effect


@dataclass(frozen=True)
class Settings:
    """The current settings of the explorer's controls."""

    method: str
    attention: float
    feedforward: float
    layer: str


class Explorer(Live):
    """Controls for method and sparsities, and their results: curves, a mask, a histogram, numbers, a sample."""

    waiting = "pruning and measuring ..."

    def __init__(self, model: GPT2, windows: Tensor, points: Sequence[Point]) -> None:
        """Show the explorer; ``points`` are the curves of `experiments.sweep` on the same ``windows`` (N, T)."""
        self._dense = {name: w.detach().clone() for name, w in prunable_weights(model).items()}
        self._model = deepcopy(model)
        self._original = deepcopy(model.state_dict())
        self._windows = windows
        self._methods = {method.name: method for method in METHODS}
        self._unpruned = next((p for p in points if p.sparsity == 0), None)
        self._figure = _Figure(points, self._dense)

        style = {"style": {"description_width": "auto"}, "layout": {"width": "auto"}}
        self.method = ipywidgets.Dropdown(options=list(self._methods), description="method", **style)
        self.attention = Control("attention", START, highest=95)
        self.feedforward = Control("feed-forward", START, highest=95)
        self.layer = ipywidgets.Dropdown(
            options=list(self._dense), description="picture of", value="h.0.mlp.c_fc.weight", **style
        )
        self.attention.slider.add_class("gpt2-explorer-attention")
        self.feedforward.slider.add_class("gpt2-explorer-feedforward")
        self.attention.observe(lambda _: self._look_at("attn"), names="value")
        self.feedforward.observe(lambda _: self._look_at("mlp"), names="value")
        controls = [self.method, self.attention.view, self.feedforward.view, self.layer]
        self._lay_out("gpt2-explorer", controls)
        self._follow(self.method, self.attention, self.feedforward, self.layer)

    def _look_at(self, part: str) -> None:
        """Show a matrix of the part whose sparsity changed, in the current block."""
        block, shown = re.match(r"(h\.\d+)\.(\w+)\.", str(self.layer.value)).groups()  # type: ignore[union-attr]
        if shown != part and self._methods[str(self.method.value)].separate:
            self.layer.value = next(name for name in self._dense if name.startswith(f"{block}.{part}."))

    def _settings(self) -> Settings:
        method = self._methods[str(self.method.value)]
        self.feedforward.disabled = not method.separate
        if not method.separate:
            self.feedforward.value = self.attention.value
        attention, feedforward = self.attention.value / 100, self.feedforward.value / 100
        return Settings(method.name, attention, feedforward, str(self.layer.value))

    def _compute(self, settings: Settings) -> Seen:
        started = time.perf_counter()
        with torch.no_grad():
            self._model.load_state_dict(self._original)  # biases too: structured pruning cuts them
        self._methods[settings.method].prune(self._model, settings.attention, settings.feedforward)
        point = measure(self._model, self._windows, settings.method)
        weight = prunable_weights(self._model)[settings.layer].detach()
        png = self._figure.draw(point, settings.layer, weight)
        gone = (weight == 0).float().mean().item()
        alt = (
            f"Perplexity against weights pruned, one curve a method; a star, your point, at {point.sparsity:.0%} and "
            f"{point.perplexity:,.1f}. Below, {settings.layer}: its mask, {gone:.0%} of it white, that is "
            "gone, and the histogram of its weights before and after."
        )
        note = f"{point.sparsity:.1%} of the weights are zero · measured in {time.perf_counter() - started:.1f} s"
        return Seen(self._numbers_of(point), png, alt, note, _quoted(point.sample))

    def _numbers_of(self, point: Point) -> str:
        def line(value: str, what: str, before: str) -> str:
            return f"<b style='font-size: 1.4em'>{value}</b> {what}{f', was {before}' if before else ''}"

        old = self._unpruned
        perplexity = line(f"{point.perplexity:,.1f}", "perplexity", f"{old.perplexity:,.1f}" if old else "")
        accuracy = line(f"{point.accuracy:.1%}", "right first guesses", f"{old.accuracy:.1%}" if old else "")
        return f"{perplexity}<br>{accuracy}"


def _quoted(sample: str) -> str:
    """Return the model's sample as HTML, with the speakers' names in bold."""
    text = html.escape(readable(sample))
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"\*([^*]+)\*", r"<i>\1</i>", text).replace("*", "")  # a ruined model has some that are not finite
    style = "border-left: 4px solid #8c959f; margin: 0; padding: 0 12px; line-height: 1.4; white-space: pre-line"
    return f"<blockquote style='{style}; max-height: 13em; overflow: auto' tabindex='0'>{text}</blockquote>"


class _Figure:
    """The explorer's three plots; the curves are drawn once, the others for each point."""

    def __init__(self, points: Sequence[Point], dense: dict[str, Tensor]) -> None:
        self._dense = dense
        self._figure = Figure(figsize=(6.2, 4.7), dpi=PIXELS, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        places = self._figure.add_gridspec(2, 1)
        above, below = (self._figure.add_subfigure(places[row]) for row in range(2))  # each laid out by itself
        self._curves = above.subplots()
        self._mask, self._histogram = below.subplots(1, 2)
        plots.dress(self._curves)
        plots.perplexity_curves(self._curves, points)
        plots.title(self._curves, "What each method costs, and where you are")
        (self._star,) = self._curves.plot([], [], "*", color=plots.HERE, markersize=16, zorder=5)
        self._you = self._curves.annotate(
            "you", (0, 1), (10, -12), textcoords="offset points", fontsize=plots.SIZE, fontweight="bold", zorder=5
        )

    def draw(self, point: Point, layer: str, weight: Tensor) -> bytes:
        """Return a PNG of the curves with ``point`` marked, and of ``weight`` (out, in), called ``layer``."""
        self._star.set_data([point.sparsity], [point.perplexity])
        self._you.xy = (point.sparsity, point.perplexity)
        keep = weight != 0
        for ax in (self._mask, self._histogram):
            ax.clear()
            plots.dress(ax)
        plots.mask(self._mask, keep, f"{1 - keep.float().mean():.0%} of it is gone")
        plots.pruned_histogram(self._histogram, self._dense[layer], weight)
        plots.title(self._histogram, layer.removesuffix(".weight"))
        png = io.BytesIO()
        self._canvas.print_png(png)  # Figure.savefig would draw everything twice
        self._figure.set_layout_engine("none")  # the first drawing laid everything out; that takes longest
        return png.getvalue()
