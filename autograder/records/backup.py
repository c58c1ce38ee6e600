"""Backup of a term in one file, with everything that no command could regenerate, and restore."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath

from ..course import CourseError, GradebookError
from ..errors import FULL, gradebook_sentence
from ..seeds import FILE as KEY
from ..term import FILE as TERM
from ..text import plain

FOLDER = "backups"
GRADEBOOK = "gradebook.db"
FOLDERS = ("source", "release", "submitted", "autograded", "feedback", "grades", "lms")
FILES = (GRADEBOOK, KEY, TERM, "roster.csv")
PARTS = (*FOLDERS, *FILES)
MARK = "backup-of-a-course.txt"
JOURNALS = tuple(f"{GRADEBOOK}{end}" for end in ("-journal", "-wal", "-shm"))  # of a gradebook that was being written
STAMP = "%Y-%m-%d-%H%M%S"


def backup(root: Path, target: Path | None = None) -> list[str]:
    """Write a zip of the term, whole or not at all; returns a report.

    ``target`` is the file, x.zip, or a folder for it; left out, backups/ of the course. Links are left out.
    Raises CourseError for a target that is there already, GradebookError, OSError.
    """
    root = root.resolve()
    path = _target(root, target)
    if path.exists():
        raise CourseError(f"{path} is there already: name another file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    left = 0
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))  # private: it holds grades and the key
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            archive.writestr(MARK, "make restore brings this back.\n")
            for file in _files(root):
                if file.is_symlink() or not file.is_file():
                    left += 1
                elif file.name == GRADEBOOK and file.parent == root:
                    _add_gradebook(archive, file)
                else:
                    archive.write(file, file.relative_to(root).as_posix())
        os.replace(part, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names none
        raise
    finally:
        part.unlink(missing_ok=True)
    told = [f"{path}: {path.stat().st_size / 1e6:.1f} MB"]
    told += [f"{left} links and other special files were left out"] if left else []
    if not (root / GRADEBOOK).exists():
        told.append(f"There is no {GRADEBOOK} in it: back up the database of nbgrader_config.py by its own tools.")
    return [*told, f"to bring it back: make restore FROM={shlex.quote(str(path))}"]


def restore(root: Path, source: Path) -> list[str]:
    """Restore the course from a backup. Its present state is moved to backups/; returns a report.

    Raises CourseError if the file is no complete backup; then nothing has changed. After an interruption, repeat it.
    """
    root = root.resolve()
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=root, ignore_cleanup_errors=True) as temporary:
        fresh = Path(temporary)
        _unpack(source, fresh)
        aside = root / FOLDER / f"before-restore-{datetime.now():{STAMP}}"
        number = 1
        while aside.exists():
            number += 1
            aside = aside.with_name(f"{aside.name.partition('.')[0]}.{number}")
        moved = False
        for name in (*PARTS, *JOURNALS):
            if (root / name).exists() or (root / name).is_symlink():
                aside.mkdir(parents=True, exist_ok=True)
                shutil.move(root / name, aside / name)
                moved = True
            if (fresh / name).exists():
                os.rename(fresh / name, root / name)
    told = [f"The course is as it was in {source}."]
    told += [f"What was there before is in {aside.relative_to(root).as_posix()}/."] if moved else []
    return [
        *told,
        "next: make release (source/ may be of another time), then make grade (it grades only what is new since then)",
    ]


def _target(root: Path, target: Path | None) -> Path:
    name = f"{root.name}-{datetime.now():{STAMP}}.zip"
    if target is None:
        return root / FOLDER / name
    path = Path(os.path.abspath(target if target.suffix == ".zip" and not target.is_dir() else target / name))
    if any(path.is_relative_to(root / folder) for folder in FOLDERS):
        raise CourseError(f"{path} lies in a folder that is backed up itself: name another place.")
    return path


def _files(root: Path) -> Iterator[Path]:
    for name in PARTS:
        if (root / name).is_dir() and not (root / name).is_symlink():
            yield from sorted(path for path in (root / name).rglob("*") if path.is_symlink() or not path.is_dir())
        elif (root / name).exists():
            yield root / name


def _add_gradebook(archive: zipfile.ZipFile, file: Path) -> None:
    """Add a copy by SQLite's own backup: consistent, even while somebody grades by hand."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, GRADEBOOK)
        try:
            with (
                closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as there,
                closing(sqlite3.connect(copy)) as made,
            ):
                there.backup(made)
        except sqlite3.Error as error:
            raise GradebookError(gradebook_sentence(str(error))) from error
        archive.write(copy, GRADEBOOK)


def _unpack(source: Path, folder: Path) -> None:
    """Extract the files of a backup. Raises CourseError."""
    try:
        with zipfile.ZipFile(source) as archive:
            if MARK not in archive.namelist():
                raise CourseError(f"{source} is a zip, but no backup that make backup has written.")
            _check_members(source, archive.infolist())
            archive.extractall(folder)  # checks each file's sum
    except CourseError:
        raise
    except FileNotFoundError:
        raise CourseError(f"There is no file {source}.") from None
    except OSError as error:
        if error.errno in FULL:
            raise
        raise CourseError(f"{source} can't be unpacked ({plain(error.strerror)}): take another backup.") from error
    except Exception as error:  # zipfile does not wrap the errors that damaged data raise
        raise CourseError(f"{source} is no whole zip ({plain(error)}): take another backup.") from error
    for secret in (KEY, GRADEBOOK):
        if (folder / secret).exists():
            (folder / secret).chmod(0o600 if secret == KEY else 0o644)


def _check_members(source: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise CourseError for a member that no backup has: elsewhere, twice, a link, a file in place of a folder."""
    files: set[PurePosixPath] = set()
    for member in members:
        name = PurePosixPath(member.filename)
        alone = len(name.parts) == 1 and name.parts[0] in (*FILES, MARK)
        inside = len(name.parts) > 1 and name.parts[0] in FOLDERS and ".." not in name.parts
        regular = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG) and not member.is_dir()
        if not (alone or inside) or not regular or member.flag_bits & 1 or name in files:
            raise CourseError(f"{source} holds {plain(member.filename, 200)!r}, which no backup has: not used.")
        files.add(name)
    for name in files:
        if clash := files & set(name.parents):
            raise CourseError(f"{source} holds {plain(clash.pop(), 200)!r} as a file and as a folder: not used.")
