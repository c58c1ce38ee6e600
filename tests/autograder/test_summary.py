"""Tests of the class summary: the CSV for records, and the page on the class and its open tasks."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from graded import CHECKS, NOTEBOOK, PHASE, Graded
from sqlalchemy import event
from sqlalchemy.engine import Engine
from test_feedback import EVIL, Page

from autograder.course import CourseError
from autograder.files import write_whole
from autograder.grading.verdicts import Grading, Review, write_grading
from autograder.intake.source import CollectError
from autograder.reports.export import export
from autograder.reports.summary import summarise

NONE = dict.fromkeys(CHECKS, 0.0)


@pytest.fixture
def graded(tmp_path: Path) -> Graded:
    return Graded(tmp_path)


def write_class(graded: Graded) -> None:
    """ada and bob got points, carl did nothing right and is flagged, dora was refused, eve handed nothing in."""
    graded.add("bob", {"double_basics": 0}, {"double_basics": "Twice -3 is -6; yours is 4 (seed 17)."})
    graded.add("ada")
    other = {"double_basics": "Twice -3 is -6; yours is 5 (seed 3).", "half_basics": "Half of 2 is 1.\nx y\n1 2"}
    folder = graded.add("carl", NONE, {**other, "double_text": "Not text."})
    reviews = (Review(NOTEBOOK, "half_basics", "It patched torch."), Review(NOTEBOOK, "", "It read a file."))
    write_grading(folder, Grading("k", reviews, ("A test cell was put back.",)))
    write_grading(graded.course.folder("autograded", PHASE, "dora"), Grading("k", refused="It is a link."))
    with graded.course.gradebook() as gradebook:
        gradebook.add_student("eve")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_has_one_row_a_student(graded: Graded) -> None:
    write_class(graded)
    table, page = export(graded.course, PHASE)
    assert [table, page] == [graded.root / "grades" / f"{PHASE}.csv", graded.root / "grades" / f"{PHASE}.html"]
    assert table.read_text(encoding="utf-8-sig").splitlines() == [
        "student,name,number,email,group,status,total,max,double,half,"
        "submitted,seconds_late,late_penalty,late_says,review,refused",
        "ada,,,,,graded,4.5,4.5,3,1.5,,0,0,,,",
        "bob,,,,,graded,2.5,4.5,1,1.5,,0,0,,,",
        'carl,,,,,"graded, flagged",0,4.5,0,0,,0,0,,half_basics: It patched torch.; sums: It read a file.,',
        "dora,,,,,refused,,4.5,,,,,,,,It is a link.",
        "eve,,,,,nothing handed in,,4.5,,,,,,,,",
    ]


def collected(graded: Graded, *lines: str) -> None:
    head = "student,name,system,number,assignment,file,attempt,entry,time"
    write_whole(graded.root / "submitted" / "students.csv", "\n".join([head, *lines]) + "\n")


def test_the_csv_has_the_names_of_the_hand_ins_and_no_number_of_a_platform(graded: Graded) -> None:
    """The column is the university's number, which the class list alone has."""
    graded.add("ada")
    graded.add("bob")
    graded.add("@eve")
    graded.add("by-hand")
    collected(
        graded,
        f'ada,"Lovelace, Ada",Moodle,123,{PHASE},{NOTEBOOK}.ipynb,,a.ipynb,',
        f'ada,"Lovelace, Ada",Moodle,456,another,{NOTEBOOK}.ipynb,,b.ipynb,',
        f"bob,Bob,Moodle,789,another,{NOTEBOOK}.ipynb,,c.ipynb,",
        f"'@eve,'=HYPERLINK(1),Canvas,'-1,{PHASE},{NOTEBOOK}.ipynb,,d.ipynb,",
    )
    rows = [list(row.values())[:3] for row in rows_of(export(graded.course, PHASE)[0])]
    assert rows == [
        ["'@eve", "'=HYPERLINK(1)", ""],
        ["ada", "Lovelace, Ada", ""],
        ["bob", "Bob", ""],
        ["by-hand", "", ""],
    ]


