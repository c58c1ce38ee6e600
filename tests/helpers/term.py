"""A class of 25 in Moodle and in Canvas: lists, submissions, and all usual faults in these."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exports import zipped
from graded import NOTEBOOK, PHASE, Graded
from layouts import HandIn, Learner, canvas, moodle

from autograder.grading.verdicts import Grading, write_grading
from autograder.intake.class_list import ClassList
from autograder.intake.collect import collect
from autograder.intake.enrol import enrol
from autograder.reports.export import export_all

FILE = f"{NOTEBOOK}.ipynb"
NAMES = [
    *("Ada Lovelace", "Grace Hopper", "Emmy Noether", "Jürgen Müller", "Zoë Ångström", "Анна Каренина", "雷 李"),
    *("Chloé Dubois", "Tuğba Şahin", "Sam Smith", "Sam Smith", "Anna-Lena de Vries", "Mary Ann O'Neil"),
    *("Lars Berg", "Kim Lee", "Hiro Tanaka", "Dmitri Iwanow", "Maria da Silva", "Liwen Wu", "Ulla Berg"),
    *("Nguyễn Ngọc", "Omar Haddad", "José Núñez", "Priya Rao", "Max Mustermann"),
]
MISSING, WRONG, LATE = 19, 8, 14  # who hands in nothing, a PDF, a day too late
WORKSHEET = ("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum grade", "Grade can be changed")
WORKSHEET += ("Last modified (submission)", "Last modified (grade)", "Feedback comments")
GRADEBOOK = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")


@dataclass(frozen=True)
class Class:
    """``notebook(learner)`` is what somebody hands in, the file's name ``file``."""

    file: str
    notebook: Callable[[int], bytes]
    first: int = 500  # number of the first learner

    @property
    def learners(self) -> list[Learner]:
        parts = [name.rpartition(" ") for name in NAMES]
        return [Learner(first, last, self.first + n, f"user{n}") for n, (first, _, last) in enumerate(parts)]

    def hand_ins(self) -> list[HandIn]:
        """Return one submission for each learner, in one attempt or two, in all forms."""
        found = []
        for n, learner in enumerate(self.learners):
            mine = self.notebook(n)
            forms: dict[int, dict[str, bytes]] = {
                1: {self.file.replace(".ipynb", " (1).ipynb"): mine},
                2: {"homework_final.ipynb": mine},
                3: {"work.zip": zipped({self.file: mine})},
                WRONG: {"essay.pdf": b"%PDF"},
            }
            if n != MISSING:
                found.append(HandIn(learner, n, forms.get(n, {self.file: mine})))
        return found

    def moodle(self) -> bytes:
        return zipped(moodle(self.hand_ins()))

    def canvas(self) -> bytes:
        """Max hands in twice, Kim late."""
        again = HandIn(self.learners[24], 30, {self.file: self.notebook(24)})
        files = canvas([*self.hand_ins(), again])
        late = f"_{self.first + LATE}_"
        return zipped(
            {name.replace(late, f"_LATE{late}") if late in name else name: data for name, data in files.items()}
        )

    def worksheet(self, times: dict[int, str] | None = None) -> str:
        """Moodle's grading worksheet; who handed in did so on the 20th, or at the time given for them."""
        rows: list[list[str]] = [[*WORKSHEET]]
        for n, learner in enumerate(self.learners):
            time = (times or {}).get(n, "Friday, 20 November 2026, 10:00 AM")
            status = "No submission - " if n == MISSING else "Submitted for grading - "
            mail = f"{learner.login}@example.edu"
            time = "-" if n == MISSING else time
            rows.append(
                [f"Participant {learner.number}", learner.name, mail, status, "", "100.00", "Yes", time, "-", ""]
            )
        return _text(rows)

    def gradebook(self, title: str) -> str:
        """Canvas's gradebook, with its own learner and the row of points."""
        rows = [[*GRADEBOOK, f"{title} (77)", "Another (78)", "Final Score"]]
        rows.append(["    Points Possible", "", "", "", "", "10", "5", "(read only)"])
        for learner in self.learners:
            who = (f"{learner.last}, {learner.first}", str(learner.number), f"M{learner.number}", learner.login, "A")
            rows.append([*who, "", "", "0"])
        rows.append(["Student, Test", "999", "", "0123abc", "A", "", "", ""])
        return _text(rows)


def _text(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


class Term:
    """A class of 25 of one platform, collected and graded; all have 2.5 of 4.5 points."""

    def __init__(self, folder: Path, platform: str) -> None:
        self.made, self.platform = Graded(folder), platform
        self.root = self.made.root
        release = (self.root / "release" / PHASE / FILE).read_bytes()
        self.people = Class(FILE, lambda n: release.replace(b"YOUR CODE HERE", f"answer {n}".encode()))
        moodle = platform == "Moodle"
        listed, handed_in = folder / "list.csv", folder / "export.zip"
        days = {LATE: "Saturday, November 21, 2026, 9:00 AM"}
        listed.write_text(self.people.worksheet(days) if moodle else self.people.gradebook("Tiny"), encoding="utf-8")
        handed_in.write_bytes(self.people.moodle() if moodle else self.people.canvas())
        enrol(self.root, listed, PHASE if moodle else None)
        collect(self.root, handed_in)
        for path in sorted((self.root / "submitted").glob(f"*/{PHASE}")):
            student = path.parent.name
            if (path / FILE).exists():
                self.made.add(student, {"double_basics": 0})
            else:
                write_grading(
                    self.made.course.folder("autograded", PHASE, student), Grading("k", refused="No notebook.")
                )

    def who(self, number: int) -> str:
        """The id of a learner by their number in the class."""
        wanted = str(self.people.first + number)
        return next(o.id for o in ClassList.of(self.root).learners if wanted in (o.canvas, o.participants.get(PHASE)))

    def export(self) -> tuple[str, ...]:
        return export_all(self.made.course).told

    def table(self, name: str = PHASE) -> dict[str, dict[str, str]]:
        """Student -> their row in a table of grades/."""
        return {row["student"]: row for row in csv_of(self.root / "grades" / f"{name}.csv")}

    def say(self, text: str) -> None:
        (self.root / "term.toml").write_text(text, encoding="utf-8")

    def ran(self) -> str:
        """Return a value that changes when a notebook is run."""
        files = sorted((self.root / "autograded").rglob("*.ipynb"))
        return hashlib.sha256(
            b"".join(path.read_bytes() + str(path.stat().st_mtime_ns).encode() for path in files)
        ).hexdigest()


def csv_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
