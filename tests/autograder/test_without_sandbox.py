"""Tests without a sandbox: nothing is graded, the error says what to do, and only an explicit option overrides it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from doubling import GOOD, small_course

from autograder.__main__ import main
from autograder.grading.grade import grade
from autograder.sandbox import bubblewrap
from autograder.sandbox.bubblewrap import Limits, Sandbox, SandboxError, check, command
from autograder.workers.pool import here

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no sandbox is looked for")


@only_linux
def test_without_bubblewrap_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for make in (lambda: check(tmp_path), lambda: Sandbox(Limits()), lambda: command(Limits(), 3)):
        with pytest.raises(SandboxError) as error:
            make()
        assert "apt install bubblewrap" in str(error.value)
        assert "--unsafe-no-sandbox" in str(error.value)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_than_on_linux_the_error_names_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(SandboxError, match=r"WSL2.*Linux container.*--unsafe-no-sandbox"):
        check(tmp_path)


@only_linux
def test_an_error_of_bubblewrap_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forbidden = tmp_path / "bwrap"
    forbidden.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match=r"setting up uid map: Permission denied.*AppArmor"):
        check(tmp_path)


def test_grading_without_a_sandbox_is_refused_and_nothing_is_graded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "submitted" / "ada" / "quiz").mkdir(parents=True)
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: None)
    assert main(["grade"], root=tmp_path) == 1
    assert ("apt install bubblewrap" if sys.platform == "linux" else "needs Linux") in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["submitted"]


def test_without_bubblewrap_nothing_runs_and_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    room, harm = small_course(tmp_path), tmp_path / "harm"
    room.hand_in("eve", "doubling", {"double": f"open({str(harm)!r}, 'w')\n\n\n{GOOD}"})
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: None)
    assert main(["grade"], root=room.root) == 1
    message = capsys.readouterr().err
    assert ("bwrap is not installed" if sys.platform == "linux" else "needs Linux") in message
    assert "--unsafe-no-sandbox" in message
    assert not harm.exists()
    assert not (room.root / "autograded").exists()


def test_windows_never_grades_without_a_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "submitted" / "ada" / "quiz").mkdir(parents=True)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SandboxError, match="grade in WSL2"):
        grade(tmp_path, safe=False)
    assert [path.name for path in tmp_path.iterdir()] == ["submitted"]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is graded on Windows")
def test_grading_without_a_sandbox_needs_its_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    room = small_course(tmp_path)
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: None)
    room.hand_in("ada", "doubling", {"double": GOOD})
    room.hand_in("bob", "doubling", {"double": "def double(x):\n    return 4 if x == 2 else x * 2 * (x != -3)"})
    room.hand_in("eve", "doubling", {"double": "import os\nos._exit(1)"})
    room.submit("tom", "doubling", room.released("doubling").cells[0].source)
    graded = grade(room.root, workers=here(), safe=False)
    assert {s.student: s.points for s in graded} == {"ada": 3, "bob": 1, "eve": 0, "tom": 0}
    failures = {s.student: s.failure for s in graded if s.failure}
    assert list(failures) == ["tom"]
    assert "doubling.ipynb is not a valid notebook" in failures["tom"]
