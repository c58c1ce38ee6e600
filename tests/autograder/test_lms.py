"""Tests of the exports for Moodle and Canvas, by these platforms' own rules for imports."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest
from exports import LAST, collected, made_course
from exports import PHASE as SECOND_PHASE
from graded import NOTEBOOK, PHASE
from nbgrader.apps import ExportApp
from term import FILE, MISSING, WRONG, Class, Term, csv_of
from traitlets.utils.importstring import import_item

from autograder.grading.verdicts import Grading
from autograder.intake.class_list import Learner
from autograder.intake.collect import collect
from autograder.intake.tables import read_table
from autograder.reports.canvas import _unknown, uploads
from autograder.reports.summary import Row, Summary
from autograder.reports.term_table import write_term


@pytest.fixture(scope="module")
def moodle(tmp_path_factory: pytest.TempPathFactory) -> Term:
    return Term(tmp_path_factory.mktemp("moodle"), "Moodle")


@pytest.fixture(scope="module")
def canvas(tmp_path_factory: pytest.TempPathFactory) -> Term:
    return Term(tmp_path_factory.mktemp("canvas"), "Canvas")


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


def test_a_worksheet_of_another_assignment_is_filled_in_for_nobody_and_all_else_is_written(moodle: Term) -> None:
    kept, written = (moodle.root / folder / f"{PHASE}-moodle.csv" for folder in ("lms", "grades"))
    before = kept.read_bytes()
    kept.write_text(Class(FILE, lambda n: b"", first=900).worksheet(), encoding="utf-8")
    try:
        told = moodle.export()
        assert any("kept is of another assignment" in text for text in told)
        assert not written.exists()
        assert (moodle.root / "grades" / "term.csv").is_file()
    finally:
        kept.write_bytes(before)
    moodle.export()
    assert written.is_file()


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


def test_a_line_of_canvas_that_nobody_has_by_number_is_told_with_whose_it_may_be(tmp_path: Path) -> None:
    lines = ['"Smith, Sam",101,,,A,', '"Smith, Sam",102,,,A,', '"Lovelace, Ada",103,,,A,', '"Nobody, Else",104,,,A,']
    text = "Student,ID,SIS User ID,SIS Login ID,Section,Tiny (77)\n    Points Possible,,,,,10\n" + "\n".join(lines)
    (tmp_path / "canvas.csv").write_text(text, encoding="utf-8")
    learners = [Learner("sam-1", "Sam", "Smith"), Learner("sam-2", "Sam", "Smith", canvas="102")]
    told = _unknown(read_table(tmp_path / "canvas.csv"), [*learners, Learner("ada", "Ada", "Lovelace", canvas="103")])
    assert len(told) == 1
    assert "since it may be sam-1: write 101 into the column canvas" in told[0]


def test_who_is_graded_and_not_in_canvass_gradebook_is_named(canvas: Term) -> None:
    assert not any("Graded, but not in" in line for line in canvas.export())
    canvas.made.add("eve-stranger")
    assert "Graded, but not in Canvas's gradebook: eve-stranger" in canvas.export()


def test_a_file_that_is_refused_on_canvas_gives_a_page_of_its_own_assignment_alone(tmp_path: Path) -> None:
    root = made_course(tmp_path / "course")
    (root / "roster.csv").write_text("id,first_name,last_name,canvas\nada,Ada,L,501\nbob,Bob,M,502\n", encoding="utf-8")
    collected(root, {f"Ada L_7_assignsubmission_file_/{SECOND_PHASE}.ipynb": "ada"})
    collected(root, {"lada_501_9001_report.docx": "no notebook", "mbob_502_9002_challenges.ipynb": "bob"})
    of = {name: Summary(name, 1.0, {}, {}, [Row("ada", Grading(), name)]) for name in (SECOND_PHASE, LAST)}
    assert uploads(root, of[SECOND_PHASE]) == {}
    assert uploads(root, of[LAST])["ada", ""] == "lada_501_9001"


def test_the_registrars_points_are_rounded_as_the_platforms_are(tmp_path: Path) -> None:
    rows = [Row("ada", Grading(), name, total=19.44186047) for name in ("one", "two")]
    write_term(tmp_path, [Summary(row.assignment, 43.0, {}, {}, [row]) for row in rows])
    (ada,) = csv_of(tmp_path / "grades" / "term.csv")
    assert (ada["one"], ada["two"], ada["total"]) == ("19.44", "19.44", "38.88")


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


def test_a_gradebook_with_semicolons_and_decimal_commas_is_scaled_as_any(canvas: Term) -> None:
    """Canvas's own setting for countries that write 10,5."""
    path = canvas.root / "lms" / "canvas.csv"
    before = path.read_bytes()
    rows = csv.reader(canvas.people.gradebook("Tiny").replace(",10,5,", ',"10,00","5,00",').splitlines())
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    try:
        assert "Canvas's maximum for tiny is 10, here it is 4.5: the points were scaled." in canvas.export()
        assert "5.56" in (canvas.root / "grades" / "canvas.csv").read_text(encoding="utf-8")
    finally:
        path.write_bytes(before)


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
