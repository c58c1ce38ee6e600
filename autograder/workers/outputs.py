"""What a run tells beside the outputs of cells, and the error that a cell gets where something ended it."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbformat import NotebookNode
from nbformat.v4 import new_output

TOO_LONG = "This took more than {:g} seconds of computing time and was stopped. Is there a loop that never ends?"
WAITED = "This waited for so long, without computing, that it was stopped."


@dataclass
class Report:
    """(cell, reason) each: ``review`` for a person to look at, ``trouble`` of the grader's own, worth another try."""

    review: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[tuple[str, str]] = field(default_factory=list)

    def look(self, cell: NotebookNode, reason: str) -> None:
        self.review.append((cell.id, reason))

    def try_again(self, cell: NotebookNode, reason: str) -> None:
        self.trouble.append((cell.id, reason))


def fail(cell: NotebookNode, name: str, text: str, keep: bool = False) -> None:
    """Give the cell an error as its output; with ``keep``, after what it has."""
    output = new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])
    cell.outputs = [*(cell.outputs if keep else []), output]
