"""Tests of the containers of exports: zips, tars and folders, complete or not, honest or not."""

from __future__ import annotations

import io
import itertools
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from exports import (
    FIRST,
    PHASE,
    SECOND,
    collected,
    laid_out,
    made_course,
    notebooks,
    outcomes,
    packed,
    said,
    tarred,
    there,
    zipped,
)

from autograder.intake import archive as archives
from autograder.intake import source as sources
from autograder.intake.collect import collect
from autograder.intake.source import CollectError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil", "\\evil"])
def test_names_that_lead_out_are_not_taken(root: Path, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    source = packed(tmp_path / "evil.zip", {f"{name}/{PHASE}.ipynb": "evil", f"{name}_{PHASE}.ipynb": "evil"})
    report = collect(root, source)
    assert [said(c) for c in report.files] == ["refused: its name leads out of the export"] * 2
    assert set(tmp_path.rglob("*")) - before == {
        source,
        *(root / name for name in ("submitted", "submitted/students.csv", "submitted/collected.csv")),
    }


@pytest.mark.parametrize("name", ["..", ".x", "a/b", "*"])
def test_a_name_in_the_zip_never_becomes_a_path(root: Path, tmp_path: Path, name: str) -> None:
    collected(root, {f"{who}_5_assignsubmission_file_{PHASE}.ipynb": "x" for who in (name, "Bob")})
    found = [path.parent.parent.parent for path in tmp_path.rglob(f"{PHASE}.ipynb") if "release" not in path.parts]
    assert found == [root / "submitted"] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="to make a link takes a privilege on Windows")
