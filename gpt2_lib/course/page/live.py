"""Interactive controls beside their results; on narrow pages the results are below."""

from __future__ import annotations

import asyncio
import base64
import html
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import ipywidgets

PIXELS = 200  # of a picture for an inch; the page shows half as many
RESTARTED = "The kernel that moved this is gone: run the notebook's cells again, from its first on."
STYLE = f"""<style>
.gpt2-live {{ overflow: hidden; padding-bottom: 4px }}
.gpt2-live.gpt2-busy :is(img, blockquote, .gpt2-numbers) {{ opacity: 0.5 }}
.gpt2-live.jupyter-widgets-disconnected::after {{ content: "{RESTARTED}"; font-weight: bold }}
</style>"""
# ipywidgets gives a slider's handle no name: it gets that of the number beside it, as soon as all are in the page.
NAMES = """(() => {
    const name = () => [...document.querySelectorAll("[role=slider]")].filter(handle => {
        const label = handle.closest(".VIEW .gpt2-control")?.querySelector("label");
        if (label) handle.setAttribute("aria-label", label.textContent);
        return label;
    }).length < COUNT;
    const watch = new MutationObserver(() => name() || watch.disconnect());
    if (name()) watch.observe(document.body, {childList: true, subtree: true});
})()"""


@dataclass(frozen=True)
class Seen:
    """The result for one setting of the controls: ``numbers`` and ``text`` in HTML, a picture and its alt text."""

    numbers: str
    png: bytes
    alt: str
    note: str = ""  # below the numbers, small
    text: str = ""

    def picture(self) -> str:
        """Return the picture in HTML, with its size, so that the layout does not move while it loads."""
        width, height = (int.from_bytes(self.png[start : start + 4], "big") for start in (16, 20))  # PNG's IHDR
        return (
            f"<img class='gpt2-figure' alt='{html.escape(self.alt, quote=True)}' width='{width}' height='{height}' "
            f"style='width: 100%; max-width: {width // 2}px; height: auto' "
            f"src='data:image/png;base64,{base64.b64encode(self.png).decode()}'>"
        )


class Followed(Protocol):
    """Interface of a control: it has a value and notifies of changes."""

    @property
    def value(self) -> Any: ...

    def observe(self, handler: Callable[[Any], None], names: str) -> None: ...


class Control:
    """A labelled integer field with a slider that has the same value.

    The slider's own readout is left out: it is a tab stop without a name. Only the slider's value is read here; the
    browser keeps the two equal.
    """

    def __init__(self, label: str, value: int, highest: int, lowest: int = 0, step: int = 1, unit: str = "%") -> None:
        limits = {"value": value, "min": lowest, "max": highest, "step": step}
        self.slider = ipywidgets.IntSlider(
            **limits, readout=False, layout={"width": "auto", "flex": "1 1 190px", "min_width": "190px"}
        )
        width = {"width": "auto", "flex": "0 0 auto"}
        self.number = ipywidgets.BoundedIntText(
            **limits, description=label, style={"description_width": "auto"}, layout=width
        )
        self.number.add_class("gpt2-number")
        self._link = ipywidgets.jslink((self.slider, "value"), (self.number, "value"))
        self.view = ipywidgets.HBox(
            [self.number, ipywidgets.Label(unit), self.slider],
            layout={"width": "100%", "align_items": "center", "flex_flow": "row wrap", "overflow": "hidden"},
        )
        self.view.add_class("gpt2-control")

    @property
    def value(self) -> int:
        return self.slider.value

    @value.setter
    def value(self, value: int) -> None:
        self.slider.value = value

    @property
    def disabled(self) -> bool:
        return self.slider.disabled

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        self.slider.disabled = self.number.disabled = disabled

    def observe(self, handler: Callable[[Any], None], names: str) -> None:
        """Call ``handler`` when the value changes, whether by the field or by the slider."""
        self.slider.observe(handler, names=names)


class Live:
    """Controls that stay responsive while their results are computed.

    Computing and drawing run in a separate thread: while the result for one setting is computed, only the latest
    setting is remembered, and the earlier result stays on the page, dimmed. Subclasses define the settings and the
    result.
    """

    waiting = "drawing ..."  # what the status says meanwhile

    def _settings(self) -> Any:
        """Return the current settings of the controls."""
        raise NotImplementedError

    def _compute(self, settings: Any) -> Seen:
        """Compute the result for ``settings``, in the thread."""
        raise NotImplementedError

    def _lay_out(self, css: str, controls: Sequence[ipywidgets.DOMWidget], caption: str = "") -> None:
        """Place ``controls``, numbers and text on the left, the picture on the right."""
        self.status, self.image, self.text = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.status.add_class("gpt2-status")
        self._sliders = sum("gpt2-control" in control._dom_classes for control in controls)
        narrow = {"flex": "1 1 290px", "min_width": "270px", "overflow": "hidden"}
        left = ipywidgets.VBox([*controls, self.status, self.text], layout=narrow)
        right = ipywidgets.VBox([self.image], layout={"flex": "2 1 430px", "min_width": "270px"})
        both = ipywidgets.Box([left, right], layout={"flex_flow": "row wrap", "width": "100%", "grid_gap": "0 16px"})
        self.view = ipywidgets.VBox([ipywidgets.HTML(STYLE + caption), both])
        self.view.add_class("gpt2-live")
        self.view.add_class(css)

    def _follow(self, *controls: Followed) -> None:
        """Show the result for the current settings, and update it on every change."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=type(self).__name__)
        self._busy = False
        self._show(self._compute(self._settings()))
        for control in controls:
            control.observe(self._changed, names="value")

    def _show(self, seen: Seen) -> None:
        """Show a result on the page."""
        self._numbers = seen.numbers
        self._say(seen.note)
        self.image.value, self.text.value = seen.picture(), seen.text
        self.view.remove_class("gpt2-busy")

    def _wait(self) -> None:
        self.view.add_class("gpt2-busy")
        self._say(self.waiting)

    def _say(self, note: str) -> None:
        """Show the numbers and a note below them; a screen reader announces changes."""
        self.status.value = (
            "<div role='status' aria-live='polite' style='line-height: 1.5; padding: 4px 0'>"
            f"<div class='gpt2-numbers'>{self._numbers}</div><small class='gpt2-note'>{note}</small></div>"
        )

    def _ipython_display_(self) -> None:
        from IPython.display import Javascript, display

        view = f"gpt2-{self.view.model_id}"
        self.view.add_class(view)
        display(self.view, Javascript(NAMES.replace("VIEW", view).replace("COUNT", str(self._sliders))))

    def _changed(self, _change: object) -> None:
        settings = self._settings()
        self._wait()
        if self._busy:
            return  # the running task looks at the controls again when it is done
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no event loop (a script, a test): run it at once
            self._show(self._compute(settings))
            return
        self._busy = True
        self._task = loop.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Compute until the settings have not changed during a computation."""
        loop = asyncio.get_running_loop()
        try:
            settings = None
            while settings != self._settings():
                settings = self._settings()
                self._show(await loop.run_in_executor(self._thread, self._compute, settings))
                if settings != self._settings():
                    self._wait()
        except Exception as error:
            self._say(f"This point failed: {html.escape(str(error))}")
            raise
        finally:
            self._busy = False
