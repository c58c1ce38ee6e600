"""Matching of a learner's cells to the course's: by mark or id, then by definitions, then by neighbours.

Learners' tools may lose nbgrader's marks and the cells' ids, or give them to two cells. A match without them is a
guess, and the caller has to say so. A mistake costs little: unmatched cells run as well, in their order.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from nbformat import NotebookNode

from .plan import Cell, Plan
from .skip import names_bound

NOT_PARSED = (SyntaxError, ValueError, RecursionError, MemoryError)
DEFINITION = re.compile(r"^(?:async[ \t]+)?(def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE)
LONG = 20_000  # characters: a formatter's work on more is not recognised
KINDS = {"def": "function", "class": "class"}
STATEMENTS = {ast.FunctionDef: "function", ast.AsyncFunctionDef: "function", ast.ClassDef: "class"}
STATEMENTS |= {ast.Import: "module", ast.ImportFrom: "module"}


@dataclass
class Match:
    """``place`` maps each course cell that was found to its index in the learner's notebook."""

    place: dict[str, int] = field(default_factory=dict)
    guessed: dict[str, str] = field(default_factory=dict)  # the guesses among them, each with its evidence
    again: list[str] = field(default_factory=list)  # that are there more than once
    stubs: dict[int, str] = field(default_factory=dict)  # unchanged copies of an answer cell found elsewhere


def match(cells: Sequence[NotebookNode], plan: Plan) -> Match:
    """Find the cells of ``plan`` among a learner's ``cells``."""
    search = _Search(cells, plan)
    search.by_mark()
    if len(search.found.place) < len(plan.cells):
        search.by_source()
        search.by_definition()
        search.by_neighbours()
        search.untouched()
    search.leave_out_stubs()
    return search.found


class _Search:
    def __init__(self, cells: Sequence[NotebookNode], plan: Plan) -> None:
        self.found = Match()
        self._cells, self._plan = cells, plan
        self._free = set(range(len(cells)))  # not known to be anything yet
        self._released = plan.released or tuple((cell.name, cell.source) for cell in plan.cells)
        self._shown: dict[int, int] = {}  # place in the release -> in the learner's notebook, where unmarked
        self._stubs = {form(cell.source): cell.name for cell in plan.cells if cell.is_answer}
        self._stubs.pop("", None)

    def by_mark(self) -> None:
        """Match by nbgrader's mark or, without one, the cell's id; of several, take the first that was changed."""
        known = {cell.name: cell for cell in self._plan.cells}
        marked: dict[str, list[int]] = {}
        for index, cell in enumerate(self._cells):
            if name := _mark(cell, known):
                marked.setdefault(name, []).append(index)
        for name, places in marked.items():
            if len(places) > 1:
                self.found.again.append(name)
                if known[name].is_answer:
                    places = [index for index in places if self._form(index) not in self._stubs] or places
            self._take(name, places[0])

    def by_source(self) -> None:
        """Match unchanged cells that are no answers, Markdown and demonstrations too: they mark positions."""
        answers = {cell.name for cell in self._plan.cells if cell.is_answer}
        places: dict[str, list[int]] = {}
        for index in sorted(self._free, reverse=True):
            places.setdefault(self._form(index), []).append(index)
        for number, (name, source) in enumerate(self._released):
            if name in self.found.place or name in answers or not (same := form(source)):
                continue
            if places.get(same):
                index = places[same].pop()
                self._free.discard(index)
                self._shown[number] = index
                if name:
                    self.found.place[name] = index

    def by_definition(self) -> None:
        """Match answers by what the released cell defines: first between their neighbours, then anywhere."""
        wanted = promised(self._plan)
        made = {
            index: definitions(self._cells[index].source) for index in self._free if self._may_answer(index, "code")
        }
        for anywhere in (False, True):
            for cell in self._lost():
                names, (low, high) = wanted[cell.name], self._gap(cell.name)
                free = (index for index in sorted(self._free & made.keys()) if anywhere or low < index < high)
                candidates = [index for index in free if made[index].keys() & names.keys()]
                if cell.cell_type == "code" and candidates:
                    index = max(candidates, key=lambda index, names=names: _likeness(made[index], names))
                    told = " and ".join(f"`{name}`" for name in names if name in made[index])
                    self._take(cell.name, index, f"the cell that defines {told}")

    def by_neighbours(self) -> None:
        """Match answers between the same two cells as in the release; several are taken in order."""
        wanted = promised(self._plan)
        for cell in self._lost():
            low, high = self._gap(cell.name)
            if (low, high) == (-1, len(self._cells)):
                continue  # nothing around it was recognised
            for index in sorted(self._free):
                between = low < index < high and self._may_answer(index, cell.cell_type)
                if between and (not wanted[cell.name] or self._is_like(index, wanted[cell.name])):
                    self._take(cell.name, index, "the cell in its place")
                    break

    def untouched(self) -> None:
        """Match answers in which nothing was written."""
        for cell in self._lost():
            same = form(cell.source)
            index = next((index for index in sorted(self._free) if same and self._form(index) == same), None)
            if index is not None:
                self._take(cell.name, index)

    def leave_out_stubs(self) -> None:
        """Leave out untouched copies of stubs, which would overwrite an answer in another cell."""
        if self._free:
            self.found.stubs = {i: self._stubs[self._form(i)] for i in self._free if self._form(i) in self._stubs}

    def _take(self, name: str, index: int, told_by: str = "") -> None:
        self.found.place[name] = index
        self._free.discard(index)
        if told_by:
            self.found.guessed[name] = told_by

    def _lost(self) -> list[Cell]:
        return [cell for cell in self._plan.cells if cell.is_answer and cell.name not in self.found.place]

    def _form(self, index: int) -> str:
        return form(self._cells[index].source)

    def _may_answer(self, index: int, cell_type: str) -> bool:
        return self._cells[index].cell_type == cell_type and self._form(index) not in {"", *self._stubs}

    def _is_like(self, index: int, wanted: dict[str, str]) -> bool:
        """Return whether a cell defines something of a ``wanted`` kind, or is no Python."""
        source = self._cells[index].source
        return not _is_python(source) or not set(wanted.values()).isdisjoint(definitions(source).values())

    def _gap(self, name: str) -> tuple[int, int]:
        """Return the indices of the learner's cells between which the course's cell ``name`` has to be."""
        places = [self.found.place.get(n, self._shown.get(number)) for number, (n, _) in enumerate(self._released)]
        here = next((number for number, (n, _) in enumerate(self._released) if n == name), len(places))
        low = next((place for place in reversed(places[:here]) if place is not None), -1)
        high = next((place for place in places[here + 1 :] if place is not None), len(self._cells))
        return low, high


