"""Tests of collection: which notebook and attempt of each learner is taken, its name, and the report."""

from __future__ import annotations

import os
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from exports import (
    FIRST,
    LAST,
    PHASE,
    SECOND,
    UNKNOWN,
    collected,
    laid_out,
    made_course,
    notebook,
    notebooks,
    outcomes,
    packed,
    rows,
    tarred,
    there,
    zipped,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from nbgrader.utils import parse_utc

from autograder.course import Course
from autograder.intake.collect import collect
from autograder.intake.folder import intake
from autograder.intake.report import Collected, Report, table

ADA, BOB = "Ada Lovelace_1_assignsubmission_file_", "Bob_2_assignsubmission_file_"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


# Which notebook


@pytest.mark.parametrize(
    "file",
    [
        f"Copy of {PHASE}.ipynb",
        f"Kopie von {PHASE}.ipynb",
        f"copie de {PHASE}.ipynb",
        f"{PHASE} - Copy.ipynb",
        f"{PHASE} - Kopie (2).ipynb",
        f"{PHASE} copia.ipynb",
        f"{PHASE}_final.ipynb",
        f"{PHASE}_final_v2.ipynb",
        f"{PHASE}-solution.ipynb",
        f"my {PHASE}.ipynb",
        f"{PHASE} (1).ipynb",
        f"{PHASE}-Copy1.ipynb",
        f"{PHASE} (1) (2).ipynb",
        "Phase2 Techniques.ipynb",
    ],
)
def test_two_learners_are_never_merged_in_any_folder(root: Path, file: str) -> None:
    collected(root, {f"ada/{file}": "of ada", f"bob/{file}": "of bob"})
    assert there(root) == {f"ada/{PHASE}/{PHASE}.ipynb": "of ada", f"bob/{PHASE}/{PHASE}.ipynb": "of bob"}


@pytest.mark.parametrize("file", [f"{PHASE}.ipynb.txt", f"{PHASE}.json", f"{PHASE}.ipynb.json", f"{PHASE}.txt"])
def test_a_notebook_that_a_browser_renamed_is_taken(root: Path, file: str) -> None:
    text = notebook("double")
    assert [c.outcome for c in collected(root, {f"ada/{file}": text}).files] == [f"taken; as {PHASE}.ipynb"]
    assert there(root) == {f"ada/{PHASE}/{PHASE}.ipynb": text}


@pytest.fixture
def with_cells(root: Path) -> Path:
    """The same course, whose notebooks have cells of their own and one that both have."""
    for name, assignment in ((PHASE, PHASE), (LAST, LAST), ("challenges", LAST)):
        laid_out(root, {f"release/{assignment}/{name}.ipynb": notebook("setup", f"{name}_1", f"{name}_2")})
    return root


@pytest.mark.parametrize("file", ["homework.ipynb", "Untitled1.ipynb", "作业.ipynb", f"{LAST}.ipynb", "x.ipynb.txt"])
def test_a_notebook_is_recognised_by_its_cells_under_any_name(with_cells: Path, file: str) -> None:
    work = notebook("setup", "challenges_1", text="ada")
    collected(with_cells, {f"{ADA}/{file}": work})
    assert there(with_cells) == {f"ada-lovelace/{LAST}/challenges.ipynb": work}


def test_a_learners_text_in_a_cell_is_no_cells_name(with_cells: Path) -> None:
    quoted = notebook("challenges_1", text=notebook(f"{PHASE}_1", f"{PHASE}_2"))
    collected(with_cells, {f"{ADA}/x.ipynb": quoted})
    assert list(there(with_cells)) == [f"ada-lovelace/{LAST}/challenges.ipynb"]


def test_a_notebook_of_another_course_is_refused_and_one_without_cells_goes_by_its_name(with_cells: Path) -> None:
    files = {f"{ADA}/{PHASE}.ipynb": notebook("other"), f"{BOB}/{PHASE}.ipynb": notebook(), f"{BOB}/x.ipynb": "{}"}
    got = outcomes(collected(with_cells, files))
    assert "of another course or assignment: it has a cell 'other'" in got[f"{ADA}/{PHASE}.ipynb"].replace('"', "'")
    assert got[f"{BOB}/{PHASE}.ipynb"] == "taken"
    assert "rename it to the one it is" in got[f"{BOB}/x.ipynb"]


@pytest.mark.parametrize("form", ["zip", "tar", "tgz", "tar.gz"])
@pytest.mark.parametrize("folder", ["", "my work/challenges/", "./"])
@pytest.mark.parametrize("of", [f"{ADA}/work.", "lovelaceada_12345_678_work."])
def test_an_archive_that_a_learner_handed_in_is_opened(root: Path, of: str, folder: str, form: str) -> None:
    inner = {f"{folder}challenges.ipynb": "ada", f"{folder}edge.gpt2pack": "model", f"{folder}.DS_Store": "x"}
    data = zipped(inner) if form == "zip" else tarred(inner, "w" if form == "tar" else "w:gz")
    report = collected(root, {f"{of}{form}": data})
    assert sorted(there(root).values()) == ["ada", "model"]
    assert sorted(c.kind for c in report.files) == ["set aside", "set aside", "taken", "taken"]


def test_a_notebook_that_only_its_outputs_make_large_is_taken(root: Path) -> None:
    """Grading throws the outputs away."""
    assert [c.outcome for c in collected(root, {f"ada/{PHASE}.ipynb": "A" * 21_000_000}).files] == ["taken"]


# Artifacts


def test_a_canvas_resubmission_replaces_the_artifact(root: Path) -> None:
    """Else the first attempt's model is graded beside the second attempt's notebook."""
    first = {"challenges.ipynb": "first", "edge.gpt2pack": "first model"}
    collected(root, {f"lovelaceada_12345_{600 + n}_{name}": text for n, (name, text) in enumerate(first.items())})
    second = {"challenges-1.ipynb": "second", "edge-1.gpt2pack": "second model"}
    files = {f"lovelaceada_12345_{700 + n}_{name}": text for n, (name, text) in enumerate(second.items())}
    collected(root, files, SECOND)
    expected = {f"lovelaceada/{LAST}/challenges.ipynb": "second", f"lovelaceada/{LAST}/edge.gpt2pack": "second model"}
    assert there(root) == expected


@pytest.mark.parametrize("mark", [" (1)", "-1", "-Copy1"])
def test_a_copys_mark_comes_off_an_artifact_too(root: Path, mark: str) -> None:
    collected(root, {f"{ADA}/challenges{mark}.ipynb": "ada", f"{ADA}/edge{mark}.gpt2pack": "model"})
    assert f"ada-lovelace/{LAST}/edge.gpt2pack" in there(root)


def test_an_artifact_that_is_replaced_is_kept(root: Path) -> None:
    collected(root, {f"{ADA}/challenges.ipynb": "first", f"{ADA}/edge.gpt2pack": "first model"})
    collected(root, {f"{ADA}/challenges.ipynb": "second", f"{ADA}/edge.gpt2pack": "second model"}, SECOND)
    assert there(root)[f"ada-lovelace/{LAST}/edge.gpt2pack"] == "second model"
    kept = [path.read_text() for path in (root / "submitted" / ".replaced").iterdir()]
    assert sorted(kept) == ["first", "first model"]


def test_an_artifact_that_comes_alone_finds_its_notebook(root: Path) -> None:
    collected(root, {f"{ADA}/challenges.ipynb": "first", f"{ADA}/edge.gpt2pack": "first model"})
    collected(root, {f"{ADA}/edge.gpt2pack": "second model"}, SECOND)
    assert there(root)[f"ada-lovelace/{LAST}/edge.gpt2pack"] == "second model"


def test_an_older_export_replaces_no_artifact(root: Path) -> None:
    collected(root, {f"{ADA}/challenges.ipynb": "second", f"{ADA}/edge.gpt2pack": "second model"}, SECOND)
    collected(root, {f"{ADA}/challenges.ipynb": "first", f"{ADA}/edge.gpt2pack": "first model"}, FIRST)
    assert sorted(there(root).values()) == ["second", "second model"]


def test_artifacts_of_an_attempt_that_was_replaced_go_with_it(root: Path) -> None:
    """Nothing of the first attempt stays beside the second: a report that nobody wrote would be graded."""
    collected(root, {f"{ADA}/challenges.ipynb": "first", f"{ADA}/edge.gpt2pack": "of the first"})
    collected(root, {f"{ADA}/challenges.ipynb": "second"}, SECOND)
    assert there(root) == {f"ada-lovelace/{LAST}/challenges.ipynb": "second"}


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
    report = outcomes(collected(root, entries))
    beside = {path.relative_to(root / "submitted").as_posix() for path in (root / "submitted").rglob("*.[og]*")}
    assert beside == {f"ada/{PHASE}/sparse.gpt2pack", f"bob/{PHASE}/mobile.onnx"}
    assert (root / "submitted" / "ada" / PHASE / "run.csv").read_text() == "a log in another folder"
    assert (root / "submitted" / "bob" / PHASE / "mobile.onnx").read_text() == "b model"
    lost = report["Eve_3_assignsubmission_file_mobile.onnx"]
    assert lost == "refused: no notebook of the same person is there: collect that first, or with it"


def test_a_model_that_is_too_large_is_named_and_not_taken(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.intake.store.MAX_EXTRA", 10)
    entries = {f"ada/{PHASE}.ipynb": "ada", "ada/sparse.gpt2pack": "x" * 11}
    report = outcomes(collected(root, entries))
    assert report["ada/sparse.gpt2pack"].startswith("refused: is larger than")
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "ada"}


# Groups


def test_a_group_does_not_turn_a_known_learner_into_another_person(root: Path) -> None:
    """Moodle puts the group before the name when groups hand in: "Group A-Ada Lovelace"."""
    collected(root, {f"{ADA}/{PHASE}.ipynb": "alone"})
    report = collected(root, {"Group A-Ada Lovelace_7_assignsubmission_file_/challenges.ipynb": "in a group"})
    assert there(root) == {
        f"ada-lovelace/{PHASE}/{PHASE}.ipynb": "alone",
        f"ada-lovelace/{LAST}/challenges.ipynb": "in a group",
    }
    assert "for a group: Group A-Ada Lovelace" in report.files[0].outcome


# Which attempt


def test_the_newer_of_two_copies_in_a_folder_is_taken(root: Path, tmp_path: Path) -> None:
    ada = tmp_path / "unpacked" / "ada"
    laid_out(ada, {f"{PHASE}.ipynb": "older"}, FIRST)
    laid_out(ada, {f"{PHASE} (1).ipynb": "newer"}, SECOND)
    report = collect(root, tmp_path / "unpacked")
    assert list(there(root).values()) == ["newer"]
    instead = f"set aside: 'ada/{PHASE} (1).ipynb' was taken in its place; both hold answers: is it the right one?"
    assert outcomes(report)[f"ada/{PHASE}.ipynb"] == instead


def test_a_date_in_the_future_is_told_and_does_not_count(root: Path) -> None:
    name = f"{ADA}/{PHASE}.ipynb"
    report = collected(root, {name: "forged"}, (2099, 1, 1, 0, 0, 0))
    assert report.files[0].outcome == "taken; its time is in the future (2099-01-01) and does not count"
    collected(root, {name: "real"}, FIRST)
    assert list(there(root).values()) == ["real"]
    report = collected(root, {name: "forged again"}, (2099, 1, 1, 0, 0, 0))
    assert "when this was handed in is not known" in report.files[0].outcome
    assert list(there(root).values()) == ["real"]


def test_a_newer_hand_in_replaces_the_older_which_is_kept(root: Path) -> None:
    name = f"Ada_11_assignsubmission_file_/{PHASE}.ipynb"
    collected(root, {name: "first"}, FIRST)
    report = collected(root, {name: "second"}, SECOND)
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "second"}
    kept = f".replaced/ada--{PHASE}--{PHASE}.1.ipynb"
    assert report.files[0].outcome == f"taken; the one before is {kept}"
    assert (root / "submitted" / kept).read_text() == "first"
    assert Course(root).api.get_submitted_students("*") == {"ada"}
    time = parse_utc((root / "submitted" / "ada" / PHASE / "timestamp.txt").read_text())
    assert time == datetime(*SECOND).astimezone(UTC).replace(tzinfo=None)


