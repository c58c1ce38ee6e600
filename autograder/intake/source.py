"""The files of an export: a zip or a folder. Names and bytes are untrusted; nothing is written here.

What each learner handed in has a `budget` of its own. The limit here is on the export, which the instructor names.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from .archive import files_of, is_encrypted, unpacked, zip_entry
from .entry import ARCHIVES, Entry, entry_of
from .regular import read_regular
from .times import from_clock

MAX_ENTRIES = 500_000  # each takes about a kB of memory
OTHER_ARCHIVES = (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".tbz2", ".txz")


class CollectError(Exception):
    """The export as a whole can't be collected; the message says what to do."""


@contextlib.contextmanager
def opened(root: Path, source: Path) -> Iterator[list[Entry]]:
    """Open the export at ``source``, for collection into the course at ``root``. Raises CollectError."""
    if source.is_dir():
        ours, theirs = (root / "submitted").resolve(), source.resolve()
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
            raise CollectError(f"{source} is where submissions go to, or holds it: name a zip or a folder elsewhere.")
        yield list(_folder_entries(source))
        return
    try:
        archive = zipfile.ZipFile(source)
    except FileNotFoundError as error:
        raise CollectError(f"There is no {source}: name a zip as the platform exports it, or a folder.") from error
    except OSError as error:
        raise CollectError(f"{source} can't be read: {error.strerror}.") from error
    except Exception as error:  # zipfile does not wrap the errors that a damaged directory of files raises
        raise CollectError(
            f"{source.name} is no whole zip file. Was the download cut short? Download it again."
        ) from error
    with archive:
        files = files_of(archive)
        if is_encrypted(files):
            raise CollectError(f"{source.name} is encrypted: unpack it with its password, and name the folder instead.")
        if len(files) > MAX_ENTRIES:
            raise _too_many(tuple(info.filename.split("/")) for info in files)
        yield [zip_entry(info, lambda limit, info=info: unpacked(archive, info, limit)) for info in files]


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def _folder_entries(source: Path) -> Iterator[Entry]:
    def unreadable(error: OSError) -> None:
        raise CollectError(f"{error.filename} can't be read: {error.strerror}.") from error

    seen: list[tuple[str, ...]] = []
    for folder, folders, files in os.walk(source, onerror=unreadable):
        not_entered = [f for f in folders if f == ".git" or Path(folder, f).is_symlink()]
        folders[:] = sorted(f for f in folders if f != ".git")
        for name in sorted([*files, *not_entered]):
            path = Path(folder, name)
            relative = path.relative_to(source)
            seen.append(relative.parts)
            if len(seen) > MAX_ENTRIES:
                raise _too_many(seen)
            try:
                time = from_clock(path.lstat().st_mtime)
            except OSError:
                time = None
            yield entry_of(
                relative.as_posix(), relative.parts, time, lambda limit, path=path: read_regular(path, limit)
            )


def _too_many(paths: Iterable[tuple[str, ...]]) -> CollectError:
    """Return what to say of too many files: which folder has most of them, as deep as it has more than half."""
    paths = list(paths)
    fullest: tuple[str, ...] = ()
    while True:
        depth = len(fullest) + 1
        inside = Counter(path[:depth] for path in paths if len(path) > depth and path[: depth - 1] == fullest)
        most, number = inside.most_common(1)[0] if inside else ((), 0)
        if 2 * number <= len(paths):
            break
        fullest = most
    where = f", most of them in {'/'.join(fullest)}: move that folder elsewhere, or" if fullest else ":"
    return CollectError(f"The export holds more than {MAX_ENTRIES:,} files{where} collect it in parts.")
