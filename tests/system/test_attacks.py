"""Tests of the grader under attack: one class submits everything in attacks.py, is graded once, and is examined.

An attack is blocked, or gives no points and is flagged. Honest work gets its points and is not flagged. Nobody else's
grade changes, no file of the machine's is read or written, nothing is left running.

docs/attacks.md is the table of it all. This writes it:

    UPDATE_ATTACK_TABLE=1 .venv/bin/python -m pytest tests/system/test_attacks.py -k table
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from attacks import (
    ALL,
    ATTEMPTS,
    LIMITS,
    MASTER,
    NOTEBOOK,
    PHASE,
    POINTS,
    RIGHT,
    WORKING,
    Entry,
    Host,
    catalogue,
    impatient,
)
from classroom import REPOSITORY, Classroom

from autograder.course import Course
from autograder.grading import grade as grading
from autograder.grading.grade import Submission, grade
from autograder.grading.results import results
from autograder.notebooks import read_notebook
from autograder.workers.job import Job
from autograder.workers.pool import Workers

TABLE = REPOSITORY / "docs" / "attacks.md"
CATALOGUE = catalogue()
SECRET = "sesame-open-now"


@dataclass(frozen=True)
class Graded:
    """A class after grading; ``visitors`` tells who connected to this machine's servers meanwhile."""

    room: Classroom
    submissions: dict[str, Submission]
    visitors: list[str]
    before: str  # a digest of what nobody may change
    processes: set[int]  # that were there before

    def points(self, student: str) -> dict[str, float]:
        return {r.check: r.points for r in self.room.results(student)}

    def printed(self, student: str) -> str:
        """All text that the learner's cells printed."""
        path = self.room.course.folder("autograded", PHASE, student) / f"{NOTEBOOK}.ipynb"
        outputs = [output for cell in read_notebook(path).cells for output in cell.get("outputs", [])]
        return "".join(output.get("text", "") for output in outputs)


def made(folder: Path, entries: dict[str, Entry], host: dict) -> Classroom:
    (folder / f"{NOTEBOOK}.py").write_text(MASTER, encoding="utf-8")
    room = Classroom.made_of([folder / f"{NOTEBOOK}.py"], folder / "course", PHASE)
    room.hand_in("control", NOTEBOOK, RIGHT)
    for student, entry in entries.items():
        entry.hand_in(room, student, Host(root=room.root, home=Path.home(), secret=SECRET, **host))
    return room


def run(root: Path) -> list[Submission]:
    """Grade the class with two workers; what hangs is given up soon."""
    context = multiprocessing.get_context("spawn")
    workers = Workers(lambda: ProcessPoolExecutor(2, mp_context=context, initializer=impatient), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grading, "Job", functools.partial(Job, limits=LIMITS))
        return grade(root, PHASE, workers=workers)


def guarded(root: Path) -> str:
    """A digest of the course but for what grading writes, and of the library."""
    total = hashlib.sha256()
    places = [root / "source", root / "release", root / "submitted" / "control", REPOSITORY / "gpt2_lib"]
    for place in places:
        for path in sorted(place.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(str(path).encode() + path.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graded]:
    """Return the whole class, graded once, while servers on this machine accept connections."""
    name = f"attacked-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as placed,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SECRET_OF_THE_GRADER", SECRET)
        room = made(
            tmp_path_factory.mktemp("attacked"),
            CATALOGUE,
            {"port": web.getsockname()[1], "abstract": name, "pid": os.getpid()},
        )
        abstract.bind(f"\0{name}")
        here = os.getcwd()
        os.chdir(room.root)  # a socket's path must be short
        placed.bind("socket")
        os.chdir(here)
        servers = {"TCP": web, "an abstract socket": abstract, "a socket in a folder": placed}
        for server in servers.values():
            server.listen()
            server.setblocking(False)
        before, processes = guarded(room.root), set(psutil.pids())
        submissions = {s.student: s for s in run(room.root)}
        visitors = []
        for what, server in servers.items():
            try:
                server.accept()[0].close()
                visitors.append(what)
            except BlockingIOError:
                pass
        yield Graded(room, submissions, visitors, before, processes)


def cases(*groups: str, without: tuple[str, ...] = ()) -> list:
    return [
        pytest.param(student, id=f"{entry.group}: {entry.what}")
        for student, entry in CATALOGUE.items()
        if (not groups or entry.group in groups) and entry.group not in without
    ]


