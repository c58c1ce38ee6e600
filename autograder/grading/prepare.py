"""From a notebook file as it was handed in to the notebook that will be run.

This reads what strangers wrote, so it happens in a worker, in a process with limits on memory and computing time.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass

import nbformat

from ..intake.notebook import Refused, clean_notebook
from .plan import Plan
from .sanitise import sanitise
from .skip import skip


@dataclass(frozen=True)
class Prepared:
    """``text`` is the notebook to run, ``skip`` the cells that need not; ``refused`` says why there is none."""

    text: str = ""
    skip: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""


def prepare(data: bytes, plan: Plan) -> Prepared:
    """The notebook file's content, made safe to run and put into the instructor's order."""
    try:
        clean = nbformat.reads(clean_notebook(data).decode(), as_version=4)
    except Refused as refused:
        return Prepared(refused=str(refused))
    notebook, notes = sanitise(clean, plan)
    skipped = skip(notebook, plan.demonstrations, plan.taken)
    return Prepared(nbformat.writes(notebook), tuple(sorted(skipped)), tuple(notes))


def main(request: dict) -> dict:
    """The same for a process of its own."""
    return asdict(prepare(base64.b64decode(request["data"]), Plan.of(request["plan"])))
