"""Tests of each platform's exports: the owner of every file, and the platform."""

from __future__ import annotations

import struct
import tempfile
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest
from exports import (
    FIRST,
    PHASE,
    SECOND,
    UNKNOWN,
    collected,
    laid_out,
    made_course,
    notebooks,
    outcomes,
    packed,
    rows,
    there,
    zipped,
)
from layouts import LAYOUTS, HandIn, Learner
from nbgrader.utils import parse_utc

from autograder.__main__ import main
from autograder.intake.collect import collect
from autograder.intake.source import CollectError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


def of(student: str, notebook: str = PHASE) -> str:
    return f"{student}/{PHASE}/{notebook}"


# Moodle


def test_a_moodle_export_in_folders(root: Path) -> None:
    report = collected(
        root,
        {
            f"Ada Lovelace_123456_assignsubmission_file_/{PHASE}.ipynb": "ada",
            f"Анна Каренина_123457_assignsubmission_file/homework/{PHASE} (1).ipynb": "anna",
            "Ada Lovelace_123456_assignsubmission_file_/plot.png": "png",
            "Ada Lovelace_123456_assignsubmission_onlinetext_/onlinetext.html": "Hello",
        },
    )
    assert notebooks(root) == {of("ada-lovelace"): "ada", of("анна-каренина"): "anna"}
    assert (report.platform, report.people, len(report.files)) == ("Moodle", 2, 4)
    got = outcomes(report)
    assert got["Ada Lovelace_123456_assignsubmission_file_/plot.png"].startswith("set aside: no notebook")
    assert "typed into Moodle" in got["Ada Lovelace_123456_assignsubmission_onlinetext_/onlinetext.html"]
    assert [(row["student"], row["name"], row["number"]) for row in rows(root)] == [
        ("ada-lovelace", "Ada Lovelace", "123456"),
        ("анна-каренина", "Анна Каренина", "123457"),
    ]


def test_a_flat_moodle_export(root: Path) -> None:
    report = collected(
        root,
        {
            f"Ada Lovelace_1_assignsubmission_file_{PHASE}.ipynb": "ada",
            f"Bob_2_assignsubmission_file_{PHASE}_bob.ipynb": "bob",
            "Bob_2_assignsubmission_onlinetext_onlinetext.html": "Hello",
        },
    )
    assert notebooks(root) == {of("ada-lovelace"): "ada", of("bob"): "bob"}
    assert [c.kind for c in report.files] == ["taken", "taken", "set aside"]


@pytest.mark.parametrize("around", ["Lab 2", "moodle/Lab 2", "a/b/c/d"])
def test_an_unpacked_export_is_understood_like_its_zip(root: Path, tmp_path: Path, around: str) -> None:
    laid_out(tmp_path / "unpacked", {f"{around}/Ada L_7_assignsubmission_file_/{PHASE}.ipynb": "ada"})
    assert collect(root, tmp_path / "unpacked").platform == "Moodle"
    assert notebooks(root) == {of("ada-l"): "ada"}


def test_exports_of_two_assignments_side_by_side(root: Path) -> None:
    files = {
        f"Lab 2/Ada_7_assignsubmission_file_/{PHASE}.ipynb": "2",
        "Lab 3/Eve_8_assignsubmission_file_/challenges.ipynb": "3",
        "Lab 3/Bob_9_assignsubmission_file_/challenges.ipynb": "bob",
        "read me.txt": "?",
    }
    report = collected(root, files)
    assert report.platform == "Moodle"
    assert notebooks(root) == {
        of("ada"): "2",
        "eve/phase3_production/challenges": "3",
        "bob/phase3_production/challenges": "bob",
    }
    assert "--from" in outcomes(report)["read me.txt"]


def test_a_timestamp_among_the_files_that_a_learner_has_uploaded_does_not_count(root: Path) -> None:
    folder = "Ada_11_assignsubmission_file_"
    for name in ("timestamp.txt", f"{PHASE}/timestamp.txt"):
        collected(root, {f"{folder}/{PHASE}.ipynb": "x", f"{folder}/{name}": "2020-01-01 00:00:00 UTC"})
        time = parse_utc((root / "submitted" / "ada" / PHASE / "timestamp.txt").read_text())
        assert time == datetime(*FIRST).astimezone(UTC).replace(tzinfo=None)


# Canvas


