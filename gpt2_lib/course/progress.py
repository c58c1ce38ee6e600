"""Which checks of a notebook have passed so far: the line at its top, the card at its end.

`check` opens each check with ``progress.check``. The state belongs to the kernel: `progress` is the one object that all
cells share. What there is to pass, and for how many points, the notebook says itself: the release puts it there.
"""

from __future__ import annotations

import html
import io
import linecache
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any

from IPython import get_ipython
from IPython.display import display, update_display
from matplotlib.figure import Figure

from .. import plots
from .lesson import time_limit
from .own_work import borrowed, code_of

SECONDS = 5.0  # for the part of a check that learners see
DISPLAY = "gpt2-progress"  # the line's id, by which a later cell finds it


Points = Mapping[str, Mapping[str, float]]  # exercise -> check -> points


class Progress:
    """Which checks have passed in this kernel."""

    def __init__(self) -> None:
        self._title = ""
        self._exercises: Points = {}
        self._passed: set[str] = set()
        self._given = ""

    def begin(self, title: str, exercises: Points) -> None:
        """Show the line here and fill it from now on. Again (the cell is run twice): what has passed stays so."""
        self._title, self._exercises = title, exercises
        if get_ipython() is not None:  # in a script there is nothing to show it in
            display(self, display_id=DISPLAY)

    @contextmanager
    def check(
        self, identity: str, label: str, answers: Mapping[str, object], notebook: dict[str, object]
    ) -> Iterator[None]:
        """``with`` this, a check of ``answers`` (name -> what ``notebook``, its global names, has for it).

        Raises AssertionError with plain words where an answer is not there, not the learner's own work, takes too
        long or stops with an error. When all goes well it prints the label and fills the line.
        """
        self._given = ""
        self._passed.discard(identity)
        name = next(iter(answers))
        try:
            codes = set().union(*(code_of(_own(n, answer, notebook), notebook) for n, answer in answers.items()))
            try:
                with time_limit(SECONDS, explain=False):
                    yield
            except (AssertionError, NotImplementedError):  # both say what to do
                raise
            except (Exception, SystemExit) as error:
                raise AssertionError(_explain(error, name, codes, self._given)) from error
            self._passed.add(identity)
        except (AssertionError, NotImplementedError) as error:
            # IPython shows this in the place of the frames, all of which would be the course's own.
            mark = "✘" if isinstance(error, AssertionError) else "☐"
            vars(error)["_render_traceback_"] = f"{mark} {error}".splitlines
            raise
        finally:
            if get_ipython() is not None:
                update_display(self, display_id=DISPLAY)
        print(f"✔ {label}")

    def given(self, text: str) -> None:
        """Say what the function is about to be given: shown should it stop with an error."""
        self._given = text

    def passed(self) -> list[str]:
        """The checks that passed last time they ran, in the notebook's order."""
        return [identity for identity in self._checks() if identity in self._passed]

    def points(self) -> tuple[float, float]:
        """Points of the checks that passed, and of all of them. Hidden tests may still take some."""
        checks = self._checks()
        return sum(checks[identity] for identity in self.passed()), sum(checks.values())

    def summary(self, measured: Mapping[str, str]) -> Card:
        """A card to share: {what: result} as the learner measured it, and the points so far."""
        return Card(self._title, dict(measured), self._rows(), *self.points())

    def _checks(self) -> dict[str, float]:
        return {identity: points for checks in self._exercises.values() for identity, points in checks.items()}

    def _rows(self) -> list[tuple[str, list[bool]]]:
        return [(name, [i in self._passed for i in checks]) for name, checks in self._exercises.items()]

    def _repr_html_(self) -> str:
        got, of = self.points()
        exercises = " &nbsp;".join(
            f"<span style='white-space: nowrap'>{html.escape(name)} "
            f"<span style='color: {plots.GREEN}'>{_boxes(done)}</span></span>"
            for name, done in self._rows()
        )
        return (
            f"<div role='progressbar' aria-label='your progress' aria-valuemin='0' aria-valuemax='{of:g}' "
            f"aria-valuenow='{got:g}'><b>{html.escape(self._title)}</b> &nbsp;{exercises} &nbsp;"
            f"<span style='white-space: nowrap'><b>{got:g}</b> of {of:g} points</span></div>"
        )

    def __repr__(self) -> str:
        rows, (got, of) = [f"{name} {_boxes(done)}" for name, done in self._rows()], self.points()
        return "   ".join([self._title, *rows, f"{got:g} of {of:g} points"])


