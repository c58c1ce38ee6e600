"""Tests of the sandbox: it limits its processes and ends with them; if it can't be made, the error says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from classroom import REPOSITORY

from autograder.sandbox import bubblewrap as sandbox
from autograder.sandbox.bubblewrap import HOME, Limits, Sandbox, check, command, names_of


@pytest.fixture
def made() -> Iterator[Sandbox]:
    held = Sandbox(Limits())
    yield held
    held.close()


def test_a_sandbox_can_be_made_here() -> None:
    check(REPOSITORY)


def test_a_sandbox_ends_with_all_its_processes(made: Sandbox) -> None:
    processes = [psutil.Process(made.pid), *psutil.Process(made.pid).children(recursive=True)]
    assert len(processes) > 1
    made.close()
    psutil.wait_procs(processes, timeout=10)
    assert not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_sandbox_ends_with_the_process_that_made_it() -> None:
    program = (
        "import time; from autograder.sandbox.bubblewrap import *\n"
        "s = Sandbox(Limits()); print(s.pid, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        inside = psutil.Process(int(maker.stdout.readline()))
        maker.kill()
    psutil.wait_procs([inside], timeout=10)
    assert not inside.is_running() or inside.status() == psutil.STATUS_ZOMBIE


def test_writable_folders_are_limited_and_in_memory(made: Sandbox) -> None:
    for folder in ("/tmp", "/dev/shm", HOME, sandbox.SOCKETS):
        room = os.statvfs(made.path(folder))
        assert room.f_blocks * room.f_frsize == Limits().disk, folder
    mounts = Path(f"/proc/{made.pid}/mounts").read_text().splitlines()
    writable = {line.split()[1]: line.split()[2] for line in mounts if line.split()[3].split(",")[0] == "rw"}
    kinds = {place: kind for place, kind in writable.items() if not place.startswith("/dev/") or place == "/dev/shm"}
    assert kinds == {"/tmp": "tmpfs", "/dev/shm": "tmpfs", HOME: "tmpfs", sandbox.SOCKETS: "tmpfs", "/proc": "proc"}


def test_only_the_system_python_and_the_library_are_there() -> None:
    words = command(Limits(), info=9)
    bound = {words[i + 1] for i, word in enumerate(words) if word == "--ro-bind"}
    allowed = (*sandbox.SYSTEM, "/etc/", "/proc/sys", sys.prefix, sys.base_prefix)
    assert [path for path in bound if not path.startswith(allowed) and not path.endswith("/gpt2_lib")] == []
    assert not {"--bind", "--dev-bind"} & set(words)


def test_a_course_under_usr_is_covered_but_for_the_library() -> None:
    """All of /usr is shown; the course in it is not."""
    with tempfile.TemporaryDirectory(dir="/usr/local/src" if os.access("/usr/local/src", os.W_OK) else None) as place:
        root = Path(place)
        (root / "source").mkdir()
        (root / "gradebook.db").touch()
        check(root)
        made = Sandbox(Limits(), names_of(root))
        try:
            assert os.listdir(made.path(place)) == []
        finally:
            made.close()


def test_parts_of_a_course_in_other_places_are_covered_too() -> None:
    """A link out of the course, to a folder or a file that all of a sandbox's programs could read."""
    with (
        tempfile.TemporaryDirectory() as place,
        tempfile.TemporaryDirectory(dir="/usr/local/src" if os.access("/usr/local/src", os.W_OK) else None) as shared,
    ):
        root, elsewhere = Path(place), Path(shared)
        (elsewhere / "submitted" / "ada").mkdir(parents=True)
        (elsewhere / "book").write_text("ada 39")
        (root / "submitted").symlink_to(elsewhere / "submitted")
        (root / "gradebook.db").symlink_to(elsewhere / "book")
        check(root)
        made = Sandbox(Limits(), names_of(root))
        try:
            assert os.listdir(made.path(f"{elsewhere}/submitted")) == []
            assert not os.path.isfile(made.path(f"{elsewhere}/book"))
        finally:
            made.close()


def test_the_processes_that_wait_in_it_are_under_the_filter_of_system_calls(made: Sandbox) -> None:
    """Where root did not start them they have the learner's user, who may write into their memory."""
    waiting = [made.pid, *(child.pid for child in psutil.Process(made.pid).children(recursive=True))]
    found = [Path(f"/proc/{pid}/status").read_text() for pid in waiting]
    assert len(found) > 1
    assert ["Seccomp:\t2\n" in status and "NoNewPrivs:\t1\n" in status for status in found] == [True] * len(found)


def test_nothing_is_graded_where_the_course_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "gradebook.db").touch()
        monkeypatch.setattr(sandbox, "SYSTEM", (*sandbox.SYSTEM, place))
        monkeypatch.setattr(sandbox, "command", lambda limits, info, hidden=(), rules=None: command(limits, info))
        with pytest.raises(sandbox.SandboxError, match=r"gradebook\.db: nothing was graded\. Move the course"):
            check(Path(place))


def test_every_sandbox_has_a_user_of_its_own() -> None:
    made = [Sandbox(Limits()) for _ in range(3)]
    try:
        users = [one.uid for one in made]
        assert users == [None] * 3 if os.geteuid() else len(set(users)) == 3
    finally:
        for one in made:
            one.close()