def test_a_canvas_export_with_late_ones_and_resubmissions(root: Path) -> None:
    report = collected(
        root,
        {
            f"lovelaceada_12345_678910_{PHASE}.ipynb": "first",
            f"lovelaceada_12345_678999_{PHASE}-10.ipynb": "third",
            f"lovelaceada_12345_678950_{PHASE}-2.ipynb": "second",
            f"hoppergrace_LATE_12346_678911_{PHASE}-1.ipynb": "grace",
            f"anon_AbC12_678912_{PHASE}.ipynb": "anon",
            "noethery_12347_text.html": "Hello",
        },
    )
    assert notebooks(root) == {of("lovelaceada"): "third", of("hoppergrace"): "grace", of("anon_abc12"): "anon"}
    assert report.platform == "Canvas"
    got = outcomes(report)
    assert got[f"hoppergrace_LATE_12346_678911_{PHASE}-1.ipynb"] == f"taken; as {PHASE}.ipynb; late, says Canvas"
    assert got[f"lovelaceada_12345_678950_{PHASE}-2.ipynb"] == "set aside: older than the one that counts"
    assert "typed into Canvas" in got["noethery_12347_text.html"]
    assert len(report.files) == 6


# The others


def test_a_blackboard_export_with_each_attempt(root: Path) -> None:
    """User names may hold "_"; the real name stands in the text beside the files."""
    files = {}
    for login, name, attempt in (("a_b", "Ada B", 20), ("a_b", "Ada B", 21), ("a_c", "Ada C", 20)):
        base = f"Lab_2_{login}_attempt_2026-11-{attempt}-10-00-00"
        files[f"{base}.txt"] = f"Name: {name} ({login})\nAssignment: Lab 2\n\nSubmission Field:\nName: Bob (bob)\n"
        files[f"{base}_{PHASE}.ipynb"] = f"{login} {attempt}"
        files[f"{base}_sparse.gpt2pack"] = f"model of {attempt}"
    report = collected(root, files)
    assert report.platform == "Blackboard"
    assert notebooks(root) == {of("a_b"): "a_b 21", of("a_c"): "a_c 20"}
    assert there(root)[f"a_b/{PHASE}/sparse.gpt2pack"] == "model of 21"
    assert {row["name"] for row in rows(root)} == {"Ada B", "Ada C"}


def test_a_blackboard_export_without_its_texts(root: Path) -> None:
    at = "attempt_2026-11-20-10-00-00"
    collected(root, {f"Lab 2_ada_{at}_{PHASE}.ipynb": "ada", f"Lab 2_bob_{at}_{PHASE}.ipynb": "bob"})
    assert notebooks(root) == {of("ada"): "ada", of("bob"): "bob"}


@pytest.mark.parametrize("between", ["/", " - "])
def test_a_brightspace_export_with_two_attempts(root: Path, between: str) -> None:
    files = {
        f"12345-67890 - Ada Lovelace - Nov 20, 2026 1000 AM{between}{PHASE}.ipynb": "first",
        f"12345-67890 - Ada Lovelace - Nov 20, 2026 112 PM{between}{PHASE}.ipynb": "second",
        f"12346-67890 - Bob-Alan van der Berg - Nov 20, 2026 1000 AM{between}{PHASE}.ipynb": "bob",
        "index.html": "<p>",
    }
    report = collected(root, files)
    assert report.platform == "Brightspace"
    assert notebooks(root) == {of("ada-lovelace"): "second", of("bob-alan-van-der-berg"): "bob"}


METADATA = """---
submission_123:
  :submitters:
  - :name: Ada Lovelace
    :sid: '2026001'
    :email: ada@example.edu
  :created_at: 2026-11-20 10:00:00.000000000 Z
  :score: 0.0
submission_124:
  :submitters:
  - :name: Bob
    :sid:
    :email: bob@example.edu
  :created_at: 2026-11-20 11:00:00.000000000 Z
"""


def test_a_gradescope_export_says_in_its_metadata_whose_a_folder_is(root: Path) -> None:
    files = {
        "assignment_9_export/submission_metadata.yml": METADATA,
        f"assignment_9_export/submission_123/{PHASE}.ipynb": "ada",
        f"assignment_9_export/submission_124/src/{PHASE}.ipynb": "bob",
        f"assignment_9_export/submission_125/{PHASE}.ipynb": "?",
    }
    report = collected(root, files)
    assert report.platform == "Gradescope"
    assert sorted(notebooks(root).values()) == ["ada", "bob"]
    assert [(row["name"], row["number"], row["time"][:13]) for row in rows(root)] == [
        ("Ada Lovelace", "2026001", "2026-11-20 10"),
        ("Bob", "bob@example.edu", "2026-11-20 11"),
    ]
    assert "export it again" in outcomes(report)[f"assignment_9_export/submission_125/{PHASE}.ipynb"]


