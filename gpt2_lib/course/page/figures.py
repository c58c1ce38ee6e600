"""Figures and sentences in a notebook: one width, twice the resolution, and alt text for screen readers."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from IPython import get_ipython
from IPython.display import HTML, Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots

WIDTH = 8.4  # inches, the width of the column
PIXELS = 100  # of the page for an inch; the picture itself has twice as many
CELL = "min-width: 3.4em; text-align: center; border: 1px solid #8c959f; padding: 5px"


def panels(columns: int = 1, height: float = 2.6, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of the column's width with ``columns`` axes; ``options`` as in `Figure.subplots`."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = list(figure.subplots(1, columns, squeeze=False, **options)[0])
    plots.dress(*axes)
    return figure, axes


def show(figure: Figure, alt: str) -> None:
    """Show ``figure``; ``alt`` describes it in words, with its numbers."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=2 * PIXELS, facecolor="white")
    data = base64.b64encode(picture.getvalue()).decode()
    width = round(figure.get_figwidth() * PIXELS)
    display(
        HTML(
            f"<img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{data}' "
            f"style='width: {width}px; max-width: 100%; height: auto'>"
        )
    )


def told(places: Sequence[float], curves: Mapping[str, Sequence[float]], digits: int = 1) -> str:
    """Return curves in words: the values of ``curves``, {name: values}, at each of ``places``, which are shares."""

    def points(values: Sequence[float]) -> str:
        return ", ".join(f"{value:,.{digits}f} at {place:.0%}" for place, value in zip(places, values, strict=True))

    return "; ".join(f"{name}: {points(values)}" for name, values in curves.items())


def matrices(*shown: tuple[str, Tensor, Tensor | None]) -> None:
    """Show small matrices (rows, columns) as tables side by side: (caption, values, keep-mask or None).

    Pruned entries are struck out, and a screen reader says so.
    """
    display(HTML("".join(_table(*matrix) for matrix in shown)))


def _table(caption: str, values: Tensor, keep: Tensor | None) -> str:
    def entry(row: int, column: int) -> str:
        value = f"{values[row, column].item():g}"
        if keep is None or keep[row, column]:
            return f"<td style='{CELL}; background: #cfe3f7; color: #1f2328; font-weight: 600'>{value}</td>"
        return f"<td style='{CELL}; background: #fff; color: #57606a'><s aria-label='{value}, gone'>{value}</s></td>"

    rows = ("".join(entry(row, column) for column in range(values.shape[1])) for row in range(values.shape[0]))
    return (
        "<table style='display: inline-table; border-collapse: collapse; margin: 0 24px 8px 0'>"
        f"<caption style='caption-side: top; text-align: left; color: inherit'>{html.escape(caption)}</caption>"
        + "".join(f"<tr>{row}</tr>" for row in rows)
        + "</table>"
    )


def say(text: str) -> None:
    """Show ``text`` as Markdown that wraps between words; in a script, print it."""
    if get_ipython() is None:
        print(text)
    else:
        display(Markdown(text))
