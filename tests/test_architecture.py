"""Who may import whom, read from the sources: each file of gpt2_lib only what stands above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gpt2_lib

FOLDER = Path(gpt2_lib.__file__).parent

# The order of docs and of reading. A new file is entered where it belongs.
ORDER = [
    "config",
    "muon",
    "tokenizer",
    "gpt2",
    "corpus",
    "checkpoints",
    "generate",
    "metrics",
    "train",
    "scores",
    "selection",
    "schedules",
    "calibration",
    "sparsegpt",
    "surgery",
    "quantize",
    "packed",
    "masking",
    "pruner",
    "gradual",
    "sensitivity",
    "production",
    "claims",
    "readiness",
    "lesson",
    "own_work",
    "plots",
    "progress",
    "challenges",
    "experiments",
    "widgets",
    "demos",
    "exercises",
]

FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def imports(file: str) -> tuple[set[str], set[str]]:
    """The files of gpt2_lib and the outside packages that ``file`` imports, anywhere in it."""
    ours, others = set(), set()
    for node in ast.walk(ast.parse((FOLDER / f"{file}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 1:
                ours |= {module.partition(".")[0]} if module else {alias.name for alias in node.names}
            elif module.partition(".")[0] == "gpt2_lib":
                ours.add(module.partition(".")[2] or "__init__")
            else:
                others.add(module.partition(".")[0])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                if package == "gpt2_lib":
                    ours.add(rest or "__init__")
                else:
                    others.add(package)
    return ours, others


def reached(file: str) -> set[str]:
    """All files of gpt2_lib that importing ``file`` brings in, itself left out."""
    seen: set[str] = set()
    waiting = [file]
    while waiting:
        new = imports(waiting.pop())[0] - seen
        seen |= new
        waiting += new
    return seen


def test_every_file_has_its_place_in_the_order():
    assert sorted(ORDER) == FILES


@pytest.mark.parametrize("file", ORDER)
def test_a_file_imports_only_what_stands_above_it(file):
    assert imports(file)[0] <= set(ORDER[: ORDER.index(file)]) | ({"deploy"} if file == "challenges" else set())


def test_the_model_knows_its_sizes_and_nothing_else():
    ours, others = imports("gpt2")
    assert ours == {"config"}
    assert others <= {"__future__", "collections", "math", "torch"}


@pytest.mark.parametrize("file", ["scores", "selection", "schedules"])
def test_scores_selection_and_schedules_know_no_models(file):
    assert reached(file) <= {"selection"}


@pytest.mark.parametrize("package", ["ipywidgets", "IPython"])
def test_only_the_widgets_know_of_notebooks(package):
    assert {file for file in FILES if package in imports(file)[1]} <= {"demos", "progress", "widgets"}


def test_the_extras_are_imported_only_where_they_are_needed():
    """The default installation has neither huggingface_hub nor transformers."""
    at_the_top = set()
    for file in FILES:
        for node in ast.parse((FOLDER / f"{file}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                at_the_top |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                at_the_top.add((node.module or "").partition(".")[0])
    assert not at_the_top & {"huggingface_hub", "transformers", "psutil", "jupytext", "hypothesis"}
    assert {file for file in FILES if "huggingface_hub" in imports(file)[1]} == {"checkpoints"}
    assert not {file for file in FILES if "transformers" in imports(file)[1]}


TARGETS = sorted((FOLDER / "deploy").rglob("*.py"))
OPTIONAL = {"onnx", "onnxruntime", "fastapi", "uvicorn", "starlette", "pydantic", "prometheus_client", "coremltools"}
OPTIONAL |= {"executorch", "torchao", "mlflow", "transformers", "tensorrt", "tensorrt_rtx", "kubernetes_validate"}


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_target_imports_its_extras_only_when_it_is_called(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = {alias.name.partition(".")[0] for node in body if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        (node.module or "").partition(".")[0] for node in body if isinstance(node, ast.ImportFrom) and not node.level
    }
    assert not names & OPTIONAL


def test_the_library_knows_no_targets():
    """But for the challenges, which measure an exported model, and the package's own list of names."""
    assert {file for file in FILES if "deploy" in imports(file)[0]} == {"challenges"}
