"""The card with a learner's results to share: a picture of 1,200 by 630 pixels for link previews, and Markdown."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

COURSE = "Real-World GPT-2 Pruning"
WIDTH, HEIGHT, DPI = 12.0, 6.3, 100  # inches, pixels an inch
INK, SOFT, ACCENT, PASSED = "#1f2328", "#57606a", "#0b5cad", "#1a7f37"


@dataclass(frozen=True)
class Card:
    """The results that were measured, {name: result}, and the checks that passed, [(exercise, [passed, ...])]."""

    title: str
    measured: dict[str, str]
    rows: list[tuple[str, list[bool]]]
    points: float
    of: float

    def markdown(self) -> str:
        """Return the card as Markdown text."""
        lines = [f"**{COURSE} · {self.title}: {self.points:g} of {self.of:g} points**", ""]
        lines += [f"- {what}: {result}" for what, result in self.measured.items()]
        done = " · ".join(f"{name} {sum(passed)} of {len(passed)}" for name, passed in self.rows)
        return "\n".join([*lines, f"- checks passed: {done}"])

    def png(self) -> bytes:
        """Return the card as a PNG picture."""
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
        figure.add_artist(Rectangle((0, 0), 0.018, 1, color=ACCENT))
        self._words(figure)
        self._boxes(figure)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=DPI)
        return picture.getvalue()

    def _words(self, figure: Figure) -> None:
        def write(x: float, y: float, text: str, size: float, **style: Any) -> None:
            figure.text(x, y, text, va="center", fontsize=size, **style)

        write(0.055, 0.89, "I pruned a GPT-2", 32, weight="bold", color=INK)
        write(0.055, 0.79, self.title, 18, color=SOFT)
        write(0.95, 0.90, f"{self.points:g}", 46, weight="bold", color=ACCENT, ha="right")
        write(0.95, 0.79, f"of {self.of:g} points", 18, color=SOFT, ha="right")
        step = min(0.085, 0.46 / max(len(self.measured), 1))
        for number, (what, result) in enumerate(self.measured.items()):
            write(0.055, 0.67 - number * step, what, min(17.0, 190 * step), color=INK)
            write(0.95, 0.67 - number * step, result, min(17.0, 190 * step), color=INK, weight="bold", ha="right")
        write(0.95, 0.035, COURSE, 14, color=SOFT, ha="right")

    def _boxes(self, figure: Figure) -> None:
        column = 0.895 / max(len(self.rows), 1)
        for number, (name, done) in enumerate(self.rows):
            left = 0.055 + number * column
            figure.text(left, 0.17, name, fontsize=min(14.0, 900 * column / max(len(name), 8)), color=INK)
            width = min(0.021, (column - 0.01) / max(len(done), 1))
            for place, passed in enumerate(done):
                box = Rectangle(
                    (left + place * width, 0.105), 0.8 * width, 0.034, ec=PASSED, fc=PASSED if passed else "white"
                )
                figure.add_artist(box)

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self.png()).decode()
        words = html.escape(self.markdown().replace("\n", " "), quote=True)
        return f"<img alt='{words}' src='data:image/png;base64,{picture}' style='max-width: 100%; width: 720px'>"

    def __repr__(self) -> str:
        return self.markdown()
