"""Reasons why a check failed beyond its own message: the answer is elsewhere, renamed, missing or stopped by an error.

There are two parts: `reasons` reads the learner's code, before it runs, in a process that is allowed to; `explain`
reads only names, after the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nbformat import NotebookNode

from ..text import plain
from .match import bindings, definitions, form, promised
from .plan import Cell, Plan
from .sanitise import MISSING, Sanitised

WORD = re.compile(r"[^\W\d]\w*")
NAMED = 5  # names in a sentence, at most
TEXT = 20_000  # characters of a message that are searched


@dataclass(frozen=True)
class Reasons:
    """The possible reasons, before it is known which checks fail; plain data, since it comes from another process."""

    instead: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    """Check -> (a name, a cell, a sentence in place of the check's): where that mentions the name, and the cell failed.

    "" for a name or a cell: without that condition.
    """
    made: Mapping[str, tuple[str, list[str]]] = field(default_factory=dict)
    """A learner's code cell -> (words for it, the names that it makes)."""
    put_back: Mapping[str, tuple[str, list[str]]] = field(default_factory=dict)
    """A cell of the course's that was put back -> (words for it, the names that only the changed one made)."""


def reasons(sanitised: Sanitised, plan: Plan) -> Reasons:
    """Return the possible reasons for failed checks in a learner's notebook, as it will be run."""
    cells = sanitised.notebook.cells
    known = {cell.name: cell for cell in plan.cells}
    theirs = _theirs(cells, plan)
    made = {
        cell.id: (_words(cell, known), sorted(names))
        for cell in cells
        if cell.id in theirs and (names := bindings(cell.source))
    }
    there = set().union(*(names for _, names in made.values()))
    put_back = {}
    for name, source in sanitised.put_back.items():
        if lost := bindings(source).keys() - bindings(known[name].source).keys() - there:
            put_back[name] = (f"the cell `{name}`, which is the course's: changes in it were put back", sorted(lost))
    return Reasons(dict(_instead(sanitised, plan, theirs)), made, put_back)


def explain(notebook: NotebookNode, reasons: Reasons) -> None:
    """Add reasons to, or put them in place of, the errors of an executed notebook's checks and answers."""
    errors = {cell.id: error for cell in notebook.cells if (error := _error(cell)) is not None}
    sound = {name for cell, (_, names) in reasons.made.items() if cell not in errors for name in names}
    broken = {
        name: (cell, words)
        for cell, (words, names) in reasons.made.items()
        if cell in errors
        for name in names
        if name not in sound
    }
    gone = {name: words for words, names in reasons.put_back.values() for name in names}
    for cell in notebook.cells:
        if cell.id not in errors or "nbgrader" not in cell.metadata:
            continue
        error = errors[cell.id]
        text = str(error.get("evalue", ""))
        mentioned = set(WORD.findall(text[:TEXT]))
        name, maker, sentence = reasons.instead.get(cell.id, ("", "", ""))
        if sentence and (not name or name in mentioned) and (not maker or maker in errors):
            told = f" It stops with an error: {_told(errors[maker])}" if maker else ""
            error.ename, error.evalue = "AssertionError", sentence + told
            continue
        for name in sorted(mentioned & broken.keys()):
            maker, words = broken[name]
            if maker != cell.id:
                error.evalue = f"{text}\n`{name}` is made by {words}. It stops with an error: {_told(errors[maker])}"
                break
        for name in sorted(mentioned & gone.keys()):
            error.evalue = f"{text}\n`{name}` was made by {gone[name]}. Make it in a cell of your own."
            break


def _instead(sanitised: Sanitised, plan: Plan, theirs: set[str]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Return an entry of `Reasons.instead` for each check whose answer is not in its cell."""
    known = {cell.name: cell for cell in plan.cells}
    code = [cell for cell in sanitised.notebook.cells if cell.cell_type == "code"]
    put_back = {name: definitions(source) for name, source in sanitised.put_back.items()}
    makes = {cell.id: definitions(cell.source) for cell in code if not _is_check(cell, known)}
    answers = [cell for cell in code if cell.id in known and known[cell.id].is_answer]
    untouched = {cell.id for cell in answers if form(cell.source) == form(known[cell.id].source)}
    missing = {cell.id for cell in code if cell.id in known and cell.source == f"# {MISSING}"}
    wanted, asked, answer, before = promised(plan), plan.asked, "", []
    for cell in code:
        if not _is_check(cell, known):
            before.append(cell.id)
            answer = cell.id if cell.id in wanted else answer
            continue
        taken = asked[cell.id]
        names = {n: kind for n, kind in wanted.get(answer, {}).items() if n in (*taken.wanted, *taken.touched)}
        if answer in missing and not names:
            yield cell.id, ("", "", _is_missing(answer))
        for name, kind in names.items():
            maker = next((one for one in reversed(before) if name in makes[one]), "")
            others = [one for one in makes if name in makes[one] and one in theirs and one not in untouched]
            if maker and maker not in untouched:
                if maker in theirs and answer in untouched:
                    yield cell.id, ("", maker, f"Another cell of yours defines `{name}`.")
                continue
            if others:
                sentence = f"Another cell of yours defines `{name}`: move it into the answer's cell."
                yield cell.id, ("" if maker else name, "", sentence)
            elif place := next((one for one in put_back if name in put_back[one]), ""):
                sentence = f"You defined `{name}` in the cell `{place}`, which is the course's: changes in it "
                yield cell.id, ("" if maker else name, "", f"{sentence}were put back. Write it into the answer's cell.")
            elif answer in missing:
                yield cell.id, (name, "", _is_missing(answer))
            elif not maker:
                yield cell.id, (name, "", _is_renamed(name, kind, list(makes[answer])))
            break


def _is_missing(answer: str) -> str:
    return f"The cell of the answer `{answer}` is missing in what you handed in."


def _is_renamed(name: str, kind: str, defined: list[str]) -> str:
    if not defined:
        return f"There is no {kind} `{name}`: the answer's cell defines nothing."
    more = ", ..." if len(defined) > NAMED else ""
    told = ", ".join(f"`{one}`" for one in defined[:NAMED])
    return f"There is no {kind} `{name}`: was it renamed? The answer's cell defines {told}{more}."


def _is_check(cell: NotebookNode, known: Mapping[str, Cell]) -> bool:
    return cell.id in known and known[cell.id].is_check


def _theirs(cells: list[NotebookNode], plan: Plan) -> set[str]:
    """Return the code cells in which the learner wrote, without the course's demonstrations."""
    known = {cell.name: cell.is_answer for cell in plan.cells}
    shown = plan.demonstrations
    return {c.id for c in cells if c.cell_type == "code" and known.get(c.id, c.source not in shown)}


def _words(cell: NotebookNode, known: Mapping[str, Cell]) -> str:
    if cell.id in known:
        return f"the cell `{cell.id}`"
    return f"your cell that begins with `{plain(cell.source.strip().split(chr(10))[0], 60)}`"


def _error(cell: NotebookNode) -> NotebookNode | None:
    return next((output for output in cell.get("outputs", []) if output.output_type == "error"), None)


def _told(error: NotebookNode) -> str:
    return plain(f"{error.get('ename')}: {error.get('evalue')}", 300)
