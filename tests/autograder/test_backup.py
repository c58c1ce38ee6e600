"""Tests of backup and restore: the same bytes come back, nothing is lost, and no unexpected file is unpacked."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from pathlib import Path

import pytest

from autograder.__main__ import main
from autograder.course import Course, CourseError
from autograder.files import write_whole
from autograder.records.backup import MARK, _unpack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course with a file of each kind, and a learner in its gradebook."""
    root = tmp_path / "course"
    root.mkdir()
    for name in ("submitted/ada/p/p.ipynb", "submitted/.replaced/x", "autograded/ada/p/p.ipynb", "lms/canvas.csv"):
        write_whole(root / name, f"this is {name}")
    write_whole(root / "term.toml", "")
    write_whole(root / "gradebook.key", "key")
    write_whole(root / "notebooks" / "mine.ipynb", "my own")
    with Course(root).gradebook() as gradebook:
        gradebook.add_student("ada")
    return root


def students(root: Path) -> list[str]:
    with Course(root).gradebook() as gradebook:
        return [str(student.id) for student in gradebook.students]


def contents(root: Path) -> dict[str, bytes]:
    names = ("submitted", "autograded", "lms", "term.toml", "gradebook.key", "notebooks")
    files = [path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] in names]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_a_backup_comes_back_and_the_present_state_is_kept(root: Path, tmp_path: Path) -> None:
    before = contents(root)
    (root / "submitted" / "link").symlink_to("/etc/hostname")
    assert main(["backup", str(tmp_path / "term.zip")], root=root) == 0
    assert (tmp_path / "term.zip").stat().st_mode & 0o077 == 0, "grades and the key are nobody else's"
    assert "submitted/link" not in zipfile.ZipFile(tmp_path / "term.zip").namelist()
    write_whole(root / "submitted" / "ada" / "p" / "p.ipynb", "newer")
    write_whole(root / "submitted" / "bob" / "p" / "p.ipynb", "new")
    with Course(root).gradebook() as gradebook:
        gradebook.add_student("bob")
    assert main(["restore", str(tmp_path / "term.zip")], root=root) == 0
    assert contents(root) == before
    assert students(root) == ["ada"]
    (aside,) = (root / "backups").glob("before-restore-*")
    assert (aside / "submitted" / "bob" / "p" / "p.ipynb").read_text() == "new"
    assert not list(root.glob(".restore-*"))


def test_a_backup_moves_to_another_machine(root: Path, tmp_path: Path) -> None:
    assert main(["backup", str(tmp_path)], root=root) == 0
    (file,) = tmp_path.glob("*.zip")
    other = tmp_path / "other"
    other.mkdir()
    assert main(["restore", str(file)], root=other) == 0
    assert students(other) == ["ada"]
    assert not (other / "backups").exists()


def made(path: Path, *names: str, mark: bool = True) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in [*names, *([MARK] if mark else [])]:
            archive.writestr(name, "x")


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "cut", "unmarked", "outside", "absolute", "strange"])
def test_an_incomplete_backup_changes_nothing(
    root: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.zip"
    if kind == "folder":
        path.mkdir()
    elif kind in ("text", "cut"):
        made(path, "term.toml")
        path.write_bytes(b"no zip" if kind == "text" else path.read_bytes()[:-30])
    elif kind != "missing":
        name = {"outside": "submitted/../../x", "absolute": "/submitted/x", "strange": "nbgrader_config.py"}
        made(path, name.get(kind, "term.toml"), mark=kind != "unmarked")
    assert_refused(root, path, capsys)


@pytest.mark.parametrize(
    "names",
    [
        *(["gradebook.db/x"], ["gradebook.key/x"], ["roster.csv/x"], ["term.toml/x"], [f"{MARK}/x"], ["submitted"]),
        *(["submitted/"], ["submitted", "submitted/a"], ["submitted/a", "submitted/a/b"], ["lms/a", "lms/a"], ["."]),
        *(["//"], ["submitted/./../x"], ["submitted\\..\\x"], ["gradebook.db/"], ["submitted/" + "a" * 300]),
    ],
    ids=lambda names: names[-1][:20],
)
def test_a_zip_whose_files_and_folders_are_no_backups_changes_nothing(
    root: Path, tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(action="ignore"):  # of names that are there twice
        made(tmp_path / "b.zip", *names)
    assert_refused(root, tmp_path / "b.zip", capsys)


@pytest.mark.parametrize("damage", ["data", "sum", "name", "method", "encrypted", "encrypted, both", "offset"])
def test_a_damaged_zip_changes_nothing(
    root: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MARK, "x")
        archive.writestr("submitted/a", bytes(range(256)) * 40)
    data = bytearray(path.read_bytes())
    local, central = data.find(b"PK\3\4", 10), data.rfind(b"PK\1\2")
    at, new = {
        "data": (local + 30 + len("submitted/a"), b"\xff" * 40),
        "sum": (central + 16, b"\1\2\3\4"),
        "name": (local + 30, b"xx"),
        "method": (central + 10, b"\x63"),
        "encrypted": (central + 8, b"\1"),
        "encrypted, both": (local + 6, b"\1"),
        "offset": (central + 42, b"\xff\xff\xff\x0f"),
    }[damage]
    data[at : at + len(new)] = new
    if damage == "encrypted, both":
        data[central + 8] |= 1
    path.write_bytes(data)
    assert_refused(root, path, capsys)


def test_a_backup_with_any_byte_flipped_is_restored_whole_or_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.zip"
    made(path, "submitted/a")
    data = path.read_bytes()
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        with contextlib.suppress(CourseError):
            _unpack(path, tmp_path / str(at))
            assert (tmp_path / str(at) / "submitted" / "a").read_bytes() == b"x"


def assert_refused(root: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(root)
    assert main(["restore", str(path)], root=root) == 1
    told = capsys.readouterr()
    assert str(path) in told.err
    assert len(told.err.splitlines()) == 1
    assert contents(root) == before
    assert students(root) == ["ada"]
    assert not (root / "backups").exists()


def test_nothing_is_written_over_a_file_or_into_what_is_backed_up(root: Path, tmp_path: Path) -> None:
    write_whole(tmp_path / "there.zip", "mine")
    assert main(["backup", str(tmp_path / "there.zip")], root=root) == 1
    assert (tmp_path / "there.zip").read_text() == "mine"
    assert main(["backup", str(root / "submitted")], root=root) == 1
    assert not list((root / "submitted").glob("*.zip"))