def test_a_spreadsheet_takes_the_csv_for_utf8(graded: Graded) -> None:
    graded.add("jürgen")
    assert export(graded.course, PHASE)[0].read_bytes().startswith(b"\xef\xbb\xbfstudent,")


@pytest.mark.parametrize(
    "text", ["student;name\nada;Ada\n", "student,name,number,assignment\nada\n", '"' + "x" * 200_000]
)
def test_a_table_of_students_that_cant_be_read_is_named(graded: Graded, text: str) -> None:
    write_whole(graded.root / "submitted" / "students.csv", text)
    with pytest.raises(CollectError, match=r"students\.csv .*repair it or move it away"):
        export(graded.course, PHASE)


def test_two_gradings_of_the_same_class_give_the_same_bytes(tmp_path: Path) -> None:
    tables, pages = set(), set()
    for order in (("ada", "bob", "zoë"), ("zoë", "bob", "ada")):
        (tmp_path / order[0]).mkdir()
        room = Graded(tmp_path / order[0])
        for student in order:
            room.add(student, {"double_text": 0} if student == "bob" else None, {"double_text": f"No, {student}."})
        for _ in range(2):
            table, page = export(room.course, PHASE)
            tables.add(table.read_bytes())
            pages.add(page.read_bytes())
    assert len(tables) == len(pages) == 1


def test_points_are_those_of_nbgraders_own_export(graded: Graded) -> None:
    """With points by hand, extra credit, an extension and a penalty for handing in late."""
    graded.add("ada", {"half_basics": 0})
    graded.add("bob")
    with graded.course.gradebook() as gradebook:
        grade: Any = gradebook.find_grade("half_basics", NOTEBOOK, PHASE, "ada")  # no column has a type
        grade.manual_score, grade.extra_credit = 1.25, 0.5
        for student in ("ada", "bob"):
            submission: Any = gradebook.find_submission(PHASE, student)
            submission.timestamp = datetime(2030, 1, 1, 0, 59)
        gradebook.db.commit()
    write_whole(
        graded.root / "term.toml",
        f'[{PHASE}]\ndue = "2030-01-01 00:00"\nlate = "10% per day"\n[{PHASE}.extensions]\nbob = "2030-01-01 01:00"\n',
    )
    rows = {row["student"]: row for row in rows_of(export(graded.course, PHASE)[0])}
    with graded.course.gradebook() as gradebook:
        for student, row in rows.items():
            submission: Any = gradebook.find_submission(PHASE, student)
            assert float(row["total"]) == submission.score - submission.late_submission_penalty
            assert float(row["max"]) == submission.max_score
            assert float(row["late_penalty"]) == submission.late_submission_penalty
            assert float(row["seconds_late"]) == submission.total_seconds_late
    assert rows["ada"]["total"] == "4.3"  # 3 + 1.25 + 0.5 - 0.45
    assert (rows["ada"]["half"], rows["ada"]["seconds_late"], rows["bob"]["seconds_late"]) == ("1.75", "3540", "0")


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1"])
def test_no_text_is_a_formula_to_a_spreadsheet(graded: Graded, start: str) -> None:
    folder = graded.add(start.strip())
    write_grading(folder, Grading("k", (Review("", "", f'{start}","2\nline'),), (), start))
    (row,) = rows_of(export(graded.course, PHASE)[0])
    for cell in (row["student"], row["review"], row["refused"]):
        assert cell.startswith("'" + start.strip())
        assert "\n" not in cell


