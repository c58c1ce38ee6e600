"""The checks of a notebook that have passed so far: the progress line at its top and below each exercise.

`check` opens each check with ``progress.check``. The state belongs to the kernel: `progress` is the one object that all
cells share. The notebook itself lists its checks and their points: the release writes them there. A file beside the
notebook keeps the passed checks for the next kernel. It is the learner's own: grading never reads it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from IPython import get_ipython
from IPython.display import display, update_display

from ..files import replace_whole
from .faults.errors import explain, misread_indices, own_function, with_note
from .lesson import time_limit, unwritten
from .own_work import code_of
from .page.card import Card
from .page.outcome import BARS, STYLE, Outcome
from .page.runs import runs
from .page.stopped import prepare

SECONDS = 5.0  # for the part of a check that learners see
DISPLAY = "gpt2-progress"  # the line's id, by which a later cell finds it
FILE = ".progress.json"  # in the notebook's folder: {title: the checks that passed}
LINES = 12  # of what a failed check says, with its head
MOST = 100_000  # bytes of that file; what is longer was not written here


Points = Mapping[str, Mapping[str, float]]  # exercise -> check -> points


def _short(text: str) -> str:
    """Return ``text``, cut off if it is long: PyTorch's errors may be."""
    lines = text.splitlines()
    return text if len(lines) < LINES else "\n".join([*lines[: LINES - 2], "..."])


