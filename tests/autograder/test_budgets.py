"""Tests of each learner's own budget: what is over it is refused in a sentence, and the others' are collected.

Steps are counted (files listed, archives unpacked, bytes read), not seconds.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from classroom import REPOSITORY
from exports import PHASE, collected, laid_out, made_course, notebook, notebooks, rows, tarred, there, zipped

from autograder.grading.lateness import handed_in
from autograder.intake import archive, budget, tar, times
from autograder.intake.collect import collect
from autograder.intake.folder import MAX_EXTRA_FILES
from autograder.intake.platforms import gradescope
from autograder.intake.report import Report
from autograder.intake.tar import members
from autograder.term import read_term

BOB = {f"bob/{PHASE}.ipynb": "fine"}
BOBS = {f"bob/{PHASE}/{PHASE}.ipynb": "fine"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


def refused(report: Report) -> list[str]:
    return [c.outcome for c in report.files if c.kind == "refused"]


def counted(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> list[object]:
    """Count the calls of a function: the list that grows by one with each."""
    calls, function = [], getattr(where, name)

    def counting(*args: object, **named: object) -> object:
        calls.append(args)
        return function(*args, **named)

    monkeypatch.setattr(where, name, counting)
    return calls


def header(kind: bytes, body: bytes, declared: int | None = None) -> bytes:
    """A header of a tar whose text says something of the next file."""
    about = tarfile.TarInfo("about")
    about.type, about.size = kind, len(body) if declared is None else declared
    return about.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)


def with_header(kind: bytes, body: bytes, declared: int | None = None) -> bytes:
    return header(kind, body, declared) + tarred({f"{PHASE}.ipynb": "ada"}, "w")


FORMS: dict[str, Callable[[dict[str, str]], dict[str, str | bytes]]] = {
    "zip": lambda files: {"ada/work.zip": zipped(files)},
    "tar": lambda files: {"ada/work.tar": tarred(files, "w")},
    "tar.gz": lambda files: {"ada/work.tar.gz": tarred(files)},
    "two zips": lambda files: {
        f"ada/{n}.zip": zipped({f: text for at, (f, text) in enumerate(files.items()) if at % 2 == n}) for n in (0, 1)
    },
    "folder": lambda files: {f"ada/{name}": text for name, text in files.items()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [50, 100])
def test_a_hand_in_of_too_many_files_is_one_line_and_stops_nobody(
    root: Path, monkeypatch: pytest.MonkeyPatch, form: str, number: int
) -> None:
    monkeypatch.setattr(budget, "MAX_FILES", 40)
    files = {f"n/{n}.txt": "" for n in range(number)} | {f"{PHASE}.ipynb": "ada"}
    report = collected(root, FORMS[form](files) | BOB)
    said, *more = refused(report)
    assert len(more) < 2
    assert re.search(r"holds \d+ files, and a hand-in has at most 40: keep the notebooks", said)
    assert len(report.files) < 40
    assert notebooks(root)[f"bob/{PHASE}/{PHASE}"] == "fine"
    assert "ada" in {c.student for c in report.files}


def test_the_budget_is_each_learners_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_FILES", 8)
    class_ = {f"s{n}/work.zip": zipped({f"{PHASE}.ipynb": "x"} | {f"{k}.txt": "" for k in range(6)}) for n in range(30)}
    report = collected(root, class_)
    assert refused(report) == []
    assert len(notebooks(root)) == 30


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_notebooks_that_are_too_large_together_are_not_unpacked(
    root: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(archive, "MAX_ARCHIVE", 1_000_000)
    unpacked = counted(monkeypatch, archive, "unpacked")
    files = {f"{n}/{PHASE}.ipynb": bytes(300_000) for n in range(4)}
    report = collected(root, {f"ada/work.{form}": zipped(files) if form == "zip" else tarred(files)} | BOB)
    assert len(refused(report)) == 1
    assert "more than 1 MB" in refused(report)[0]
    assert not unpacked
    assert there(root) == BOBS


def test_a_file_whose_header_says_too_much_is_not_unpacked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.intake.contents.MAX_NOTEBOOK", 100_000)
    work = zipped({f"{PHASE}.ipynb": bytes(200_000)})
    unpacked = counted(monkeypatch, zipfile.ZipExtFile, "read")
    report = collected(root, {"ada/work.zip": work})
    assert refused(report) == ["is larger than 0 MB"]
    assert len(unpacked) == 1  # the archive itself, from the export


def test_loose_files_of_a_learner_are_read_up_to_a_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_READ", 1_000_000)
    files = {f"Ada_1_assignsubmission_file_/{n}/{PHASE}.ipynb": bytes([65 + n]) * 300_000 for n in range(9)}
    report = collected(root, files | {f"Bob_2_assignsubmission_file_/{PHASE}.ipynb": "fine"})
    assert sum("this learner's files came to more than 1 MB" in said for said in refused(report)) >= 6
    assert notebooks(root)[f"bob/{PHASE}/{PHASE}"] == "fine"


@pytest.mark.parametrize("number", [20, 40])
def test_a_packed_tar_is_unpacked_once_in_whatever_order_its_files_lie(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    unzipped = counted(monkeypatch, archive, "_unzipped")
    files = {f"{PHASE}.ipynb": "ada"} | {f"{n}.json": "{}" for n in range(number)}
    files |= {f"other/{n}.csv": "1" for n in reversed(range(number))}
    collected(root, {"ada/work.tar.gz": tarred(files)} | BOB)
    assert len(there(root)) == 2 + 2 * number
    assert len(unzipped) == 1


def test_archives_that_are_read_in_turn_are_unpacked_within_the_budget(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unzipped = counted(monkeypatch, archive, "_unzipped")
    monkeypatch.setattr(budget, "MAX_READ", 3_000_000)
    pad = {"pad.bin": bytes(300_000)}
    one, two = ({f"{n}.json": "{}" for n in range(start, 40, 2)} for start in (0, 1))
    ada = {"ada/1.tar.gz": tarred({f"{PHASE}.ipynb": "ada"} | pad | one), "ada/2.tar.gz": tarred(pad | two)}
    collected(root, ada | BOB)
    assert len(unzipped) <= 11
    assert notebooks(root)[f"bob/{PHASE}/{PHASE}"] == "fine"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.SOLARIS_XHDTYPE])
def test_a_long_header_of_a_tar_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes) -> None:
    records = counted(monkeypatch, tar, "_records")
    report = collected(root, {"ada/work.tar.gz": gzip.compress(with_header(kind, b"1" * 100_000))} | BOB)
    assert refused(report) == ["has a name or a header of more than 64 kB: pack it with another program"]
    assert not records
    assert there(root) == BOBS


@pytest.mark.parametrize(
    "body",
    [
        b"1" * 60_000,
        b"0 a=b\n",
        b"3 a=b\n",
        b"-9 a=b\n",
        b"999 a=b\n",
        b" a=b\n",
        b"6a=b\n",
        b"x a=b\n",
        b"14 size=-512\n",
    ],
)
def test_a_header_that_no_program_writes_is_refused(root: Path, body: bytes) -> None:
    report = collected(root, {"ada/work.tar": with_header(tarfile.XHDTYPE, body)} | BOB)
    assert refused(report) == ["is no whole archive (ValueError): ask for it again"]
    assert there(root) == BOBS


@pytest.mark.parametrize("size", [-1, -512, 10**15])
def test_a_size_that_no_file_has_ends_the_reading_of_a_tar(root: Path, size: int) -> None:
    report = collected(root, {"ada/work.tar": with_header(tarfile.REGTYPE, b"", size)} | BOB)
    assert refused(report) == ["is no whole archive (ValueError): ask for it again"]


def test_digits_in_a_header_are_read_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    record = b"60017 comment=" + b"1" * 60_002 + b"\n"
    assert [m.name for m in members(with_header(tarfile.XHDTYPE, record))] == [f"{PHASE}.ipynb"]
    texts = counted(monkeypatch, tar, "_text")
    list(members(with_header(tarfile.XHDTYPE, b"8 ab=12\n" * 1_000)))
    first = len(texts)
    list(members(with_header(tarfile.XHDTYPE, b"8 ab=12\n" * 2_000)))
    assert (first, len(texts) - first) == (2_000, 4_000)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_what_programs_write_is_read_as_tarfile_reads_it(form: int) -> None:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=form) as made:
        long = "ü/" * 60 if form != tarfile.USTAR_FORMAT else "deep/" * 25
        for name, data, mtime in (
            ("a.ipynb", b"abc", 1_790_000_000.5),
            (f"{long}b.ipynb", b"x" * 1025, 0),
            ("e", b"", 5),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), mtime if form == tarfile.PAX_FORMAT else int(mtime)
            made.addfile(member, io.BytesIO(data))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "x" * 300 if form != tarfile.USTAR_FORMAT else "x"
        made.addfile(link)
    data = memory.getvalue()
    with tarfile.open(fileobj=io.BytesIO(data)) as whole:
        expected = [(m.name, m.mtime, m.offset_data if m.isreg() else None, m.size) for m in whole if not m.isdir()]
    found = list(members(data))
    assert [(m.name, m.seconds, None if m.refused else m.offset, m.size) for m in found] == expected
    assert [m.refused for m in found if m.refused] == ["is a link or a device in the tar"]


@pytest.mark.parametrize("number", [500, 1000])
def test_names_of_a_tar_have_a_limit_together(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(tar, "MAX_NAMES", 100_000)
    read = counted(monkeypatch, tarfile.TarInfo, "frombuf")
    name = header(tarfile.GNUTYPE_LONGNAME, b"d/" * 500)
    with pytest.raises(budget.Refused, match="MB of names"):
        list(members(name * number))
    assert len(read) < 100


def test_the_list_of_a_zip_is_not_read_when_it_is_too_long(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{n}/{'x' * 200}": "" for n in range(60)} | {f"{PHASE}.ipynb": "ada"}
    data = zipped(files)
    monkeypatch.setattr(archive, "MAX_NAMES", 10_000)
    listed = counted(monkeypatch, zipfile.ZipInfo, "__init__")
    with pytest.raises(budget.Refused, match="MB of names"):
        archive._opened_zip(data)
    assert not listed
    collected(root, {"ada/work.zip": zipped({f"{PHASE}.ipynb": "ada" * 9_000})} | BOB)  # what it holds may be longer
    assert len(notebooks(root)) == 2


@pytest.mark.parametrize("number", [MAX_EXTRA_FILES + 50, 2 * MAX_EXTRA_FILES])
def test_artifacts_have_a_limit_and_those_that_the_course_asks_for_come_first(root: Path, number: int) -> None:
    laid_out(root, {f"release/{PHASE}/{PHASE}.ipynb": notebook(text="save it as wanted.gpt2pack")})
    files = {f"{PHASE}.ipynb": "ada"} | {f"{n}.json": "{}" for n in range(number)} | {"wanted.gpt2pack": "model"}
    report = collected(root, {"ada/work.zip": zipped(files)} | BOB)
    assert len(rows(root)) == 2 + MAX_EXTRA_FILES
    assert refused(report) == ["was left out: at most 200 files are taken beside the notebooks"] * (number - 199)
    assert there(root)[f"ada/{PHASE}/wanted.gpt2pack"] == "model"


def test_artifacts_have_a_limit_of_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.intake.store.MAX_EXTRAS", 1_000)
    files = {f"ada/{n}.json": "x" * 300 for n in range(6)} | {f"ada/{PHASE}.ipynb": "ada"}
    report = collected(root, files | BOB)
    assert len([said for said in refused(report) if "MB are taken beside the notebooks" in said]) == 3
    assert len(there(root)) == 5


NO_TIMES = ["0999-01-01 10:00:00 UTC", "0001-01-01 00:00:00", "1969-12-31 23:59:59 UTC", "1970-01-01 00:30 +01:00"]
NO_TIMES += ["9999-12-31 23:59:59 -05:00", "2026-02-30 10:00:00 UTC", "10000-01-01 10:00:00 UTC", "soon", "", "\udcff"]


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_time_that_is_none_is_told_for_its_learner_and_stops_nobody(root: Path, tmp_path: Path, text: str) -> None:
    good = "2026-11-20 10:00:00.000000 UTC"
    for who, when in (("ada", text), ("bob", good)):
        files = {f"{PHASE}.ipynb": who, "timestamp.txt": when.encode("utf-8", "surrogateescape")}
        laid_out(tmp_path / "submitted", {f"{who}/{PHASE}/{name}": data for name, data in files.items()})
    os.utime(tmp_path / "submitted" / "ada" / PHASE / f"{PHASE}.ipynb", (0, -1.0e9))
    report = collect(root, tmp_path / "submitted")
    told = {c.entry: c.outcome for c in report.files}
    assert told[f"ada/{PHASE}/timestamp.txt"] == "the time of the submission: is no time: that of the files counts"
    assert told[f"bob/{PHASE}/timestamp.txt"] == "the time of the submission: it was read"
    found = handed_in(root, read_term(root), PHASE)
    assert {student: when.time for student, when in found.items()} == {"ada": None, "bob": datetime(2026, 11, 20, 10)}


def test_a_time_of_students_csv_that_is_none_stops_nobody(root: Path) -> None:
    collected(root, {f"ada/{PHASE}.ipynb": "ada"} | BOB)
    path = root / "submitted" / "students.csv"
    text, old = path.read_text(encoding="utf-8-sig"), rows(root)[0]["time"]
    path.write_text(text.replace(old, "999-01-01 10:00:00.000000 UTC", 2), encoding="utf-8")
    found = handed_in(root, read_term(root), PHASE)
    assert found["ada"].time is None
    assert found["bob"].time is not None
    collected(root, {f"ada/{PHASE}.ipynb": "newer"} | BOB)
    assert notebooks(root)[f"ada/{PHASE}/{PHASE}"] == "newer"


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e30, -1e30])
def test_seconds_that_are_no_time(seconds: float) -> None:
    assert times.from_clock(seconds) is None


@pytest.mark.parametrize("time", [datetime(1970, 1, 1), datetime(2026, 11, 20, 10, 0, 0, 5), datetime(9999, 12, 31)])
def test_a_time_that_is_written_is_read_again(time: datetime) -> None:
    assert times.from_text(times.to_text(time.replace(tzinfo=UTC))) == time


def test_times_are_read_and_written_in_one_place() -> None:
    places = {
        path.name
        for path in (REPOSITORY / "autograder").rglob("*.py")
        if re.search(r"\bstrptime\(|\bstrftime\(|\bfromtimestamp\(", path.read_text(encoding="utf-8"))
    }
    assert places == {"times.py"}


def test_a_list_of_gradescopes_in_a_learners_folder_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = counted(monkeypatch, gradescope.yaml, "load")
    export = {f"{who}/{PHASE}.ipynb": "x" for who in ("ada", "bob", "cy")}
    collected(root, export | {"ada/submission_metadata.yml": "a: b"})
    assert not read
    assert len(notebooks(root)) == 3
