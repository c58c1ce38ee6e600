"""Tests of the roster: the student ids, and the table that keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest
from exports import PHASE, SECOND, collected, laid_out, made_course, notebooks, packed, rows, there
from hypothesis import given, settings
from hypothesis import strategies as st
from nbgrader.converters.base import BaseConverter
from nbgrader.coursedir import CourseDirectory

from autograder.course import Course
from autograder.intake.collect import collect
from autograder.intake.enrol import enrol, told
from autograder.intake.ids import MAX_ID, student_id
from autograder.intake.report import table
from autograder.intake.source import CollectError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


def test_two_learners_of_one_name_get_their_numbers(root: Path) -> None:
    files = {f"Li Lei_{n}_assignsubmission_file_/{PHASE}.ipynb": str(n) for n in (8, 5)}
    collected(root, files)
    assert notebooks(root) == {f"li-lei-5/{PHASE}/{PHASE}": "5", f"li-lei-8/{PHASE}/{PHASE}": "8"}


def test_moodles_number_is_new_in_each_assignment_and_the_learner_is_the_same(root: Path) -> None:
    collected(root, {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"})
    collected(root, {"Ada_99_assignsubmission_file_/challenges.ipynb": "3"})
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "2", "ada/phase3_production/challenges": "3"}


def test_a_namesake_who_submits_later_is_another_person(root: Path) -> None:
    collected(root, {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "first"})
    collected(root, {f"Ada_12_assignsubmission_file_/{PHASE}.ipynb": "other"})
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "first", f"ada-12/{PHASE}/{PHASE}": "other"}
    both = {f"Ada_{n}_assignsubmission_file_/challenges.ipynb": str(n) for n in (31, 32)}
    collected(root, both)  # who is who can't be known, so nobody's work is mixed up
    assert {f"ada-{n}/phase3_production/challenges" for n in (31, 32)} <= set(notebooks(root))


def test_participants_of_blind_marking_are_never_taken_for_one(root: Path) -> None:
    collected(root, {f"Participant_1_assignsubmission_file_/{PHASE}.ipynb": "2"})
    collected(root, {"Participant_2_assignsubmission_file_/challenges.ipynb": "3"})
    assert len({name.split("/")[0] for name in notebooks(root)}) == 2


def test_canvas_numbers_tell_learners_apart_and_stay(root: Path) -> None:
    collected(root, {f"liwei_7_1_{PHASE}.ipynb": "7", f"liwei_8_2_{PHASE}.ipynb": "8"})
    collected(root, {"liwei_8_3_challenges.ipynb": "8"})
    assert notebooks(root) == {
        f"liwei-7/{PHASE}/{PHASE}": "7",
        f"liwei-8/{PHASE}/{PHASE}": "8",
        "liwei-8/phase3_production/challenges": "8",
    }


def test_a_number_that_stays_is_the_same_person_under_a_new_name(root: Path) -> None:
    collected(root, {f"lovelaceada_7_1_{PHASE}.ipynb": "before"})
    collected(root, {f"kingada_7_2_{PHASE}.ipynb": "after"}, SECOND)
    assert notebooks(root) == {f"lovelaceada/{PHASE}/{PHASE}": "after"}


def test_names_that_give_the_same_id_stay_apart(root: Path, tmp_path: Path) -> None:
    names = ["Ada B", "ada b", "ada-b", "ADA-B", "ada+b", "😀", "🎉", "student"]
    source = packed(tmp_path / "1.zip", {f"{name}/{PHASE}.ipynb": name for name in names})
    collect(root, source)
    first = notebooks(root)
    assert sorted(first.values()) == sorted(names)
    assert len({name.casefold() for name in first}) == len(names)
    collect(root, source)
    assert notebooks(root) == first


def test_a_folder_named_by_a_known_id_is_that_learner(root: Path, tmp_path: Path) -> None:
    collected(root, {f"Ada Lovelace_11_assignsubmission_file_/{PHASE}.ipynb": "2"})
    collect(root, laid_out(tmp_path / "loose", {"ada-lovelace/challenges.ipynb": "3"}))
    assert notebooks(root) == {f"ada-lovelace/{PHASE}/{PHASE}": "2", "ada-lovelace/phase3_production/challenges": "3"}


def test_a_stranger_never_gets_a_folder_that_is_there(root: Path) -> None:
    laid_out(root / "submitted", {f"ada/{PHASE}/{PHASE}.ipynb": "came by another way"})
    collected(root, {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"})
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "came by another way", f"ada-11/{PHASE}/{PHASE}": "2"}


ODD = [
    " a",
    ".a",
    "a b",
    "a/b",
    "a*b",
    "a?",
    "a[1]b",
    "a\nb",
    "a+b",
    "a,b",
    "{a}",
    "..",
    "",
    "李雷",
    "हिन्दी",
    "Zoë",
    "a" * 300,
]


def test_nbgrader_reads_back_every_id_that_is_made(tmp_path: Path) -> None:
    ids = {student_id(name) for name in ODD}
    for made in ids:
        laid_out(tmp_path, {f"submitted/{made}/lab/lab.ipynb": "{}"})
    course = Course(tmp_path)
    assert course.api.get_submitted_students("lab") == ids
    for made in ids:
        folders = course.api.coursedir
        assert isinstance(folders, CourseDirectory)
        folders.student_id, folders.assignment_id = made, "lab"
        converter = _Converter(coursedir=folders)
        converter.init_notebooks()
        ((notebook,),) = converter.assignments.values()
        assert converter.init_single_notebook_resources(notebook)["nbgrader"]["student"] == made


class _Converter(BaseConverter):
    _input_directory = "submitted"  # pyright: ignore[reportAssignmentType]  # nbgrader's own are properties
    preprocessors = ()


@settings(max_examples=300)
@given(st.text())
def test_any_name_gives_an_id_that_is_a_plain_folder_name(name: str) -> None:
    made = student_id(name)
    assert made == student_id(made) or len(made) >= MAX_ID - 2
    assert not set(made) & set(" /\\*?[]+,:\n\0")
    assert not made.startswith(("-", "."))
    assert 0 < len(made.encode()) <= 240
    assert made.isprintable()


def test_a_table_of_students_that_was_damaged_is_an_error_and_not_overwritten(root: Path, tmp_path: Path) -> None:
    source = laid_out(tmp_path / "loose", {f"ada/{PHASE}.ipynb": "x"})
    collect(root, source)
    path = root / "submitted" / "students.csv"
    for damaged in ("", "student;name\n", path.read_text() + "bob,Bob\n"):
        path.write_text(damaged)
        with pytest.raises(CollectError, match="repair it or move it away"):
            collect(root, source)
        assert path.read_text() == damaged


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''@a"])
def test_no_name_is_a_formula_in_the_table_of_students_and_all_are_known_again(root: Path, name: str) -> None:
    files = {f"{name}_11_assignsubmission_file_/{PHASE}.ipynb": "x"}
    [first] = collected(root, files).files
    [row] = rows(root)
    assert not [text for text in row.values() if text.startswith(("=", "+", "-", "@"))]
    assert row["name"].endswith(name)
    [again] = collected(root, files).files
    assert (again.student, again.outcome) == (first.student, "there already")
    assert rows(root) == [row]


@pytest.mark.parametrize("name", ["students.csv", "collected.csv", "Collected.CSV"])
def test_no_student_id_is_a_name_of_a_table(root: Path, name: str) -> None:
    report = collected(root, {f"{name}/{PHASE}.ipynb": "one", f"ada/{PHASE}.ipynb": "two"})
    assert sorted(there(root).values()) == ["one", "two"]
    assert all(c.taken for c in report.files)
    assert rows(root, "collected.csv")


@pytest.mark.parametrize(
    "files",
    [
        ["Ines Lang/phase2_techniques.ipynb", "Ines Lang/challenges.ipynb"],
        ["ada/phase2_techniques/phase2_techniques.ipynb", "ada/phase3_production/challenges.ipynb"],
        ["Yuki_5_assignsubmission_file_/phase2_techniques.ipynb", "Yuki_5_assignsubmission_file_/challenges.ipynb"],
        ["satoyuki_2027_1_phase2_techniques.ipynb", "satoyuki_2027_2_challenges.ipynb"],
    ],
)
def test_a_person_with_several_assignments_at_once_is_one_student(root: Path, files: list[str]) -> None:
    report = collected(root, {**dict.fromkeys(files, "x"), files[0].replace("phase2_techniques.ipynb", "y.csv"): "z"})
    assert len({c.student for c in report.files if c.taken}) == 1
    collected(root, dict.fromkeys(files[:1], "newer"), SECOND)
    assert len({path.partition("/")[0] for path in there(root)}) == 1


def test_a_folder_with_the_name_of_one_known_learner_is_theirs(root: Path) -> None:
    """So an instructor corrects a single submission; of two of one name it is nobody's."""
    moodle = "{}_assignsubmission_file_/{}.ipynb"
    collected(root, {moodle.format("Chen Wei_1", PHASE): "a", moodle.format("Sam_2", PHASE): "b"})
    collected(root, {moodle.format("Sam_3", PHASE): "c", f"{moodle.format('Sam_2', PHASE)}": "b"})
    collected(root, {f"Chen Wei/{PHASE}.ipynb": "right", f"Sam/{PHASE}.ipynb": "whose?"}, SECOND)
    found = there(root)
    assert found[f"chen-wei/{PHASE}/{PHASE}.ipynb"] == "right"
    assert "whose?" in found.values()
    assert {"b", "c"} <= set(found.values())


