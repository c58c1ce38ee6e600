"""A sandbox is made, bounds what runs in it, and ends with it; where it can't be made, the error says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autograder import sandbox, syscalls
from autograder.__main__ import main
from autograder.sandbox import HOME, Limits, Sandbox, SandboxError, check, command


@pytest.fixture
def made() -> Iterator[Sandbox]:
    held = Sandbox(Limits())
    yield held
    held.close()


def test_a_sandbox_can_be_made_here() -> None:
    check()


def test_without_bubblewrap_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for make in (check, lambda: Sandbox(Limits())):
        with pytest.raises(SandboxError) as error:
            make()
        assert "apt install bubblewrap" in str(error.value)
        assert "--unsafe-no-sandbox" in str(error.value)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_than_on_linux_the_error_names_the_ways_out(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(SandboxError, match=r"WSL2.*Linux container.*--unsafe-no-sandbox"):
        check()


def test_where_bubblewrap_is_forbidden_the_error_has_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forbidden = tmp_path / "bwrap"
    forbidden.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match=r"setting up uid map: Permission denied.*AppArmor"):
        check()


def test_grading_without_a_sandbox_is_refused_and_nothing_is_graded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "submitted" / "ada" / "quiz").mkdir(parents=True)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    assert main(["grade"], root=tmp_path) == 1
    assert "apt install bubblewrap" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["submitted"]


def test_it_ends_with_all_that_runs_in_it(made: Sandbox) -> None:
    processes = [psutil.Process(made.pid), *psutil.Process(made.pid).children(recursive=True)]
    assert len(processes) > 1
    made.close()
    psutil.wait_procs(processes, timeout=10)
    assert not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_it_ends_with_who_made_it() -> None:
    program = (
        "import time; from autograder.sandbox import *\ns = Sandbox(Limits()); print(s.pid, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as maker:
        inside = psutil.Process(int(maker.stdout.readline()))
        maker.kill()
    psutil.wait_procs([inside], timeout=10)
    assert not inside.is_running() or inside.status() == psutil.STATUS_ZOMBIE


def test_what_can_be_written_is_limited_and_in_memory(made: Sandbox) -> None:
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


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filters_jumps_all_land_on_a_step(machine: str) -> None:
    """The kernel checks the same, but only for its own machine."""
    steps = syscalls._steps(machine)
    assert steps[-1][0] == syscalls.RETURN
    for place, (_, yes, no, _) in enumerate(steps):
        assert place + 1 + max(yes, no) <= len(steps)


def verdict(machine: str, number: int, argument: int = 0) -> int:
    """What the filter says to a call: classic BPF, run here."""
    given = {syscalls.NUMBER: number, syscalls.MACHINE: syscalls.AUDIT[machine], syscalls.ARGUMENT: argument}
    steps, place, held = syscalls._steps(machine), 0, 0
    while True:
        code, yes, no, k = steps[place]
        place += 1
        if code == syscalls.RETURN:
            return k
        if code == syscalls.LOAD:
            held = given[k]
        else:
            test = {syscalls.EQUAL: held == k, syscalls.AT_LEAST: held >= k, syscalls.HAS: bool(held & k)}[code]
            place += yes if test else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_refuses_what_it_names_and_nothing_else(machine: str) -> None:
    refused = set(syscalls.REFUSED[machine].values())
    missing = {syscalls.CLONE3, *syscalls.UNLIMITED[machine]}
    special = {syscalls.SOCKET[machine], syscalls.CLONE[machine]}
    for number in range(500):
        if number not in special:
            assert (verdict(machine, number) == syscalls.ALLOW) == (number not in refused | missing), number
    families = [f for f in range(50) if verdict(machine, syscalls.SOCKET[machine], f) == syscalls.ALLOW]
    assert families == [1, 2, 10, 16]
    assert verdict(machine, syscalls.CLONE[machine], 17) == syscalls.ALLOW
    assert verdict(machine, syscalls.CLONE[machine], 0x10000000 | 17) != syscalls.ALLOW
