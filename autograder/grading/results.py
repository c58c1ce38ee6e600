"""The results of one submission: points and, for each lost point, the check's message.

Only an error's message is ever shown, never a test's source.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.utils import is_grade, is_solution

from ..course import Course
from ..notebooks import grade_id, read_notebook
from .error_words import in_words


@dataclass(frozen=True)
class Result:
    """The result of one check: ``message`` says why points are missing, "" if none are."""

    notebook: str
    exercise: str
    check: str
    points: float
    max_points: float
    message: str


def results(course: Course, assignment: str, student: str) -> list[Result]:
    """Return the results of a graded submission, in the notebooks' order."""
    found = []
    with course.gradebook() as gradebook:
        submission = gradebook.find_submission(assignment, student)
        for notebook in sorted(submission.notebooks, key=lambda n: n.name):
            path = course.folder("autograded", assignment, student) / f"{notebook.name}.ipynb"
            scores = {grade.name: (grade.score, grade.max_score) for grade in notebook.grades}
            if path.exists():
                found += of_notebook(notebook.name, read_notebook(path), scores)
            else:
                found += [
                    Result(notebook.name, notebook.name, check, *points, message=f"{notebook.name}.ipynb is missing")
                    for check, points in scores.items()
                ]
    return found


def total(gradebook: Gradebook, assignment: str, student: str) -> tuple[float, float]:
    """Return the points and the maximum of a graded submission."""
    submission = gradebook.find_submission(assignment, student)
    return submission.score, submission.max_score  # pyright: ignore[reportReturnType]  # columns, set later


def table(results: list[Result], labels: Mapping[str, str]) -> str:
    """Return the exercises with their points as text; below each, the messages of its failed checks.

    A message of a single check begins with that check's label, if ``labels`` has it.
    """
    rows = []
    exercises = list(dict.fromkeys((r.notebook, r.exercise) for r in results))
    width = max([len(exercise) for _, exercise in exercises] + [len("exercise")])
    rows.append(f"{'exercise':<{width}}  points    of")
    for notebook, exercise in exercises:
        mine = [r for r in results if (r.notebook, r.exercise) == (notebook, exercise)]
        rows.append(_row(exercise, mine, width))
        for message in dict.fromkeys(r.message for r in mine if r.message):
            told = [labels.get(r.check, "") for r in mine if r.message == message]
            rows += _lines(f"{told[0]}: {message}" if len(told) == 1 and told[0] else message)
    rows.append(_row("total", results, width))
    return "\n".join(rows)


def _lines(message: str) -> Iterator[str]:
    """Return a message's lines below its exercise: lines of a matrix stay lines, long lines are wrapped."""
    indent = "    - "
    for line in message.splitlines():
        yield from textwrap.wrap(line, 96, initial_indent=indent, subsequent_indent="      ") or [""]
        indent = "      "


def _row(name: str, results: list[Result], width: int) -> str:
    return f"{name:<{width}}  {sum(r.points for r in results):>6g}  {sum(r.max_points for r in results):>4g}"


def of_notebook(name: str, notebook: NotebookNode, scores: dict[str, tuple[float, float]]) -> Iterator[Result]:
    exercise, broken = name, ""
    for cell in notebook.cells:
        if is_solution(cell):
            exercise = grade_id(cell)
            broken = error_of(cell)
        elif is_grade(cell):
            check = grade_id(cell)
            points, max_points = scores[check]
            message = error_of(cell)
            if message and broken:
                message = f"The cell with your answer stops with an error: {broken}"
            elif points < max_points and not message:
                message = "This check gave part of its points."
            yield Result(name, exercise, check, points, max_points, message)


def error_of(cell: NotebookNode) -> str:
    """Return the error of an executed cell in words; "" if there was none."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            return _message(output.ename, str(output.get("evalue", "")).strip())
    return ""


def _message(name: str, text: str) -> str:
    if name == "CellTimeoutError":
        return "This took too long and was stopped. Is there a loop that never ends?"
    if name in ("AssertionError", "NotImplementedError"):
        return in_words(text) or "A check failed without a message: please tell your instructor."
    return in_words(f"{name}: {text}" if text else name)
