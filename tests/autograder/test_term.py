"""A term's way back: what Moodle and Canvas get, what is late and what that costs, groups, and nobody is missed."""

from __future__ import annotations

import csv
import hashlib
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from exports import laid_out
from graded import CHECKS, NOTEBOOK, PHASE, Graded
from nbgrader.apps import ExportApp
from term import LATE, MISSING, WRONG, Class
from test_feedback import Page
from traitlets.utils.importstring import import_item

from autograder.__main__ import main
from autograder.course import CourseError
from autograder.grading.grade import Submission
from autograder.grading.settle import settle
from autograder.grading.verdicts import Grading, Review, write_grading
from autograder.intake.class_list import ClassList
from autograder.intake.collect import collect
from autograder.intake.enrol import enrol
from autograder.reports.closing import closing
from autograder.reports.export import export_all
from autograder.term import Policy, read_term

FILE = f"{NOTEBOOK}.ipynb"


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
        """Changes with any notebook that is run."""
        files = sorted((self.root / "autograded").rglob("*.ipynb"))
        return hashlib.sha256(
            b"".join(path.read_bytes() + str(path.stat().st_mtime_ns).encode() for path in files)
        ).hexdigest()


def csv_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def moodle(tmp_path_factory: pytest.TempPathFactory) -> Term:
    return Term(tmp_path_factory.mktemp("moodle"), "Moodle")


@pytest.fixture(scope="module")
def canvas(tmp_path_factory: pytest.TempPathFactory) -> Term:
    return Term(tmp_path_factory.mktemp("canvas"), "Canvas")


@pytest.fixture(params=["Moodle", "Canvas"])
def term(request: pytest.FixtureRequest) -> Iterator[Term]:
    found: Term = request.getfixturevalue(request.param.lower())
    yield found
    (found.root / "term.toml").unlink(missing_ok=True)


def test_everybody_is_accounted_for_in_every_table(term: Term) -> None:
    term.export()
    for name, column in ((PHASE, "status"), ("term", f"{PHASE} status")):
        rows = term.table(name)
        assert len(rows) == 25
        odd = {student: row[column] for student, row in rows.items() if row[column] != "graded"}
        assert odd == {term.who(MISSING): "nothing handed in", term.who(WRONG): "refused"}
    ada = term.table()["ada-lovelace"]
    assert (ada["name"], ada["total"], ada["number"]) == ("Ada Lovelace", "2.5", "500")
    registrar = term.table("term")["ada-lovelace"]
    assert (registrar["last_name"], registrar["first_name"], registrar["total"]) == ("Lovelace", "Ada", "2.5")
    with term.made.course.gradebook() as gradebook:
        assert str(gradebook.find_student("ada-lovelace").last_name) == "Lovelace"
    page = Page(term.root / "feedback" / "ada-lovelace" / PHASE / f"{NOTEBOOK}.html")
    assert "Ada Lovelace, ada-lovelace" in page.words


def test_moodles_worksheet_comes_back_as_it_was_with_the_points(moodle: Term) -> None:
    told = moodle.export()
    before, after = (
        csv_of(moodle.root / "lms" / f"{PHASE}-moodle.csv"),
        csv_of(moodle.root / "grades" / f"{PHASE}-moodle.csv"),
    )
    assert list(before[0]) == list(after[0])
    ours = {"Grade", "Feedback comments"}
    for was, now in zip(before, after, strict=True):
        assert {k: v for k, v in was.items() if k not in ours} == {k: v for k, v in now.items() if k not in ours}
    grades = [row["Grade"] for row in after]
    assert grades[0] == "55.56"  # 2.5 of 4.5, of Moodle's 100
    assert "Moodle's maximum for tiny is 100, here it is 4.5: the points were scaled." in told
    assert (grades[MISSING], grades[WRONG]) == ("", "")
    assert after[0]["Feedback comments"].startswith("2.5 of 4.5 points.")
    assert after[WRONG]["Feedback comments"] == "This could not be graded: No notebook."
    assert after[MISSING]["Feedback comments"] == ""


def test_moodles_zip_holds_a_page_for_each_who_handed_in_as_moodle_reads_it(moodle: Term) -> None:
    """By Moodle's rule: the second part between "_" is the number, the third and fourth a plugin that is there."""
    moodle.export()
    with zipfile.ZipFile(moodle.root / "grades" / f"{PHASE}-moodle-feedback.zip") as archive:
        names = archive.namelist()
    parts = [name.split("/")[0].split("_", 4) for name in names]
    assert sorted(int(part[1]) for part in parts) == [500 + n for n in range(25) if n != MISSING]
    assert {tuple(part[2:]) for part in parts} == {("assignsubmission", "file", "")}
    assert {name.split("/", 1)[1] for name in names} == {f"{NOTEBOOK}.html"}