progress = Progress()


@dataclass(frozen=True)
class Card:
    """A learner's results as a picture and as Markdown text."""

    title: str
    measured: dict[str, str]
    rows: list[tuple[str, list[bool]]]
    points: float
    of: float

    def markdown(self) -> str:
        """The card as text, to paste anywhere."""
        lines = [f"**{self.title}: {self.points:g} of {self.of:g} points**", ""]
        lines += [f"- {what}: {result}" for what, result in self.measured.items()]
        lines += ["- checks passed: " + " · ".join(f"{name} {_boxes(done)}" for name, done in self.rows)]
        return "\n".join(lines)

    def png(self) -> bytes:
        """The card as a picture."""
        width, line = 8.0, 0.34  # inches
        height = 1.3 + line * (len(self.measured) + 2)
        figure = Figure(figsize=(width, height), facecolor="white")

        def write(x: float, down: float, text: str, size: int = 11, **style: Any) -> None:
            figure.text(x / width, 1 - down / height, text, va="center", fontsize=size, **style)

        write(0.3, 0.45, self.title, size=15, weight="bold")
        write(width - 0.3, 0.45, f"{self.points:g} of {self.of:g} points", size=15, ha="right")
        down = 1.0
        for what, result in self.measured.items():
            write(0.3, down, what)
            write(width - 0.3, down, result, ha="right", weight="bold")
            down += line
        for number, (name, done) in enumerate(self.rows):
            x = 0.3 + number * (width - 0.6) / len(self.rows)
            write(x, down + 0.2, name)
            write(x, down + 0.5, _boxes(done), color=plots.GREEN)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=110)
        return picture.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()

    def __repr__(self) -> str:
        return self.markdown()


def _boxes(done: list[bool]) -> str:
    return "".join("■" if d else "□" for d in done)


def _own(name: str, answer: object, notebook: dict[str, object]) -> Callable:
    """The learner's function; AssertionError where there is none, or where it is not the learner's own."""
    if answer is None:
        raise AssertionError(f"There is no {name} yet: run the cell that defines it, then this one again.")
    if not callable(answer):
        raise AssertionError(
            f"{name} is no function any more but {type(answer).__name__}: was the name used for something else? "
            "Run the cell that defines it again."
        )
    source = borrowed(answer, notebook)
    if source is not None:
        raise AssertionError(
            f"{name}() is built on {source}, and the exercise asks for your own code. Comparing with the library "
            "afterwards is a fine idea."
        )
    return answer


def _explain(error: BaseException, name: str, codes: set[CodeType], given: str) -> str:
    """What to tell when a check stopped with an error of the learner's function, or of what it returned."""
    if type(error) is NameError and error.name is not None:
        return _explain_name(error.name, name, _last_code(error) in codes)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    steps = [(f.f_code, line) for f, line in traceback.walk_tb(error.__traceback__) if f.f_code in codes]
    if steps:
        code, number = steps[-1]
        line = linecache.getline(code.co_filename, number).strip()
        text = f"{name}() stopped with {said}" + (f"\nIt happened in: {line}" if line else "")
    else:
        text = f"What {name}() returned could not be looked at ({said}). Is it what its docstring asks for?"
    return text + (f"\nIt was given:\n{textwrap.indent(given, '  ')}" if given else "")


def _last_code(error: BaseException) -> CodeType:
    """The code in which ``error`` was raised."""
    return [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][-1]


def _explain_name(missing: str, name: str, in_answer: bool) -> str:
    """What to tell when there is no such name: in the learner's function, or in the check and its helpers."""
    above = "Run the cells above first (Run > Run All Above Selected Cell), then this one."
    if in_answer:
        return f"{name}() uses {missing}; there is no such name. Is it misspelt? Does a cell above define it? {above}"
    return f"This check needs {missing}, which a cell above defines. {above}"
