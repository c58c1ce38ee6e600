"""Notebook files: reading with clear errors, reproducible writing, and recognition of a learner's work.

Every notebook that we write carries a digest of its cells' sources. A notebook whose sources still
match it is pristine: it has no work in it, and a newer version may replace it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nbformat
from nbformat import NotebookNode

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
METADATA_KEY = "gpt2_pruning_course"


class NotebookError(Exception):
    """A notebook can't be read; the message names the file, says why and what to do."""


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file in the current format (4); raises NotebookError."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except FileNotFoundError as error:
        raise NotebookError(f"{path.name} is missing.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path.name} can't be read: {error}.") from error
    except Exception as error:  # nbformat does not wrap the errors that a malformed file raises
        raise NotebookError(
            f"{path.name} is not a valid notebook ({_first_line(error)}). Was it cut short or edited as text? "
            "In JupyterLab, File > Revert Notebook to Checkpoint brings back the last good copy."
        ) from error


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, json.JSONDecodeError):
        error = cause
    lines = str(error).strip().splitlines()
    return lines[0][:100] if lines else type(error).__name__


def as_node(content: dict) -> NotebookNode:
    """Return nbformat's `from_dict`, for a notebook or a cell."""
    node = nbformat.from_dict(content)
    assert isinstance(node, NotebookNode)
    return node


def grade_id(cell: NotebookNode) -> str:
    """Return the name by which nbgrader knows a cell, "" for a cell without a role."""
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def to_text(notebook: NotebookNode) -> str:
    """Return the file's content: sorted keys, one-space indent, a newline at the end."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of the cells' types and sources, without empty cells, which JupyterLab appends."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells if cell.source.strip()]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def stamp(notebook: NotebookNode) -> NotebookNode:
    """Write the notebook's digest into its metadata; returns the notebook."""
    notebook.metadata[METADATA_KEY] = {"digest": digest(notebook)}
    return notebook


def stamped_digest(notebook: NotebookNode) -> str | None:
    """Return the digest that the notebook was written with, None for a notebook that isn't ours."""
    entry = notebook.metadata.get(METADATA_KEY)
    return entry.get("digest") if isinstance(entry, dict) else None


def is_pristine(notebook: NotebookNode) -> bool:
    """Return whether the cells' sources are as released; outputs may differ."""
    return stamped_digest(notebook) == digest(notebook)
