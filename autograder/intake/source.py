"""The files of an export: a zip, a tar or a folder. Names and bytes are untrusted; nothing is written here.

An archive that a learner has submitted is opened as well, one level deep and within the same limits.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from .entry import Entry, entry_of
from .regular import Refused, read_regular

MAX_ENTRIES = 50_000
MAX_TOTAL = 4_000_000_000  # bytes, unpacked
MAX_ARCHIVE = 200_000_000  # bytes of an archive that a learner has handed in
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
OTHER_ARCHIVES = (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".tbz2", ".txz")


class CollectError(Exception):
    """The export as a whole can't be collected; the message says what to do."""


class _Budget:
    """The bytes that may still be unpacked."""

    def __init__(self) -> None:
        self.bytes, self.entries = MAX_TOTAL, MAX_ENTRIES

    def spend(self, bytes: int = 0, entries: int = 0) -> None:
        self.bytes -= bytes
        self.entries -= entries
        if self.bytes < 0:
            raise CollectError(f"The export holds more than {MAX_TOTAL // 1_000_000_000} GB: collect it in parts.")
        if self.entries < 0:
            raise CollectError(f"The export holds more than {MAX_ENTRIES} files: collect it in parts.")


class Source:
    """An opened export: its ``entries``, and access to archives among them."""

    def __init__(self, entries: list[Entry], budget: _Budget) -> None:
        self.entries, self._budget = entries, budget
        self._last: tuple[Entry | None, bytes] = (None, b"")  # one archive at a time is in memory
        self._zip: zipfile.ZipFile | None = None  # the same, opened
        self._tar: Iterator[tuple[int, tarfile.TarFile, tarfile.TarInfo]] = iter(())  # the same, read up to a member

    def inside(self, archive: Entry) -> list[Entry]:
        """Yield the files in a learner's archive, with their paths in it. Raises Refused."""
        with _damage_told():
            data = self._bytes(archive)
            if not zipfile.is_zipfile(io.BytesIO(data)):
                return self._in_tar(archive, data)
            files = _files(zipfile.ZipFile(io.BytesIO(data)))
            if any(info.flag_bits & 1 for info in files):
                raise Refused("is encrypted: ask for it without a password")
            found = [_zip_entry(info, self._from_zip(archive, info), self._budget) for info in files]
            return [replace(entry, name=f"{archive.name}/{entry.name}") for entry in found]

    def _bytes(self, archive: Entry) -> bytes:
        if self._last[0] is not archive:
            self._last = (archive, archive.read(MAX_ARCHIVE))
            self._zip, self._tar = None, iter(())
        return self._last[1]

    def _from_zip(self, archive: Entry, info: zipfile.ZipInfo) -> Callable[[int], bytes]:
        def read(limit: int) -> bytes:
            data = self._bytes(archive)
            self._zip = self._zip or zipfile.ZipFile(io.BytesIO(data))
            return _unpacked(self._zip, info, limit, self._budget)

        return read

    def _in_tar(self, archive: Entry, data: bytes) -> list[Entry]:
        found = []
        for number, member in enumerate(_stream(data)):
            self._budget.spend(entries=1)
            if member.isdir():
                continue
            try:
                time = datetime.fromtimestamp(member.mtime, UTC) if member.mtime else None
            except (ValueError, OverflowError, OSError):
                time = None
            entry = entry_of(member.name, member.name.split("/"), time, self._from_tar(archive, number))
            found.append(replace(entry, name=f"{archive.name}/{entry.name}"))
        return found

    def _from_tar(self, archive: Entry, wanted: int) -> Callable[[int], bytes]:
        def read(limit: int) -> bytes:
            with _damage_told():
                tar, member = self._member(archive, wanted)
                if not member.isreg():
                    raise Refused("is a link or a device in the tar")
                file = tar.extractfile(member)
                assert file is not None
                data = file.read(limit + 1)
                self._budget.spend(bytes=len(data))
                if len(data) > limit:
                    raise Refused(f"is larger than {limit // 1_000_000} MB")
                return data

        return read

    def _member(self, archive: Entry, wanted: int) -> tuple[tarfile.TarFile, tarfile.TarInfo]:
        """Return a member of a tar: read on from the last one, or from the start for an earlier one."""
        data = self._bytes(archive)
        for number, tar, member in self._tar:
            if number == wanted:
                return tar, member
            if number > wanted:
                break
        self._tar = ((n, tar, member) for tar in [_stream(data)] for n, member in enumerate(tar))
        return next((tar, member) for number, tar, member in self._tar if number == wanted)


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (Refused, CollectError):
        raise
    except Exception as error:  # the libraries do not wrap the errors that a damaged archive raises
        raise Refused(f"is no whole archive ({type(error).__name__}): ask for it again") from error


