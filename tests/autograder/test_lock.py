"""Tests of the course's lock: a second command waits and names the first, and a leftover lock blocks nobody."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from classroom import Classroom

from autograder import lock
from autograder.__main__ import main
from autograder.lock import FILE, LockError, locked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is graded on Windows")

HOLD = """
import sys
from pathlib import Path
from autograder.lock import locked
with locked(Path(sys.argv[1]), sys.argv[2]) as alone:
    print(alone, flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from autograder.lock import locked
number = Path(sys.argv[1], "number")
for _ in range(25):
    with locked(Path(sys.argv[1]), "count"):
        number.write_text(str(int(number.read_text()) + 1))
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(lock.__file__).parents[1])},
    )


def line_of(process: subprocess.Popen[str], stream: str) -> str:
    return getattr(process, stream).readline()


def test_the_second_command_waits_and_names_the_first(tmp_path: Path) -> None:
    with started(HOLD, tmp_path, "grade") as first:
        assert line_of(first, "stdout") == "True\n"
        with started(HOLD, tmp_path, "collect") as second:
            said = line_of(second, "stderr")
            assert f"on {socket.gethostname()} (process {first.pid}, grade, since 2" in said
            assert "waiting until that is done" in said
            first.communicate()
            assert line_of(second, "stdout") == "True\n"
            second.communicate()
    assert not list(tmp_path.iterdir())


def test_a_killed_process_frees_the_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started(HOLD, tmp_path, "grade") as first:
        line_of(first, "stdout")
        first.kill()
    assert (tmp_path / FILE).exists()
    with locked(tmp_path, "grade") as alone:
        assert alone
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == ""


def test_two_processes_never_hold_the_lock(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    counting = [started(COUNT, tmp_path) for _ in range(4)]
    for process in counting:
        process.communicate()
    assert [process.returncode for process in counting] == [0] * 4
    assert (tmp_path / "number").read_text() == "100"


def test_a_lock_from_another_machine_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = {"user": "ada\x1b[2K", "host": "elsewhere", "pid": 7, "since": "2030-01-01 10:00", "command": "grade"}
    (tmp_path / FILE).write_text(json.dumps(note))
    with locked(tmp_path, "grade") as alone:
        assert not alone
    said = capsys.readouterr().err
    assert said.startswith("ada on elsewhere (process 7, grade, since 2030-01-01 10:00) has not released its lock.")
    assert "locks on this disk don't reach other machines" in said
    with locked(tmp_path, "grade") as alone:
        assert alone


@pytest.mark.parametrize("note", ["", "{", "[]", '{"user": 1}', "\xff" * 10_000])
def test_an_invalid_lock_file_is_no_obstacle(tmp_path: Path, note: str) -> None:
    (tmp_path / FILE).write_text(note, encoding="latin-1")
    with locked(tmp_path, "grade") as alone:
        assert alone


def test_a_disk_without_locks_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with locked(tmp_path, "grade") as alone:
        assert not alone
    assert "can't lock files (No locks available)" in capsys.readouterr().err


def test_a_process_does_not_wait_for_itself(tmp_path: Path) -> None:
    with locked(tmp_path, "grade"), pytest.raises(LockError, match="at work on the course already"):
        locked(tmp_path, "grade").__enter__()


@pytest.mark.parametrize(
    "command", [["release"], ["collect", "nothing.zip"], ["grade"]], ids=lambda command: command[0]
)
def test_commands_that_change_a_course_hold_its_lock(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path, "grade"):
        assert main(command, root=tmp_path) == 1
    assert capsys.readouterr().err == "This process is at work on the course already.\n"


def test_a_report_says_who_is_at_work_and_does_not_wait(small: Classroom, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export"], root=small.root) == 0
    assert "is at work" not in capfd.readouterr().err
    with locked(small.root, "grade"):
        assert main(["export"], root=small.root) == 0
    said = capfd.readouterr().err
    assert re.search(r"grade, since .*\) is at work on this course: what that has not finished is missing", said)
