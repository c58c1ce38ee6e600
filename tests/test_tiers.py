"""Tests of the two tiers: the needs of `make test-all` and its messages, sharing by processes, and no skips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import needs
import pytest

HERE = Path(__file__).parent


@pytest.fixture
def conftest(pytestconfig: pytest.Config) -> Any:
    """tests/conftest.py, as pytest has loaded it: more than one file is of this name."""
    return pytestconfig.pluginmanager.get_plugin(str(HERE / "conftest.py"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict:
    """Return a simulated machine: its programs, its user, and what apt-get adds; it records its commands."""
    about = {"programs": {"apt-get"}, "user": 0, "adds": {"bwrap", "chromium"}, "ran": []}

    def run(command: str, **_: object) -> None:
        about["ran"].append(command)
        about["programs"] |= about["adds"]

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(needs.shutil, "which", lambda name: name if name in about["programs"] else None)
    monkeypatch.setattr(needs.os, "geteuid", lambda: about["user"], raising=False)
    monkeypatch.setattr(needs.subprocess, "run", run)
    return about


INSTALL = "apt-get update && apt-get install --yes --no-install-recommends bubblewrap chromium"


def test_root_on_debian_installs_what_is_missing_and_is_told(machine: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert needs.main() is None
    assert machine["ran"] == [INSTALL]
    assert capsys.readouterr().out == "Installing bubblewrap and chromium with apt-get.\n"


def test_installed_programs_are_not_installed_again(machine: dict) -> None:
    machine["programs"] |= {"bwrap", "google-chrome"}
    assert needs.main() is None
    assert machine["ran"] == []


def test_anybody_else_is_told_the_one_command(machine: dict) -> None:
    machine["user"] = 1000
    assert needs.main() == f"make test-all needs bubblewrap and chromium. Type: sudo sh -c '{INSTALL}'"
    assert machine["ran"] == []


def test_without_apt_get_the_packages_are_named(machine: dict) -> None:
    machine["programs"] = {"chromium"}
    assert needs.main() == "make test-all needs bubblewrap: install it with your system's package manager."


def test_an_installation_that_failed_is_said(machine: dict) -> None:
    machine["adds"] = {"bwrap"}
    assert needs.main() == "apt-get has not installed chromium: look above for the reason."


def test_elsewhere_than_on_linux_the_other_command_is_named(machine: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "needs Linux" in (needs.main() or "")
    assert "`make test`" in (needs.main() or "")


TESTS = """
import os
import pytest

@pytest.fixture(scope="session", autouse=True)
def noted():
    with open("processes", "a") as file:
        print(os.getpid(), file=file)

@pytest.mark.parametrize("number", range(20))
def test_that_passes(number):
    pass

@pytest.mark.skip(reason="not today")
def test_that_is_skipped():
    pass
"""


def run_pytest(folder: Path, *options: str) -> int:
    """The exit status of these tests with our hooks; the fixtures of tests/conftest.py take long and are left out."""
    (folder / "test_them.py").write_text(TESTS)
    (folder / "conftest.py").write_text((HERE / "conftest.py").read_text().partition("\n\n@pytest.fixture")[0])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert "20 passed, 1 skipped" in done.stdout, done.stdout
    assert ("A skipped test is a failure here" in done.stdout) == ("--no-skips" in options)
    return done.returncode


@pytest.mark.slow
def test_a_skip_is_a_failure_where_none_is_allowed(tmp_path: Path) -> None:
    assert run_pytest(tmp_path) == 0
    assert run_pytest(tmp_path, "--no-skips") == 1


@pytest.mark.slow
def test_the_tests_of_one_file_share_one_of_several_processes(tmp_path: Path) -> None:
    """pytest-xdist has forgotten groups before (its issue 1386), silently."""
    assert run_pytest(tmp_path, "--numprocesses=2", "--dist=loadgroup", "--no-skips") == 1
    assert len((tmp_path / "processes").read_text().splitlines()) == 1


@pytest.mark.parametrize(("cores", "gigabytes", "processes"), [(8, 100, 8), (8, 6, 3), (2, 0.5, 1)])
def test_pytest_takes_a_process_a_core_but_no_more_than_fit_into_memory(
    conftest: Any, monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: float, processes: int
) -> None:
    memory = SimpleNamespace(available=gigabytes * 1e9)
    monkeypatch.setattr(conftest.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(conftest.psutil, "virtual_memory", lambda: memory)
    assert conftest.pytest_xdist_auto_num_workers() == processes


def test_files_of_tests_have_names_of_their_own():
    """`make test` alone would not notice: pytest imports the second file of a name only in `make test-all`."""
    names = [path.name for path in HERE.rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)
