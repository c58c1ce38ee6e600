"""The masters with what they show, executed once for each state of the masters and of the library."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode

from autograder.authoring.sources import notebooks, to_notebook
from autograder.files import write_whole
from autograder.notebooks import read_notebook, to_text

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "tests" / "helpers"
SECONDS = 1800  # until a cell is given up
KEY = "executed_from"


def executed(kept: Path) -> dict[str, NotebookNode]:
    """Name -> the executed master, of all notebooks; those that are in ``kept`` and still hold are not run again."""
    library = _digest(sorted((ROOT / "gpt2_lib").rglob("*.py")))
    found = {}
    for path in notebooks(ROOT):
        master = to_notebook(path)
        key = hashlib.sha256((library + to_text(master)).encode()).hexdigest()
        file = kept / path.name
        if not (file.exists() and read_notebook(file).metadata.get(KEY) == key):
            print(f"Executing {path.stem}: some minutes.", flush=True)
            run(master)
            master.metadata[KEY] = key
            write_whole(file, to_text(master))
        found[path.stem] = read_notebook(file)
    return found


def run(master: NotebookNode) -> None:
    """Execute it in a folder of its own, with the challenges' files there: training them takes half an hour."""
    if str(HELPERS) not in sys.path:
        sys.path[:0] = [str(HELPERS), str(HELPERS.with_name("course"))]
    from classroom import lay_artifacts

    with tempfile.TemporaryDirectory() as folder:
        lay_artifacts(Path(folder))
        NotebookClient(
            master, timeout=SECONDS, iopub_timeout=SECONDS, resources={"metadata": {"path": folder}}
        ).execute()


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()
