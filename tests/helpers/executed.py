"""The masters, each executed once for all of pytest's processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from classroom import NOTEBOOKS, lay_artifacts
from execution import execute, no_extras, one_core
from filelock import FileLock
from nbformat import NotebookNode

from autograder.authoring.sources import to_notebook
from autograder.files import write_whole
from autograder.notebooks import read_notebook, to_text

PEAK = "peak"  # bytes, in a kept notebook's metadata


class Executed:
    """Notebooks, executed when first asked for, as on Binder; each is given with its kernel's peak memory in bytes."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._folder = factory.mktemp("executed")
        workers = "PYTEST_XDIST_WORKER" in os.environ
        self._shared = (factory.getbasetemp().parent if workers else factory.getbasetemp()) / "executed"
        self._shared.mkdir(exist_ok=True)
        self.master = cache(self._master)

    def _master(self, name: str) -> tuple[NotebookNode, int]:
        def run(folder: Path) -> tuple[NotebookNode, int]:
            lay_artifacts(folder)  # else the challenges would train, for minutes
            return execute(to_notebook(NOTEBOOKS[name]), folder)

        return self._once(f"{name}, master", run)

    def _once(self, name: str, run: Callable[[Path], tuple[NotebookNode, int]]) -> tuple[NotebookNode, int]:
        """What the first of pytest's processes that asked has got; the others wait for it."""
        file = self._shared / f"{name}.ipynb"
        with FileLock(file.with_suffix(".lock")):
            if not file.exists():
                folder = self._folder / name
                folder.mkdir()
                with one_core(), no_extras(folder.with_name(f"{name}, without")):
                    notebook, peak = run(folder)
                notebook.metadata[PEAK] = peak
                write_whole(file, to_text(notebook))
        notebook = read_notebook(file)
        return notebook, notebook.metadata.pop(PEAK)
