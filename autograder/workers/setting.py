"""Settings of a submission's run, its use of resources so far, and the errors that end it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..judge.names import Names
from ..sandbox.bubblewrap import Limits


class BrokenToolError(Exception):
    """The grader's own processes failed (were killed, say); the submission is not the cause."""


class StoppedError(Exception):
    """A limit on the whole submission was reached: nothing more of it runs."""


@dataclass(frozen=True)
class Setting:
    """The settings of a notebook's run. Files are {path: base64}."""

    limits: Limits = field(default_factory=Limits)
    files: Mapping[str, str] = field(default_factory=dict)  # that lie beside the notebook
    given: Mapping[str, str] = field(default_factory=dict)  # those of them that are the instructor's
    skip: frozenset[int] = frozenset()  # cells that need not run
    imports: str = ""  # that the instructor's other cells make
    asked: Mapping[str, Names] = field(default_factory=dict)  # check -> what it takes from the learner
    warm: tuple[str, ...] = ()  # what the course's notebooks import
    own_work: str = ""  # "module:function": the course's rule on whose work an answer is
    hidden: tuple[str, ...] = ()  # folders that the sandbox covers
    seeds: Mapping[str, int] = field(default_factory=dict)  # check -> of its random inputs


def as_text(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return files as a `Setting` has them."""
    return {path: base64.b64encode(data).decode() for path, data in files.items()}


@dataclass
class Account:
    """The resources that a submission has used so far. ``until`` is its deadline (of `time.monotonic`)."""

    until: float
    seconds: float = 0.0  # of computing
    received: int = 0  # bytes of messages
