"""Attempts: of several submissions, the newest file of each notebook counts, with the files of that attempt.

Attempts are ordered by the platform's own order where it has one, else by time. An attempt without a time, or with one
in the future, counts as older than all others. The lines of students.csv keep the attempt of each file in the course,
so the order in which exports are collected makes no difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from .platforms.place import NEVER, Place
from .roster import Row
from .source import Entry
from .times import from_text, to_text


@dataclass(frozen=True)
class HandIn:
    """A submitted file of an export: ``file`` is its name among the others of the attempt, ``time`` is trusted."""

    entry: Entry
    place: Place
    file: str
    time: datetime | None
    blank: bool = False

    @property
    def exact(self) -> bool:
        return self.place.file[-1] == self.file


@dataclass(frozen=True)
class Attempt:
    """Files of one attempt: {name: the file, or None for one that was collected earlier}."""

    order: int
    time: datetime
    files: dict[str, HandIn | None]

    @property
    def key(self) -> str:
        """The attempt as it is written in students.csv."""
        return f"{self.order or ''}@{'' if self.time == NEVER else to_text(self.time)}"

    @property
    def notebooks(self) -> set[str]:
        return {file for file in self.files if file.endswith(".ipynb")}


def attempts_of(files: Iterable[HandIn]) -> tuple[list[Attempt], dict[HandIn, HandIn]]:
    """Return a person's files of one assignment by attempt, and {duplicate: the file that was taken instead}."""
    together: dict[str | None, list[HandIn]] = defaultdict(list)
    for file in files:
        together[file.place.attempt].append(file)
    by_order = _divided(together.pop(None, []))
    attempts, lost = [], {}
    for members in (*together.values(), *by_order):
        best: dict[str, HandIn] = {}
        taken: dict[str, HandIn] = {}  # the notebooks of these
        for file in sorted(members, key=lambda f: not f.file.endswith(".ipynb")):  # notebooks first
            beside = [taken[name] for name in taken.keys() - {file.file}]
            rivals = [file, *([best[file.file]] if file.file in best else [])]
            best[file.file] = max(rivals, key=lambda f: _rank(f, beside))
            if file.file.endswith(".ipynb"):
                taken[file.file] = best[file.file]
        lost |= {file: best[file.file] for file in members if best[file.file] is not file}
        order = max(file.place.order for file in members)
        time = max(file.time or NEVER for file in members)
        attempts.append(Attempt(order, time, dict(best)))
    return attempts, lost


def _divided(files: list[HandIn]) -> list[list[HandIn]]:
    """Divide files into attempts by their order: each name once, with numbers close together."""
    uploads: dict[int, list[HandIn]] = defaultdict(list)  # an archive has many files
    for file in files:
        uploads[file.place.order].append(file)
    orders = sorted(uploads)
    attempts, begun = [], 0
    last: dict[str, int] = {}  # name -> where it was found last
    for at, order in enumerate(orders):
        same = max((last.get(file.file, -1) for file in uploads[order]), default=-1)
        if same >= begun:
            cut = max(range(same + 1, at + 1), key=lambda n: orders[n] - orders[n - 1])
            attempts.append([file for order in orders[begun:cut] for file in uploads[order]])
            begun = cut
        last |= dict.fromkeys((file.file for file in uploads[order]), at)
    return [*attempts, [file for order in orders[begun:] for file in uploads[order]]] if files else []


def _rank(file: HandIn, notebooks: list[HandIn]) -> tuple:
    """Return a sort key: of two files of one name in an attempt the higher is taken."""
    folder = file.entry.parts[:-1] in [n.entry.parts[:-1] for n in notebooks]
    marked = _mark(file) in [_mark(n) for n in notebooks]
    times = file.time or NEVER, file.entry.time or NEVER  # that of the archive around it comes first
    return not file.blank, file.place.order, times, folder, marked, file.exact, file.entry.name


def _mark(file: HandIn) -> str:
    return file.place.file[-1].rpartition(".")[0].removeprefix(file.file.rpartition(".")[0])


def attempts_there(rows: Iterable[Row]) -> list[Attempt]:
    """Return the attempts of the files that were collected earlier, from their lines in students.csv."""
    files: dict[str, dict[str, HandIn | None]] = defaultdict(dict)
    for row in rows:
        files[row["attempt"]][row["file"]] = None
    found = []
    for key, names in files.items():
        order, _, time = key.partition("@")
        at = from_text(time)
        found.append(Attempt(int(order) if order.isdecimal() else 0, at.replace(tzinfo=UTC) if at else NEVER, names))
    return found


def chosen(there: list[Attempt], new: list[Attempt]) -> dict[str, tuple[Attempt, HandIn | None]]:
    """Return {name: the attempt whose file counts, and the file}.

    If a newer attempt lacks a notebook, the older file of it counts, with the artifacts of its attempt. Artifacts
    without a notebook belong to the attempt before them. Of equal attempts the one collected later counts.
    """
    by_order = all(attempt.order for attempt in (*there, *new))
    ordered = sorted([*there, *new], key=lambda a: (a.order if by_order else 0, a.time))  # stable: new ones later
    layers: list[list[Attempt]] = []
    for attempt in ordered:
        if layers and not attempt.notebooks:
            layers[-1].append(attempt)
        else:
            layers.append([attempt])
    counts: dict[str, tuple[Attempt, HandIn | None]] = {}
    for layer in reversed(layers):
        if not layer[0].notebooks - counts.keys() and any(name.endswith(".ipynb") for name in counts):
            continue
        for attempt in reversed(layer):
            for name, file in attempt.files.items():
                counts.setdefault(name, (attempt, file))
    return counts
