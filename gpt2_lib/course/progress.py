"""The checks of a notebook and what they have shown so far: the line at its top, the card at its end.

A check cell stands on its own: it imports what it needs, so that it works whatever other cells did to those names.

    from gpt2_lib.course.lesson import mask_fault, show, time_limit
    from gpt2_lib.course.progress import progress

    with progress.check("mask_count", "magnitude_mask"):
        weight = torch.tensor([[1.0, -2.0]])
        progress.given(f"weight {show(weight)}, sparsity 0.5")
        mask = magnitude_mask(weight, 0.5)
        fault = mask_fault(mask, weight)
        assert fault is None, fault
    ### BEGIN HIDDEN TESTS
    with time_limit():
        ...
    ### END HIDDEN TESTS

The state belongs to the kernel: `progress` is the one object that all cells share.
"""

from __future__ import annotations

import html
import io
import linecache
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
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


@dataclass(frozen=True)
class Check:
    """One check: what it shows when it passes, and the points that its cell gives."""

    label: str
    points: int


# exercise -> check -> what it shows. Points are those of the cells in source/ (a test compares them).
PHASE_2: dict[str, dict[str, Check]] = {
    "2.1 magnitude": {
        "mask_count": Check("exactly as many weights go as were asked for", 2),
        "mask_choice": Check("the smallest go, whatever their sign", 2),
        "mask_ties": Check("among equals the earlier goes first", 1),
        "mask_care": Check("any shape and precision, and the weights are left alone", 1),
        "mask_errors": Check("a sparsity that makes no sense is refused", 1),
        "prune_where": Check("attention and feed-forward weights, and nothing else", 2),
        "prune_each": Check("each weight matrix on its own", 1),
        "prune_writes": Check("zeros in the model's own weights", 1),
    },
    "2.2 structured": {
        "scores_value": Check("all that feeds a neuron times all that it feeds", 2),
        "scores_bias": Check("the bias feeds it too", 1),
        "scores_care": Check("one score a neuron, and the weights are left alone", 1),
        "neurons_shapes": Check("really smaller matrices", 1),
        "neurons_output": Check("the same output as with those neurons silenced", 2),
        "neurons_care": Check("order kept, weights left alone, all or one neuron kept", 1),
        "heads_shapes": Check("really fewer heads", 1),
        "heads_output": Check("the same output as with those heads silenced", 3),
        "heads_care": Check("order kept, weights left alone, all or one head kept", 1),
    },
    "2.3 gradual": {
        "cubic_value": Check("the cubic curve", 2),
        "cubic_clamp": Check("flat before the start and after the end", 1),
        "cubic_general": Check("any start and any initial sparsity", 1),
        "step_zeros": Check("what is pruned stays pruned", 2),
        "step_learns": Check("what is left learns", 2),
        "step_care": Check("masks of some parameters, masks left alone, the loss returned", 1),
    },
    "2.4 global": {
        "global_count": Check("exactly as many go over all layers together", 2),
        "global_choice": Check("one ranking for all", 2),
        "global_ties": Check("among equals the earlier layer goes first", 1),
        "global_care": Check("any layers, and the weights are left alone", 1),
    },
}

CHALLENGES: dict[str, dict[str, Check]] = {
    "a sparse": {
        "sparse_half": Check("50 % gone, less than 4 % lost", 4),
        "sparse_most": Check("60 % gone, less than 4 % lost", 3),
        "sparse_bar": Check("60 % gone, less than 2 % lost", 3),
    },
    "b mobile": {
        "mobile_smaller": Check("20 % cut out, less than 10 % lost", 3),
        "mobile_faster": Check("1.3 times as fast, less than 10 % lost", 3),
        "mobile_bar": Check("1.3 times as fast, less than 5 % lost", 4),
    },
    "c tracked": {
        "tracked_log": Check("a log that can be read", 1),
        "tracked_model": Check("the log's end is the model: 50 % gone, less than 4 % lost", 3),
        "tracked_schedule": Check("a gradual schedule, and training after it", 3),
        "tracked_bar": Check("60 % gone, less than 2 % lost", 3),
    },
    "d edge": {
        "edge_int8": Check("int8, less than 4 % lost", 3),
        "edge_small": Check("half of the weights gone, 4 times as small", 3),
        "edge_bar": Check("and less than 2 % lost", 4),
    },
}

PHASE_3: dict[str, dict[str, Check]] = {
    "3.1 pack": {
        "pack_bits": Check("one bit an entry, eight to a byte", 2),
        "pack_values": Check("the values that are left, in order", 1),
        "pack_care": Check("any precision, and the weight is left alone", 1),
        "unpack_exact": Check("what was packed comes back exactly", 2),
        "unpack_care": Check("any precision, and what came in is left alone", 1),
    },
    "3.2 quantise": {
        "int8_range": Check("int8 from -127 to 127", 1),
        "int8_scale": Check("one scale for each row", 2),
        "int8_nearest": Check("rounded to the nearest", 2),
        "int8_zeros": Check("zeros stay zero, rows of zeros too", 1),
        "int8_care": Check("any precision, and the weight is left alone", 1),
    },
    "3.3 measure": {
        "metrics_accuracy": Check("the share of next tokens guessed right", 2),
        "metrics_memory": Check("bytes of the weights", 1),
        "metrics_latency": Check("the median time of one page", 2),
        "metrics_care": Check("the model is left as it was", 1),
    },
    "3.4 compare": {
        "analysis_compression": Check("bytes, dense over packed", 2),
        "analysis_speedup": Check("time of the original over time of the pruned", 1),
        "analysis_quality": Check("accuracy that is kept", 1),
    },
    "3.5 readiness": {f"ready_{number}": Check(f"question {number} answered", 1) for number in range(1, 6)},
}


