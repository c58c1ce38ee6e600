"""Reports of a run beside the cells' outputs, and the error outputs of cells that were stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbformat import NotebookNode
from nbformat.v4 import new_output

TOO_LONG = "This took more than {:g} seconds of computing time and was stopped. Is there a loop that never ends?"
WAITED = "This waited too long without computing and was stopped."


@dataclass
class Report:
    """(cell, reason) each: ``review`` for a person, ``trouble`` for errors of the grader, which justify a retry."""

    review: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[tuple[str, str]] = field(default_factory=list)

    def look(self, cell: NotebookNode, reason: str) -> None:
        self.review.append((cell.id, reason))

    def try_again(self, cell: NotebookNode, reason: str) -> None:
        self.trouble.append((cell.id, reason))


def fail(cell: NotebookNode, name: str, text: str, keep: bool = False) -> None:
    """Set an error as the cell's output; with ``keep``, after its other outputs."""
    output = new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])
    cell.outputs = [*(cell.outputs if keep else []), output]