def assert_came_of_it(entry: Entry, submission: Submission, points: dict[str, float]) -> None:
    assert points == {check: POINTS[check] if check in entry.keeps else 0.0 for check in POINTS}
    assert submission.points == sum(POINTS[check] for check in entry.keeps)
    assert submission.max_points == sum(POINTS.values()) or entry.fails
    assert entry.flagged is None or bool(submission.review) == entry.flagged, submission.review
    assert entry.fails in submission.failure
    assert bool(submission.failure) == bool(entry.fails), submission.failure


@pytest.mark.parametrize("student", cases(without=(WORKING,)))
def test_an_attack_is_blocked_or_gives_no_points_and_is_flagged(graded: Graded, student: str) -> None:
    entry = CATALOGUE[student]
    assert_came_of_it(entry, graded.submissions[student], graded.points(student))
    if entry.evidence:
        printed = graded.printed(student)
        assert "failed" in printed
        assert "CAME OFF" not in printed


@pytest.mark.parametrize(
    "attempt", [pytest.param((g, a), id=f"{g}: {a}") for g, names in ATTEMPTS.items() for a in names]
)
def test_an_attempt_fails(graded: Graded, attempt: tuple[str, str]) -> None:
    group, name = attempt
    (student,) = [s for s, entry in CATALOGUE.items() if entry.group == group and not entry.what]
    assert re.search(rf"^\[{re.escape(name)}\] failed: ", graded.printed(student), re.MULTILINE)


@pytest.mark.parametrize("student", cases(WORKING))
def test_honest_work_gets_its_points_and_is_not_flagged(graded: Graded, student: str) -> None:
    assert_came_of_it(CATALOGUE[student], graded.submissions[student], graded.points(student))


def test_there_are_thirty_honest_ones_and_no_two_are_the_same(graded: Graded) -> None:
    students = [student for student, entry in CATALOGUE.items() if entry.group == WORKING]
    texts = {
        tuple(sorted((p.name, p.read_bytes()) for p in folder.rglob("*") if p.is_file()))
        for folder in (graded.room.course.folder("submitted", PHASE, student) for student in students)
    }
    assert len(texts) == len(students) >= 30


def test_another_learners_grade_is_as_it_would_be_alone(graded: Graded) -> None:
    assert graded.points("control") == POINTS
    assert not graded.submissions["control"].review
    assert set(graded.submissions) == {"control", *CATALOGUE}


def test_the_gradebook_holds_what_was_reported_and_nothing_else(graded: Graded) -> None:
    with graded.room.course.gradebook() as gradebook:
        assert {s.id for s in gradebook.students} == {"control", *CATALOGUE}
        for student, submission in graded.submissions.items():
            found = gradebook.find_submission(PHASE, student)
            assert found.score == submission.points
            names = [g.name for notebook in found.notebooks for g in notebook.grades]
            assert sorted(names) == sorted(POINTS)


def test_the_course_and_the_library_are_unchanged(graded: Graded) -> None:
    assert guarded(graded.room.root) == graded.before
    top = {path.name for path in graded.room.root.iterdir()}
    steps = {"source", "release", "notebooks", "submitted", "autograded"}
    assert top == {*steps, "gradebook.db", "gradebook.key", "socket"}
    assert not list(REPOSITORY.glob("**/planted*"))


def test_no_submission_has_reached_a_server_of_this_machine(graded: Graded) -> None:
    assert graded.visitors == []