def test_an_older_hand_in_never_replaces_a_newer(root: Path) -> None:
    name = f"Ada_11_assignsubmission_file_/{PHASE}.ipynb"
    collected(root, {name: "second"}, SECOND)
    report = collected(root, {name: "first"}, FIRST)
    assert report.files[0].outcome == "older than the one that counts"
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "second"}


def test_the_newest_of_several_copies_is_taken_then_the_one_with_the_exact_name(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "1.zip"
    packed(
        source,
        {f"Ada_1_assignsubmission_file_/{PHASE}.ipynb": "old", f"Bo_2_assignsubmission_file_/{PHASE}(1).ipynb": "x"},
    )
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr(zipfile.ZipInfo(f"Ada_1_assignsubmission_file_/{PHASE} (1).ipynb", SECOND), "new")
        archive.writestr(zipfile.ZipInfo(f"Bo_2_assignsubmission_file_/{PHASE}.ipynb", FIRST), "exact")
    assert sum(c.taken for c in collect(root, source).files) == 2
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "new", f"bo/{PHASE}/{PHASE}": "exact"}


def test_a_zip_without_times_gives_no_timestamp(root: Path) -> None:
    files = {f"Ada_1_assignsubmission_file_/{PHASE}.ipynb": "x"}
    collected(root, files, UNKNOWN)
    assert list((root / "submitted").rglob("timestamp.txt")) == []