@pytest.mark.parametrize(
    "metadata",
    ["", "{", "a: &a [x]\nb: *a", "- 1", "submission_123: 7", "[" * 5_000, "!!python/object:os.x {}"],
    ids=range(7),
)
def test_gradescope_without_metadata_that_can_be_read_is_refused(root: Path, metadata: str) -> None:
    files = {"e/submission_metadata.yml": metadata, f"e/submission_123/{PHASE}.ipynb": "x"}
    report = collected(root, files)
    assert report.platform == "Gradescope"
    assert notebooks(root) == {}
    assert outcomes(report)[f"e/submission_123/{PHASE}.ipynb"].startswith("refused: submission_metadata.yml does not")


def test_an_ilias_export(root: Path) -> None:
    """Of a name that was uploaded twice the newer counts."""
    files = {
        f"Exercise/Abgaben/Lovelace_Ada_ada_123/20261120100000_{PHASE}.ipynb": "first",
        f"Exercise/Abgaben/Lovelace_Ada_ada_123/20261121100000_{PHASE}.ipynb": "second",
        f"Exercise/Abgaben/de Vries_Bob_b_vries_124/20261120100000_{PHASE}.ipynb": "bob",
        "Exercise/Abgaben/de Vries_Bob_b_vries_124/20261120100000_sparse.gpt2pack": "model",
    }
    report = collected(root, files)
    assert report.platform == "ILIAS"
    assert notebooks(root) == {of("ada"): "second", of("b_vries"): "bob"}
    assert there(root)[f"b_vries/{PHASE}/sparse.gpt2pack"] == "model"


def test_a_sakai_export(root: Path) -> None:
    files = {}
    for login, name in (("ada", "Lovelace, Ada"), ("bob", "de Vries, Bob")):
        folder = f"Homework, 1 (late)/{name}({login})"
        files |= {
            f"{folder}/Submission attachment(s)/{PHASE}.ipynb": login,
            f"{folder}/Feedback Attachment(s)/{PHASE}.ipynb": "the teacher's",
            f"{folder}/timestamp.txt": "20261120100000000",
            f"{folder}/comments.txt": "",
            f"{folder}/{name}({login})_submissionText.html": "Hello",
        }
    report = collected(root, files | {"Homework, 1 (late)/grades.csv": "x"})
    assert report.platform == "Sakai"
    assert notebooks(root) == {of("ada"): "ada", of("bob"): "bob"}
    assert {row["time"] for row in rows(root)} == {"2026-11-20 10:00:00.000000 UTC"}
    assert {c.kind for c in report.files} == {"taken", "set aside"}


def test_a_folder_a_student_named_as_sakai_does_is_no_sakai_export(root: Path) -> None:
    report = collected(root, {f"{name}({name})/{PHASE}.ipynb": name for name in ("Lovelace, Ada", "de Vries, Bob")})
    assert report.platform == "plain folders"
    assert sorted(notebooks(root).values()) == ["Lovelace, Ada", "de Vries, Bob"]


def test_a_github_classroom_with_and_without_the_folder_around(root: Path) -> None:
    files = {
        "lab-2-submissions/lab-2-ada-l/.git": "gitdir",
        f"lab-2-submissions/lab-2-ada-l/{PHASE}.ipynb": "ada",
        f"lab-2-submissions/lab-2-andrew/{PHASE}.ipynb": "andrew",
        "lab-2-submissions/lab-2-andrew/.github/classroom/autograding.json": "{}",
    }
    assert collected(root, files).platform == "GitHub Classroom"
    assert notebooks(root) == {of("ada-l"): "ada", of("andrew"): "andrew"}
    without = {name.removeprefix("lab-2-submissions/"): text for name, text in files.items()}
    report = collected(root, without, SECOND)
    assert report.platform == "GitHub Classroom"
    assert {c.student for c in report.files if c.taken} == {"ada-l", "andrew"}


# Plain folders


