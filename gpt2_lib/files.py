"""Atomic writes: a file, or several that belong together, is written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` create the file beside ``path``, and move it there once it is complete.

    Missing folders are created. After a crash of the machine there is the old file or the new one. The new file has
    default permissions. Errors of ``write`` are passed on to the caller.
    """
    with _folder(path.parent):
        part = path.with_name(f".{path.name}.{os.getpid()}.part")  # two processes may write the same file at once
        try:
            write_through(part, write)
            os.replace(part, path)
            flush_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)


def write_through(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` create the new file ``path``, and wait until it is on disk."""
    path.touch()
    rights = path.stat().st_mode  # as the umask has them; safetensors makes files that only their owner can read
    write(path)
    path.chmod(rights)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the entries of ``folder`` are on disk, where the system and the disk support that."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)  # on Windows a folder can't be opened
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


# Several files that belong together, in a folder that may hold others. They are written to ASIDE, with the list of
# their names; ASIDE is renamed to COMPLETE, and from then on the new ones count: what broke off is finished later.
ASIDE, COMPLETE, NAMES = ".saving", ".saved", ".names"


def replace_together(folder: Path, files: Mapping[str, Callable[[Path], object]], stale: Iterable[str] = ()) -> None:
    """Write ``files``, {name: function that writes it}, to ``folder``: all of them, or none.

    Existing files that match a pattern in ``stale`` and are not among ``files`` are removed with the old ones. A
    writer's errors are passed on to the caller. A process that is killed leaves the old files, or new ones that
    `finish_replacing` puts in place.
    """
    aside = folder / ASIDE
    with _folder(folder):
        try:
            shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
            aside.mkdir()
            for name, write in files.items():
                write_through(aside / name, write)
            write_through(aside / NAMES, lambda path: path.write_text(json.dumps([*files]), encoding="utf-8"))
            flush_folder(aside)
            os.replace(aside, folder / COMPLETE)
            flush_folder(folder)
            finish_replacing(folder, stale)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def finish_replacing(folder: Path, stale: Iterable[str] = ()) -> None:
    """Move files that `replace_together` wrote completely to their places; do nothing if there are none.

    Where that fails, the old files are put back.
    """
    complete, aside = folder / COMPLETE, folder / ASIDE
    if not complete.is_dir():
        return
    names = json.loads((complete / NAMES).read_text(encoding="utf-8"))
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    new = [name for name in names if (complete / name).exists()]  # the others have already been moved
    old = {file.name for pattern in stale for file in folder.glob(pattern)} - set(names)
    moved: list[tuple[Path, Path]] = []
    try:
        for name in sorted(old | {name for name in new if (folder / name).exists()}):
            moved.append(_move(folder / name, aside / name))
        for name in new:
            moved.append(_move(complete / name, folder / name))
    except BaseException:
        for source, target in reversed(moved):
            os.replace(target, source)
        shutil.rmtree(complete, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)
        raise
    flush_folder(folder)
    shutil.rmtree(complete)
    shutil.rmtree(aside, ignore_errors=True)


def _move(source: Path, target: Path) -> tuple[Path, Path]:
    os.replace(source, target)
    return source, target


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Create ``folder`` and its missing parents, and remove them again on an error."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # it was not created, or another process has put a file there
            for empty in missing:
                empty.rmdir()
        raise
