"""The layouts of learning platforms' exports, as the grammars' docstrings show them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

START = datetime(2026, 11, 20, 10, 0, 0)


@dataclass(frozen=True)
class Learner:
    first: str
    last: str
    number: int
    login: str

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"


@dataclass(frozen=True)
class HandIn:
    """What a learner uploads at once: path -> content. Attempts of all learners are counted together."""

    learner: Learner
    attempt: int
    files: dict[str, bytes] = field(hash=False)

    @property
    def time(self) -> datetime:
        return START + timedelta(hours=self.attempt)


Export = dict[str, bytes]


def moodle(hand_ins: Iterable[HandIn]) -> Export:
    return {
        f"{h.learner.name}_{h.learner.number}_assignsubmission_file_/{path}": data
        for h in hand_ins
        for path, data in h.files.items()
    }


def flat_moodle(hand_ins: Iterable[HandIn]) -> Export:
    return {
        f"{h.learner.name}_{h.learner.number}_assignsubmission_file_{_base(path)}": data
        for h in hand_ins
        for path, data in h.files.items()
    }


def canvas(hand_ins: Iterable[HandIn]) -> Export:
    """A file whose name was there in an attempt before gets "-1", "-2", ..."""
    found, there = {}, set()
    for h in sorted(hand_ins, key=lambda h: h.attempt):
        name = "".join(c for c in f"{h.learner.last}{h.learner.first}".lower() if c.isalnum())
        for number, (path, data) in enumerate(h.files.items()):
            stem, dot, suffix = _base(path).partition(".")
            marks = ("", *(f"-{n}" for n in range(1, 99)))
            file = next(f for m in marks if (h.learner, f := f"{stem}{m}{dot}{suffix}") not in there)
            there.add((h.learner, file))
            attachment = 1000 + 100 * h.attempt + number
            found[f"{name}_{h.learner.number}_{attachment}_{file}"] = data
    return found


def blackboard(hand_ins: Iterable[HandIn]) -> Export:
    found = {}
    for h in hand_ins:
        base = f"Lab 2_{h.learner.login}_attempt_{h.time:%Y-%m-%d-%H-%M-%S}"
        found[f"{base}.txt"] = f"Name: {h.learner.name} ({h.learner.login})\nAssignment: Lab 2\n".encode()
        found |= {f"{base}_{_base(path)}": data for path, data in h.files.items()}
    return found


def brightspace(hand_ins: Iterable[HandIn]) -> Export:
    found = {"index.html": b"<p>"}
    for h in hand_ins:
        folder = f"{h.learner.number}-67890 - {h.learner.name} - {h.time:%b %d, %Y %I%M %p}"
        found |= {f"{folder}/{path}": data for path, data in h.files.items()}
    return found


def gradescope(hand_ins: Iterable[HandIn]) -> Export:
    found, about = {}, ["---"]
    for h in {h.learner: h for h in sorted(hand_ins, key=lambda h: h.attempt)}.values():  # holds the last alone
        folder = f"submission_{7 * h.learner.number}"
        about += [f"{folder}:", "  :submitters:", f'  - :name: "{h.learner.name}"', f"    :sid: '{h.learner.number}'"]
        about += [f"  :created_at: {h.time:%Y-%m-%d %H:%M:%S}.000000000 Z"]
        found |= {f"assignment_9_export/{folder}/{path}": data for path, data in h.files.items()}
    return found | {"assignment_9_export/submission_metadata.yml": "\n".join(about).encode()}


def ilias(hand_ins: Iterable[HandIn]) -> Export:
    found = {}
    for h in hand_ins:
        folder = f"Exercise/Abgaben/{h.learner.last}_{h.learner.first}_{h.learner.login}_{h.learner.number}"
        found |= {f"{folder}/{h.time:%Y%m%d%H%M%S}_{_base(path)}": data for path, data in h.files.items()}
    return found


def sakai(hand_ins: Iterable[HandIn]) -> Export:
    found = {"Homework 1/grades.csv": b"x"}
    for h in {h.learner: h for h in sorted(hand_ins, key=lambda h: h.attempt)}.values():  # holds the last alone
        folder = f"Homework 1/{h.learner.last}, {h.learner.first}({h.learner.login})"
        found[f"{folder}/timestamp.txt"] = f"{h.time:%Y%m%d%H%M%S}000".encode()
        found[f"{folder}/comments.txt"] = b""
        found |= {f"{folder}/Submission attachment(s)/{path}": data for path, data in h.files.items()}
    return found


def github(hand_ins: Iterable[HandIn]) -> Export:
    found = {}
    for h in {h.learner: h for h in sorted(hand_ins, key=lambda h: h.attempt)}.values():  # the last commit
        folder = f"lab-2-submissions/lab-2-{h.learner.login}"
        found |= {f"{folder}/.git": b"gitdir"} | {f"{folder}/{path}": data for path, data in h.files.items()}
    return found


def folders(hand_ins: Iterable[HandIn]) -> Export:
    return {f"{h.learner.login}/{path}": data for h in hand_ins for path, data in h.files.items()}


LAYOUTS: dict[str, Callable[[Iterable[HandIn]], Export]] = {
    "Moodle": moodle,
    "Moodle, flat": flat_moodle,
    "Canvas": canvas,
    "Blackboard": blackboard,
    "Brightspace": brightspace,
    "Gradescope": gradescope,
    "ILIAS": ilias,
    "Sakai": sakai,
    "GitHub Classroom": github,
    "plain folders": folders,
}
FLAT = {"Moodle, flat", "Canvas", "Blackboard", "ILIAS"}  # no folders below the learner's
EVERY_ATTEMPT = {"Canvas", "Blackboard", "Brightspace", "ILIAS"}  # in one export
ONE_TIME = {"Moodle", "Moodle, flat", "GitHub Classroom", "plain folders"}  # that of the files alone


def _base(path: str) -> str:
    return unicodedata.normalize("NFC", path.rpartition("/")[2])
