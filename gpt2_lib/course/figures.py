"""Pictures and sentences in a notebook: one width, sharp on any screen, and in words for whoever can't see them."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import matplotlib as mpl
from IPython import get_ipython
from IPython.display import HTML, Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 8.4  # inches, the width of the column
PIXELS = 100  # of the page for an inch; the picture itself has twice as many
STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ec",
    "legend.frameon": False,
}


def panels(columns: int = 1, height: float = 2.6, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the column's width with so many axes in a row; ``options`` as `Figure.subplots` takes them."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        return figure, list(figure.subplots(1, columns, squeeze=False, **options)[0])


def show(figure: Figure, alt: str) -> None:
    """Show ``figure``; ``alt`` says in words what is seen, with its numbers."""
    picture = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(picture, format="png", dpi=2 * PIXELS, facecolor="white")
    data = base64.b64encode(picture.getvalue()).decode()
    width = round(figure.get_figwidth() * PIXELS)
    display(
        HTML(
            f"<img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{data}' "
            f"style='width: {width}px; max-width: 100%; height: auto'>"
        )
    )


def say(text: str) -> None:
    """Show ``text``, Markdown, so that it wraps between words; in a script it is printed."""
    if get_ipython() is None:
        print(text)
    else:
        display(Markdown(text))
