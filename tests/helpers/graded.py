"""A class graded without running anything: autograded notebooks and gradebook entries made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import doubling
from classroom import Classroom
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

from autograder.authoring.release import release
from autograder.course import Course
from autograder.files import write_whole
from autograder.grading.basis import basis_of, material
from autograder.grading.verdicts import Grading, write_grading
from autograder.intake.folder import intake
from autograder.notebooks import read_notebook, to_text
from autograder.seeds import key_of, secret_of

PHASE, NOTEBOOK = "tiny", "sums"
MASTER = (
    doubling.MASTER
    + '''
# %%
print("a demonstration of the course's")

# %% exercise="half"
def half(x):
    """Half of x."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION

# %% tests="half_basics" points=1.5
assert half(2) == 1, "Half of 2 is 1."
### BEGIN HIDDEN TESTS
another_hidden_input = 'seven "and" a half'
assert half(another_hidden_input) == 4, "Half of text?"
### END HIDDEN TESTS
'''
)
CHECKS = {"double_basics": 2.0, "double_text": 1.0, "half_basics": 1.5}
HIDDEN = ("the_hidden_input", "another_hidden_input", "BEGIN HIDDEN", "Half of text?")


class Graded:
    """A released course of two exercises, whose submissions are put where grading would have left them."""

    def __init__(self, folder: Path) -> None:
        master = folder / f"{NOTEBOOK}.py"
        master.write_text(MASTER, encoding="utf-8")
        self.course: Course = Classroom.made_of([master], folder / "course", PHASE).course
        self.root = self.course.root

    def add(
        self,
        student: str,
        scores: dict[str, float] | None = None,
        errors: dict[str, str | tuple[str, str]] | None = None,
        change: Callable[[NotebookNode], object] | None = None,
    ) -> Path:
        """A submission with ``scores`` (check -> points; all of them where left out).

        ``errors`` maps cells to an assertion's message, or to an error's name and message; ``change`` may alter the
        graded notebook, which is the instructor's with everything executed. Returns the folder in autograded/.
        """
        notebook = read_notebook(self.course.folder("source", PHASE) / f"{NOTEBOOK}.ipynb")
        for count, cell in enumerate(notebook.cells, start=1):
            cell.execution_count = count
            if errors and cell.id in errors:
                found = errors[cell.id]
                fail(cell, *(("AssertionError", found) if isinstance(found, str) else found))
        if change:
            change(notebook)
        folder = self.course.folder("autograded", PHASE, student)
        write_whole(folder / f"{NOTEBOOK}.ipynb", to_text(notebook))
        with self.course.gradebook() as gradebook:
            gradebook.add_student(student)
            gradebook.add_submission(PHASE, student)
            for check, full in CHECKS.items():
                grade: Any = gradebook.find_grade(check, NOTEBOOK, PHASE, student)  # nbgrader's columns have no types
                grade.auto_score, grade.needs_manual_grade = (scores or {}).get(check, full), False
            gradebook.db.commit()
        return folder

    def seal(self, student: str, refused: str = "") -> None:
        """Record, as grading does, that a submission's result is that of its present files and of the release."""
        read = material(self.course, PHASE)
        taken = intake(self.course.folder("submitted", PHASE, student), read.plans)
        basis = basis_of(taken, read.digest, secret_of(key_of(self.root), PHASE, student, taken.digest))
        grading = Grading(basis.key, refused=refused, work=basis.work, release=basis.release)
        write_grading(self.course.folder("autograded", PHASE, student), grading)

    def release(self, old: str, new: str) -> None:
        """Release the course again, with a text of its master replaced by another."""
        master = self.root / "source" / PHASE / f"{NOTEBOOK}.py"
        master.write_text(master.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        release(self.root)


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == name)


def fail(cell: NotebookNode, name: str, message: str) -> None:
    """The cell stops with an error, whose traceback quotes the cell as IPython does, in colour."""
    quoted = "\n".join(f"\x1b[32m      {number} \x1b[39m{line}" for number, line in enumerate(cell.source.splitlines()))
    place = f"\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[{cell.execution_count}]\x1b[39m\x1b[32m, line 1\x1b[39m"
    frame = f"{place}\n{quoted}"
    traceback = ["\x1b[31m" + "-" * 75, f"{name}   Traceback (most recent call last)", frame, f"{name}: {message}"]
    cell.outputs.append(new_output("error", ename=name, evalue=message, traceback=traceback))


def further_cell(notebook: NotebookNode, source: str, *outputs: NotebookNode) -> NotebookNode:
    """A code cell of the learner's own at the notebook's end."""
    cell = new_code_cell(
        source, execution_count=len(notebook.cells) + 1, outputs=list(outputs), id=f"own{len(notebook.cells)}"
    )
    notebook.cells.append(cell)
    return cell
