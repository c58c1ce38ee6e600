"""Rebuilding of a notebook file's content from the parts that grading needs."""

from __future__ import annotations

import itertools
import json
import re

import nbformat
from nbformat import NotebookNode

from ..notebooks import METADATA_KEY, as_node, to_text
from .regular import Refused

MAX_CELLS = 2_000
MAX_INPUTS = 20_000_000  # bytes: all but the outputs
CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def clean_notebook(data: bytes) -> bytes:
    """Return the content as nbformat 4.5.

    Kept: sources, cell types, ids, pasted images, nbgrader's metadata, the kernel's name. Dropped: outputs (the
    notebook is executed anyway), tags and other metadata. The same content gives the same bytes. Raises Refused.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
        if isinstance(content, dict) and type(content.get("nbformat")) is int and content["nbformat"] < 4:
            _look_at_levels(content)
            content = nbformat.reads(json.dumps(content), as_version=4)
            for cell in content.cells:
                cell.pop("id", None)  # made up at random
    except UnicodeDecodeError as error:
        raise Refused(f"is not UTF-8 text (byte {error.start}): was it compressed or damaged?") from error
    except Refused:
        raise
    except RecursionError as error:
        raise Refused("is nested too deeply to be a notebook") from error
    except Exception as error:  # nbformat does not wrap the errors that an old, malformed file raises
        lines = str(error).splitlines() or [type(error).__name__]
        raise Refused(
            f"is not a valid notebook ({lines[0][:100]}). Was it cut short or edited as text? "
            "In JupyterLab, File > Revert Notebook to Checkpoint brings back the last good copy."
        ) from error
    notebook = _rebuilt(content)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise Refused(f"is not a valid notebook ({str(error).splitlines()[0][:100]})") from error
    text = to_text(notebook).encode("utf-8", "replace")  # half a surrogate pair can't be written
    if len(text) > MAX_INPUTS:
        raise Refused(f"holds more than {MAX_INPUTS // 1_000_000} MB of text and pictures, its outputs apart")
    return text


def _look_at_levels(content: dict) -> None:
    """Convert headings of the old formats to lines with as many # as their level. Raises Refused."""
    for sheet in content.get("worksheets", []):
        for cell in sheet.get("cells", []):
            if cell.get("level") not in (None, 1, 2, 3, 4, 5, 6):
                raise Refused("is not a valid notebook: a heading has no level between 1 and 6")


def _rebuilt(content: object) -> NotebookNode:
    if not isinstance(content, dict) or "nbformat" not in content:
        raise Refused("is not a notebook: it has no format number")
    if content["nbformat"] != 4:
        raise Refused(f"has the notebook format {str(content['nbformat'])[:20]}, and the newest known is 4")
    cells = content.get("cells")
    if not isinstance(cells, list):
        raise Refused("is not a notebook: its cells are not a list")
    if len(cells) > MAX_CELLS:
        raise Refused(f"has {len(cells)} cells, and at most {MAX_CELLS} are graded")
    used: set[str] = set()
    metadata = content.get("metadata")
    return as_node(
        {
            "cells": [_cell(cell, number, used) for number, cell in enumerate(cells, start=1)],
            "metadata": _notebook_metadata(metadata if isinstance(metadata, dict) else {}),
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def _notebook_metadata(metadata: dict) -> dict:
    kept = {}
    spec = metadata.get("kernelspec")
    if isinstance(spec, dict) and isinstance(spec.get("name"), str):
        kept["kernelspec"] = {"name": spec["name"], "display_name": str(spec.get("display_name", spec["name"]))}
    stamp = metadata.get(METADATA_KEY)
    if isinstance(stamp, dict) and isinstance(stamp.get("digest"), str):
        kept[METADATA_KEY] = {"digest": stamp["digest"]}
    return kept


def _cell(cell: object, number: int, used: set[str]) -> dict:
    """Return one cell; ``used`` are the ids so far."""
    if not isinstance(cell, dict):
        raise Refused(f"is not a valid notebook: cell {number} is no cell")
    kind, source = cell.get("cell_type"), cell.get("source")
    if kind not in ("code", "markdown", "raw"):
        raise Refused(f"is not a valid notebook: cell {number} is of no known type ({str(kind)[:20]!r})")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Refused(f"is not a valid notebook: cell {number} has no source text")
    metadata = cell.get("metadata")
    role = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    rebuilt = {
        "cell_type": kind,
        "id": _cell_id(cell.get("id"), number, used),
        "metadata": {"nbgrader": role} if isinstance(role, dict) else {},
        "source": source,
    }
    if kind == "code":
        rebuilt |= {"execution_count": None, "outputs": []}
    elif _is_attachments(cell.get("attachments")):
        rebuilt["attachments"] = cell["attachments"]
    return rebuilt


def _cell_id(found: object, number: int, used: set[str]) -> str:
    if not isinstance(found, str) or not CELL_ID.fullmatch(found) or found in used:
        names = (f"cell-{number}" + "x" * more for more in itertools.count())
        found = next(name for name in names if name not in used)
    used.add(found)
    return found


def _is_attachments(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(bundle, dict) and all(isinstance(data, str) for data in bundle.values()) for bundle in found.values()
    )