# Again


def test_the_same_source_again_changes_nothing(root: Path, tmp_path: Path) -> None:
    source = packed(tmp_path / "1.zip", {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"})
    collect(root, source)
    before = {path: path.stat().st_mtime_ns for path in (root / "submitted").rglob("*.*") if path.suffix != ".csv"}
    again = collected(root, {f"Ada_11_assignsubmission_file_/{PHASE}.ipynb": "2"}, SECOND)
    assert [(c.outcome, c.taken) for c in again.files] == [("there already", True)]
    after = {path: path.stat().st_mtime_ns for path in (root / "submitted").rglob("*.*") if path.suffix != ".csv"}
    assert after == before


@pytest.mark.parametrize("writes", range(6))
def test_interrupted_anywhere_it_is_finished_by_the_next_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    names = [f"{name}_{n}_assignsubmission_file_/{PHASE}.ipynb" for n, name in enumerate(("Ada", "Bob"))]
    source = packed(tmp_path / "1.zip", dict.fromkeys(names, "work"))
    real, left = os.replace, [writes]

    def killed(part: Path, path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            collect(root, source)
    assert all(c.taken for c in collect(root, source).files)
    assert notebooks(root) == {f"{name}/{PHASE}/{PHASE}": "work" for name in ("ada", "bob")}
    assert len(list((root / "submitted").rglob("timestamp.txt"))) == 2
    assert list((root / "submitted").rglob("*.part")) == []
    assert all(row["time"] and row["entry"] for row in rows(root))


# One assignment


def test_one_assignment_only(root: Path, tmp_path: Path) -> None:
    source = laid_out(tmp_path / "loose", {f"ada/{PHASE}.ipynb": "2", "ada/challenges.ipynb": "3"})
    report = collect(root, source, "phase3_production")
    assert notebooks(root) == {"ada/phase3_production/challenges": "3"}
    assert "phase3_production was asked for" in outcomes(report)[f"ada/{PHASE}.ipynb"]


def test_a_name_that_two_assignments_have_needs_the_assignment(root: Path, tmp_path: Path) -> None:
    (root / "release" / PHASE / "challenges.ipynb").write_text("{}")
    source = laid_out(tmp_path / "loose", {"ada/challenges.ipynb": "?", f"bob/{PHASE}/challenges.ipynb": "2"})
    report = collect(root, source)
    assert notebooks(root) == {f"bob/{PHASE}/challenges": "2"}
    assert "--assignment" in outcomes(report)["ada/challenges.ipynb"]
    collect(root, source, "phase3_production")
    assert "ada/phase3_production/challenges" in notebooks(root)


# The report


def test_the_table_lists_owner_outcome_and_origin() -> None:
    files = [
        Collected("a\nb.ipynb", "taken", "taken", "ada", PHASE),
        Collected("\udcff.pdf", "set aside", "no notebook"),
        Collected("essay.ipynb", "refused", "rename it"),
    ]
    lines = table(Report("Moodle", 2, files)).splitlines()
    assert lines[0] == "Moodle: 2 who handed in"
    assert lines[1] == f"ada  {PHASE}  taken  <- a b.ipynb"
    assert lines[2].endswith("set aside: no notebook  <- ?.pdf")
    assert lines[3].endswith("refused: rename it  <- essay.ipynb")
    assert lines[4] == "1 taken, 1 set aside, 1 refused"


STAMP = "2026-11-01 10:00:00 UTC"


def test_times_of_files_are_said_to_count(root: Path, tmp_path: Path) -> None:
    files = {f"ada/{PHASE}.ipynb": "ada", "bob/work.zip": zipped({f"{PHASE}.ipynb": "bob"})}
    said = table(collect(root, laid_out(tmp_path / "plain", files)))
    assert "The times of the notebooks (2) are the files' own: 2026-11-20 10:00 UTC. They count for lateness" in said
    assert "files' own" not in table(collected(root, {f"{ADA}/{PHASE}.ipynb": "x"})), "Moodle's worksheet has the times"
    stamped = {
        f"submitted/eve/{PHASE}/{name}": text for name, text in ((f"{PHASE}.ipynb", "e"), ("timestamp.txt", STAMP))
    }
    said = table(collect(root, laid_out(tmp_path / "stamped", stamped)))
    assert "files' own" not in said, "nbgrader's own time"


def test_who_handed_in_no_notebook_has_one_name_in_the_report(root: Path) -> None:
    (root / "roster.csv").write_text("id,first_name,last_name,canvas\nulla-berg,Ulla,Berg,12\n", encoding="utf-8")
    shown = table(collected(root, {"bergulla_12_34_essay.pdf": "x"}, assignment=PHASE))
    assert shown.splitlines()[-1] == "No notebook of: ulla-berg"


def test_the_report_is_written_as_a_table_too(root: Path) -> None:
    report = collected(root, {f"{ADA}/{PHASE}.ipynb": "x", f"{BOB}/=1+1.pdf": "x"})
    assert [(row["export"], row["file"], row["kind"], row["student"]) for row in rows(root, "collected.csv")] == [
        ("export0.zip", f"{ADA}/{PHASE}.ipynb", "taken", "ada-lovelace"),
        ("export0.zip", f"{BOB}/=1+1.pdf", "set aside", "bob"),
    ]
    assert [row["what"] for row in rows(root, "collected.csv")] == [c.outcome for c in report.files]


# macOS refuses files whose names have letters that are newer than what it knows of Unicode.
ANY = st.characters(exclude_categories=["Cs"], max_codepoint=None if sys.platform == "linux" else 0x2FF)


@settings(max_examples=60)
@given(names=st.lists(st.text(ANY, min_size=1, max_size=30), max_size=6, unique=True))
def test_every_file_of_a_zip_is_in_the_report(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    laid_out(folder, {f"course/release/{PHASE}/{PHASE}.ipynb": "{}"})
    files = dict.fromkeys([*names, *(f"{name}_{PHASE}.ipynb" for name in names)], "x")
    packed(folder / "any.zip", files)
    with zipfile.ZipFile(folder / "any.zip") as archive:
        entries = sorted(info.filename for info in archive.infolist() if not info.filename.endswith("/"))
    report = collect(folder / "course", folder / "any.zip")
    assert sorted(c.entry for c in report.files) == entries
    assert sum(c.taken for c in report.files) == len(notebooks(folder / "course"))
    again = collect(folder / "course", folder / "any.zip")
    assert [(c.entry, c.student, c.taken) for c in again.files] == [(c.entry, c.student, c.taken) for c in report.files]
    assert all(c.outcome.startswith("there already") for c in again.files if c.taken)
    assert len(table(report).splitlines()) == len(report.files) + 2 + bool(report.nothing) + bool(report.own_times)


def test_a_learner_without_a_notebook_has_a_folder_with_the_reasons_until_one_comes(root: Path) -> None:
    """So that there is a page for them."""
    other = f"Bob_2_assignsubmission_file_/{PHASE}.ipynb"
    collected(root, {f"{ADA}/essay.pdf": "x", f"{ADA}/work.zip": "no zip", other: "bob"})
    found = intake(root / "submitted" / "ada-lovelace" / PHASE, [PHASE])
    assert found.refused["essay.pdf"] == "no notebook, and nothing that one asks for"
    assert "is no whole archive" in found.refused["work.zip"]
    collected(root, {f"{ADA}/{PHASE}.ipynb": "ada", other: "bob"}, SECOND)
    found = intake(root / "submitted" / "ada-lovelace" / PHASE, [PHASE])
    assert (found.notebooks, found.refused) == ({PHASE: b"ada"}, {})


BLANK = '{"cells": [{"source": "# YOUR CODE HERE", "metadata": {"nbgrader": {"grade_id": "double"}}}], "nbformat": 4}'
SOLVED = BLANK.replace("# YOUR CODE HERE", "x = 1")


@pytest.fixture
def with_stub(root: Path) -> Path:
    (root / "release" / PHASE / f"{PHASE}.ipynb").write_text(BLANK)
    return root


@pytest.mark.parametrize("times", [(FIRST, FIRST), (FIRST, SECOND), (SECOND, FIRST)])
def test_an_unchanged_notebook_never_counts_before_a_changed_one(with_stub: Path, times: tuple) -> None:
    """Of two files of one attempt; the learner reads of the other."""
    source = with_stub.parent / "1.zip"
    packed(source, {f"{ADA}/{PHASE}_FINAL_v2.ipynb": SOLVED}, times[0])
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr(zipfile.ZipInfo(f"{ADA}/{PHASE}.ipynb", times[1]), BLANK)
    report = collect(with_stub, source)
    assert there(with_stub) == {f"ada-lovelace/{PHASE}/{PHASE}.ipynb": SOLVED}
    assert [c.outcome for c in report.files if not c.taken] == [
        f"'{ADA}/{PHASE}_FINAL_v2.ipynb' was taken in its place"
    ]
    found = intake(with_stub / "submitted" / "ada-lovelace" / PHASE, [PHASE])
    assert found.refused == {f"{PHASE}.ipynb": f"'{PHASE}_FINAL_v2.ipynb' was taken in its place"}


@pytest.mark.parametrize("name", [f"{PHASE}.ipynb.download", f"{PHASE}.ipynb.crdownload", f"{PHASE}.IPYNB.bak"])
def test_a_notebook_under_another_suffix_is_one(with_stub: Path, name: str) -> None:
    [found] = collected(with_stub, {f"ada/{name}": SOLVED}).files
    assert found.outcome == f"taken; as {PHASE}.ipynb"


@pytest.mark.parametrize(
    ("text", "told"), [("", "is empty"), (" \n", "is empty"), ("<!DOCTYPE html>", "is a web page")]
)
def test_a_file_without_a_notebook_is_refused_with_advice(root: Path, text: str, told: str) -> None:
    report = collected(root, {f"{ADA}/{PHASE}.ipynb": text, f"Bob_2_assignsubmission_file_/{PHASE}.ipynb": "bob"})
    [refused] = [c for c in report.files if c.kind == "refused"]
    assert refused.outcome.startswith(told)
    assert refused.student == "ada-lovelace"
    assert report.nothing == ("ada-lovelace",)
    assert "No notebook of: ada-lovelace" in table(report)


def test_an_artifact_under_a_versions_name_is_the_one_that_is_asked_for(root: Path) -> None:
    asks = "open('edge.gpt2pack')"
    (root / "release" / "phase3_production" / "challenges.ipynb").write_text(asks)
    files = {f"{ADA}/challenges.ipynb": "ada", f"{ADA}/edge-final.gpt2pack": "model", f"{ADA}/other.onnx": "x"}
    report = outcomes(collected(root, files))
    assert report[f"{ADA}/edge-final.gpt2pack"] == "taken; as edge.gpt2pack"
    assert report[f"{ADA}/other.onnx"] == "taken; no notebook names a file of this name"


def test_the_table_of_what_was_collected_keeps_other_exports(root: Path) -> None:
    packed(root.parent / "one.zip", {f"{ADA}/{PHASE}.ipynb": "ada"})
    packed(root.parent / "two.zip", {f"bob/{PHASE}.ipynb": "bob"})
    for name in ("one.zip", "two.zip", "one.zip"):
        collect(root, root.parent / name)
    assert sorted((row["export"], row["what"]) for row in rows(root, "collected.csv")) == [
        ("one.zip", "there already"),
        ("two.zip", "taken"),
    ]
