"""Tests of the imports, from the sources: a folder of gpt2_lib imports those below it, a file those above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gpt2_lib

FOLDER = Path(gpt2_lib.__file__).parent

# Room -> its files, in the order of reading; "" are those of the model. A new file is entered where it belongs.
ROOMS = {
    "": [
        "config",
        "files",
        "modules",
        "tokenizer",
        "gpt2",
        "corpus",
        "batches",
        "generate",
        "metrics",
        "train",
        "plots",
    ],
    "training": ["autosave", "muon", "step"],
    "system": ["processors", "timing", "extras", "progress", "command", "quiet"],
    "pruning": [
        "scores",
        "selection",
        "schedules",
        "targets",
        *(
            f"calibration.{file}"
            for file in ("tensor_store", "layers", "block_inputs", "input_statistics", "loss_gradients")
        ),
        "sparsegpt",
        "admm",
        "surgery",
        "masking",
    ],
    "checkpoints": [
        "errors",
        "modelling",
        "description",
        "hub",
        "plain",
        "precision",
        "weights",
        "in_memory",
        "loaded",
    ],
    "storage": ["quantize", "int4", "bitmask", "packed"],
    "deploy": [],
    "commands": [
        "listing",
        "texts",
        "arguments",
        "own_method",
        "prune",
        "compare",
        "evaluate",
        "generate",
        "export",
        "bench",
        "completion",
    ],
    "course": [
        "page.outcome",
        "page.card",
        "page.figures",
        "page.live",
        "page.own_grade",
        "page.cells",
        "page.runs",
        "page.stopped",
        "facts",
        "readiness",
        "quiz",
        "own_work",
        "faults.errors",
        "faults.latency",
        "lesson",
        "progress",
        "check",
        "challenges.reference",
        "challenges.budget",
        "challenges.identity",
        "challenges.packed_file",
        "challenges.onnx_file",
        "challenges.log",
        "challenges.artifacts",
        "challenges.speed",
        "challenges.bars",
        "equal_bytes",
        "experiments",
        "widgets",
        "demos",
    ],
}
STRUCTURES = [f"structures.{file}" for file in ("refit", "units", "costs", "budget")]
METHODS = [f"methods.{file}" for file in ("plan", "one_shot", "registry")]
ROOMS["pruning"] += [*STRUCTURES, *METHODS, "statistics", "pruner", "methods.comparison", "gradual", "sensitivity"]
ROOMS["course"] += ["exercises"]
BELOW = {  # room -> the rooms that its files may import
    "system": set(),
    "": {"checkpoints", "system", "training"},
    "training": {""},
    "checkpoints": {"", "system"},
    "pruning": {"", "checkpoints", "storage", "system", "training"},
    "storage": {"", "checkpoints", "system"},
    "deploy": {"", "checkpoints", "pruning", "storage", "system"},
    "course": {"", "checkpoints", "pruning", "storage", "deploy", "system", "training"},
    "commands": {"", "checkpoints", "pruning", "storage", "deploy", "system"},
}
CHECKS = "course.checks"  # one file an exercise, found by itself
COMMANDS = {"experiments", "exercises"}  # at the top for `python -m` alone; the code is in course/
IN_ORDER = [(room, file) for room, files in ROOMS.items() for file in files]


def module(path: Path) -> str:
    """Return ``pruning.scores`` for gpt2_lib/pruning/scores.py, ``pruning`` for the package itself."""
    return ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__").removesuffix("__init__")


PATHS = {module(path): path for path in sorted(FOLDER.rglob("*.py"))}
FILES = sorted(name for name, path in PATHS.items() if path.stem not in ("__init__", "__main__"))


def room_of(name: str) -> str:
    first, dot, _ = name.partition(".")
    return CHECKS if name.startswith(f"{CHECKS}.") else first if dot or first in BELOW else ""


def imports(name: str) -> tuple[set[str], set[str]]:
    """The modules of gpt2_lib and the outside packages that a file imports, anywhere in it."""
    ours, others = set(), set()
    path = PATHS[name]
    room = path.relative_to(FOLDER).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*room[: len(room) - node.level + 1], *filter(None, (node.module or "").split("."))]
            inside = [".".join([*base, alias.name]) for alias in node.names]
            ours |= {one if one in PATHS else ".".join(base) for one in inside}
        elif isinstance(node, ast.ImportFrom):
            outside = [f"{node.module}.{alias.name}" for alias in node.names]
            found = {one.removeprefix("gpt2_lib.") for one in outside if one.startswith("gpt2_lib.")}
            ours |= {one if one in PATHS else one.rpartition(".")[0] for one in found}
            others |= set() if found else {(node.module or "").partition(".")[0]}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                (ours.add(rest) if package == "gpt2_lib" else others.add(package))
    return ours, others


def reached(name: str) -> set[str]:
    """All modules of gpt2_lib that importing a file brings in, itself left out."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        new = imports(waiting.pop())[0] - seen
        seen |= new
        waiting += new
    return seen


