"""The grader's notes on one submission beside its points: ``autograded/<student>/<assignment>/grading.json``.

The points themselves are in the gradebook. A submission that plain nbgrader graded has no such file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import write_whole

FILE = "grading.json"


@dataclass(frozen=True)
class Review:
    """A remark for the instructor, which the learner does not see.

    It is in the cell ``cell`` or, where that is "", in the whole notebook.
    """

    notebook: str
    cell: str
    reason: str


@dataclass(frozen=True)
class Grading:
    """``key`` is the SHA-256 of all that the grading depended on.

    ``notes`` tell the instructor and the learner what was done with the submitted files and cells.
    ``refused`` says why nothing could be graded, "" where it could.
    ``shared`` is the member who submitted it for the group, "" if it is the student's own.
    ``work`` and ``release`` are the digests of the submission and of the release; earlier versions wrote none.
    ``grader`` is the digest of the grader's code where that had an error of its own, else "".
    """

    key: str = ""
    review: tuple[Review, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""
    shared: str = ""
    work: str = ""
    release: str = ""
    grader: str = ""


def read_grading(folder: Path) -> Grading:
    """Return the grading of a folder of autograded/; an empty one if there is no file.

    A file that can't be read gives no key, so that the submission is graded again, and a remark for review.
    """
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Grading(
            key=_text(data["key"]),
            review=tuple(
                Review(*(_text(entry[name]) for name in ("notebook", "cell", "reason"))) for entry in data["review"]
            ),
            notes=tuple(map(_text, data["notes"])),
            refused=_text(data["refused"]),
            **{name: _text(data.get(name, "")) for name in ("shared", "work", "release", "grader")},
        )
    except FileNotFoundError:
        return Grading()
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{FILE} can't be read ({type(error).__name__}: {error}). Delete it and grade this submission again."
        return Grading(review=(Review("", "", reason),))


def write_grading(folder: Path, grading: Grading) -> None:
    """Write the grading of a folder of autograded/, whole or not at all."""
    write_whole(folder / FILE, json.dumps(asdict(grading), indent=1, sort_keys=True) + "\n")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {value!r}")
    return value
