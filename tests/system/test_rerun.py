"""Tests of reruns: a hidden test draws the same inputs for a submission each time; and of the self-test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from classroom import Classroom
from doubling import GOOD, small_course

from autograder.__main__ import main
from autograder.grading.grade import grade
from autograder.workers.pool import processes

RANDOM = """
# %% tests="double_random" points=2
from gpt2_lib.course import check
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    given = draw.random.randrange(10**9)
    assert double(given) == 2 * given, f"Twice {given} is {2 * given}."
### END HIDDEN TESTS
"""
WRONG = """import os

def double(x):
    assert 'CHECK_SEED' not in os.environ, "the seed is here"
    return 5 if x != 2 else 4
"""
SEED = re.compile(r"Twice (\d+) is \d+\. \(seed (\d+)\)")


def message(room: Classroom, student: str) -> tuple[str, ...]:
    (told,) = [result.message for result in room.results(student) if result.check == "double_random"]
    found = SEED.fullmatch(told)
    assert found, told
    return found.groups()


def test_the_same_inputs_each_time_for_a_submission_and_a_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = small_course(tmp_path, RANDOM)
    for student in ("ada", "bob"):
        room.hand_in(student, "doubling", {"double": WRONG})
    grade(room.root, workers=processes(2))
    first = message(room, "ada")
    assert message(room, "bob") != first, "each learner has a seed of their own"
    (again,) = grade(room.root, student="ada", workers=processes(1), again=True)
    assert again.again
    assert message(room, "ada") == first
    capsys.readouterr()
    assert main(["rerun", "ada", "double_random"], root=room.root) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == f"ada  tiny  double_random: 0 of 2, seed {first[1]}"
    assert f"Twice {first[0]} is" in said
    assert "has changed" not in said
    room.hand_in("ada", "doubling", {"double": GOOD})
    assert main(["rerun", "ada", "double_random"], root=room.root) == 0
    said = capsys.readouterr().out
    assert said.startswith("ada  tiny  double_random: 2 of 2, seed ")
    assert f"seed {first[1]}\n" not in said, "what is submitted anew is tried on other inputs"
    assert "has changed since it was graded" in said
    assert message(room, "ada") == first, "nothing was written"
    assert main(["rerun", "ada", "double_randon"], root=room.root) == 1
    assert "did you mean double_random?" in capsys.readouterr().err


def test_the_solution_gets_all_points_and_is_in_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = small_course(tmp_path)
    assert main(["solution"], root=room.root) == 0
    assert "tiny: 3 of 3 points" in capsys.readouterr().out
    assert not list((room.root).glob("*/solution"))
    assert main(["solution", "--assignment", "tin"], root=room.root) == 1
    assert "did you mean tiny?" in capsys.readouterr().err
    broken = room.root / "source" / "tiny" / "doubling.py"
    broken.write_text(broken.read_text().replace("return x + x", "return 3 * x"), encoding="utf-8")
    assert main(["solution"], root=room.root) == 1
    assert "Twice 2 is 4; yours is 6." in capsys.readouterr().out