def test_links_in_a_zip_or_a_folder_are_not_taken(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ipynb"
    secret.write_text("secret")
    source = tmp_path / "1.zip"
    with zipfile.ZipFile(source, "w") as archive:
        link = zipfile.ZipInfo(f"ada/{PHASE}.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(secret))
    assert "is a link" in collect(root, source).files[0].outcome
    folder = tmp_path / "loose" / "ada"
    folder.mkdir(parents=True)
    (folder / f"{PHASE}.ipynb").symlink_to(secret)
    (folder / "bob").symlink_to(tmp_path)
    report = collect(root, tmp_path / "loose")
    assert "is a link" in outcomes(report)[f"ada/{PHASE}.ipynb"]
    assert not any(c.taken for c in report.files)
    assert len(report.files) == 2
    assert notebooks(root) == {}


def test_a_zip_bomb_is_not_unpacked(root: Path, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"ada/{PHASE}.ipynb": bytes(70_000_000), f"bob/{PHASE}.ipynb": "fine"}
    source = packed(tmp_path / "bomb.zip", files)
    data = bytearray(source.read_bytes())
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)  # the header says: 10 bytes
    lying = tmp_path / "lying.zip"
    lying.write_bytes(data)
    for bomb in (source, lying):
        got = outcomes(collect(root, bomb))
        assert got[f"ada/{PHASE}.ipynb"].startswith(("refused: is larger than 60 MB", "refused: is damaged"))
    assert notebooks(root) == {f"bob/{PHASE}/{PHASE}": "fine"}


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_cannot_be_unpacked_in_small_steps_are_not_taken(
    root: Path, tmp_path: Path, packing: int
) -> None:
    with zipfile.ZipFile(tmp_path / "1.zip", "w", packing) as archive:
        archive.writestr(f"ada/{PHASE}.ipynb", "x")
    assert "unusual way" in collect(root, tmp_path / "1.zip").files[0].outcome


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
    assert notebooks(root) == {f"bob/{PHASE}/{PHASE}": "fine"}


def test_a_source_that_is_none_is_a_clear_error(root: Path, tmp_path: Path) -> None:
    laid_out(tmp_path, {"lab.ipynb": "{}"})
    with pytest.raises(CollectError, match="There is no"):
        collect(root, tmp_path / "missing.zip")
    with pytest.raises(CollectError, match="no whole zip file"):
        collect(root, tmp_path / "lab.ipynb")
    laid_out(root / "submitted", {"ada/lab.ipynb": ""})
    for place in (root, root / "submitted", root / "submitted" / "ada", tmp_path):
        with pytest.raises(CollectError, match="where submissions go to"):
            collect(root, place)
    with pytest.raises(CollectError, match="no assignment 'phase9'"):
        collect(root, tmp_path, "phase9")
    with pytest.raises(CollectError, match="run make release first"):
        collect(tmp_path / "empty", tmp_path)


def test_an_empty_export_and_one_of_another_course(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for report in (collected(root, {}), collected(root, {"ada/": ""}), collect(root, tmp_path / "empty")):
        assert (report.people, report.files) == (0, [])
    report = collected(root, {"ada/essay.docx": "x", "bob/thesis.pdf": "x"})
    assert {said(c) for c in report.files} == {"set aside: no notebook, and nothing that one asks for"}


def test_more_files_than_may_be_are_one_sentence(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_ENTRIES", 50)
    files = {f"s{n}/{PHASE}.ipynb": "x" for n in range(51)}
    with pytest.raises(CollectError, match="more than 50 files: collect it in parts"):
        collected(root, files)
    with pytest.raises(CollectError, match="more than 50 files"):
        collect(root, laid_out(tmp_path / "loose", files))
    assert there(root) == {}
    eves = {f"eve/{PHASE}/{n}/{PHASE}.ipynb": "x" for n in range(51)} | {f"bob/{PHASE}.ipynb": "x"}
    with pytest.raises(CollectError, match=f"most of them in eve/{PHASE}: move that folder elsewhere, or collect"):
        collected(root, eves)


def _encrypted(data: bytes) -> bytes:
    at = data.find(b"PK\x01\x02")
    return data[: at + 8] + b"\x01" + data[at + 9 :]


def _odd_tar(kind: bytes, target: str = "") -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        member = tarfile.TarInfo(f"{PHASE}.ipynb")
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return memory.getvalue()


WHOLE = zipped({f"{PHASE}.ipynb": "x" * 500})
GOOD = tarred({f"{PHASE}.ipynb": "x" * 500})


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("work.zip", b"PK", "no whole archive"),
        ("work.zip", WHOLE[:-30], "no whole archive"),
        ("work.zip", _encrypted(WHOLE), "is encrypted: ask for it without a password"),
        ("work.tar.gz", GOOD[: len(GOOD) // 2], "no whole archive"),
        ("work.tar", b"no tar", "no whole archive"),
        ("work.tar", _odd_tar(tarfile.SYMTYPE, "/etc/passwd"), "is a link or a device in the tar"),
        ("work.tar", _odd_tar(tarfile.LNKTYPE, "../../etc/passwd"), "is a link or a device in the tar"),
        ("work.tar", _odd_tar(tarfile.CHRTYPE), "is a link or a device in the tar"),
        ("work.tar", _odd_tar(tarfile.FIFOTYPE), "is a link or a device in the tar"),
        ("work.7z", b"7z", "unpack it, and collect the folder"),
        ("work.rar", b"Rar!", "unpack it, and collect the folder"),
        ("work.zip", zipped({"more.zip": WHOLE}), "is an archive within an archive"),
        ("work.zip", zipped({f"../bob/{PHASE}.ipynb": "x"}), "its name leads out of the archive"),
        ("work.tar", tarred({f"../bob/{PHASE}.ipynb": "x"}, "w"), "its name leads out of the archive"),
        ("work.tar", tarred({f"/bob/{PHASE}.ipynb": "x"}, "w"), "its name leads out of the archive"),
    ],
    ids=itertools.count(),  # the archives hold the time
)
def test_a_faulty_archive_of_a_learner_is_reported_in_a_sentence_and_stops_nobody(
    root: Path, name: str, data: bytes, told: str
) -> None:
    report = collected(root, {f"ada/{name}": data, f"bob/{PHASE}.ipynb": "fine"})
    [refused] = [c.outcome for c in report.files if c.kind == "refused"]
    assert told in refused
    assert there(root) == {f"bob/{PHASE}/{PHASE}.ipynb": "fine"}


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_a_bomb_in_an_archive_is_not_unpacked(root: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(archives, "MAX_ARCHIVE", 1_000_000)
    files = {f"{PHASE}.ipynb": bytes(5_000_000)}
    data = zipped(files) if form == "zip" else tarred(files, "w" if form == "tar" else "w:gz")
    monkeypatch.setattr("autograder.intake.contents.MAX_NOTEBOOK", 1_000_000)
    report = collected(root, {f"ada/work.{form}": data, f"bob/{PHASE}.ipynb": "fine"})
    assert [c.kind for c in report.files if c.entry.startswith("ada")].count("refused") == 1
    assert there(root) == {f"bob/{PHASE}/{PHASE}.ipynb": "fine"}


def test_a_sparse_file_in_a_tar_is_not_unpacked(root: Path) -> None:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo(f"{PHASE}.ipynb")
        member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**15), "GNU.sparse.numblocks": "1"}
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    report = collected(root, {"ada/work.tar": memory.getvalue(), f"bob/{PHASE}.ipynb": "fine"})
    assert [c.outcome for c in report.files if c.kind == "refused"] == ["is a sparse file: pack it without --sparse"]
    assert there(root) == {f"bob/{PHASE}/{PHASE}.ipynb": "fine"}


ODD = ("a" * 300, "é" * 97, "李" * 60, "a\0b", "CON", "a:b", "é" * 200, "\udcff", "a\nb")


@pytest.mark.parametrize("name", ODD, ids=itertools.count())
def test_odd_and_long_names_stop_nothing(root: Path, name: str) -> None:
    files = {f"ada/{name}.gpt2pack": "model", f"ada/{PHASE}.ipynb": "ada", f"{name}/{PHASE}.ipynb": "odd"}
    files = {key.encode("utf-8", "replace").decode(): text for key, text in files.items()}
    report = collected(root, files)
    assert notebooks(root)[f"ada/{PHASE}/{PHASE}"] == "ada"
    assert len(report.files) == len(files)
    collected(root, dict.fromkeys(files, "new"), SECOND)
    assert notebooks(root)[f"ada/{PHASE}/{PHASE}"] == "new"


def test_a_file_and_a_folder_of_one_name(root: Path) -> None:
    collected(root, {"ada": "x", f"ada/{PHASE}.ipynb": "ada", f"bob/{PHASE}.ipynb": "b", f"bob/{PHASE}.ipynb/x": "y"})
    assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "ada", f"bob/{PHASE}/{PHASE}": "b"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a name is text")
def test_names_that_are_no_text_are_kept_as_they_are(root: Path, tmp_path: Path) -> None:
    for time, text in ((FIRST, "first"), (SECOND, "second")):
        source = laid_out(tmp_path / text, {f"ada/{PHASE}.ipynb": text, "ada/\udcff.gpt2pack": text}, time)
        assert [c.kind for c in collect(root, source).files] == ["taken", "taken"]
    assert there(root) == {f"ada/{PHASE}/{PHASE}.ipynb": "second", f"ada/{PHASE}/\udcff.gpt2pack": "second"}
