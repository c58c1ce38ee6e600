"""Random classes, their submissions and exports, drawn by hypothesis. Each file's bytes name its owner."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from exports import LAST, PHASE, laid_out, notebook, tarred, zipped
from hypothesis import strategies as st
from layouts import EVERY_ATTEMPT, LAYOUTS, HandIn, Learner

FIRST_NAMES = ["Ada", "Jürgen", "Zoë", "Anna-Lena", "Mary Ann", "Åse", "Анна", "雷", "Ngọc", "Ada"]
LAST_NAMES = [
    "Lovelace",
    "de Vries",
    "van der Berg",
    "O'Neil",
    "Müller",
    "Smith",
    "Каренина",
    "李",
    "Nguyễn",
    "Smith-Jones",
]
LOGINS = ["ada", "de-vries", "s", "anna-lena", "x1-y", "a2026"]
ASSIGNMENTS = {PHASE: [PHASE], LAST: [LAST, "challenges"]}
RENAMED = [
    *("{}.ipynb", "{} (1).ipynb", "{}-Copy1.ipynb", "{}_final.ipynb", "{} v2.ipynb", "Copy of {}.ipynb"),
    *("Kopie von {}.ipynb", "{} - Kopie.ipynb", "{}.ipynb.txt", "{}.json", "{}_solution (2).ipynb"),
]
BY_CELLS = ["homework.ipynb", "Untitled.ipynb", "作业.ipynb", "{other}.ipynb", "a.ipynb.txt"]
ARTIFACTS = ["edge.gpt2pack", "sparse.gpt2pack", "mobile.onnx", "run.csv"]


@dataclass(frozen=True)
class Work:
    """A hand-in, and the names under which its files belong into the course."""

    person: int
    assignment: str
    hand_in: HandIn
    wanted: dict[str, bytes]


@dataclass(frozen=True)
class Exported:
    assignment: str
    until: int
    form: Literal["NFC", "NFD"]


@dataclass
class Term:
    """A class, its platform, and what was exported of its hand-ins, in the order of collecting."""

    layout: str
    with_cells: bool
    work: list[Work]
    exports: list[Exported]
    times: dict[bytes, datetime] = field(default_factory=dict)

    def made_course(self, folder: Path) -> Path:
        for assignment, names in ASSIGNMENTS.items():
            for name in names:
                cells = notebook("setup", f"{name}_1", f"{name}_2") if self.with_cells else "{}"
                laid_out(folder, {f"release/{assignment}/{name}.ipynb": cells})
        return folder

    def handed_in(self, export: Exported) -> list[Work]:
        return [w for w in self.work if w.assignment == export.assignment and w.hand_in.attempt <= export.until]

    def packed(self, export: Exported, path: Path) -> list[str]:
        """Write the zip; returns its entries."""
        everything = LAYOUTS[self.layout]([w.hand_in for w in self.work if w.assignment == export.assignment])
        works = self.handed_in(export)
        if self.layout not in EVERY_ATTEMPT:
            works = list({w.person: w for w in works}.values())
        files = LAYOUTS[self.layout]([w.hand_in for w in works])
        if self.layout == "Canvas":  # which names were there before is known to Canvas alone
            theirs = {data for w in works for data in w.hand_in.files.values()}
            files = {name: data for name, data in everything.items() if data in theirs}
        if self.layout == "plain folders":  # of a folder that lies alone nobody knows whether it is a student's
            files |= {"zoe/essay.pdf": b"of nobody else", "max/essay.pdf": b"of somebody else"}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                time = self.times.get(data, datetime(2026, 11, 20))
                archive.writestr(zipfile.ZipInfo(unicodedata.normalize(export.form, name), time.timetuple()[:6]), data)
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()

    def expected(self) -> dict[tuple[int, str], dict[str, bytes]]:
        """(person, assignment) -> what is to lie in the course when all is collected."""
        found: dict[tuple[int, str], dict[str, bytes]] = {}
        for assignment in ASSIGNMENTS:
            until = max((e.until for e in self.exports if e.assignment == assignment), default=-1)
            for work in self.work:
                if work.assignment == assignment and work.hand_in.attempt <= until:
                    before = found.get((work.person, assignment), {}) if self.layout == "ILIAS" else {}
                    found[work.person, assignment] = before | work.wanted
        return found


@st.composite
def terms(draw: st.DrawFn) -> Term:
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    with_cells = draw(st.booleans())
    assignments = draw(st.sampled_from([[PHASE], [LAST], [PHASE, LAST]]))
    people = [_learner(draw, n) for n in range(draw(st.integers(1, 5)))]
    if layout.startswith("Moodle") and len(assignments) > 1:  # its numbers are new for each: homonyms can't be told
        people = list({p.name: p for p in people}.values())
    term = Term(layout, with_cells, [], [])
    chosen = {(n, a): draw(st.sampled_from(ASSIGNMENTS[a])) for n in range(len(people)) for a in assignments}
    for attempt in range(draw(st.integers(1, 6))):
        person, assignment = draw(st.integers(0, len(people) - 1)), draw(st.sampled_from(assignments))
        who = people[person]
        if layout.startswith("Moodle"):
            who = Learner(who.first, who.last, who.number + 1000 * assignments.index(assignment), who.login)
        term.work.append(_work(draw, term, person, who, assignment, chosen[person, assignment], attempt))
    for _ in range(draw(st.integers(1, 4))):
        export = Exported(
            draw(st.sampled_from(assignments)), draw(st.integers(0, 6)), draw(st.sampled_from(["NFC", "NFD"]))
        )
        if term.handed_in(export):
            term.exports.append(export)
    return term


def _learner(draw: st.DrawFn, number: int) -> Learner:
    login = f"{draw(st.sampled_from(LOGINS))}{number if draw(st.booleans()) else f'-{number}'}"
    return Learner(draw(st.sampled_from(FIRST_NAMES)), draw(st.sampled_from(LAST_NAMES)), 10 + number, login)


def _work(draw: st.DrawFn, term: Term, person: int, who: Learner, assignment: str, name: str, attempt: int) -> Work:
    other = LAST if name != LAST else PHASE
    renamed = draw(st.sampled_from(RENAMED + (BY_CELLS if term.with_cells else [])))
    says = f"person {person}, {assignment}, attempt {attempt}"
    work = notebook("setup", f"{name}_1", text=says) if term.with_cells else notebook(text=says)
    files = {renamed.format(name, other=other): work.encode()}
    wanted = {f"{name}.ipynb": work.encode()}
    mark = draw(st.sampled_from(["", " (1)", "-Copy1"]))
    for artifact in draw(st.lists(st.sampled_from(ARTIFACTS), max_size=3, unique=True)):
        stem, _, suffix = artifact.partition(".")
        files[f"{stem}{mark}.{suffix}"] = wanted[artifact] = json.dumps([says, artifact]).encode()
    for junk in draw(st.lists(st.sampled_from([".DS_Store", "plot.png", "essay.pdf"]), max_size=2, unique=True)):
        files[junk] = f"{says} {junk}".encode()
    folder = draw(st.sampled_from(["", "", "homework/", "my work/lab/"]))
    files = {f"{folder}{path}": data for path, data in files.items()}
    time = datetime(2026, 11, 20, 10) + timedelta(hours=attempt)
    packing = draw(st.sampled_from(["", "", "zip", "tar.gz"]))
    if packing:
        data = zipped(files, time.timetuple()[:6]) if packing == "zip" else tarred(files)
        files = {f"work.{packing}": data}
    term.times |= dict.fromkeys(files.values(), time)
    return Work(person, assignment, HandIn(who, attempt, files), wanted)