def test_the_page_shows_the_class(graded: Graded) -> None:
    write_class(graded)
    page = Page(export(graded.course, PHASE)[1])
    text = page.words
    for line in ("graded 3", "mean 2.33", "median 2.5", "flagged for review 1", "refused 1", "nothing handed in 1"):
        assert line in text
    assert "carl half_basics: It patched torch. sums: It read a file." in text
    assert "dora It is a link." in text
    assert "carl A test cell was put back." in text
    assert "double: mean 1.33 of 3" in text
    assert "double_basics 2 33 % 0 2 students: Twice -3 is -6; yours is 4 (seed 17)." in text, (
        "grouped: they differ in numbers"
    )
    assert "half_basics 1.5 67 % 0 1 student: Half of 2 is 1. " in text, "a message's first line"
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert labels == [
        "Histogram of totals: 0 points: 1; 2 points: 1; 4 points: 1; ",
        "Points in double: 0 points: 1; 1 points: 1; 3 points: 1; ",
        "Points in half: 0 points: 1; 1 points: 2; ",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file names with < and >")
def test_the_page_is_offline_and_markup_in_it_is_only_text(graded: Graded) -> None:
    student = "<script>alert(0)<&>"
    folder = graded.add(student, NONE, dict.fromkeys(CHECKS, EVIL))
    write_grading(folder, Grading("k", (Review(NOTEBOOK, EVIL, EVIL),), (EVIL,)))
    write_grading(graded.course.folder("autograded", PHASE, "<b>"), Grading("k", refused=EVIL))
    page = Page(export(graded.course, PHASE)[1])
    assert {"script", "img", "iframe", "link", "b"}.isdisjoint(tag for tag, _ in page.tags)
    assert not any(name.startswith(("on", "src", "href")) for _, attributes in page.tags for name in attributes)
    assert page.text.count(EVIL) == 7  # a review's cell and reason, a note, a refusal, three messages


def test_a_check_shows_its_three_most_frequent_messages(graded: Graded) -> None:
    messages = ["One kind.", "Two kinds.", "Two kinds.", *["Three kinds."] * 3, *["Four kinds."] * 4]
    for number, message in enumerate(messages):
        graded.add(f"student{number}", {"double_text": 0}, {"double_text": message})
    text = Page(export(graded.course, PHASE)[1]).words
    assert re.findall(r"(\d) students: (\w+) kind", text) == [("4", "Four"), ("3", "Three"), ("2", "Two")]


def test_a_class_in_which_nobody_was_graded_is_no_error(graded: Graded) -> None:
    table, page = export(graded.course, PHASE)
    assert rows_of(table) == []
    assert "graded 0 mean 0" in Page(page).words


def test_all_assignments_or_one_and_an_unknown_one_is_an_error(graded: Graded) -> None:
    graded.add("ada")
    assert export(graded.course) == export(graded.course, PHASE)
    with pytest.raises(CourseError, match=f"In the gradebook: {PHASE}"):
        export(graded.course, "phase9")
    assert sorted(path.name for path in (graded.root / "grades").iterdir()) == [f"{PHASE}.csv", f"{PHASE}.html"]


def test_without_source_and_release_every_check_is_a_column(graded: Graded) -> None:
    graded.add("ada")
    for step in ("source", "release"):
        (graded.course.folder(step, PHASE) / f"{NOTEBOOK}.ipynb").unlink()
    (row,) = rows_of(export(graded.course, PHASE)[0])
    assert {check: float(row[check]) for check in CHECKS} == CHECKS


@pytest.fixture
def queries() -> Iterator[list[str]]:
    """The SQL statements sent while the test runs."""
    sent: list[str] = []

    def note(connection, cursor, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def test_a_larger_class_needs_no_more_queries(graded: Graded, queries: list[str]) -> None:
    counts = []
    for students in (2, 8):
        for number in range(students):
            graded.add(f"class{students}_{number}")
        queries.clear()
        assert len(summarise(graded.course, PHASE).rows) == students + (2 if students == 8 else 0)
        counts.append(len(queries))
    assert counts[0] == counts[1] > 0


def test_grades_are_not_in_git(repository: Path) -> None:
    assert "/grades/" in (repository / ".gitignore").read_text(encoding="utf-8").splitlines()
