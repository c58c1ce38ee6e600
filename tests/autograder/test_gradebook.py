"""Tests with a gradebook that is held, damaged or read-only: every command says so in a sentence and loses nothing."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from classroom import Classroom
from doubling import GOOD, small_course
from graded import PHASE, Graded

from autograder import course
from autograder.__main__ import main
from autograder.course import Course, GradebookError
from autograder.grading import record as recording
from autograder.grading.grade import grade
from autograder.grading.record import TEMPORARY, clear, record
from autograder.grading.verdicts import Grading, read_grading
from autograder.workers.job import Outcome
from autograder.workers.pool import here

only_where_graded = pytest.mark.skipif(sys.platform == "win32", reason="nothing is graded on Windows")

HELD = "another program holds it: close the formgrader and other graders, then run this again"
DAMAGED = "it is damaged: bring back a copy of gradebook.db"


@contextmanager
def held(book: Path) -> Iterator[None]:
    connection = sqlite3.connect(book, timeout=0)
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.rollback()
    connection.close()


@contextmanager
def written_to(book: Path) -> Iterator[None]:
    connection = sqlite3.connect(book, timeout=0)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.rollback()
    connection.close()


@contextmanager
def replaced(book: Path, content: bytes) -> Iterator[None]:
    before = book.read_bytes()
    book.write_bytes(content)
    yield
    assert book.read_bytes() == content
    book.write_bytes(before)


@contextmanager
def a_folder(book: Path) -> Iterator[None]:
    before = book.read_bytes()
    book.unlink()
    book.mkdir()
    yield
    book.rmdir()
    book.write_bytes(before)


TROUBLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "held": (held, HELD),
    "no database": (lambda book: replaced(book, b"cut short" * 1000), DAMAGED),
    "cut short": (lambda book: replaced(book, book.read_bytes()[:20_000]), DAMAGED),
    "a folder": (a_folder, "gradebook.db has to be a file that you may read and write"),
}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """Return a class of one graded learner and one who is not graded yet."""
    graded = Graded(tmp_path_factory.mktemp("gradebook"))
    graded.add("ada")
    (graded.root / "submitted" / "bob" / PHASE).mkdir(parents=True)
    master = next(graded.root.glob("source/*/*.py"))
    master.write_text(master.read_text(encoding="utf-8") + "\n# %%\n1 + 1\n", encoding="utf-8")  # to be released
    return graded


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "WAIT", 0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize(
    "command",
    [["release"], pytest.param(["grade", "--unsafe-no-sandbox"], marks=only_where_graded), ["feedback"], ["export"]],
    ids=lambda command: command[0],
)
def test_a_gradebook_in_trouble_is_a_sentence(
    room: Graded, command: list[str], trouble: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, words = TROUBLES[trouble]
    with make(room.root / "gradebook.db"):  # pyright: ignore[reportGeneralTypeIssues]
        assert main(command, root=room.root) == 1
    said = capfd.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@only_where_graded
@pytest.mark.usefixtures("impatient")
def test_nothing_is_run_while_the_gradebook_cant_be_written(room: Graded) -> None:
    """It can be read: a class would be run, and nothing of it recorded."""
    with written_to(room.root / "gradebook.db"), pytest.raises(GradebookError, match=HELD):
        grade(room.root, workers=here(), safe=False)


def address(root: Path) -> str:
    directory: Any = Course(root).api.coursedir  # nbgrader's traits have no types
    return directory.db_url


def test_a_gradebook_that_is_held_is_waited_for_two_seconds(tmp_path: Path) -> None:
    assert address(tmp_path) == f"sqlite:///{tmp_path / 'gradebook.db'}?timeout=2"


def test_a_gradebook_that_the_course_names_is_taken(tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").write_text("get_config().CourseDirectory.db_url = 'postgresql://host/book'\n")
    assert address(tmp_path) == "postgresql://host/book"


# Recording


OUTCOME = Outcome({"doubling": "{}"}, {"doubling": {"double_basics": 2.0, "double_text": 1.0}})


def recorded(room: Classroom) -> list[str]:
    return sorted(path.name for path in room.course.folder("autograded", "tiny", "ada").iterdir())


def in_between(monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> None:
    """Run ``other`` between writing a submission's files and its points."""
    real = recording._into_gradebook

    def and_the_other(*arguments: object) -> None:
        monkeypatch.setattr(recording, "_into_gradebook", real)
        other()
        real(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(recording, "_into_gradebook", and_the_other)


def test_two_processes_that_record_the_same_submission_leave_it_whole(
    small: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_between(monkeypatch, lambda: record(small.course, "tiny", "ada", OUTCOME, Grading("second"), None))
    record(small.course, "tiny", "ada", OUTCOME, Grading("first"), None)
    assert recorded(small) == ["doubling.ipynb", "grading.json"]
    assert read_grading(small.course.folder("autograded", "tiny", "ada")).key == "first"


def test_a_grading_never_stands_without_its_notebooks(small: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever clears away what it takes for left over makes the recording fail, and what was there stays."""
    record(small.course, "tiny", "ada", OUTCOME, Grading("before"), None)
    in_between(monkeypatch, lambda: clear(small.root))
    with pytest.raises(course.CourseError, match="autograded/ada/tiny could not be written"):
        record(small.course, "tiny", "ada", OUTCOME, Grading("now"), None)
    assert recorded(small) == ["doubling.ipynb", "grading.json"]
    assert read_grading(small.course.folder("autograded", "tiny", "ada")).key == "before"


def test_the_files_of_a_killed_grader_are_removed(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    left = small.root / "autograded" / "ada" / f"{TEMPORARY}x" / "fresh"
    left.mkdir(parents=True)
    assert main(["feedback"], root=small.root) == 1
    assert "There is nothing in autograded/" in (said := capsys.readouterr().out)
    assert said.endswith(" next: make collect FROM=export.zip\n")
    main(["grade"], root=small.root)
    assert not left.parent.exists()


@only_where_graded
def test_a_grading_whose_notebooks_are_gone_is_done_again(tmp_path: Path) -> None:
    room = small_course(tmp_path)
    room.hand_in("ada", "doubling", {"double": GOOD})
    for again in (True, False):
        [submission] = grade(room.root, workers=here(), safe=False)
        assert (submission.points, submission.again) == (3, again)
    (room.course.folder("autograded", "tiny", "ada") / "doubling.ipynb").unlink()
    [submission] = grade(room.root, workers=here(), safe=False)
    assert (submission.points, submission.again) == (3, True)