@pytest.mark.parametrize("name", ["Ada Lovelace_11_assignsubmission_file_/{}", "lovelaceada_LATE_11_1_{}"])
@pytest.mark.parametrize("first", [f"{PHASE}.ipynb", "essay.pdf"])
def test_a_learner_corrected_in_a_folder_stays_known_to_the_platform(root: Path, name: str, first: str) -> None:
    collected(root, {name.format(first): "old", name.format("notes.pdf"): ""}, assignment=PHASE)
    (before,) = {row["student"]: row for row in rows(root)}.values()
    collected(root, {f"{before['student']}/{PHASE}.ipynb": "right"}, SECOND)
    (after,) = rows(root)
    same = ("student", "name", "system", "number")
    assert [after[column] for column in same] == [before[column] for column in same]
    assert after["late"] == ("Canvas" if "LATE" in name and "ipynb" in first else "")
    assert there(root) == {f"{before['student']}/{PHASE}/{PHASE}.ipynb": "right"}


def test_loose_versions_are_one_persons(root: Path) -> None:
    report = collected(root, {f"{PHASE}_ada.ipynb": "old", f"{PHASE}_ada_v2.ipynb": "new"})
    assert {c.student for c in report.files} == {"ada"}


def test_a_submission_collected_before_the_list_is_named_with_the_command_that_gives_it_to_its_learner(
    root: Path, tmp_path: Path
) -> None:
    export = {f"schmidtanna_12349_678910_{PHASE}.ipynb": "x", f"berg_12351_678911_{PHASE}.ipynb": "y"}
    collected(root, export)
    (tmp_path / "names.csv").write_text("name,e-mail\nAnna Schmidt,anna@x.y\nAnna M Schmidt,am@x.y\n", encoding="utf-8")
    enrol(root, tmp_path / "names.csv")
    gradebook = "Student,ID,SIS User ID,SIS Login ID,Section,Lab (3)\n"
    gradebook += '"Schmidt, Anna",12350,M1,anna@x.y,A,\n"Schmidt, Anna M",12349,M2,am@x.y,A,\n'
    (tmp_path / "gradebook.csv").write_text(gradebook, encoding="utf-8")
    command = "make rename OLD=schmidtanna NEW=anna-m-schmidt"
    said = told(enrol(root, tmp_path / "gradebook.csv")).splitlines()
    assert [line for line in said if "make rename" in line] == [
        f"schmidtanna has the number or the name of anna-m-schmidt on the class list: {command}"
    ]
    shown = table(collected(root, export))
    assert "Not on the class list: berg, schmidtanna\n" in shown
    assert shown.count("make rename") == shown.count(command) == 1


