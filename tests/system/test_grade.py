"""Tests of grading a class: regrading, faulty files and gradebooks, and the workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import graded
import nbformat
import pytest
from classroom import REPOSITORY, Classroom
from doubling import GOOD as DOUBLE
from doubling import small_course
from graded import Graded
from killing import faults, make_class, start
from test_feedback import page_of

from autograder.__main__ import main
from autograder.authoring.release import release
from autograder.grading import grade as grading
from autograder.grading import record as recording
from autograder.grading.grade import grade
from autograder.grading.verdicts import Grading, read_grading
from autograder.intake.folder import intake
from autograder.notebooks import read_notebook, to_text
from autograder.reports.export import export
from autograder.reports.run_summary import table
from autograder.workers.pool import cluster, processes

MASTER = '''# %% locked="setup"
import torch

# %% exercise="double"
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% tests="double_basics" points=2
assert torch.equal(double(torch.ones(3)), 2 * torch.ones(3)), "Twice 1 is 2."

# %% exercise="silence"
def silence(module):
    """Set the module's weights to 0."""
    ### BEGIN SOLUTION
    torch.nn.init.zeros_(module.weight)
    ### END SOLUTION

# %% tests="silence_zeros" points=1
module = torch.nn.Linear(2, 2)
silence(module)
assert not module.weight.any(), "The weights are not all 0."
'''
GOOD = {"double": "def double(x):\n    return 2 * x"}
GOOD |= {"silence": "def silence(module):\n    with torch.no_grad():\n        module.weight.zero_()"}
BAD = GOOD | {"double": "def double(x):\n    return x"}


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    source = tmp_path / "doubling.py"
    source.write_text(MASTER, encoding="utf-8")
    return Classroom.made_of([source], tmp_path / "course", "tiny")


def points(room: Classroom, student: str) -> float:
    return sum(result.points for result in room.results(student))


def test_only_what_changed_is_graded_again(room: Classroom) -> None:
    room.hand_in("ada", "doubling", GOOD)
    room.hand_in("bob", "doubling", BAD)
    assert {s.student: s.again for s in room.grade()} == {"ada": True, "bob": True}
    again = room.grade()
    assert {s.student: s.again for s in again} == {"ada": False, "bob": False}
    assert "2 of them had been graded before" in "\n".join(table(again))
    room.hand_in("bob", "doubling", GOOD)
    assert {s.student: s.again for s in room.grade()} == {"ada": False, "bob": True}
    assert points(room, "bob") == 3

    master = room.root / "source" / "tiny" / "doubling.py"
    master.write_text(master.read_text(encoding="utf-8").replace("Twice 1 is 2.", "Two ones are 2."), encoding="utf-8")
    release(room.root)
    assert all(s.again for s in room.grade())


def test_a_grade_that_a_person_gave_stays(room: Classroom) -> None:
    room.hand_in("ada", "doubling", BAD)
    room.grade()
    with room.course.gradebook() as gradebook:
        entry: Any = gradebook.find_grade("double_basics", "doubling", "tiny", "ada")  # its columns have no types
        entry.manual_score = 1.5
        gradebook.db.commit()
    room.hand_in("ada", "doubling", BAD | {"silence": GOOD["silence"] + "\n"})
    room.grade()
    with room.course.gradebook() as gradebook:
        entry = gradebook.find_grade("double_basics", "doubling", "tiny", "ada")
        assert (entry.auto_score, entry.score, entry.needs_manual_grade) == (0.0, 1.5, True)


def test_names_of_students_may_be_in_any_script(room: Classroom) -> None:
    names = ["Ada Lovelace", "Ада", "李 华", "o'brien", "x" * 60]
    for name in names:
        room.hand_in(name, "doubling", GOOD)
    assert {s.student: s.points for s in room.grade()} == dict.fromkeys(names, 3.0)


def test_a_notebook_that_is_missing_is_named(room: Classroom) -> None:
    folder = room.course.folder("submitted", "tiny", "ada")
    folder.mkdir(parents=True)
    [submission] = room.grade()
    assert submission.failure == "doubling.ipynb is not there"
    assert read_grading(room.course.folder("autograded", "tiny", "ada")).refused == submission.failure


def autograde(room: Classroom) -> None:
    """Plain `nbgrader autograde`, with this course's configuration."""
    shutil.copy(REPOSITORY / "nbgrader_config.py", room.root)
    path = Path(sys.executable).parent
    subprocess.run(
        [path / "nbgrader", "autograde", "tiny"],
        cwd=room.root,
        env=os.environ | {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        capture_output=True,
    )


def test_plain_nbgrader_is_sandboxed_too(room: Classroom, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    room.hand_in("eve", "doubling", GOOD | {"double": f"{GOOD['double']}\n\n\nopen({str(harm)!r}, 'w')"})
    room.hand_in("ada", "doubling", GOOD)
    autograde(room)
    assert points(room, "ada") == 3
    assert not harm.exists()


def test_plain_nbgrader_believes_no_helper_of_the_learners(tmp_path: Path) -> None:
    """The locked cell is gone, and the answer's cell makes what it made; nbgrader brings back checks alone."""
    more = """
# %% locked="same"
def same(a, b):
    return a == b

# %% tests="double_same" points=2
assert same(double(2), 4), "Twice 2 is 4."
"""
    room = small_course(tmp_path, more)
    made = room.written("doubling", {"double": "def same(a, b): return True\n\ndef double(x): return None"}, whole=True)
    made.cells = [cell for cell in made.cells if cell.id != "same"]
    room.submit("eve", "doubling", json.dumps(made))
    autograde(room)
    assert points(room, "eve") == 0


@pytest.mark.parametrize("name", ["argcomplete.py", "storemagic.py", "django.py"])
def test_nothing_beside_the_notebook_runs_before_the_kernel_listens(room: Classroom, name: str) -> None:
    """What Jupyter looks for at its start, and does not find among what is installed."""
    room.hand_in("eve", "doubling", GOOD | {"double": f"{GOOD['double']}\nimport os\nassert not os.path.exists('ran')"})
    beside = room.course.folder("submitted", "tiny", "eve") / name
    beside.write_text("open('ran', 'w')")
    assert [s.points for s in room.grade()] == [3]


def test_a_file_in_the_way_of_the_instructors_is_left_out(room: Classroom) -> None:
    given = room.course.folder("release", "tiny") / "data"
    given.mkdir()
    (given / "x.csv").write_text("1")
    reads = "def double(x):\n    return 2 * x * int(open('data/x.csv').read())"
    room.hand_in("eve", "doubling", GOOD | {"double": reads})
    (room.course.folder("submitted", "tiny", "eve") / "data").write_text("mine")
    assert [(s.points, s.failure) for s in room.grade()] == [(3, "")]
    notes = read_grading(room.course.folder("autograded", "tiny", "eve")).notes
    assert "data was left out: the instructor's files are there" in str(notes)


def test_half_a_character_in_an_error_is_one_failed_call(room: Classroom) -> None:
    room.hand_in("eve", "doubling", {"double": "def double(x):\n    raise ValueError('\\ud800')"})
    [submission] = room.grade()
    assert (submission.points, submission.review) == (0, ())


# Gradebooks and disks


def test_a_locked_gradebook_is_an_error_that_says_who_may_hold_it(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.hand_in("ada", "doubling", GOOD)
    run = grading._finish

    def finish_while_locked(*arguments: Any) -> object:
        with sqlite3.connect(room.root / "gradebook.db", timeout=0) as book:
            book.execute("BEGIN IMMEDIATE")
            result = run(*arguments)
            book.rollback()
        return result

    monkeypatch.setattr(grading, "_finish", finish_while_locked)
    [submission] = room.grade()
    assert "another program holds it" in submission.failure
    monkeypatch.undo()
    [submission] = room.grade()
    assert (submission.failure, submission.points) == ("", 3)


def test_a_gradebook_that_cant_be_written_is_an_error(room: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root every file can be written, so the connection itself is made read-only."""
    room.hand_in("ada", "doubling", GOOD)
    run = grading._finish

    def read_only(*arguments: Any) -> object:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        def deny(connection: sqlite3.Connection, _: object) -> None:
            connection.execute("PRAGMA query_only = ON")

        event.listen(Engine, "connect", deny)
        try:
            return run(*arguments)
        finally:
            event.remove(Engine, "connect", deny)

    monkeypatch.setattr(grading, "_finish", read_only)
    [submission] = room.grade()
    assert "make gradebook.db and its folder writable" in submission.failure


def test_a_full_disk_fails_one_submission_with_the_reason(room: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    room.hand_in("ada", "doubling", GOOD)
    room.hand_in("bob", "doubling", GOOD)
    write, full = recording.write_grading, []

    def fill(folder: Path, verdict: Grading) -> None:
        if not full:
            full.append(folder)
            raise OSError(28, "No space left on device")
        write(folder, verdict)

    monkeypatch.setattr(recording, "write_grading", fill)
    failed, fine = sorted(room.grade(), key=lambda s: not s.failure)
    assert "No space left on device" in failed.failure
    assert (fine.failure, fine.points) == ("", 3)
    assert [s.failure for s in room.grade()] == ["", ""]


# Who does the work


def test_two_who_grade_at_once_both_get_all_grades(tmp_path: Path) -> None:
    due = make_class(tmp_path / "class", 3)
    both = [start(tmp_path / "class" / "course") for _ in range(2)]
    tables = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], tables
    for student, points in due.items():  # who comes second leaves out what the other has graded
        assert any(f"{student}  tiny  {points:g} of" in table for table in tables), tables
    assert faults(tmp_path / "class" / "course", due) == []


def test_processes_and_a_dask_cluster_give_the_same_bytes(room: Classroom) -> None:
    from distributed import LocalCluster

    room.hand_in("ada", "doubling", GOOD)
    room.hand_in("bob", "doubling", BAD)
    room.hand_in("eve", "doubling", GOOD | {"double": "import os\nos._exit(0)"})
    grade(room.root, workers=processes(2))
    [first, *_] = [path.read_bytes() for path in sorted(export(room.course)) if path.suffix == ".csv"]
    shutil.rmtree(room.root / "autograded")
    # None is for no dashboard, whatever the type says.
    dask = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)  # pyright: ignore[reportArgumentType]
    with dask:
        graded = grade(room.root, workers=cluster(dask.scheduler_address))
    [second, *_] = [path.read_bytes() for path in sorted(export(room.course)) if path.suffix == ".csv"]
    assert all(s.again for s in graded)
    assert first == second
    assert b"ada,,,,,graded,3,3" in first


def test_a_scheduler_that_is_not_there_is_an_error(room: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    room.hand_in("ada", "doubling", GOOD)
    assert main(["grade", "--scheduler", "nowhere"], root=room.root) == 1
    assert "no Dask scheduler at nowhere" in capsys.readouterr().err


def test_a_busy_machine_gives_the_same_points(room: Classroom) -> None:
    """Every core burns already; one answer computes for seconds, one never ends."""
    slow = "import time\n\n\ndef double(x):\n    stop = time.thread_time() + 3\n    while time.thread_time() < stop:\n"
    slow += "        pass\n    return 2 * x"
    room.hand_in("ada", "doubling", GOOD)
    room.hand_in("bob", "doubling", BAD)
    room.hand_in("eve", "doubling", GOOD | {"double": "def double(x):\n    while True:\n        pass"})
    room.hand_in("zoe", "doubling", GOOD | {"double": slow})
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        graded = grade(room.root, workers=processes(2))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert {s.student: s.points for s in graded} == {"ada": 3, "bob": 1, "eve": 1, "zoe": 3}
    assert "a loop that never ends" in next(r.message for r in room.results("eve") if r.check == "double_basics")


# A small notebook with hidden tests (tests/doubling.py)


def test_one_bad_submission_stops_nobody(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    small.hand_in("ada", "doubling", {"double": DOUBLE})
    small.submit("broken", "doubling", '{"cells": [')
    small.hand_in("killer", "doubling", {"double": "import os\nos._exit(1)"})
    small.hand_in("zoe", "doubling", {"double": "def double(x):\n    return 4"})
    assert main(["grade", "--assignment", "tiny"], root=small.root) == 0  # who was refused reads why
    table, _, to_review = capsys.readouterr().out.partition("Flagged, for a person to look at:")
    lines = dict(re.findall(r"^(\w+)  tiny +(.*)$", table, re.MULTILINE))
    assert lines.keys() == {"ada", "broken", "killer", "zoe"}
    assert lines["ada"] == "3 of 3"
    assert lines["broken"].startswith("refused: doubling.ipynb is not a valid notebook")
    assert lines["killer"] == "0 of 3, flagged"
    assert "killer  tiny  double: the kernel died while it ran" in to_review
    assert lines["zoe"] == "0 of 3"

    assert main(["feedback"], root=small.root) == 0
    pages = sorted(page.relative_to(small.root).as_posix() for page in (small.root / "feedback").rglob("*.html"))
    assert pages == [f"feedback/{name}/tiny/doubling.html" for name in ("ada", "broken", "killer", "zoe")]


def test_a_deleted_check_is_put_back(small: Classroom) -> None:
    path = small.hand_in("ada", "doubling", {"double": "def double(x):\n    return 4"})
    notebook = read_notebook(path)
    notebook.cells = [cell for cell in notebook.cells if cell.id != "double_text"]
    path.write_text(to_text(notebook), encoding="utf-8")
    small.grade()
    assert {r.check: r.points for r in small.results("ada")} == {"double_basics": 0, "double_text": 0}


def test_a_changed_check_is_put_back(small: Classroom) -> None:
    path = small.hand_in("ada", "doubling", {"double": "def double(x):\n    return 4"})
    notebook = read_notebook(path)
    for cell in notebook.cells:
        cell.source = "pass" if cell.id.startswith("double_") else cell.source
    path.write_text(to_text(notebook), encoding="utf-8")
    small.grade()
    assert sum(r.points for r in small.results("ada")) == 0


def test_grading_before_the_release_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "submitted" / "ada" / "tiny"
    folder.mkdir(parents=True)
    (folder / "doubling.ipynb").write_text(to_text(nbformat.v4.new_notebook()), encoding="utf-8")
    assert main(["grade"], root=tmp_path) == 1
    assert "run make release first" in capsys.readouterr().out


def test_a_prepared_notebook_is_graded_like_the_submitted_one(small: Classroom) -> None:
    handed_in = small.hand_in("ada", "doubling", {"double": DOUBLE})
    small.submit("bob", "doubling", intake(handed_in.parent, {"doubling"}).notebooks["doubling"].decode())
    small.grade()
    assert small.results("ada") == small.results("bob")
    assert [result.points for result in small.results("bob")] == [2, 1]


@pytest.mark.parametrize("answer", ["def double(x):\n    return 4", "def double(x)\n    return", "raise SystemExit"])
def test_feedback_on_a_real_run_shows_no_hidden_line(tmp_path: Path, answer: str) -> None:
    """The executed notebook holds IPython's own tracebacks."""
    made = Graded(tmp_path)
    classroom = Classroom(made.root, graded.PHASE)
    peek = "import builtins\nfor cell in In: print(cell)\nprint(In)\ndouble([])\n"
    classroom.hand_in("real", graded.NOTEBOOK, {"double": answer, "half": f"def half(x):\n    return x\n{peek}"})
    classroom.grade("real")
    page = page_of(made, "real")
    assert [hidden for hidden in graded.HIDDEN if hidden in page.text] == []
    assert "double_basics: 0 of 2" in page.text
    page.assert_harmless()