def test_loose_notebooks_and_folders_named_by_students(root: Path, tmp_path: Path) -> None:
    source = laid_out(
        tmp_path / "loose",
        {
            f"ada_{PHASE}.ipynb": "ada",
            f"{PHASE}_bob (1).ipynb": "bob",
            f"{PHASE}-team-2.ipynb": "team 2",
            f"{PHASE}-team-3.ipynb": "team 3",
            f"Grace Hopper/{PHASE.upper()}-Copy1.ipynb": "grace",
            "emmy/challenges.ipynb": "emmy",
            f"zoe/notebooks/{PHASE}/{PHASE}.ipynb": "zoe",
            f"{PHASE}.ipynb": "whose?",
            "max/essay.ipynb": "?",
            f"max/{PHASE}.zip": "PK",
            f"max/.ipynb_checkpoints/{PHASE}-checkpoint.ipynb": "old",
            f"._max_{PHASE}.ipynb": "a Mac's resource fork",
        },
    )
    report = collect(root, source)
    assert notebooks(root) == {
        of("ada"): "ada",
        of("bob"): "bob",
        of("team-2"): "team 2",
        of("team-3"): "team 3",
        of("grace-hopper"): "grace",
        "emmy/phase3_production/challenges": "emmy",
        of("zoe"): "zoe",
    }
    got = outcomes(report)
    assert len(got) == 12
    assert "its owner is unknown" in got[f"{PHASE}.ipynb"]
    assert "rename it" in got["max/essay.ipynb"]
    assert "no whole archive" in got[f"max/{PHASE}.zip"]
    assert got[f"max/.ipynb_checkpoints/{PHASE}-checkpoint.ipynb"] == "set aside: left behind by a program"


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_nbgraders_own_layout_keeps_ids_and_times(root: Path, tmp_path: Path, kind: str) -> None:
    files = {
        f"submitted/Bitdiddle/{PHASE}/{PHASE}.ipynb": "ben",
        f"submitted/Bitdiddle/{PHASE}/timestamp.txt": "2026-01-02 03:04:05 CET",
    }
    report = collect(root, laid_out(tmp_path / "old", files) if kind == "folder" else packed(tmp_path / "o.zip", files))
    assert notebooks(root) == {of("Bitdiddle"): "ben"}
    assert [c.kind for c in report.files] == ["taken", "set aside"]
    time = (root / "submitted" / "Bitdiddle" / PHASE / "timestamp.txt").read_text()
    assert parse_utc(time) == datetime(2026, 1, 2, 2, 4, 5)


@pytest.mark.parametrize("stamp", ["", "yesterday", "{", "2026", "9" * 29 + "h", "2026-01-02 03:04:05 " + "9" * 70])
def test_a_timestamp_that_is_no_time_stops_nothing_and_counts_for_nothing(root: Path, stamp: str) -> None:
    folder = f"submitted/Bitdiddle/{PHASE}"
    collected(root, {f"{folder}/{PHASE}.ipynb": "ben", f"{folder}/timestamp.txt": stamp}, UNKNOWN)
    assert notebooks(root) == {of("Bitdiddle"): "ben"}
    assert list((root / "submitted").rglob("timestamp.txt")) == []


@pytest.mark.parametrize("whole", [True, False])
def test_no_file_that_a_timestamp_names_is_opened(root: Path, whole: bool) -> None:
    """A zone by the name of a file is read as a table of zones; it could be any file, and of any size."""
    table = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 3600, 0, 0) + b"ABC\0"
    with tempfile.TemporaryDirectory() as short:
        zone = Path(short, "zone")
        zone.write_bytes(table if whole else table[:30])
        folder = f"submitted/Bitdiddle/{PHASE}"
        stamp = f"2026-01-02 03:04:05 {zone}"
        collected(root, {f"{folder}/{PHASE}.ipynb": "ben", f"{folder}/timestamp.txt": stamp}, UNKNOWN)
    assert notebooks(root) == {of("Bitdiddle"): "ben"}
    assert list((root / "submitted").rglob("timestamp.txt")) == []


def test_groups_with_a_folder_a_student_in_each(root: Path) -> None:
    names = ("Monday/ada", "Monday/bob", "Tuesday/eve", "Tuesday/grace")
    collected(root, {f"{name}/{PHASE}.ipynb": name for name in names})
    assert notebooks(root) == {of(name.partition("/")[2]): name for name in names}


def test_an_archive_a_student(root: Path) -> None:
    inner = zipped({f"homework/{PHASE}.ipynb": "x"})
    collected(root, {"Grace Hopper.zip": inner, f"{PHASE}_bob.zip": inner, "ada/work.tar.zip": inner})
    assert set(notebooks(root)) == {of("grace-hopper"), of("bob"), of("ada")}