def test_moodles_own_export_and_zip_are_collected_again_with_nothing_changed(moodle: Term, tmp_path: Path) -> None:
    export = tmp_path / "export.zip"
    export.write_bytes(moodle.people.moodle())
    report = collect(moodle.root, export)
    assert {c.outcome.split(";")[0] for c in report.files if c.taken} == {"there already"}
    assert report.unlisted == ()


def test_canvass_gradebook_has_its_own_columns_and_the_points(canvas: Term) -> None:
    told = canvas.export()
    rows = list(csv.reader((canvas.root / "grades" / "canvas.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Tiny (77)"]
    assert rows[1] == ["    Points Possible", "", "", "", "", "10"]
    points = {row[1]: row[5] for row in rows[2:]}
    assert points["500"] == "5.56"  # of Canvas's 10
    assert [number for number, text in points.items() if not text] == [str(500 + WRONG), str(500 + MISSING), "999"]
    assert "Canvas's maximum for tiny is 10, here it is 4.5: the points were scaled." in told
    assert not (canvas.root / "grades" / f"{PHASE}-moodle.csv").exists()


def test_canvass_zip_has_the_numbers_by_which_canvas_finds_the_submission(canvas: Term) -> None:
    """The first two parts between "_" that are numbers: the learner, and a file of that learner's submission."""
    canvas.export()
    with zipfile.ZipFile(canvas.root / "grades" / f"{PHASE}-canvas-feedback.zip") as archive:
        names = archive.namelist()
    found = [[part for part in name.split("_") if part.isdecimal()][:2] for name in names]
    assert sorted(int(user) for user, _ in found) == [500 + n for n in range(25) if n != MISSING]
    handed_in = {row["file"] for row in csv_of(canvas.root / "submitted" / "collected.csv")}
    assert all(any(f"{user}_{file}_" in name for name in handed_in) for user, file in found)
    assert dict(found)[str(500 + 24)] == "4000", "the newest attempt's"


def test_a_column_that_canvas_calls_otherwise_is_asked_for(canvas: Term, tmp_path: Path) -> None:
    path = canvas.root / "lms" / "canvas.csv"
    before = path.read_bytes()
    path.write_text(canvas.people.gradebook("Homework"), encoding="utf-8")
    try:
        assert any(
            'under [tiny], canvas = "..." with one of: Homework (77), Another (78)' in t for t in canvas.export()
        )
        canvas.say('[tiny]\ncanvas = "Homework"\n')
        canvas.export()
        assert "Homework (77)" in (canvas.root / "grades" / "canvas.csv").read_text(encoding="utf-8")
    finally:
        path.write_bytes(before)
        (canvas.root / "term.toml").unlink()


def test_dates_extensions_and_penalties_show_in_the_next_export_and_nothing_runs(moodle: Term) -> None:
    late, ran = moodle.who(LATE), moodle.ran()
    moodle.export()
    assert moodle.table()[late]["total"] == "2.5"

    moodle.say('late = "10% per day"\n[tiny]\ndue = "2026-11-20 12:00"\n')
    moodle.export()
    row = moodle.table()[late]
    assert (row["total"], row["late_penalty"], row["seconds_late"]) == ("2.05", "0.45", str(21 * 3600))
    assert row["submitted"] == "2026-11-21 09:00:00 UTC"
    assert sum(row["late_penalty"] not in ("", "0") for row in moodle.table().values()) == 1
    page = moodle.root / "feedback" / late / PHASE / f"{NOTEBOOK}.html"
    assert "after 0.45 taken off for handing in late" in Page(page).words
    worksheet = {row["Identifier"]: row for row in csv_of(moodle.root / "grades" / f"{PHASE}-moodle.csv")}
    assert worksheet[f"Participant {500 + LATE}"]["Feedback comments"].startswith(
        "2.05 of 4.5 points, after 0.45 taken off"
    )

    moodle.say('[tiny]\ndue = "2026-11-20 12:00"\nlate = "cut-off"\n')
    moodle.export()
    assert moodle.table()[late]["total"] == "0"

    moodle.say(f'[tiny]\ndue = "2026-11-20 12:00"\nlate = "cut-off"\n[tiny.extensions]\n{late} = "2026-11-27"\n')
    moodle.export()
    row = moodle.table()[late]
    assert (row["total"], row["late_penalty"], row["seconds_late"]) == ("2.5", "0", "0")
    assert "taken off" not in Page(page).words

    moodle.say('timezone = "Asia/Tokyo"\n[tiny]\ndue = "2026-11-21 12:00"\nlate = "cut-off"\n')
    moodle.export()
    assert moodle.table()[late]["late_penalty"] == "0", "Moodle's times are of the term's zone, too"
    assert moodle.table()[late]["submitted"] == "2026-11-21 00:00:00 UTC"

    (moodle.root / "term.toml").unlink()
    assert moodle.ran() == ran


def test_what_canvas_says_of_lateness_is_kept_and_no_penalty_is_guessed(canvas: Term) -> None:
    canvas.say('[tiny]\ndue = "2020-01-01"\nlate = "cut-off"\n')  # before the files' own times
    canvas.export()
    row = canvas.table()["kim-lee"]
    assert (row["late_says"], row["submitted"], row["total"]) == ("Canvas", "", "2.5")
    done = [Submission("kim-lee", PHASE, "", 2.5, 4.5)]
    assert "late, nobody knows how much: write handed_in in term.toml (1): kim-lee" in closing(canvas.made.course, done)
    canvas.say('[tiny]\ndue = "2026-11-20"\nlate = "10% per day"\n[tiny.handed_in]\nkim-lee = "2026-11-22 08:00"\n')
    canvas.export()
    assert canvas.table()["kim-lee"]["late_penalty"] == "0.9"
    (canvas.root / "term.toml").unlink()


def test_the_end_of_grading_says_what_is_left_to_do(moodle: Term) -> None:
    flagged = moodle.made.course.folder("autograded", PHASE, "ada-lovelace")
    write_grading(flagged, Grading("k", (Review(NOTEBOOK, "double", "It patched torch."),)))
    notebook = moodle.made.course.folder("autograded", PHASE, "lars-berg") / FILE
    with moodle.made.course.gradebook() as gradebook:
        for check in CHECKS:
            gradebook.find_grade(check, NOTEBOOK, PHASE, "lars-berg").auto_score = 0  # pyright: ignore[reportAttributeAccessIssue]  # nbgrader's columns have no types
        gradebook.db.commit()
    notebook.write_text(notebook.read_text().replace('"cells": [', '"ename": "CellTimeoutError", "cells": [', 1))
    moodle.made.add("mary")
    done = [Submission("ada-lovelace", PHASE, "", 2.5, 4.5, (Review("", "double", "It patched torch."),))]
    done += [Submission(moodle.who(WRONG), PHASE, "No notebook.", refused=True)]
    text = closing(moodle.made.course, done)
    for line in (
        r"^ada-lovelace  tiny +2.5 of 4.5, flagged$",
        r"^tuğba-şahin  tiny +refused: No notebook.$",
        r"^1 graded, 1 refused, 0 failed, 1 flagged$",
        r"^tiny: 24 of 26 graded$",
        r"^  nothing handed in \(1\): ulla-berg$",
        r"^  refused \(1\): tuğba-şahin$",
        r"^  timed out \(1\): lars-berg$",
        r"^  flagged \(1\): ada-lovelace$",
        r"^  not on the class list \(1\): mary$",
        r"^  less than half of the points \(1\): lars-berg$",
        r"^next: make feedback, make export$",
    ):
        assert re.search(line, text, re.MULTILINE), (line, text)
    lost = [Submission(f"s{n}", PHASE, "no gradebook") for n in range(5)]
    text = closing(moodle.made.course, lost)
    assert text.count("no gradebook") == 1
    assert "5 of tiny  failed: no gradebook" in text
    assert text.endswith("next: see to what failed, and give the same command again")
    moodle.export()
    assert moodle.table()["mary"]["status"] == "graded, not on the class list"
    page = Page(moodle.root / "grades" / f"{PHASE}.html").words
    assert "Lars Berg (lars-berg) 0 of 4.5" in page


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("due = 1", "has due outside of an assignment"),
        ("[tiny]\ndue = 2026-11-20 23:59", "texts and times stand in quotation marks"),
        ('[tiny]\ndue = "20.11.2026"', "due in [tiny] is '20.11.2026'; a time is \"2026-11-20 23:59\""),
        ('[tiny]\nlate = "a lot"', 'it may be "none", "10% per day" or "cut-off"'),
        ('[tiny]\nlate = "200% per day"', "it may be"),
        ("[tiny]\ncolour = 1", "has colour in [tiny]: known there are due, late"),
        ('timezone = "Mars"', 'it is a name such as "Europe/Berlin"'),
        ('[tiny.extensions]\nada = "2026-11-20"', "has extensions in [tiny], and no due date"),
        ('[tiny]\ndue = "2026-11-20"\nextensions = 3', "has to be a section of its own"),
        ('[tiny]\ndue = "2026-11-20"\n[tiny.extensions]\nada = "2026-11-19"', "ends before the due date"),
        ("[tinyy]\n", "which is no assignment: did you mean tiny?"),
        ('[tiny]\ndue = "2026-11-20"\n[tiny.extensions]\nada-lovelaec = "2026-11-21"', "did you mean ada-lovelace?"),
        ("[tiny]\ngroups = 1", "groups true or false"),
    ],
)
def test_a_term_that_cant_be_understood_is_told_and_nothing_changes(moodle: Term, text: str, told: str) -> None:
    before = moodle.table() if (moodle.root / "grades").exists() else None
    moodle.say(text)
    try:
        with pytest.raises(CourseError) as caught:
            settle(moodle.made.course)
        assert told in str(caught.value)
        assert main(["export"], root=moodle.root) == 1
    finally:
        (moodle.root / "term.toml").unlink()
    assert before is None or moodle.table() == before


