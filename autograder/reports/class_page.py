"""The class page for instructors, which names students, those who may need help among them.

grades/ is no folder of nbgrader's, so that nothing in it is ever given to learners with feedback/.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from ..course import Course
from ..grading.basis import PENDING
from ..grading.results import of_notebook
from ..notebooks import as_node
from ..text import plain
from .grade_table import FOLDER
from .open_tasks import FLAGGED, LITTLE, TO_DO, left, needs_help
from .pages import points, write_page
from .similar import similar
from .summary import GRADED, NOTHING, REFUSED, Cell, Row, Summary

TOLD = (REFUSED, FLAGGED, LITTLE)  # each has a table of its own, with the reasons
COMMON = 3  # messages shown for each check
BARS = 20  # in a histogram, at most (one more holds the maximum)
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?(?:, -?\d+(?:\.\d+)?)*")


@dataclass(frozen=True)
class Bar:
    label: str
    count: int


@dataclass(frozen=True)
class CheckView:
    """``messages``: the most frequent first, each with the students who got it or one with other numbers.

    ``empty``: how many wrote nothing there; they are not counted with a message.
    """

    name: str
    maximum: float
    passed: int
    empty: int
    messages: list[tuple[list[str], str]]


@dataclass(frozen=True)
class ExerciseView:
    name: str
    mean: float
    maximum: float
    bars: list[Bar]
    checks: list[CheckView]


def write_class_page(course: Course, summary: Summary) -> Path:
    """Write grades/<assignment>.html; returns the file."""
    graded = [row for row in summary.rows if row.status == GRADED]
    messages = _messages(course, summary, graded)
    totals = [row.total for row in graded if row.total is not None]
    exercises = []
    for exercise, checks in summary.exercises.items() if graded else ():
        values = [sum(row.scores.get(check, 0.0) for check in checks) for row in graded]
        maximum = sum(summary.checks[check] for check in checks)
        views = [
            CheckView(
                check[1],
                summary.checks[check],
                sum(row.scores.get(check, 0.0) >= summary.checks[check] for row in graded),
                sum(exercise in row.empty for row in graded),
                messages[check],
            )
            for check in checks
        ]
        exercises.append(
            ExerciseView(exercise[1], statistics.fmean(values), maximum, _histogram(values, maximum), views)
        )
    return write_page(
        course.root / FOLDER / f"{summary.assignment}.html",
        "summary.html",
        assignment=summary.assignment,
        maximum=summary.maximum,
        graded=len(graded),
        missing=sum(row.status == NOTHING for row in summary.rows),
        waiting=sum(row.status in PENDING for row in summary.rows),
        left=[
            (what, [row.name for row in rows], TO_DO[what])
            for what, rows in left(course, summary).items()
            if what not in TOLD
        ],
        help=[(row.name, _why_help(row, summary)) for row in summary.rows if needs_help(row, summary)],
        mean=statistics.fmean(totals) if totals else 0.0,
        median=statistics.median(totals) if totals else 0.0,
        bars=_histogram(totals, summary.maximum),
        exercises=exercises,
        similar=[(alike.exercise, alike.students) for alike in similar(course, summary, graded)],
        flagged=[(row.name, row.flags) for row in summary.rows if row.flags],
        refused=[(row.name, row.grading.refused) for row in summary.rows if row.grading.refused],
        notes=[(row.name, row.grading.notes) for row in summary.rows if row.grading.notes],
    )


def _why_help(row: Row, summary: Summary) -> str:
    empty = f"; nothing written in {', '.join(sorted(name for _, name in row.empty))}" if row.empty else ""
    return f"{points(sum(row.scores.values()))} of {points(summary.maximum)}{empty}"


def _histogram(values: list[float], maximum: float) -> list[Bar]:
    """Return the counts of values in at most 21 equal bins from 0; the last holds the maximum and all above."""
    step = max(1, -(-int(maximum) // BARS))
    counts = [0] * (int(maximum) // step + 1)
    for value in values:
        counts[min(max(int(value // step), 0), len(counts) - 1)] += 1
    return [Bar(str(i * step), count) for i, count in enumerate(counts)]


def _messages(course: Course, summary: Summary, rows: list[Row]) -> dict[Cell, list[tuple[list[str], str]]]:
    """Return for each check the most frequent first lines of messages, and their students; numbers are ignored."""
    exercise_of = {check: exercise for exercise, checks in summary.exercises.items() for check in checks}
    got: dict[Cell, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    examples: dict[str, str] = {}
    for row in rows:
        for notebook in sorted({notebook for notebook, _ in row.scores}):
            path = course.folder("autograded", summary.assignment, row.student) / f"{notebook}.ipynb"
            if path.exists():
                scores = {check: (score, score) for (name, check), score in row.scores.items() if name == notebook}
                for result in of_notebook(notebook, _only_errors(path), scores):
                    check = notebook, result.check
                    if result.message and exercise_of[check] not in row.empty:
                        first = plain(result.message.splitlines()[0], 300)
                        kind = NUMBERS.sub("#", first)
                        examples.setdefault(kind, first)
                        got[check][kind].append(row.name)
    ranked = {check: sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0])) for check, kinds in got.items()}
    top = {check: [(who, examples[kind]) for kind, who in kinds[:COMMON]] for check, kinds in ranked.items()}
    return defaultdict(list, top)


def _only_errors(path: Path) -> NotebookNode:
    """Return a graded notebook without outputs that are slow to read and irrelevant to points."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        errors = [output for output in cell.get("outputs", []) if output["output_type"] == "error"]
        cell["outputs"] = [{**error, "traceback": []} for error in errors]
        del cell["source"]
    return as_node({"cells": [cell for cell in cells if "nbgrader" in cell["metadata"]]})