def _files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [info for info in archive.infolist() if not info.filename.endswith("/")]


@contextlib.contextmanager
def opened(root: Path, source: Path) -> Iterator[Source]:
    """Open the export at ``source``, for collection into the course at ``root``. Raises CollectError."""
    budget = _Budget()
    if source.is_dir():
        ours, theirs = (root / "submitted").resolve(), source.resolve()
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
            raise CollectError(f"{source} is where submissions go to, or holds it: name a zip or a folder elsewhere.")
        yield Source(list(_folder_entries(source, budget)), budget)
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
        files = _files(archive)
        if any(info.flag_bits & 1 for info in files):
            raise CollectError(f"{source.name} is encrypted: unpack it with its password, and name the folder instead.")
        yield Source([_zip_entry(info, _reader(archive, info, budget), budget) for info in files], budget)


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def _folder_entries(source: Path, budget: _Budget) -> Iterator[Entry]:
    def unreadable(error: OSError) -> None:
        raise CollectError(f"{error.filename} can't be read: {error.strerror}.") from error

    for folder, folders, files in os.walk(source, onerror=unreadable):
        not_entered = [f for f in folders if f == ".git" or Path(folder, f).is_symlink()]
        folders[:] = sorted(f for f in folders if f != ".git")
        for name in sorted([*files, *not_entered]):
            budget.spend(entries=1)
            path = Path(folder, name)
            relative = path.relative_to(source)
            try:
                time = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
            except (OSError, ValueError, OverflowError):
                time = None
            yield entry_of(
                relative.as_posix(), relative.parts, time, lambda limit, path=path: _from_disk(path, limit, budget)
            )


def _from_disk(path: Path, limit: int, budget: _Budget) -> bytes:
    data = read_regular(path, limit)
    budget.spend(bytes=len(data))
    return data


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: _Budget) -> Callable[[int], bytes]:
    return lambda limit: _unpacked(archive, info, limit, budget)


def _zip_entry(info: zipfile.ZipInfo, read: Callable[[int], bytes], budget: _Budget) -> Entry:
    budget.spend(entries=1)
    name = _zip_name(info)
    return entry_of(name, re.split(r"[/\\]", name), _zip_time(info), read)  # some programs on Windows write \


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, budget: _Budget) -> bytes:
    """Return the bytes of an entry; the size in its header is not trusted."""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise Refused("is a link or a device in the zip")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("is packed in an unusual way")  # and could not be unpacked in small steps
    try:
        with archive.open(info) as file:
            data = file.read(limit + 1)
    except Exception as error:  # zipfile does not wrap the errors that damaged data raise
        raise Refused(f"is damaged in the zip ({error})") from error
    budget.spend(bytes=len(data))
    if len(data) > limit:
        raise Refused(f"is larger than {limit // 1_000_000} MB")
    return data


def _zip_time(info: zipfile.ZipInfo) -> datetime | None:
    if info.date_time <= (1980, 1, 1, 0, 0, 0):
        return None  # what is written when the time is not known
    try:
        return datetime(*info.date_time).astimezone(UTC)  # a zip holds local time
    except (ValueError, OverflowError):
        return None


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return the name in a zip. Without the flag for UTF-8, its encoding is that of the program that wrote it."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        raw = info.filename.encode("cp437")  # as zipfile has read it
    except UnicodeEncodeError:
        return info.filename
    for charset in ("utf-8", "cp437", "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            name = raw.decode(charset)
            if charset == "utf-8" or all(c.isascii() or unicodedata.name(c, "").startswith("LATIN") for c in name):
                return name
    return info.filename


def _stream(data: bytes) -> tarfile.TarFile:
    """Open a tar for reading from start to end: nothing in it can make the reader seek or follow a link."""
    return tarfile.open(fileobj=_Bounded(data), mode="r|")  # pyright: ignore  # read() is enough


class _Bounded:
    """The bytes of a tar, unpacked from gzip if needed, in pieces and MAX_ARCHIVE at most."""

    def __init__(self, data: bytes) -> None:
        self._data, self._left = io.BytesIO(data), MAX_ARCHIVE
        self._gzip = zlib.decompressobj(wbits=31) if data.startswith(b"\x1f\x8b") else None

    def read(self, size: int) -> bytes:
        piece = self._data.read(size) if self._gzip is None else self._unzipped(self._gzip, size)
        self._left -= len(piece)
        if self._left < 0:
            raise Refused(f"holds more than {MAX_ARCHIVE // 1_000_000} MB")
        return piece

    def _unzipped(self, gzip: zlib._Decompress, size: int) -> bytes:
        while not gzip.eof:
            packed = gzip.unconsumed_tail or self._data.read(65_536)
            piece = gzip.decompress(packed, size)
            if piece or not packed:
                return piece
        return b""
