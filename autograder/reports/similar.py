"""Similar answers, which are equal but for names and layout: a reason to look, and no proof of anything.

Two answers are equal if their syntax trees are, with their own names numbered in order of appearance, without
comments, docstrings, annotations, and the lines of the handout. Short answers are equal anyway, so they are not
compared.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass

from ..course import Course
from ..notebooks import grade_id, read_notebook
from . import fingerprint
from .summary import Cell, Row, Summary

Pair = tuple[str, str]  # an answer, and what the handout gave in its place


@dataclass(frozen=True)
class Alike:
    """Students whose answers to an exercise are equal but for names and layout."""

    exercise: str
    students: tuple[str, ...]


def similar(course: Course, summary: Summary, rows: list[Row]) -> list[Alike]:
    """Return the groups of an assignment by exercise; members of one submission group count once."""
    given = {name: _sources(course, "release", summary, ".", name) for name in {name for name, _ in summary.exercises}}
    answers: list[tuple[Cell, str, Pair]] = []
    for row in rows:
        for name, handout in given.items() if not row.grading.shared else ():
            for exercise, source in _sources(course, "autograded", summary, row.student, name).items():
                if (name, exercise) in summary.exercises and (name, exercise) not in row.empty:
                    answers.append(((name, exercise), row.name, (source, handout.get(exercise, ""))))
    groups: dict[Cell, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (exercise, who, _), mark in zip(answers, digests([pair for *_, pair in answers]), strict=True):
        if mark:
            groups[exercise][mark].append(who)
    found = [(exercise, sorted(who)) for exercise in summary.exercises for who in groups[exercise].values()]
    return [Alike(exercise[1], tuple(who)) for exercise, who in found if len(who) > 1]


def digests(pairs: list[Pair]) -> list[str]:
    """Return the digest of each answer, "" if it is short or unreadable; computed in a process with limits."""
    if not pairs:
        return []
    command = [sys.executable, "-I", fingerprint.__file__]
    done = subprocess.run(
        command, input=json.dumps(pairs), capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode == 0:
        return json.loads(done.stdout)
    if len(pairs) == 1:
        return [""]  # the answer that ended the process is in this one
    half = len(pairs) // 2
    return digests(pairs[:half]) + digests(pairs[half:])


def _sources(course: Course, step: str, summary: Summary, student: str, notebook: str) -> dict[str, str]:
    """Return {cell: its source} of one notebook; {} if it is missing."""
    path = course.folder(step, summary.assignment, student) / f"{notebook}.ipynb"
    cells = read_notebook(path).cells if path.exists() else []
    return {grade_id(cell): cell.source for cell in cells if cell.cell_type == "code"}
