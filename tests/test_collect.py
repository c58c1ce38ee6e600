"""Hand-ins as Moodle, Canvas and people export them: whose they are, where they go, and that nothing is lost."""

from __future__ import annotations

import csv
import struct
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbgrader.converters.base import BaseConverter
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import parse_utc

from autograder.course import Course
from autograder.intake import collect as module
from autograder.intake.collect import Collected, CollectError, collect, student_id, table

PHASE = "phase2_techniques"
FIRST = (2026, 11, 20, 10, 0, 0)
SECOND = (2026, 11, 21, 10, 0, 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course with two released assignments, one of them with two notebooks."""
    made = tmp_path / "course"
    for path in (f"{PHASE}/{PHASE}", "phase3_production/phase3_production", "phase3_production/challenges"):
        (made / "release" / path).parent.mkdir(parents=True, exist_ok=True)
        (made / "release" / f"{path}.ipynb").write_text("{}")
    return made


def packed(path: Path, files: Mapping[str, str | bytes], time: tuple = FIRST) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings(action="ignore"):
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, time), content, zipfile.ZIP_DEFLATED)
    return path


def laid_out(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def submitted(root: Path) -> dict[str, str]:
    """The notebooks that nbgrader sees: "student/assignment/name" -> content."""
    found = (root / "submitted").glob("*/*/*.ipynb")
    return {
        path.relative_to(root / "submitted").as_posix().removesuffix(".ipynb"): path.read_text()
        for path in found
        if not path.is_relative_to(root / "submitted" / ".replaced")
    }


def outcomes(report: list[Collected]) -> dict[str, str]:
    return {c.entry: c.outcome for c in report}


def students(root: Path) -> list[dict[str, str]]:
    with (root / "submitted" / "students.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# The platforms


def test_a_moodle_export_in_folders(root: Path, tmp_path: Path) -> None:
    source = packed(
        tmp_path / "moodle.zip",
        {
            f"Ada Lovelace_123456_assignsubmission_file_/{PHASE}.ipynb": "ada",
            f"Анна Каренина_123457_assignsubmission_file/homework/{PHASE} (1).ipynb": "anna",
            "Ada Lovelace_123456_assignsubmission_file_/plot.png": "png",
            "Ada Lovelace_123456_assignsubmission_onlinetext_/onlinetext.html": "Hello",
        },
    )
    report = collect(root, source)
    assert submitted(root) == {f"ada-lovelace/{PHASE}/{PHASE}": "ada", f"анна-каренина/{PHASE}/{PHASE}": "anna"}
    assert len(report) == 4
    assert outcomes(report)["Ada Lovelace_123456_assignsubmission_file_/plot.png"] == "not taken: no notebook"
    assert "typed into Moodle" in outcomes(report)["Ada Lovelace_123456_assignsubmission_onlinetext_/onlinetext.html"]
    assert [(row["student"], row["name"], row["number"]) for row in students(root)] == [
        ("ada-lovelace", "Ada Lovelace", "123456"),
        ("анна-каренина", "Анна Каренина", "123457"),
    ]


def test_a_flat_moodle_export(root: Path, tmp_path: Path) -> None:
    source = packed(
        tmp_path / "moodle.zip",
        {
            f"Ada Lovelace_1_assignsubmission_file_{PHASE}.ipynb": "ada",
            f"Bob_2_assignsubmission_file_{PHASE}_bob.ipynb": "bob",
            "Bob_2_assignsubmission_onlinetext_onlinetext.html": "Hello",
        },
    )
    report = collect(root, source)
    assert submitted(root) == {f"ada-lovelace/{PHASE}/{PHASE}": "ada", f"bob/{PHASE}/{PHASE}": "bob"}
    assert [c.taken for c in report] == [True, True, False]


def test_a_canvas_export_with_late_ones_and_resubmissions(root: Path, tmp_path: Path) -> None:
    source = packed(
        tmp_path / "canvas.zip",
        {
            f"lovelaceada_12345_678910_{PHASE}.ipynb": "first",
            f"lovelaceada_12345_678999_{PHASE}-10.ipynb": "third",
            f"lovelaceada_12345_678950_{PHASE}-2.ipynb": "second",
            f"hoppergrace_LATE_12346_678911_{PHASE}-1.ipynb": "grace",
            f"anon_AbC12_678912_{PHASE}.ipynb": "anon",
            "noethery_12347_text.html": "Hello",
        },
    )
    report = collect(root, source)
    assert submitted(root) == {
        f"lovelaceada/{PHASE}/{PHASE}": "third",
        f"hoppergrace/{PHASE}/{PHASE}": "grace",
        f"anon_abc12/{PHASE}/{PHASE}": "anon",
    }
    got = outcomes(report)
    assert got[f"hoppergrace_LATE_12346_678911_{PHASE}-1.ipynb"] == "taken; late, says Canvas"
    assert f"'lovelaceada_12345_678999_{PHASE}-10.ipynb' was taken in its place" in str(
        got[f"lovelaceada_12345_678950_{PHASE}-2.ipynb"]
    )
    assert "typed into Canvas" in got["noethery_12347_text.html"]
    assert len(report) == 6


def test_models_and_logs_come_along_with_the_notebook_of_the_same_person(root: Path, tmp_path: Path) -> None:
    ada, bob = "Ada_1_assignsubmission_file_", "Bob_2_assignsubmission_file_"
    entries = {
        f"{ada}/{PHASE}.ipynb": "ada",
        f"{ada}/sparse.gpt2pack": "a model",
        f"{ada}/elsewhere/run.csv": "a log in another folder",
        f"{bob}{PHASE}.ipynb": "bob",
        f"{bob}mobile.onnx": "b model",
        "Eve_3_assignsubmission_file_mobile.onnx": "e model, and no notebook",
    }
    report = outcomes(collect(root, packed(tmp_path / "moodle.zip", entries)))
    beside = {path.relative_to(root / "submitted").as_posix() for path in (root / "submitted").rglob("*.[og]*")}
    assert beside == {f"ada/{PHASE}/sparse.gpt2pack", f"bob/{PHASE}/mobile.onnx"}
    assert (root / "submitted" / "bob" / PHASE / "mobile.onnx").read_text() == "b model"
    for lost in (f"{ada}/elsewhere/run.csv", "Eve_3_assignsubmission_file_mobile.onnx"):
        assert report[lost] == "not taken: no notebook of the same person lies beside it"


def test_a_model_that_is_too_large_is_named_and_not_taken(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.intake.collect.MAX_EXTRA", 10)
    entries = {f"ada/{PHASE}.ipynb": "ada", "ada/sparse.gpt2pack": "x" * 11}
    report = outcomes(collect(root, packed(tmp_path / "all.zip", entries)))
    assert report["ada/sparse.gpt2pack"].startswith("not taken: is larger than")
    assert submitted(root) == {f"ada/{PHASE}/{PHASE}": "ada"}


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
            "essay.ipynb": "?",
            f"max/{PHASE}.zip": "PK",
            f"max/.ipynb_checkpoints/{PHASE}-checkpoint.ipynb": "old",
            f"._max_{PHASE}.ipynb": "a Mac's resource fork",
        },
    )
    report = collect(root, source)
    assert submitted(root) == {
        f"ada/{PHASE}/{PHASE}": "ada",
        f"bob/{PHASE}/{PHASE}": "bob",
        f"team-2/{PHASE}/{PHASE}": "team 2",
        f"team-3/{PHASE}/{PHASE}": "team 3",
        f"grace-hopper/{PHASE}/{PHASE}": "grace",
        "emmy/phase3_production/challenges": "emmy",
        f"zoe/{PHASE}/{PHASE}": "zoe",
    }
    got = outcomes(report)
    assert len(got) == 12
    assert "whose is it?" in got[f"{PHASE}.ipynb"]
    assert "its name is none of" in got["essay.ipynb"]
    assert "unpack it by hand" in got[f"max/{PHASE}.zip"]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_nbgraders_own_layout_keeps_ids_and_times(root: Path, tmp_path: Path, kind: str) -> None:
    files = {
        f"submitted/Bitdiddle/{PHASE}/{PHASE}.ipynb": "ben",
        f"submitted/Bitdiddle/{PHASE}/timestamp.txt": "2026-01-02 03:04:05 CET",
    }
    source = laid_out(tmp_path / "old", files) if kind == "folder" else packed(tmp_path / "old.zip", files)
    report = collect(root, source)
    assert submitted(root) == {f"Bitdiddle/{PHASE}/{PHASE}": "ben"}
    assert all(c.taken for c in report)
    time = (root / "submitted" / "Bitdiddle" / PHASE / "timestamp.txt").read_text()
    assert parse_utc(time) == datetime(2026, 1, 2, 2, 4, 5)


def test_a_timestamp_among_the_files_that_a_learner_has_uploaded_does_not_count(root: Path, tmp_path: Path) -> None:
    folder = "Ada_11_assignsubmission_file_"
    files = {f"{folder}/{PHASE}.ipynb": "x", f"{folder}/timestamp.txt": "2020-01-01 00:00:00 UTC"}
    collect(root, packed(tmp_path / "1.zip", files, FIRST))
    time = parse_utc((root / "submitted" / "ada" / PHASE / "timestamp.txt").read_text())
    assert time == datetime(*FIRST).astimezone(UTC).replace(tzinfo=None)


UNKNOWN = (1980, 1, 1, 0, 0, 0)  # what is written when the time is not known


@pytest.mark.parametrize("stamp", ["", "yesterday", "{", "2026", "9" * 29 + "h", "2026-01-02 03:04:05 " + "9" * 70])
def test_a_timestamp_that_is_no_time_stops_nothing_and_counts_for_nothing(
    root: Path, tmp_path: Path, stamp: str
) -> None:
    folder = f"submitted/Bitdiddle/{PHASE}"
    files = {f"{folder}/{PHASE}.ipynb": "ben", f"{folder}/timestamp.txt": stamp}
    collect(root, packed(tmp_path / "old.zip", files, UNKNOWN))
    assert submitted(root) == {f"Bitdiddle/{PHASE}/{PHASE}": "ben"}
    assert list((root / "submitted").rglob("timestamp.txt")) == []


@pytest.mark.parametrize("whole", [True, False])
def test_no_file_that_a_timestamp_names_is_opened(root: Path, tmp_path: Path, whole: bool) -> None:
    """A zone by the name of a file is read as a table of zones; it could be any file, and of any size."""
    table = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 3600, 0, 0) + b"ABC\0"
    with tempfile.TemporaryDirectory() as short:
        zone = Path(short, "zone")
        zone.write_bytes(table if whole else table[:30])
        folder = f"submitted/Bitdiddle/{PHASE}"
        files = {f"{folder}/{PHASE}.ipynb": "ben", f"{folder}/timestamp.txt": f"2026-01-02 03:04:05 {zone}"}
        collect(root, packed(tmp_path / "old.zip", files, UNKNOWN))
    assert submitted(root) == {f"Bitdiddle/{PHASE}/{PHASE}": "ben"}
    assert list((root / "submitted").rglob("timestamp.txt")) == []


def test_an_unpacked_export_is_understood_like_its_zip(root: Path, tmp_path: Path) -> None:
    laid_out(tmp_path / "unpacked", {f"Lab 2/Ada L_7_assignsubmission_file_/{PHASE}.ipynb": "ada"})
    collect(root, tmp_path / "unpacked")
    assert submitted(root) == {f"ada-l/{PHASE}/{PHASE}": "ada"}


def test_one_assignment_only(root: Path, tmp_path: Path) -> None:
    source = laid_out(tmp_path / "loose", {f"ada/{PHASE}.ipynb": "2", "ada/challenges.ipynb": "3"})
    report = collect(root, source, "phase3_production")
    assert submitted(root) == {"ada/phase3_production/challenges": "3"}
    assert "only phase3_production was asked for" in outcomes(report)[f"ada/{PHASE}.ipynb"]


def test_a_name_that_two_assignments_have_needs_the_assignment(root: Path, tmp_path: Path) -> None:
    (root / "release" / PHASE / "challenges.ipynb").write_text("{}")
    source = laid_out(tmp_path / "loose", {"ada/challenges.ipynb": "?", f"bob/{PHASE}/challenges.ipynb": "2"})
    report = collect(root, source)
    assert submitted(root) == {f"bob/{PHASE}/challenges": "2"}
    assert "--assignment" in outcomes(report)["ada/challenges.ipynb"]
    collect(root, source, "phase3_production")
    assert "ada/phase3_production/challenges" in submitted(root)


# Who is who


def test_two_learners_of_one_name_get_their_numbers(root: Path, tmp_path: Path) -> None:
    files = {f"Li Lei_{n}_assignsubmission_file_/{PHASE}.ipynb": str(n) for n in (8, 5)}
    collect(root, packed(tmp_path / "moodle.zip", files))
    assert submitted(root) == {f"li-lei-5/{PHASE}/{PHASE}": "5", f"li-lei-8/{PHASE}/{PHASE}": "8"}


def test_moodles_number_is_new_in_each_assignment_and_the_learner_is_the_same(root: Path, tmp_path: Path) -> None:
    collect(root, packed(tmp_path / "1.zip", {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"}))
    collect(root, packed(tmp_path / "2.zip", {"Ada_99_assignsubmission_file_/challenges.ipynb": "3"}))
    assert submitted(root) == {f"ada/{PHASE}/{PHASE}": "2", "ada/phase3_production/challenges": "3"}


def test_a_namesake_who_hands_in_later_is_somebody_else(root: Path, tmp_path: Path) -> None:
    collect(root, packed(tmp_path / "1.zip", {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "first"}))
    collect(root, packed(tmp_path / "2.zip", {f"Ada_12_assignsubmission_file_/{PHASE}.ipynb": "other"}))
    assert submitted(root) == {f"ada/{PHASE}/{PHASE}": "first", f"ada-12/{PHASE}/{PHASE}": "other"}
    both = {f"Ada_{n}_assignsubmission_file_/challenges.ipynb": str(n) for n in (31, 32)}
    collect(root, packed(tmp_path / "3.zip", both))  # who is who can't be known, so nobody's work is mixed up
    assert {f"ada-{n}/phase3_production/challenges" for n in (31, 32)} <= set(submitted(root))


def test_participants_of_blind_marking_are_never_taken_for_one(root: Path, tmp_path: Path) -> None:
    collect(root, packed(tmp_path / "1.zip", {f"Participant_1_assignsubmission_file_/{PHASE}.ipynb": "2"}))
    collect(root, packed(tmp_path / "2.zip", {"Participant_2_assignsubmission_file_/challenges.ipynb": "3"}))
    assert len({name.split("/")[0] for name in submitted(root)}) == 2


def test_canvas_numbers_tell_learners_apart_and_stay(root: Path, tmp_path: Path) -> None:
    collect(root, packed(tmp_path / "1.zip", {f"liwei_7_1_{PHASE}.ipynb": "7", f"liwei_8_2_{PHASE}.ipynb": "8"}))
    collect(root, packed(tmp_path / "2.zip", {"liwei_8_3_challenges.ipynb": "8"}))
    assert submitted(root) == {
        f"liwei-7/{PHASE}/{PHASE}": "7",
        f"liwei-8/{PHASE}/{PHASE}": "8",
        "liwei-8/phase3_production/challenges": "8",
    }


def test_names_that_give_the_same_id_stay_apart(root: Path, tmp_path: Path) -> None:
    names = ["Ada B", "ada b", "ada-b", "ADA-B", "ada+b", "😀", "🎉", "student"]
    source = packed(tmp_path / "1.zip", {f"{name}/{PHASE}.ipynb": name for name in names})
    collect(root, source)
    first = submitted(root)
    assert sorted(first.values()) == sorted(names)
    assert len({name.casefold() for name in first}) == len(names)
    collect(root, source)
    assert submitted(root) == first


def test_a_folder_named_by_a_known_id_is_that_learner(root: Path, tmp_path: Path) -> None:
    collect(root, packed(tmp_path / "1.zip", {f"Ada Lovelace_11_assignsubmission_file_/{PHASE}.ipynb": "2"}))
    collect(root, laid_out(tmp_path / "loose", {"ada-lovelace/challenges.ipynb": "3"}))
    assert submitted(root) == {f"ada-lovelace/{PHASE}/{PHASE}": "2", "ada-lovelace/phase3_production/challenges": "3"}


def test_a_stranger_never_gets_a_folder_that_is_there(root: Path, tmp_path: Path) -> None:
    laid_out(root / "submitted", {f"ada/{PHASE}/{PHASE}.ipynb": "came by another way"})
    collect(root, packed(tmp_path / "1.zip", {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"}))
    assert submitted(root) == {f"ada/{PHASE}/{PHASE}": "came by another way", f"ada-11/{PHASE}/{PHASE}": "2"}


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


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_name_gives_an_id_that_is_a_plain_folder_name(name: str) -> None:
    made = student_id(name)
    assert made == student_id(made) or len(made) >= module.MAX_ID - 2
    assert not set(made) & set(" /\\*?[]+,:\n\0")
    assert not made.startswith(("-", "."))
    assert 0 < len(made.encode()) <= 240
    assert made.isprintable()


# Again, and later


def test_the_same_source_again_changes_nothing(root: Path, tmp_path: Path) -> None:
    source = packed(tmp_path / "1.zip", {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"})
    collect(root, source)
    before = {path: path.stat().st_mtime_ns for path in (root / "submitted").rglob("*.*") if path.suffix != ".csv"}
    again = collect(root, packed(tmp_path / "2.zip", {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"}, SECOND))
    assert [(c.outcome, c.taken) for c in again] == [("there already", True)]
    after = {path: path.stat().st_mtime_ns for path in (root / "submitted").rglob("*.*") if path.suffix != ".csv"}
    assert after == before


def test_a_newer_hand_in_replaces_the_older_which_is_kept(root: Path, tmp_path: Path) -> None:
    name = f"Ada_11_assignsubmission_file_/{PHASE}.ipynb"
    collect(root, packed(tmp_path / "1.zip", {name: "first"}, FIRST))
    report = collect(root, packed(tmp_path / "2.zip", {name: "second"}, SECOND))
    assert submitted(root) == {f"ada/{PHASE}/{PHASE}": "second"}
    kept = f".replaced/ada--{PHASE}--{PHASE}.1.ipynb"
    assert report[0].outcome == f"taken; the one before is {kept}"
    assert (root / "submitted" / kept).read_text() == "first"
    assert Course(root).api.get_submitted_students("*") == {"ada"}
    time = parse_utc((root / "submitted" / "ada" / PHASE / "timestamp.txt").read_text())
    assert time == datetime(*SECOND).astimezone(UTC).replace(tzinfo=None)


def test_an_older_hand_in_never_replaces_a_newer(root: Path, tmp_path: Path) -> None:
    name = f"Ada_11_assignsubmission_file_/{PHASE}.ipynb"
    collect(root, packed(tmp_path / "2.zip", {name: "second"}, SECOND))
    report = collect(root, packed(tmp_path / "1.zip", {name: "first"}, FIRST))
    assert report[0].outcome == "not taken: older than the one there"
    assert submitted(root) == {f"ada/{PHASE}/{PHASE}": "second"}


def test_of_several_copies_the_newest_is_taken_then_the_one_with_the_exact_name(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "1.zip"
    packed(
        source,
        {f"Ada_1_assignsubmission_file_/{PHASE}.ipynb": "old", f"Bo_2_assignsubmission_file_/{PHASE}(1).ipynb": "x"},
    )
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr(zipfile.ZipInfo(f"Ada_1_assignsubmission_file_/{PHASE} (1).ipynb", SECOND), "new")
        archive.writestr(zipfile.ZipInfo(f"Bo_2_assignsubmission_file_/{PHASE}.ipynb", FIRST), "exact")
    assert sum(c.taken for c in collect(root, source)) == 2
    assert submitted(root) == {f"ada/{PHASE}/{PHASE}": "new", f"bo/{PHASE}/{PHASE}": "exact"}


@pytest.mark.parametrize("writes", range(4))
def test_interrupted_anywhere_it_is_finished_by_the_next_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    names = [f"{name}_{n}_assignsubmission_file_/{PHASE}.ipynb" for n, name in enumerate(("Ada", "Bob"))]
    source = packed(tmp_path / "1.zip", dict.fromkeys(names, "work"))
    real, left = module.os.replace, [writes]

    def killed(part: Path, path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            collect(root, source)
    assert all(c.taken for c in collect(root, source))
    assert submitted(root) == {f"{name}/{PHASE}/{PHASE}": "work" for name in ("ada", "bob")}
    assert len(list((root / "submitted").rglob("timestamp.txt"))) == 2
    assert list((root / "submitted").rglob("*.part")) == []
    assert all(row["time"] and row["entry"] for row in students(root))


def test_a_zip_without_times_gives_no_timestamp(root: Path, tmp_path: Path) -> None:
    files = {f"Ada_1_assignsubmission_file_/{PHASE}.ipynb": "x"}
    collect(root, packed(tmp_path / "1.zip", files, (1980, 1, 1, 0, 0, 0)))
    assert list((root / "submitted").rglob("timestamp.txt")) == []


# Zips that are not what they should be


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil", "\\evil"])
def test_names_that_lead_out_are_not_taken(root: Path, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    source = packed(tmp_path / "evil.zip", {f"{name}/{PHASE}.ipynb": "evil", f"{name}_{PHASE}.ipynb": "evil"})
    report = collect(root, source)
    assert [c.outcome for c in report] == ["not taken: its name leads out of the source"] * 2
    assert set(tmp_path.rglob("*")) - before == {source, root / "submitted", root / "submitted" / "students.csv"}


@pytest.mark.parametrize("name", ["..", ".x", "a/b", "*"])
def test_a_name_in_the_zip_never_becomes_a_path(root: Path, tmp_path: Path, name: str) -> None:
    collect(root, packed(tmp_path / "1.zip", {f"{name}_5_assignsubmission_file_{PHASE}.ipynb": "x"}))
    assert [path.parent.parent.parent for path in tmp_path.rglob(f"{PHASE}.ipynb") if "release" not in path.parts] == [
        root / "submitted"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="to make a link takes a privilege on Windows")
def test_links_in_a_zip_or_a_folder_are_not_taken(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ipynb"
    secret.write_text("secret")
    source = tmp_path / "1.zip"
    with zipfile.ZipFile(source, "w") as archive:
        link = zipfile.ZipInfo(f"ada/{PHASE}.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(secret))
    assert "is a link" in collect(root, source)[0].outcome
    folder = tmp_path / "loose" / "ada"
    folder.mkdir(parents=True)
    (folder / f"{PHASE}.ipynb").symlink_to(secret)
    (folder / "bob").symlink_to(tmp_path)
    report = collect(root, tmp_path / "loose")
    assert "is a link" in outcomes(report)[f"ada/{PHASE}.ipynb"]
    assert not any(c.taken for c in report)
    assert len(report) == 2
    assert submitted(root) == {}


def test_a_zip_bomb_is_not_unpacked(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, str | bytes] = {f"ada/{PHASE}.ipynb": bytes(30_000_000), f"bob/{PHASE}.ipynb": "fine"}
    source = packed(tmp_path / "bomb.zip", files)
    data = bytearray(source.read_bytes())
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)  # the header says: 10 bytes
    lying = tmp_path / "lying.zip"
    lying.write_bytes(data)
    for bomb in (source, lying):
        got = outcomes(collect(root, bomb))
        assert got[f"ada/{PHASE}.ipynb"].startswith(("not taken: is larger than 20 MB", "not taken: is damaged"))
    assert submitted(root) == {f"bob/{PHASE}/{PHASE}": "fine"}
    monkeypatch.setattr(module, "MAX_TOTAL", 1_000)
    many = packed(tmp_path / "many.zip", {f"s{n}/{PHASE}.ipynb": "x" * 300 for n in range(9)})
    with pytest.raises(CollectError, match="collect it in parts"):
        collect(root, many)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_cannot_be_unpacked_in_small_steps_are_not_taken(
    root: Path, tmp_path: Path, packing: int
) -> None:
    with zipfile.ZipFile(tmp_path / "1.zip", "w", packing) as archive:
        archive.writestr(f"ada/{PHASE}.ipynb", "x")
    assert "unusual way" in collect(root, tmp_path / "1.zip")[0].outcome


def test_a_cut_or_encrypted_zip_is_a_clear_error_and_changes_nothing(root: Path, tmp_path: Path) -> None:
    source = packed(tmp_path / "1.zip", {f"ada/{PHASE}.ipynb": "work" * 1000})
    data = source.read_bytes()
    for cut in (0, 1, 30, len(data) // 2, len(data) - 1):
        source.write_bytes(data[:cut])
        with pytest.raises(CollectError, match="no whole zip file"):
            collect(root, source)
    at = data.find(b"PK\x01\x02")
    source.write_bytes(data[: at + 8] + b"\x01" + data[at + 9 :])
    with pytest.raises(CollectError, match="encrypted"):
        collect(root, source)
    assert not (root / "submitted").exists()


def test_one_damaged_entry_stops_nobody(root: Path, tmp_path: Path) -> None:
    source = packed(tmp_path / "1.zip", {f"ada/{PHASE}.ipynb": "work" * 1000, f"bob/{PHASE}.ipynb": "fine"})
    data = bytearray(source.read_bytes())
    start = data.find(b"ipynb") + 5
    data[start : start + 8] = b"\xff" * 8
    source.write_bytes(data)
    assert "is damaged in the zip" in outcomes(collect(root, source))[f"ada/{PHASE}.ipynb"]
    assert submitted(root) == {f"bob/{PHASE}/{PHASE}": "fine"}


def test_a_source_that_is_none_is_a_clear_error(root: Path, tmp_path: Path) -> None:
    laid_out(tmp_path, {"lab.ipynb": "{}"})
    with pytest.raises(CollectError, match="There is no"):
        collect(root, tmp_path / "missing.zip")
    with pytest.raises(CollectError, match="no whole zip file"):
        collect(root, tmp_path / "lab.ipynb")
    laid_out(root / "submitted", {"ada/lab.ipynb": ""})
    for place in (root, root / "submitted", root / "submitted" / "ada", tmp_path):
        with pytest.raises(CollectError, match="where hand-ins go to"):
            collect(root, place)
    with pytest.raises(CollectError, match="no assignment 'phase9'"):
        collect(root, tmp_path, "phase9")
    with pytest.raises(CollectError, match="run make release first"):
        collect(tmp_path / "empty", tmp_path)


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
def test_no_name_is_a_formula_in_the_table_of_students_and_all_are_known_again(
    root: Path, tmp_path: Path, name: str
) -> None:
    source = packed(tmp_path / "1.zip", {f"{name}_11_assignsubmission_file_/{PHASE}.ipynb": "x"})
    (first,) = collect(root, source)
    (row,) = students(root)
    assert not [text for text in row.values() if text.startswith(("=", "+", "-", "@"))]
    assert row["name"].endswith(name)
    (again,) = collect(root, source)
    assert (again.student, again.outcome) == (first.student, "there already")
    assert students(root) == [row]


# The report

# macOS refuses files whose names have letters that are newer than what it knows of Unicode.
ANY = st.characters(exclude_categories=["Cs"], max_codepoint=None if sys.platform == "linux" else 0x2FF)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.text(ANY, min_size=1, max_size=30), max_size=6, unique=True))
def test_every_file_of_a_zip_is_in_the_report(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    laid_out(folder, {f"course/release/{PHASE}/{PHASE}.ipynb": "{}"})
    files = dict.fromkeys([*names, *(f"{name}_{PHASE}.ipynb" for name in names)], "x")
    packed(folder / "any.zip", files)
    with zipfile.ZipFile(folder / "any.zip") as archive:
        entries = sorted(info.filename for info in archive.infolist() if not info.filename.endswith("/"))
    report = collect(folder / "course", folder / "any.zip")
    assert [c.entry for c in report] == entries
    assert sum(c.taken for c in report) == len(submitted(folder / "course"))
    again = collect(folder / "course", folder / "any.zip")
    assert [(c.entry, c.student, c.taken) for c in again] == [(c.entry, c.student, c.taken) for c in report]
    assert {c.outcome for c in again if c.taken} <= {"there already"}
    assert len(table(report).splitlines()) == len(report) + 1


def test_the_table_says_who_what_and_from_where() -> None:
    report = [
        Collected("a\nb.ipynb", "taken", True, "ada", PHASE, PHASE),
        Collected("\udcff.pdf", "not taken: no notebook"),
    ]
    lines = table(report).splitlines()
    assert lines[0] == f"ada  {PHASE}  taken  <- a b.ipynb"
    assert lines[1].endswith("not taken: no notebook  <- ?.pdf")
    assert lines[2] == "1 taken, 1 not taken"