class Progress:
    """Which checks have passed in this kernel."""

    def __init__(self) -> None:
        self._title = ""
        self._exercises: Mapping[str, Mapping[str, Check]] = {}
        self._passed: set[str] = set()
        self._given = ""

    def begin(self, title: str, exercises: Mapping[str, Mapping[str, Check]]) -> None:
        """Show the line here and fill it from now on. Again (the cell is run twice): what has passed stays so."""
        self._title, self._exercises = title, exercises
        if get_ipython() is not None:  # in a script there is nothing to show it in
            display(self, display_id=DISPLAY)

    def check(self, identity: str, function: Callable | str) -> AbstractContextManager[None]:
        """``with`` this, the part of a check that learners see; ``function`` is the answer, or its name.

        Raises AssertionError with plain words where the answer is not there, not the learner's own work, takes too
        long or stops with an error. When all goes well it prints the check's label and fills the line.
        """
        return self._checking(identity, function, sys._getframe(1).f_globals)

    def given(self, text: str) -> None:
        """Say what the function is about to be given: shown should it stop with an error."""
        self._given = text

    def passed(self) -> list[str]:
        """The checks that passed last time they ran, in the notebook's order."""
        return [identity for identity in self._checks() if identity in self._passed]

    def points(self) -> tuple[int, int]:
        """Points of the checks that passed, and of all of them. Hidden tests may still take some."""
        checks = self._checks()
        return sum(checks[i].points for i in self.passed()), sum(check.points for check in checks.values())

    def summary(self, measured: Mapping[str, str]) -> Card:
        """A card to share: {what: result} as the learner measured it, and the points so far."""
        return Card(self._title, dict(measured), self._rows(), *self.points())

    def _checks(self) -> dict[str, Check]:
        return {identity: check for checks in self._exercises.values() for identity, check in checks.items()}

    def _rows(self) -> list[tuple[str, list[bool]]]:
        return [(name, [i in self._passed for i in checks]) for name, checks in self._exercises.items()]

    @contextmanager
    def _checking(self, identity: str, function: Callable | str, notebook: dict[str, object]) -> Iterator[None]:
        self._given = ""
        self._passed.discard(identity)
        name = function if isinstance(function, str) else getattr(function, "__name__", "your answer")
        try:
            function = _find(name, function, notebook)
            with time_limit(SECONDS, explain=False):
                yield
            self._passed.add(identity)
        except (AssertionError, NotImplementedError):  # both say what to do
            raise
        except (Exception, SystemExit) as error:
            raise AssertionError(_explain(error, name, code_of(function, notebook), self._given)) from error
        finally:
            if get_ipython() is not None:
                update_display(self, display_id=DISPLAY)
        checks = self._checks()
        print(f"✔ {checks[identity].label if identity in checks else identity}")

    def _repr_html_(self) -> str:
        got, of = self.points()
        exercises = " &nbsp;".join(
            f"<span style='white-space: nowrap'>{html.escape(name)} "
            f"<span style='color: {plots.GREEN}'>{_boxes(done)}</span></span>"
            for name, done in self._rows()
        )
        return (
            f"<div role='progressbar' aria-label='your progress' aria-valuemin='0' aria-valuemax='{of}' "
            f"aria-valuenow='{got}'><b>{html.escape(self._title)}</b> &nbsp;{exercises} &nbsp;"
            f"<span style='white-space: nowrap'><b>{got}</b> of {of} points</span></div>"
        )

    def __repr__(self) -> str:
        got, of = self.points()
        return "   ".join([self._title, *(f"{n} {_boxes(done)}" for n, done in self._rows()), f"{got} of {of} points"])


progress = Progress()


@dataclass(frozen=True)
class Card:
    """A learner's results as a picture and as Markdown text."""

    title: str
    measured: dict[str, str]
    rows: list[tuple[str, list[bool]]]
    points: int
    of: int

    def markdown(self) -> str:
        """The card as text, to paste anywhere."""
        lines = [f"**{self.title}: {self.points} of {self.of} points**", ""]
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
        write(width - 0.3, 0.45, f"{self.points} of {self.of} points", size=15, ha="right")
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


def _find(name: str, function: Callable | str, notebook: dict[str, object]) -> Callable:
    """The learner's function; AssertionError where there is none, or where it is not the learner's own."""
    found = notebook.get(function) if isinstance(function, str) else function
    if found is None:
        raise AssertionError(f"There is no {name} yet: run the cell that defines it, then this one again.")
    if not callable(found):
        raise AssertionError(
            f"{name} is no function any more but {type(found).__name__}: was the name used for something else? "
            "Run the cell that defines it again."
        )
    source = borrowed(found, notebook)
    if source is not None:
        raise AssertionError(
            f"{name}() is built on {source}, and the exercise asks for your own code. Comparing with the library "
            "afterwards is a fine idea."
        )
    return found


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