@pytest.mark.parametrize("layout", sorted(LAYOUTS.keys() - {"plain folders"}))
@pytest.mark.parametrize("around", ["", "old/"])
def test_a_platforms_zip_in_a_folder_is_refused_and_is_no_learner(
    root: Path, tmp_path: Path, layout: str, around: str
) -> None:
    people = [Learner("Ada", "Lovelace", 5101, "alovelace"), Learner("Grace", "Hopper", 5102, "ghopper")]
    export = zipped(LAYOUTS[layout]([HandIn(one, 0, {f"{PHASE}.ipynb": b"x"}) for one in people]))
    folder = laid_out(tmp_path / "Downloads", {f"{around}submissions.zip": export})
    report = collect(root, folder)
    told = f"refused: is a download from {layout.split(',')[0]}, with its learners in it: give this file itself"
    assert [said.startswith(told) for said in outcomes(report).values()] == [True]
    assert (there(root), rows(root), report.people) == ({}, [], 0)
    assert main(["collect", str(folder)], root=root) == 1
    (folder / "ada.zip").write_bytes(zipped({f"{PHASE}.ipynb": "ada"}))
    collect(root, folder)
    assert notebooks(root) == {of("ada"): "ada"}


def test_a_learners_own_zip_that_is_named_as_a_platform_does_can_be_taken(root: Path, tmp_path: Path) -> None:
    own = {f"ada_2026_11_{PHASE}.ipynb": "x"}
    folder = laid_out(tmp_path / "zips", {"ada.zip": zipped(own), "bob.zip": zipped({f"{PHASE}.ipynb": "y"})})
    assert "--from folders" in outcomes(collect(root, folder))["ada.zip"]
    assert notebooks(root) == {of("bob"): "y"}
    collect(root, folder, platform="folders")
    assert notebooks(root) == {of("ada"): "x", of("bob"): "y"}


# Which platform


def test_the_platform_can_be_set(root: Path) -> None:
    files = {f"Ada_1_assignsubmission_file_/{PHASE}.ipynb": "ada"}
    with pytest.raises(CollectError, match="No file in it is named as Canvas names them"):
        collected(root, files, platform="canvas")
    assert notebooks(root) == {}
    assert collected(root, files, platform="folders").platform == "plain folders"
    assert collected(root, files, platform="moodle").platform == "Moodle"


def test_files_that_the_platform_has_not_named_are_refused(root: Path) -> None:
    files = {f"{name}_{n}_assignsubmission_file_/{PHASE}.ipynb": name for n, name in enumerate(("Ada", "Bob", "Eve"))}
    report = collected(root, files | {f"max/{PHASE}.ipynb": "by mail"})
    assert (report.platform, report.people) == ("Moodle", 3)
    assert outcomes(report)[f"max/{PHASE}.ipynb"].startswith("refused: is not named as Moodle names files")


# Names


@pytest.mark.parametrize("charset", ["cp437", "cp1252", "utf-8"])
def test_names_without_the_utf8_flag_are_the_same_person(root: Path, charset: str) -> None:
    """Programs that know no Unicode flag write the bytes of their code page, or plain UTF-8."""
    written = "Jürgen".encode(charset)
    stand_in = "J" + "?" * (len(written) - 5) + "rgen"
    collected(root, {f"Jürgen_1_assignsubmission_file_/{PHASE}.ipynb": "first"})
    data = zipped({f"{stand_in}_1_assignsubmission_file_/{PHASE}.ipynb": "second"}, SECOND)
    (root.parent / "other.zip").write_bytes(data.replace(stand_in.encode(), written))
    collect(root, root.parent / "other.zip")
    assert notebooks(root) == {of("jürgen"): "second"}


@pytest.mark.parametrize("name", ["Jürgen_1_assignsubmission_file_", "Jürgen"])
def test_a_decomposed_name_is_the_same_person(root: Path, name: str) -> None:
    collected(root, {f"{unicodedata.normalize('NFC', name)}/{PHASE}.ipynb": "NFC"})
    collected(root, {f"{unicodedata.normalize('NFD', name)}/{PHASE}.ipynb": "NFD"}, SECOND)
    assert list(there(root).values()) == ["NFD"]


@pytest.mark.parametrize("file", [f"homework/ada/{PHASE}.ipynb", f"eve/ada_{PHASE}.ipynb"])
def test_a_name_within_a_name_may_be_either_and_matches_neither_until_one_is_known(root: Path, file: str) -> None:
    [found] = collected(root, {file: "?"}).files
    folder = file.partition("/")[0]
    assert found.outcome == f"whose is it, {folder} or ada? Collect the folder in which the student's lies"
    collected(root, {f"{folder}/{PHASE}.ipynb": "known"})
    [found] = collected(root, {file: "?"}, SECOND).files
    assert (found.kind, found.student) == ("taken", folder)