def test_a_folder_whose_name_is_nearly_an_id_is_asked_about(root: Path) -> None:
    (root / "roster.csv").write_text("id,first_name,last_name\nada-lovelace,Ada,Lovelace\n", encoding="utf-8")
    shown = table(collected(root, {f"ada-lovelac/{PHASE}.ipynb": "x", f"max/{PHASE}.ipynb": "y"}))
    asked = "ada-lovelac is not on the class list: did you mean ada-lovelace?"
    assert f"{asked} Then make rename OLD=ada-lovelac NEW=ada-lovelace" in shown.splitlines()
    assert shown.count("did you mean") == 1


@pytest.mark.parametrize("ids", [("sam-1",), ("sam-1", "sam-2")])
def test_submissions_of_two_people_of_one_name_stay_apart_and_both_are_named(root: Path, ids: tuple[str, ...]) -> None:
    people = "".join(f"{id},Sam,Smith\n" for id in ids)
    (root / "roster.csv").write_text(f"id,first_name,last_name\n{people}", encoding="utf-8")
    export = {f"smithsam_{number}_67891{number}_{PHASE}.ipynb": number for number in ("101", "102")}
    shown = table(collected(root, export))
    for number in ("101", "102"):
        assert (root / "submitted" / f"smithsam-{number}" / PHASE / f"{PHASE}.ipynb").read_text() == number
    assert f"smithsam-101 and smithsam-102 have the name of {' and '.join(ids)} on the class list" in shown
    assert f"make rename OLD=smithsam-101 or smithsam-102 NEW={' or '.join(ids)}" in shown