def test_a_policy_takes_a_share_for_each_day_begun_and_never_more_than_there_is() -> None:
    day, policy = timedelta(days=1), Policy(per_day=0.25)
    lates = (timedelta(0), timedelta(seconds=1), day, day + timedelta(seconds=1), 9 * day)
    assert [policy.penalty(7, 8, late) for late in lates] == [0, 2, 2, 4, 7]
    assert Policy(cut_off=True).penalty(7, 8, timedelta(seconds=1)) == 7
    assert Policy().penalty(7, 8, 9 * day) == 0


def test_a_day_alone_is_its_end_and_a_time_is_of_the_terms_zone(tmp_path: Path) -> None:
    (tmp_path / "term.toml").write_text(
        'timezone = "Europe/Berlin"\n[a]\ndue = "2026-11-20"\n[b]\ndue = 2026-11-20T12:00:00\n'
    )
    term = read_term(tmp_path)
    assert (term.of("a").due, term.of("b").due) == (datetime(2026, 11, 20, 22, 59, 59), datetime(2026, 11, 20, 11))


def test_a_group_hands_in_once_and_each_gets_the_points_and_the_page(tmp_path: Path) -> None:
    made = Graded(tmp_path)
    lines = ["id,first_name,last_name,group", "ada,Ada,L,Team 1", "bob,Bob,M,Team 1", "eve,Eve,N,team 1", "zoe,Zoe,O,"]
    (made.root / "roster.csv").write_text("\n".join(lines), encoding="utf-8")
    laid_out(made.root, {f"submitted/{who}/{PHASE}/{FILE}": "{}" for who in ("bob", "zoe")})
    for who in ("bob", "zoe"):
        write_grading(made.add(who, {"double_basics": 0}), Grading(f"key of {who}"))
    (made.root / "term.toml").write_text("[tiny]\ngroups = true\n")
    export_all(made.course)

    def totals() -> dict[str, tuple[str, str]]:
        return {row["student"]: (row["total"], row["status"]) for row in csv_of(made.root / "grades" / f"{PHASE}.csv")}

    assert totals() == dict.fromkeys(("ada", "bob", "eve", "zoe"), ("2.5", "graded"))
    assert main(["feedback"], root=made.root) == 0
    assert (
        "bob handed this in for your group" in Page(made.root / "feedback" / "ada" / PHASE / f"{NOTEBOOK}.html").words
    )
    with made.course.gradebook() as gradebook:
        for student, points in (("bob", 1.0), ("eve", 0.0)):
            grade = gradebook.find_grade("double_basics", NOTEBOOK, PHASE, student)
            grade.manual_score = points  # pyright: ignore[reportAttributeAccessIssue]  # nbgrader's columns have no types
        gradebook.db.commit()
    export_all(made.course)
    assert {who: total for who, (total, _) in totals().items()} == {
        "ada": "3.5",
        "bob": "3.5",
        "eve": "2.5",
        "zoe": "2.5",
    }

    (made.root / "term.toml").write_text("")
    export_all(made.course)
    assert totals()["ada"] == ("", "nothing handed in"), "no group any more"


@pytest.mark.parametrize(
    ("exporter", "files"),
    [
        ("MoodleExport", {f"{PHASE}-moodle.csv", f"{PHASE}-moodle-feedback.zip"}),
        ("TermExport", {"term.csv"}),
    ],
)
def test_nbgraders_own_export_writes_the_same(moodle: Term, exporter: str, files: set[str]) -> None:
    moodle.export()
    folder = moodle.root / "grades"
    before = {name: (folder / name).read_bytes() for name in files}
    for name in files:
        (folder / name).unlink()
    app = ExportApp()
    app.coursedir = moodle.made.course.api.coursedir
    plugin = import_item(f"autograder.reports.exporters.{exporter}")(parent=app)
    with moodle.made.course.gradebook() as gradebook:
        plugin.export(gradebook)
    assert {name: (folder / name).read_bytes() for name in files} == before