def named(room: str, file: str) -> str:
    return f"{room}.{file}" if room else file


def test_every_file_has_its_place_in_the_order() -> None:
    ordered = sorted(named(room, file) for room, file in IN_ORDER)
    free = {"deploy", CHECKS}
    assert ordered == [name for name in FILES if room_of(name) not in free and name not in COMMANDS]


@pytest.mark.parametrize(("room", "file"), IN_ORDER, ids=[named(*place) for place in IN_ORDER])
def test_a_file_imports_only_files_above_it_or_in_a_folder_below(room: str, file: str) -> None:
    above = {named(room, other) for other in ROOMS[room][: ROOMS[room].index(file)]}
    assert {one for one in imports(named(room, file))[0] if room_of(one) not in BELOW[room]} <= above


@pytest.mark.parametrize("name", [name for name in FILES if room_of(name) == "deploy"])
def test_a_target_imports_only_deploy_and_the_rooms_below(name: str) -> None:
    assert {room_of(one) for one in imports(name)[0]} <= BELOW["deploy"] | {"deploy"}


@pytest.mark.parametrize("name", [name for name in FILES if room_of(name) == CHECKS])
def test_a_check_knows_nothing_of_pruning_and_storage(name: str) -> None:
    """What it expects it works out for itself."""
    known = {f"course.{file}" for file in ("check", "faults.latency", "lesson", "progress", "challenges", "readiness")}
    assert {one for one in imports(name)[0] if room_of(one) not in ("", CHECKS)} <= known


def test_a_command_at_the_top_is_a_door_to_the_course() -> None:
    for name in COMMANDS:
        assert imports(name)[0] == {"system.command", f"course.{name}"}
        assert name not in set().union(*(imports(other)[0] for other in FILES))


def test_a_room_says_what_is_in_it_and_has_at_most_14_files() -> None:
    for folder in {path.parent for path in PATHS.values()}:
        doors = COMMANDS if folder == FOLDER else set()  # for `python -m` alone: a line each
        most = 18 if folder.name == "checks" else 14  # one file an exercise
        assert len([path for path in folder.glob("*.py") if path.stem not in doors]) <= most, folder
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), folder


def test_importing_the_library_loads_no_target_and_nothing_of_the_course() -> None:
    rooms = ("gpt2_lib.deploy", "gpt2_lib.course", "gpt2_lib.commands")
    code = f"import sys, gpt2_lib; print(*(name for name in sys.modules if name.startswith({rooms})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_graders_commands_start_without_pytorch() -> None:
    """It takes two seconds, and only a worker needs it."""
    code = "import sys, autograder.__main__; print(*{'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_public_name_is_there_and_is_listed() -> None:
    assert all(getattr(gpt2_lib, name) is not None for name in gpt2_lib.__all__)
    assert set(gpt2_lib.__all__) <= set(dir(gpt2_lib))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gpt2_lib.nothing


def test_the_model_knows_its_sizes_and_nothing_else() -> None:
    ours, others = imports("gpt2")
    assert ours == {"config"}
    assert others <= {"__future__", "collections", "math", "torch"}


@pytest.mark.parametrize("file", ["scores", "selection", "schedules"])
def test_scores_selection_and_schedules_know_no_models(file: str) -> None:
    assert reached(f"pruning.{file}") <= {"pruning.selection"}


@pytest.mark.parametrize("package", ["ipywidgets", "IPython"])
def test_only_the_widgets_and_the_page_know_of_notebooks(package: str) -> None:
    knowing = {name for name in FILES if package in imports(name)[1] and not name.startswith("course.page.")}
    assert knowing <= {"course.demos", "course.progress", "course.quiz", "course.widgets"}


OPTIONAL = {"onnx", "onnxruntime", "fastapi", "uvicorn", "starlette", "pydantic", "prometheus_client", "coremltools"}
OPTIONAL |= {"executorch", "torchao", "mlflow", "transformers", "tensorrt", "tensorrt_rtx", "kubernetes_validate"}
OPTIONAL |= {"huggingface_hub", "jupytext", "hypothesis"}


@pytest.mark.parametrize("name", FILES)
def test_extras_are_imported_only_when_they_are_needed(name: str) -> None:
    """The default installation has none of them."""
    body = ast.parse(PATHS[name].read_text(encoding="utf-8")).body
    names = {alias.name.partition(".")[0] for node in body if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        (node.module or "").partition(".")[0] for node in body if isinstance(node, ast.ImportFrom) and not node.level
    }
    assert not names & OPTIONAL


def test_the_hub_is_known_where_models_are_loaded() -> None:
    outside_deploy = [name for name in FILES if room_of(name) != "deploy"]
    assert {name for name in outside_deploy if "huggingface_hub" in imports(name)[1]} == {"checkpoints.hub"}
    assert not {name for name in outside_deploy if "transformers" in imports(name)[1]}
