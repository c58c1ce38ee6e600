"""Tests of the challenges' grading: in the sandbox, judged outside of it, on all pages."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from classroom import NOTEBOOKS, Classroom, lay_artifacts, lost, solutions
from test_challenges import NOTEBOOK, checks_of

from autograder.grading.results import Result
from autograder.notebooks import to_text


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    """Student -> results. reference: right files; mixed: some wrong; empty: the notebook as released, no file."""
    room = Classroom.with_notebook(NOTEBOOKS["challenges"], tmp_path_factory.mktemp("class") / "course")
    reference = solutions(NOTEBOOK)
    hand_in(room, "reference", reference)
    hand_in(room, "empty", {}, files=False)
    killer = "import os\n\ndef mobile_model():\n    os._exit(1)"
    mixed = hand_in(room, "mixed", reference | {"mobile_model": killer})
    (mixed / "edge.gpt2pack").unlink()
    (mixed / "run.csv").write_bytes(b"step\n1\n")
    before = {path: digest(path) for path in (room.root / "submitted").rglob("*") if path.is_file()}
    room.grade()
    assert before == {path: digest(path) for path in before}, "grading changed what was handed in"
    return {student: room.results(student) for student in ("reference", "empty", "mixed")}


def hand_in(room: Classroom, student: str, answers: dict[str, str], files: bool = True) -> Path:
    folder = room.submit(student, "challenges", "").parent
    notebook = room.written("challenges", answers, whole=True)
    room.submit(student, "challenges", to_text(notebook))
    if files:
        lay_artifacts(folder)
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_reference_gets_full_marks(graded: dict[str, list[Result]]) -> None:
    assert {r.check: r.message for r in graded["reference"] if r.points < r.max_points} == {}
    assert sum(r.points for r in graded["reference"]) == 40


def test_the_notebook_as_released_gets_no_points_and_says_which_file_is_missing(
    graded: dict[str, list[Result]],
) -> None:
    assert sum(r.points for r in graded["empty"]) == 0
    assert all("handed in beside the notebook" in r.message for r in graded["empty"]), graded["empty"]
    assert not [r.message for r in graded["empty"] if "Errno" in r.message]


def test_a_bad_file_or_a_killed_kernel_costs_its_own_challenge_only(graded: dict[str, list[Result]]) -> None:
    assert lost(graded["mixed"], "sparse_model") == set()
    reasons = {"mobile_model": "the kernel died", "tracked_run": "no column", "edge_model": "edge.gpt2pack"}
    for exercise, reason in reasons.items():
        assert lost(graded["mixed"], exercise) == set(checks_of(exercise))
        assert all(reason in r.message for r in graded["mixed"] if r.exercise == exercise)
