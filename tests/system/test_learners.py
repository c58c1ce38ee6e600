"""Tests of learners' tools and habits: their effect on a notebook, and the messages to learner and instructor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from autograder.authoring.release import release
from autograder.course import Course
from autograder.grading.grade import Submission, grade
from autograder.grading.results import results
from autograder.grading.verdicts import read_grading
from autograder.notebooks import read_notebook
from autograder.reports.feedback import feedback
from autograder.reports.run_summary import table
from autograder.workers.pool import processes

MASTER = '''# %% locked="setup"
import math

def scale(x, by):
    return x * by

# %% exercise="double"
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return scale(x, 2)
    ### END SOLUTION

# %% tests="double_basics" points=2
assert double(2) == 4, "Twice 2 is 4."

# %% exercise="half"
def half(x):
    """Half of x."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION

# %% tests="half_basics" points=1
assert half(2) == 1, "Half of 2 is 1."
'''
GOOD = {"double": "def double(x):\n    return 2 * x", "half": "def half(x):\n    return x / 2"}
STUB = "write your code in place of this line"
ELSEWHERE = "Another cell of yours defines `double`: move it into the answer's cell."

Change = Callable[[NotebookNode, dict[str, str]], None]  # of a notebook; the stubs are given


def place(notebook: NotebookNode, name: str) -> int:
    return next(index for index, cell in enumerate(notebook.cells) if cell.id == name)


def answer(source: str) -> Change:
    def change(notebook: NotebookNode, _: dict[str, str]) -> None:
        notebook.cells[place(notebook, "double")].source = source

    return change


def own(source: str, after: str = "setup", answer: str | None = None) -> Change:
    """A further cell; ``answer`` is what stands in the answer's cell then, or its stub where that is ""."""

    def change(notebook: NotebookNode, stubs: dict[str, str]) -> None:
        if answer is not None:
            notebook.cells[place(notebook, "double")].source = answer or stubs["double"]
        notebook.cells.insert(place(notebook, after) + 1, new_code_cell(source, id="mine"))

    return change


def lost(notebook: NotebookNode, _: dict[str, str]) -> None:
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell["id"] = {}, f"x{number}"


def lost_without_ids(notebook: NotebookNode, _: dict[str, str]) -> None:
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        cell.metadata = {}
        del cell["id"]


def made_anew(notebook: NotebookNode, _: dict[str, str]) -> None:
    """The learner deleted the cell and wrote the answer into a new one in its place."""
    cell = notebook.cells[place(notebook, "double")]
    cell.metadata, cell["id"] = {}, "new"


def deleted(notebook: NotebookNode, _: dict[str, str]) -> None:
    del notebook.cells[place(notebook, "double")]


def locked_cell_edited(notebook: NotebookNode, _: dict[str, str]) -> None:
    notebook.cells[place(notebook, "setup")].source += "\n\ndef triple(x):\n    return 3 * x\n"
    notebook.cells[place(notebook, "double")].source = "def double(x):\n    return triple(x) - x"


def colab(notebook: NotebookNode, _: dict[str, str]) -> None:
    notebook.nbformat_minor = 0
    notebook.metadata = {"colab": {"provenance": []}, "kernelspec": {"name": "python3", "display_name": "Python 3"}}
    for number, cell in enumerate(notebook.cells):
        del cell["id"]
        cell.metadata |= {"id": f"Abc{number}", "outputId": "u", "colab": {"base_uri": "x"}}


def same_ids(notebook: NotebookNode, _: dict[str, str]) -> None:
    for cell in notebook.cells:
        cell["id"] = "same"


def windows(notebook: NotebookNode, _: dict[str, str]) -> None:
    for cell in notebook.cells:
        cell.source = cell.source.replace("\n", "\r\n")


COSTS_NOTHING: dict[str, Change] = {
    "lost": lost,
    "lost-without-ids": lost_without_ids,
    "made-anew": made_anew,
    "below-the-stub": own(GOOD["double"], after="double", answer=""),
    "colab": colab,
    "same-ids": same_ids,
    "windows": windows,
    "tabs": answer("def double(x):\n\treturn 2 * x"),
    "own-input": own("name = input('name? ')"),
    "own-exit": own("exit()"),
    "own-missing-import": own("import a_module_that_is_not_there"),
    "own-pip": own("%pip install a-module-that-is-not-there"),
    "own-magics": own("%%bash\nls"),
}
FACTOR = "def double(x):\n    return FACTOR * x"
# What is said of what is wrong, to the learner: word for word in the check's message.
SAID: dict[str, tuple[Change, list[str]]] = {
    "deleted": (deleted, ["The cell of the answer `double` is missing in what you handed in."]),
    "locked-cell-edited": (
        locked_cell_edited,
        ["`triple` was made by the cell `setup`, which is the course's: changes in it were put back."],
    ),
    "above-the-stub": (own(GOOD["double"], answer=""), [ELSEWHERE]),
    "below-the-check": (own(GOOD["double"], after="double_basics", answer=""), [ELSEWHERE]),
    "below-the-check-and-nothing-else": (own(GOOD["double"], after="double_basics", answer="pass"), [ELSEWHERE]),
    "below-the-stub-and-broken": (
        own("def double(x)\n    return 2", after="double", answer=""),
        ["Another cell of yours defines `double`. It stops with an error: SyntaxError: expected ':' (line 1)"],
    ),
    "renamed": (
        answer("def my_double(x):\n    return 2 * x"),
        ["There is no function `double`: was it renamed? The answer's cell defines `my_double`."],
    ),
    "failing-import-above": (
        own("import a_module_that_is_not_there\n\nFACTOR = 2", answer=FACTOR),
        [
            "`FACTOR` is made by your cell that begins with `import a_module_that_is_not_there`.",
            "It stops with an error: ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
        ],
    ),
    "exit-above": (
        own("exit()\nFACTOR = 2", answer=FACTOR),
        ["`FACTOR` is made by your cell that begins with `exit()`.", "it ends the program"],
    ),
    "exits-when-called": (answer("def double(x):\n    exit()\n    return 2 * x"), ["it ends the program (exit()"]),
    "exits": (answer("import sys\nsys.exit(1)\ndef double(x):\n    return 2 * x"), ["it ends the program (exit()"]),
    "asks": (
        answer("factor = int(input('factor? '))\n\n\ndef double(x):\n    return factor * x"),
        ["The cell with your answer stops with an error: input() can't be used: nobody answers it in grading"],
    ),
    "asks-when-called": (answer("def double(x):\n    return int(input()) * x"), ["input() can't be used"]),
    "no-break-spaces": (answer("def double(x):\n\u00a0\u00a0\u00a0\u00a0return 2 * x"), ["U+00A0", "(line 2)"]),
}


@dataclass(frozen=True)
class Class:
    course: Course
    graded: dict[str, Submission]

    def message(self, student: str) -> str:
        return " ".join(result.message for result in results(self.course, "tiny", student))

    def notes(self, student: str) -> str:
        return " ".join(read_grading(self.course.folder("autograded", "tiny", student)).notes)

    def page(self, student: str) -> str:
        [path] = feedback(self.course, "tiny", student)
        text = re.sub("<[^>]+>", "", path.read_text(encoding="utf-8"))
        return re.sub(r"\s+", " ", text.replace("&#39;", "'"))


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Class:
    root = tmp_path_factory.mktemp("course")
    (root / "source" / "tiny").mkdir(parents=True)
    (root / "source" / "tiny" / "doubling.py").write_text(MASTER, encoding="utf-8")
    release(root)
    path = root / "release" / "tiny" / "doubling.ipynb"
    stubs = {cell.id: cell.source for cell in read_notebook(path).cells}
    for student, change in (COSTS_NOTHING | {name: change for name, (change, _) in SAID.items()}).items():
        notebook = read_notebook(path)
        for cell in notebook.cells:
            cell.source = GOOD.get(cell.id, cell.source)
        change(notebook, stubs)
        folder = root / "submitted" / student / "tiny"
        folder.mkdir(parents=True)
        (folder / "doubling.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (root / "submitted" / "tabs" / "tiny" / "doubling (1).ipynb").write_text(json.dumps(read_notebook(path)))
    return Class(Course(root), {s.student: s for s in grade(root, workers=processes(2))})


@pytest.mark.parametrize("student", COSTS_NOTHING)
def test_a_tool_or_habit_costs_no_points(graded: Class, student: str) -> None:
    assert graded.graded[student].points == 3, graded.message(student)


@pytest.mark.parametrize("student", SAID)
def test_the_learner_reads_why_points_are_lost(graded: Class, student: str) -> None:
    assert graded.graded[student].points == 1
    assert [words for words in SAID[student][1] if words not in graded.message(student)] == [], graded.message(student)
    assert STUB not in graded.message(student)
    assert ".py" not in graded.message(student), "a file that the learner does not have"
    assert all(words in graded.page(student) for words in SAID[student][1])


@pytest.mark.parametrize(
    ("student", "cells", "told"),
    [
        ("lost", ["double", "half"], "the cell that defines `double` was taken for it"),
        ("lost-without-ids", ["double", "half"], "the cell that defines `half` was taken for it"),
        ("made-anew", ["double"], "the cell that defines `double` was taken for it"),
        ("deleted", ["double"], "the cell of the answer `double` is missing in what was handed in"),
    ],
)
def test_a_guess_is_up_for_review_and_told_to_the_learner(
    graded: Class, student: str, cells: list[str], told: str
) -> None:
    submission = graded.graded[student]
    assert [review.cell for review in submission.review] == cells
    assert told in "\n".join(table([submission]))
    assert told in graded.notes(student)
    page = graded.page(student)
    assert told in page
    assert page.count("Your instructor will review this check.") == len(cells)


@pytest.mark.parametrize(
    ("student", "told"),
    [
        ("locked-cell-edited", "the cell `setup` is the course's; changes in it were put back"),
        ("tabs", "doubling.ipynb was graded, not what lies beside it: 'doubling (1).ipynb'"),
    ],
)
def test_a_correction_is_reported_to_both(graded: Class, student: str, told: str) -> None:
    assert told in graded.notes(student)
    assert told in graded.page(student)
    assert graded.graded[student].review == ()


def test_an_honest_submission_has_no_notes_and_nothing_to_review(graded: Class) -> None:
    for student in ("below-the-stub", "colab", "same-ids", "windows", "own-exit", "renamed", "exits"):
        assert graded.notes(student) == ""
        assert graded.graded[student].review == ()


def test_the_page_does_not_say_that_no_points_hang_on_a_cell_that_an_answer_needs(graded: Class) -> None:
    assert "no points hang on" not in graded.page("failing-import-above")
