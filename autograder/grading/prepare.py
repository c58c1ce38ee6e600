"""Preparation of a submitted notebook file for its run.

This reads untrusted data, so it runs in a worker, in a process with limits on memory and CPU time.
"""

from __future__ import annotations

import base64
import warnings
from dataclasses import asdict, dataclass, field

import nbformat

from ..intake.notebook import Refused, clean_notebook
from .explain import Reasons, reasons
from .plan import Plan
from .sanitise import Note, sanitise
from .skip import skip


@dataclass(frozen=True)
class Prepared:
    """``text`` is the notebook to run, ``skip`` the cells to leave out; ``refused`` says why there is none.

    ``reasons`` may explain why checks fail.
    """

    text: str = ""
    skip: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()
    refused: str = ""
    reasons: Reasons = field(default_factory=Reasons)

    @staticmethod
    def of(plain: dict) -> Prepared:
        """Return the object of which ``dataclasses.asdict`` and JSON made this."""
        notes = tuple(Note(*note) for note in plain["notes"])
        return Prepared(**{**plain, "notes": notes, "reasons": Reasons(**plain["reasons"])})


def prepare(data: bytes, plan: Plan) -> Prepared:
    """Return the notebook file's content, safe to run and in the instructor's order."""
    try:
        clean = nbformat.reads(clean_notebook(data).decode(), as_version=4)
    except Refused as refused:
        return Prepared(refused=str(refused))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's warnings about a learner's code are not for the instructor
        made = sanitise(clean, plan)
        skipped = skip(made.notebook, plan.demonstrations, plan.taken)
        told = reasons(made, plan)
    return Prepared(nbformat.writes(made.notebook), tuple(sorted(skipped)), made.notes, reasons=told)


def main(request: dict) -> dict:
    """Run `prepare` in a process of its own."""
    return asdict(prepare(base64.b64decode(request["data"]), Plan.of(request["plan"])))
