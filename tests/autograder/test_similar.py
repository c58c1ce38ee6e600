"""Tests of similar answers: copies are found, renamed and reformatted ones too; independent answers are not."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import pytest
from answers import answers
from classroom import PHASES, REPOSITORY
from graded import PHASE, Graded, cell_of
from nbformat import NotebookNode

from autograder.grading.verdicts import Grading, write_grading
from autograder.reports import fingerprint as process
from autograder.reports.export import export
from autograder.reports.fingerprint import MOST, fingerprint
from autograder.reports.similar import Alike, digests, similar
from autograder.reports.summary import summarise

ANSWER = '''def double(values, times=2):
    """Twice each."""
    found = []
    for place, value in enumerate(values):
        if value is None:
            raise ValueError(f"{place} is empty")
        shape = getattr(value, "shape", None)
        total = sum(value for _ in range(times)) if shape is None else times * value.sum(dim=0)
        found.append(total - 1 if total > 10 else total + place)
    return sorted(found, key=lambda one: -one)[: len(found) // 2]
'''
COPIES = {
    "byte for byte": ANSWER,
    "formatted": ast.unparse(ast.parse(ANSWER)),
    "without its text, with comments": ANSWER.replace('    """Twice each."""\n', "    # my own idea\n\n"),
    "with types": ANSWER.replace("values, times=2", "values: list, times: int = 2").replace("):\n", ") -> list:\n", 1),
    "renamed": ANSWER.replace("value", "v").replace("total", "t").replace("found", "result")
    .replace("place", "i").replace("shape =", "s =").replace("if shape is", "if s is")
    .replace("lambda one: -one", "lambda o: -o"),
    "a name that is an attribute elsewhere": ANSWER.replace("total", "sum_").replace("times", "dim_"),
}  # fmt: skip
OTHERS = {
    "another constant": ANSWER.replace("10", "11"),
    "another operator": ANSWER.replace("//", "%"),
    "another method": ANSWER.replace(".sum(", ".mean("),
    "another order": ANSWER.replace("total + place", "place + total"),
    "two names changed over": ANSWER.replace("+ place", "+ total"),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found_however_it_was_dressed_up(copy: str) -> None:
    assert fingerprint(ANSWER) == fingerprint(COPIES[copy]) != ""


@pytest.mark.parametrize("other", OTHERS)
def test_an_answer_that_differs_is_another_one(other: str) -> None:
    assert OTHERS[other] != ANSWER
    assert fingerprint(OTHERS[other]) not in ("", fingerprint(ANSWER))


def test_the_handouts_code_makes_no_answers_equal_or_different() -> None:
    given = "def double(values, times=2):\n" + "".join(f"    given_{n} = prepare(values, {n})\n" for n in range(30))
    assert fingerprint(given + "    return 2 * values", given) == "", "all but one line is the handout's"
    without = "".join(line for line in ANSWER.splitlines(keepends=True))
    with_lines = ANSWER.replace("    found = []\n", "    given_3 = prepare(values, 3)\n    found = []\n")
    assert fingerprint(with_lines, given) == fingerprint(without, given) != ""


SHORT = ("", "x = 1", "def double(x):\n    return 2 * x", "no python at all ]", "%%time\nx", "x\0", "x = '\\d'")
HEAVY = ("-" * 10_000 + "1", "(" * 5_000, f"x = {'9' * 5_000}", f"x = '{'a' * MOST}'")


@pytest.mark.parametrize("source", [*SHORT, *HEAVY])
def test_an_answer_that_is_short_or_no_python_is_not_compared(source: str) -> None:
    assert fingerprint(source) == ""


def test_an_answer_that_ends_the_process_affects_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "dies.py"
    file.write_text(
        "import json, os, sys\npairs = json.load(sys.stdin)\n"
        "os._exit(139) if any('crash' in one for one, _ in pairs) else json.dump([a for a, _ in pairs], sys.stdout)\n"
    )
    monkeypatch.setattr(process, "__file__", str(file))
    assert digests([("a", ""), ("b", ""), ("crash", ""), ("d", ""), ("e\ud800", "")]) == ["a", "b", "", "d", "e\ud800"]


def test_independent_right_answers_are_not_grouped() -> None:
    """Those of tests/course/answers, with what the notebooks hand out."""
    stubs = {}
    for path in sorted((REPOSITORY / "notebooks").glob("*/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            stubs[cell["metadata"].get("nbgrader", {}).get("grade_id")] = "".join(cell["source"])
    compared = 0
    for phase in PHASES:
        for exercise, right in answers(phase)[1].items():
            marks = Counter(filter(None, (fingerprint(code, stubs[exercise]) for code in right.values())))
            assert set(marks.values()) <= {1}, exercise
            compared += len(marks)
    assert compared >= 20


def test_the_class_page_names_them_and_blames_nobody(tmp_path: Path) -> None:
    graded = Graded(tmp_path)
    evil = "<script>alert(1)</script>"

    def wrote(source: str, more: str = ""):
        def change(notebook: NotebookNode) -> None:
            cell_of(notebook, "double").source = source + more

        return change

    graded.add("ada", change=wrote(ANSWER))
    graded.add("bob", change=wrote(COPIES["renamed"], f"\n# {evil}"))
    graded.add("eve", change=wrote(OTHERS["another method"]))
    graded.add("fay", change=wrote("def double(x):\n    return x + x"))
    graded.add("gil", change=wrote("def double(x):\n    return x + x"))
    shared = graded.add("ken", change=wrote(ANSWER))
    write_grading(shared, Grading("k", shared="ada"))
    summary = summarise(graded.course, PHASE)
    assert similar(graded.course, summary, summary.rows) == [Alike("double", ("ada", "bob"))]
    page = export(graded.course, PHASE)[1].read_text(encoding="utf-8")
    assert "<h2>Similar answers</h2>" in page
    assert "<td>ada, bob</td>" in page
    assert evil not in page
    for word in ("guilty", "plagiari", "cheat", "copied"):
        assert word not in page.lower()