def test_nothing_is_left_running(graded: Graded) -> None:
    ours = psutil.Process().children(recursive=True)
    left = [p.name() for p in ours if re.search(r"bwrap|autograder\.zygote", " ".join(p.cmdline()))]
    for process in psutil.process_iter(["name", "cmdline", "ppid", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        orphan = process.info["ppid"] == 1 and process.info["cwd"] == str(REPOSITORY)
        if process.pid not in graded.processes and orphan and re.search(r"bwrap|autograder\.zygote", line):
            left.append(line)
        if process.info["name"] == f"left-{os.getpid()}":
            left.append("the daemon")
    assert left == []


def rows(entries: dict[str, Entry], graded: Graded) -> Iterator[tuple[str, str, str]]:
    """Yield (group, attempt, result) as graded."""
    for student, entry in entries.items():
        submission = graded.submissions[student]
        flagged = ", flagged" if submission.review else ""
        if entry.flagged is None:
            flagged = ", flagged where memory ends before the time does"
        if entry.what == "":
            for name in ATTEMPTS[entry.group]:
                failed = f"[{name}] failed" in graded.printed(student)
                yield entry.group, name, "blocked" if failed else "**CAME OFF**"
        elif submission.failure:
            yield entry.group, entry.what, f"refused, no points{flagged}"
        else:
            blocked = "blocked; " if entry.evidence else ""
            points = f"{submission.points:g} of {submission.max_points:g} points"
            yield entry.group, entry.what, f"{blocked}{points}{flagged}"


def test_the_table_of_attacks_is_as_graded_now(graded: Graded) -> None:
    found = list(rows(CATALOGUE, graded))
    attacks = [row for row in found if row[0] != WORKING]
    text = f"""# Attacks on the grader

{len(attacks)} attacks and accidents, and {len(found) - len(attacks)} honest submissions of unusual kinds, handed in by
one class and graded in the sandbox. `tests/system/test_attacks.py` grades them and compares this page with the
results; the code is in [tests/helpers/attacks.py](../tests/helpers/attacks.py).

The small course has {len(POINTS)} checks with {sum(POINTS.values()):g} points. "Blocked": the attempt failed. Points
are lost only for what the code itself breaks. "Flagged": a person is asked to look.

"""
    for group in dict.fromkeys(row[0] for row in found):
        text += f"## {group[0].upper()}{group[1:]}\n\n| attempt | result |\n|-|-|\n"
        text += "".join(f"| {what.replace('|', chr(92) + '|')} | {came} |\n" for g, what, came in found if g == group)
        text += "\n"
    text = text.rstrip("\n") + "\n"
    if os.environ.get("UPDATE_ATTACK_TABLE"):
        TABLE.write_text(text, encoding="utf-8")
    assert TABLE.is_file(), "UPDATE_ATTACK_TABLE=1 pytest tests/system/test_attacks.py -k table writes docs/attacks.md"
    assert TABLE.read_text(encoding="utf-8") == text, (
        "UPDATE_ATTACK_TABLE=1 pytest tests/system/test_attacks.py -k table"
    )


# Most people who grade are not root: the sandbox then has a user namespace of its own.

SOME = ("", "torch.equal replaced", "the look at its functions forged", "objects that are equal to everything")
SOME += (
    "the hidden tests, from inside of a call",
    "os._exit()",
    "more memory than it may have",
    "a daemon left running",
)
SOME += ("every folder filled up", "a bomb of threads", "a link to the source as notebook", "checks deleted")
SOME += ("another right answer", "a plot", "an answer that reads a file beside the notebook")


def test_the_results_are_the_same_for_an_ordinary_user(tmp_path: Path) -> None:
    """Inside of a user namespace: no root, no capability, and the machine's files as this test has them."""
    entries = {student: entry for student, entry in CATALOGUE.items() if entry.what in SOME}
    assert len(entries) == len(SOME) - 1 + len(ATTEMPTS)
    room = made(tmp_path, entries, {"port": 9, "abstract": "nobody", "pid": os.getpid()})
    command = [shutil.which("bwrap"), "--dev-bind", "/", "/", "--unshare-user", "--uid", "1000", "--gid", "1000"]
    program = "import json, os, sys, test_attacks; from pathlib import Path; assert os.geteuid() == 1000\n"
    program += "print(json.dumps([s.student for s in test_attacks.run(Path(sys.argv[1]))]))"
    # From a file: the workers import their parent's main module again.
    script = tmp_path / "as_user.py"
    script.write_text(
        f"if __name__ == '__main__':\n    {program.replace(chr(10), chr(10) + '    ')}\n", encoding="utf-8"
    )
    environment = os.environ | {
        "PYTHONPATH": ":".join(
            [str(REPOSITORY), *(f"{REPOSITORY}/tests/{room}" for room in ("helpers", "course", "system"))]
        ),
        "SECRET_OF_THE_GRADER": SECRET,
    }
    done = subprocess.run(
        [*command, "--", sys.executable, script, room.root], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"control", *entries}
    for submission in run(room.root):  # all graded before: this only reads what was recorded
        assert not submission.again
        if submission.student != "control":
            points = {r.check: r.points for r in results(Course(room.root), PHASE, submission.student)}
            assert_came_of_it(entries[submission.student], submission, points)
    seen = Graded(room, {}, [], "", set())
    for student, entry in entries.items():
        if entry.evidence:
            assert "failed" in seen.printed(student)
            assert "CAME OFF" not in seen.printed(student)
    assert seen.points("control") == {check: POINTS[check] for check in ALL}
