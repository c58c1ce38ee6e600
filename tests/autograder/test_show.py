"""Tests of the page that shows an answer beside the solution: it opens offline, and learners' text is no markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from graded import NOTEBOOK, PHASE, Graded, cell_of, further_cell
from nbformat import NotebookNode
from test_feedback import Page

from autograder.__main__ import main
from autograder.grading.verdicts import Grading, Review, write_grading

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def graded(tmp_path: Path) -> Graded:
    return Graded(tmp_path)


def test_the_page_has_answer_solution_checks_and_messages(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        cell_of(notebook, "half").source = f"def half(x):\n    return x // 2  # {EVIL}"
        further_cell(notebook, f"mine = '{EVIL}'")

    folder = graded.add("ada", {"half_basics": 0}, {"half_basics": f"Half of 3 is 1.5. {EVIL}"}, change)
    write_grading(folder, Grading("k", (Review(NOTEBOOK, "half_basics", "It patched torch."),), ("A note.",)))
    assert main(["show", "ada"], root=graded.root) == 0
    path = graded.root / "grades" / "show" / "ada.html"
    words = Page(path).words
    for text in (
        "x // 2",
        "x / 2",
        "another_hidden_input",
        "Half of 3 is 1.5.",
        "It patched torch.",
        "A note.",
        "mine",
    ):
        assert text in words, text
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert "default-src 'none'" in text
    assert re.findall(r'<a href="#(exercise.+?)">(.+?)</a>', text) == [
        ("exercise-1-1", "double: 3 of 3"),
        ("exercise-1-2", "half: 0 of 1.5"),
    ]
    assert 'id="exercise-1-2"' in text


def test_a_refused_learner_is_shown_with_the_reason(graded: Graded) -> None:
    write_grading(graded.course.folder("autograded", PHASE, "eve"), Grading("k", refused="It is a link."))
    assert main(["show", "eve"], root=graded.root) == 0
    assert "Refused: It is a link." in Page(graded.root / "grades" / "show" / "eve.html").words


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["adda"], "There is no learner 'adda': did you mean ada?"),
        (["ada@x.edu"], "There is no learner 'ada@x.edu', which is ada: write that id"),
        (["Ada  LOVELACE"], "which is ada: write that id"),
        (["ada", "--assignment", "phase9"], "Nothing of ada in phase9 is graded yet"),
        (["zoe"], "Nothing of zoe is graded yet: run make grade first"),
        ([".."], "There is no learner '..'"),
    ],
)
def test_a_learner_without_graded_work_has_no_page(
    graded: Graded, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    graded.add("ada")
    lines = ["id,first_name,last_name,email", "ada,Ada,Lovelace,Ada@x.edu", "zoe,Zoe,Berg,"]
    (graded.root / "roster.csv").write_text("\n".join(lines), encoding="utf-8")
    assert main(["show", *arguments], root=graded.root) == 1
    assert told in capsys.readouterr().err
    assert not (graded.root / "grades").exists()
