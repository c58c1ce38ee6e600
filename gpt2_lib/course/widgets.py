"""Sliders: prune the real model while you drag."""

from __future__ import annotations

import asyncio
import html
import io
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from .experiments import METHODS, Point, measure


@dataclass(frozen=True)
class Settings:
    """Where the explorer's controls stand."""

    method: str
    attention: float
    feedforward: float
    layer: str


class Live:
    """Controls that never wait for what they show.

    Computing and drawing run in a thread of their own: while one position of the controls is being computed,
    only their latest one is remembered. A kind of its own says what to read, to compute and to show.
    """

    waiting = "drawing ..."  # what the status says meanwhile
    view: ipywidgets.Widget
    status: ipywidgets.HTML

    def _settings(self) -> object:
        """Where the controls stand."""
        raise NotImplementedError

    def _compute(self, settings: object) -> object:
        """What there is to show for it; runs in the thread."""
        raise NotImplementedError

    def _show(self, result: object) -> None:
        """Put it on the screen."""
        raise NotImplementedError

    def _follow(self, *controls: ipywidgets.ValueWidget) -> None:
        """Show where the controls stand now, and wherever they go."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=type(self).__name__)
        self._busy = False
        self._show(self._compute(self._settings()))
        for control in controls:
            control.observe(self._changed, names="value")

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def _changed(self, _change: object) -> None:
        settings = self._settings()
        self.status.value = self.waiting
        if self._busy:
            return  # the running task looks at the controls again when it is done
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no event loop (a script, a test): do it here and now
            self._show(self._compute(settings))
            return
        self._busy = True
        self._task = loop.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Compute until the controls have stood still for one computation."""
        loop = asyncio.get_running_loop()
        try:
            settings = None
            while settings != self._settings():
                settings = self._settings()
                self._show(await loop.run_in_executor(self._thread, self._compute, settings))
                if settings != self._settings():
                    self.status.value = self.waiting
        except Exception as error:
            self.status.value = f"This point failed: {html.escape(str(error))}"
            raise
        finally:
            self._busy = False


class Explorer(Live):
    """Method and sparsities at the top; the curves with your point, a mask, a histogram, a text."""

    waiting = "pruning and measuring ..."

    def __init__(self, model: GPT2, windows: Tensor, points: Sequence[Point]) -> None:
        """``points``: the curves (from `experiments.sweep` on the same ``windows``, (N, T))."""
        self._dense = {name: w.detach().clone() for name, w in prunable_weights(model).items()}
        self._model = deepcopy(model)
        self._original = deepcopy(model.state_dict())
        self._windows = windows
        self._methods = {method.name: method for method in METHODS}
        self._figure = _Figure(points, self._dense)

        self.method = ipywidgets.Dropdown(options=list(self._methods), description="method")
        self.attention = _slider("attention %", "gpt2-explorer-attention")
        self.feedforward = _slider("feed-forward %", "gpt2-explorer-feedforward")
        self.layer = ipywidgets.Dropdown(options=list(self._dense), description="mask of", value="h.0.mlp.c_fc.weight")
        self.status = ipywidgets.HTML()
        self.status.add_class("gpt2-explorer-status")
        self.image = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        self.image.add_class("gpt2-explorer-figure")
        self.text = ipywidgets.HTML()
        choices, sliders = (
            ipywidgets.HBox([self.method, self.layer]),
            ipywidgets.HBox([self.attention, self.feedforward]),
        )
        self.view = ipywidgets.VBox([choices, sliders, self.status, self.image, self.text])
        self.view.add_class("gpt2-explorer")
        self._follow(self.method, self.attention, self.feedforward, self.layer)

    def _settings(self) -> Settings:
        method = self._methods[str(self.method.value)]
        self.feedforward.disabled = not method.separate
        if not method.separate:
            self.feedforward.value = self.attention.value
        attention, feedforward = self.attention.value / 100, self.feedforward.value / 100
        return Settings(method.name, attention, feedforward, str(self.layer.value))

    def _compute(self, settings: Settings) -> tuple[str, bytes, str]:
        started = time.perf_counter()
        with torch.no_grad():
            self._model.load_state_dict(self._original)  # biases too: structured pruning cuts them
        self._methods[settings.method].prune(self._model, settings.attention, settings.feedforward)
        point = measure(self._model, self._windows, settings.method)
        png = self._figure.draw(point, settings.layer, prunable_weights(self._model)[settings.layer].detach())
        status = (
            f"<b>{point.sparsity:.1%}</b> of the prunable weights are zero · "
            f"perplexity <b>{point.perplexity:,.1f}</b> · accuracy <b>{point.accuracy:.1%}</b> · "
            f"measured in {time.perf_counter() - started:.2f} s"
        )
        return status, png, point.sample

    def _show(self, result: tuple[str, bytes, str]) -> None:
        self.status.value, self.image.value = result[:2]
        self.text.value = f"<pre style='white-space: pre-wrap'>{html.escape(result[2])}</pre>"


def _slider(label: str, css: str) -> ipywidgets.IntSlider:
    slider = ipywidgets.IntSlider(
        value=0, min=0, max=95, step=1, description=label, style={"description_width": "initial"}
    )
    slider.add_class(css)
    slider.layout.width = "45%"
    return slider


class _Figure:
    """The explorer's four pictures; the curves are drawn once, the rest anew for each point."""

    def __init__(self, points: Sequence[Point], dense: dict[str, Tensor]) -> None:
        self._dense = dense
        self._figure = Figure(figsize=(11, 6.2), dpi=80, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        self._perplexity, self._accuracy, self._mask, self._histogram = self._figure.subplots(2, 2).flat
        plots.quality_curves(self._perplexity, self._accuracy, points)
        star = {"color": plots.RED, "marker": "*", "markersize": 16, "linestyle": "none", "zorder": 5}
        (self._on_perplexity,) = self._perplexity.plot([], [], **star)
        (self._on_accuracy,) = self._accuracy.plot([], [], **star)

    def draw(self, point: Point, layer: str, weight: Tensor) -> bytes:
        """PNG of the curves with ``point`` on them, and of ``weight`` (out, in), called ``layer``."""
        self._on_perplexity.set_data([point.sparsity], [point.perplexity])
        self._on_accuracy.set_data([point.sparsity], [point.accuracy])
        keep = weight != 0
        self._mask.clear()
        plots.mask(self._mask, keep, f"{layer}: {1 - keep.float().mean():.0%} pruned")
        self._histogram.clear()
        plots.pruned_histogram(self._histogram, self._dense[layer], weight)
        png = io.BytesIO()
        self._canvas.print_png(png)  # Figure.savefig would draw everything twice
        self._figure.set_layout_engine("none")  # the first drawing laid everything out; that takes longest
        return png.getvalue()