@lru_cache(maxsize=2_000)
def form(source: str) -> str:
    """Return a text that is equal for cells that differ only in formatting, "" for an empty one."""
    try:
        tree = ast.parse(source if len(source) <= LONG else "")
        text = ast.dump(tree) if tree.body else source
    except NOT_PARSED:
        text = source
    return " ".join(text.replace("\\n", " ").split())


def _is_python(source: str) -> bool:
    try:
        return bool(ast.parse(source))
    except NOT_PARSED:
        return False


def definitions(source: str) -> dict[str, str]:
    """Return the names that a cell binds at its top level, {name: "function", "class" or "name"}, without modules."""
    return {name: kind for name, kind in bindings(source).items() if kind != "module"}


@lru_cache(maxsize=2_000)
def bindings(source: str) -> Mapping[str, str]:
    """Return `definitions` and imports. For a cell that can't be parsed: those at the start of a line."""
    found: dict[str, str] = {}
    try:
        for node in ast.parse(source).body:
            kind = STATEMENTS.get(type(node), "name")
            found |= {name: kind for name in sorted(names_bound(node)) if kind != "name" or name not in found}
        return found
    except NOT_PARSED:
        return {name or other: KINDS.get(kind, "name") for kind, name, other in DEFINITION.findall(source)}


def promised(plan: Plan) -> dict[str, dict[str, str]]:
    """Return {answer: {name: kind} that its cell has to define}: those of the released cell and of its checks."""
    code = [cell for cell in plan.cells if cell.cell_type == "code"]
    found = {cell.name: definitions(cell.source) for cell in code if cell.is_answer}
    asked, taken = plan.asked, _union(found.values()).union(plan.shown)
    answer = ""
    for cell in plan.cells:
        if cell.is_answer:
            answer = cell.name
        elif cell.is_check and answer in found:
            names = set(asked[cell.name].wanted) - taken
            found[answer] |= dict.fromkeys(sorted(names - found[answer].keys()), "name")
    return {cell.name: found.get(cell.name, {}) for cell in plan.cells if cell.is_answer}


def _likeness(made: dict[str, str], wanted: dict[str, str]) -> tuple[int, int]:
    """Return how many names of the same kind a cell defines, and how many of any kind: functions count first."""
    return len(made.items() & wanted.items()), len(made.keys() & wanted.keys())


def _union(names: Iterable[Iterable[str]]) -> set[str]:
    return set().union(*names)


def _mark(cell: NotebookNode, known: dict[str, Cell]) -> str:
    mark = cell.get("metadata", {}).get("nbgrader", {})
    name = mark.get("grade_id") if isinstance(mark, dict) else None
    name = name if isinstance(name, str) and name in known else cell.get("id")
    return name if isinstance(name, str) and name in known else ""