class Progress:
    """The checks that have passed, in this kernel and in earlier ones."""

    def __init__(self) -> None:
        self._title = ""
        self._exercises: Points = {}
        self._passed: set[str] = set()
        self._given = ""
        self._found = ""

    def begin(self, title: str, exercises: Points) -> None:
        """Show the progress line here. In a repeated run of the cell, passed checks stay passed."""
        self._title, self._exercises = title, exercises
        shell = get_ipython()
        if shell is not None:  # in a script there is nothing to show it in
            prepare(shell)
            runs.follow(shell, self.stopped)
            self._passed |= set(_kept(Path(FILE)).get(title, ()))
            display(self, display_id=DISPLAY)

    @contextmanager
    def check(
        self, identity: str, label: str, answers: Mapping[str, object], notebook: dict[str, object]
    ) -> Iterator[None]:
        """Run a check of ``answers`` (name -> value) in a ``with`` statement; ``notebook`` has the cells' global names.

        Raises AssertionError with a plain message where an answer is missing, is not the learner's own work, takes too
        long or stops with an error. If the check passes, it shows the label and updates the progress line.
        """
        self._given = self._found = ""
        self._passed.discard(identity)
        name = next(iter(answers))
        try:
            for n, answer in answers.items():
                _assert_of_the_last_run(n, answer)
            own = {n: own_function(n, answer, notebook) for n, answer in answers.items()}
            codes = set().union(*(code_of(function, notebook) for function in own.values()))
            with misread_indices() as notes:
                try:
                    with time_limit(SECONDS, explain=False):
                        yield
                except NotImplementedError:  # says what to do
                    raise
                except AssertionError as error:
                    error.args = (with_note(str(error), notes),)
                    raise
                except (Exception, SystemExit) as error:
                    raise AssertionError(with_note(explain(error, own, codes, self._given), notes)) from error
            self._passed.add(identity)
        except (AssertionError, NotImplementedError) as error:
            vars(error)["outcome"] = self._missed(error, identity, label, name)
            raise
        finally:
            self._update()
        shown = f"{label} · {self._found}" if self._found else label
        self._tell(Outcome("passed", self._head(identity, shown)), identity)

    def given(self, text: str) -> None:
        """Record the arguments that the function gets next, to be shown if it stops with an error."""
        self._given = text

    def found(self, text: str) -> None:
        """Record what a check measured, to be shown beside its label if it passes."""
        self._found = text

    def stopped(self, source: str, answers: set[str]) -> None:
        """Take back a stopped cell's checks, which may not have begun, and those of ``answers`` it did not make."""
        lost = {identity for identity in self._checks() if re.search(rf"\bcheck\.{identity}\(", source)}
        for name, checks in self._exercises.items():
            lost |= set(checks) if name.rpartition(" ")[2] in answers else set()
        if lost & self._passed:
            self._passed -= lost
            self._update()

    def passed(self) -> list[str]:
        """Return the checks that passed in their last run, in the notebook's order."""
        return [identity for identity in self._checks() if identity in self._passed]

    def points(self) -> tuple[float, float]:
        """Return the points of the passed checks, and of all checks. Hidden tests may still take some."""
        checks = self._checks()
        return sum(checks[identity] for identity in self.passed()), sum(checks.values())

    def summary(self, measured: Mapping[str, str]) -> Card:
        """Return a card to share: {name: result} as the learner measured it, and the points so far."""
        return Card(self._title, dict(measured), self._rows(), *self.points())

    def _missed(self, error: BaseException, identity: str, label: str, name: str) -> Outcome:
        if isinstance(error, AssertionError):
            return Outcome("failed", self._head(identity, label), _short(str(error)))
        missing = unwritten(error) if isinstance(error, NotImplementedError) else name
        said = f"Nothing here yet: write {name} in its cell, run that cell, then this one."
        if missing not in (name, ""):
            said = f"{name}() calls {missing}, which is not written yet: write {missing} first, then run this cell."
        return Outcome("not begun", self._head(identity, label), said)

    def _head(self, identity: str, label: str) -> str:
        points = self._checks().get(identity)
        if points is None:  # before the set-up cell
            return label
        return f"{label} · {points if identity in self._passed else 0:g} of {points:g} points"

    def _tell(self, outcome: Outcome, identity: str) -> None:
        if get_ipython() is None:
            print(outcome)
            return
        display(outcome)
        if any(identity == [*checks][-1] for checks in self._exercises.values() if checks):
            display(self, display_id=DISPLAY)  # the end of an exercise: the line at the top is out of sight

    def _update(self) -> None:
        if get_ipython() is not None:
            update_display(self, display_id=DISPLAY)
            with suppress(OSError):  # a read-only folder or a full disk must not stop the notebook
                kept = _kept(Path(FILE)) | {self._title: self.passed()}
                replace_whole(Path(FILE), lambda file: file.write_text(json.dumps(kept), encoding="utf-8"))

    def _checks(self) -> dict[str, float]:
        return {identity: points for checks in self._exercises.values() for identity, points in checks.items()}

    def _rows(self) -> list[tuple[str, list[bool]]]:
        return [(name, [i in self._passed for i in checks]) for name, checks in self._exercises.items()]

    def _repr_html_(self) -> str:
        got, of = self.points()
        exercises = "".join(
            f"<span style='white-space: nowrap'>{html.escape(name)} <span aria-hidden='true'>"
            + "".join(_BOX % (BARS["passed"] if passed else "transparent") for passed in done)
            + f"</span> {self._share(name)}</span>"
            for name, done in self._rows()
        )
        return (
            f"{STYLE}<div role='group' aria-label='your progress in {html.escape(self._title)}' style='display: flex; "
            "flex-wrap: wrap; gap: 4px 18px; align-items: center; padding: 6px 12px; border: 1px solid #8c959f; "
            f"border-radius: 4px'><b>{html.escape(self._title)}</b>{exercises}"
            f"<b style='margin-left: auto'>{got:g} of {of:g} points</b></div>"
        )

    def _share(self, exercise: str) -> str:
        checks = self._exercises[exercise]
        return f"{sum(p for i, p in checks.items() if i in self._passed):g}/{sum(checks.values()):g}"

    def __repr__(self) -> str:
        rows = [f"{name} {self._share(name)}" for name in self._exercises]
        got, of = self.points()
        return "   ".join([self._title, *rows, f"{got:g} of {of:g} points"])


_BOX = (
    f"<span style='display: inline-block; box-sizing: border-box; width: 14px; height: 12px; margin-right: 2px; "
    f"border: 2px solid {BARS['passed']}; border-radius: 2px; background: %s'></span>"
)

progress = Progress()


def _assert_of_the_last_run(name: str, answer: object) -> None:
    error = runs.outdated(name, answer)
    assert error is None, (
        f"The cell of {name} stopped with {error}: this {name} is that of an earlier run. Mend the cell and run it, "
        "then this one."
    )


def _kept(file: Path) -> dict[str, list[str]]:
    """Return the content of ``file``, {title: names of checks}; {} if it is no such file."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file.stat().st_size <= MOST else {}
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {
        title: [name for name in names if isinstance(name, str)]
        for title, names in kept.items()
        if isinstance(names, list)
    }
