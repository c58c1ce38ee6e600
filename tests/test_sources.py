"""What an export comes in: zips, tars and folders, whole or not, honest or not."""

from __future__ import annotations

import struct
import sys
import zipfile
from pathlib import Path

import pytest
from exports import PHASE, collected, laid_out, made_course, notebooks, outcomes, packed, said

from autograder.intake import source as sources
from autograder.intake.collect import CollectError, collect


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


def test_a_zip_bomb_is_not_unpacked(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(sources, "MAX_TOTAL", 1_000)
    many = packed(tmp_path / "many.zip", {f"s{n}/{PHASE}.ipynb": "x" * 300 for n in range(9)})
    with pytest.raises(CollectError, match="collect it in parts"):
        collect(root, many)


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
