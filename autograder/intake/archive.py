"""The files in a zip, for an export as for a learner's archive, and in a tar.

A learner's archive is opened one level deep. What it may hold is looked at before anything in it is read, and its
files may be read in any order: a packed tar is unpacked once.
"""

from __future__ import annotations

import contextlib
import io
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from . import tar
from .budget import MAX_ARCHIVE, MAX_NAMES, TOO_LONG, Budget, Read
from .entry import Entry, entry_of, refusing
from .names import NOTEBOOKS
from .regular import Refused
from .times import from_clock


class Archives:
    """Learners' archives. One at a time is in memory; another read of an earlier one opens it again."""

    def __init__(self) -> None:
        self._last: tuple[Entry | None, zipfile.ZipFile | bytes] = (None, b"")

    def inside(self, archive: Entry, budget: Budget) -> list[Entry]:
        """Return the files in a learner's archive, with their paths in it. Raises Refused."""
        with _damage_told():
            opened = self._opened(archive, budget)
            if isinstance(opened, zipfile.ZipFile):
                found = self._in_zip(archive, opened, budget)
            else:
                found = self._in_tar(archive, opened, budget)
            return [replace(entry, name=f"{archive.name}/{entry.name}") for entry in found]

    def _opened(self, archive: Entry, budget: Budget) -> zipfile.ZipFile | bytes:
        """Return an opened zip, or the bytes of a tar."""
        if self._last[0] is not archive:
            self._last = (None, b"")  # its memory is free before the next is read
            data = archive.read(MAX_ARCHIVE)
            if zipfile.is_zipfile(io.BytesIO(data)):
                self._last = (archive, _opened_zip(data))
            else:
                self._last = (archive, _unzipped(data, budget) if data.startswith(b"\x1f\x8b") else data)
        return self._last[1]

    def _in_zip(self, archive: Entry, opened: zipfile.ZipFile, budget: Budget) -> Iterator[Entry]:
        files = files_of(opened)
        budget.look_at(len(files))
        if is_encrypted(files):
            raise Refused("is encrypted: ask for it without a password")
        if sum(info.file_size for info in files if may_be_notebook(info.filename)) > MAX_ARCHIVE:
            raise Refused(f"its notebooks have more than {MAX_ARCHIVE // 1_000_000} MB together: keep the right ones")
        for info in files:

            def read(limit: int, info: zipfile.ZipInfo = info) -> bytes:
                with _damage_told():
                    again = self._opened(archive, budget)
                    assert isinstance(again, zipfile.ZipFile)
                    return unpacked(again, info, limit)

            yield zip_entry(info, budget.charged(read))

    def _in_tar(self, archive: Entry, opened: bytes, budget: Budget) -> Iterator[Entry]:
        members = list(tar.members(opened))
        budget.look_at(len(members))
        for member in members:

            def read(limit: int, member: tar.Member = member) -> bytes:
                if member.size > limit:
                    raise Refused(f"is larger than {limit // 1_000_000} MB")
                with _damage_told():
                    again = self._opened(archive, budget)
                    assert isinstance(again, bytes)
                    return again[member.offset : member.offset + member.size]

            time = from_clock(member.seconds) if member.seconds else None
            reading = refusing(member.refused) if member.refused else budget.charged(read)
            yield entry_of(member.name, member.name.split("/"), time, reading)


def may_be_notebook(file: str) -> bool:
    """Return whether a file of this name is read to see if it is a notebook."""
    return ".ipynb" in file.lower() or file.lower().endswith(NOTEBOOKS)


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except Refused:
        raise
    except Exception as error:  # the libraries do not wrap the errors that a damaged archive raises
        raise Refused(f"is no whole archive ({type(error).__name__}): ask for it again") from error


class _Zip(io.BytesIO):
    """The bytes of a zip. zipfile reads the list of its files at once: one that is too long is refused instead."""

    listed = False

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.listed and size is not None and size > MAX_NAMES:
            raise Refused(TOO_LONG)
        return super().read(size)


def _opened_zip(data: bytes) -> zipfile.ZipFile:
    file = _Zip(data)
    archive = zipfile.ZipFile(file)
    file.listed = True
    return archive


def _unzipped(data: bytes, budget: Budget) -> bytes:
    """Return what gzip packed, MAX_ARCHIVE bytes at most."""
    unzip = zlib.decompressobj(wbits=31)
    found = unzip.decompress(data, MAX_ARCHIVE + 1)
    budget.unpack(len(found))
    if len(found) > MAX_ARCHIVE:
        raise Refused(f"holds more than {MAX_ARCHIVE // 1_000_000} MB")
    if not unzip.eof:
        raise ValueError("its end is missing")
    return found


def files_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [info for info in archive.infolist() if not info.filename.endswith("/")]


def is_encrypted(files: list[zipfile.ZipInfo]) -> bool:
    return any(info.flag_bits & 1 for info in files)


def zip_entry(info: zipfile.ZipInfo, read: Read) -> Entry:
    name = _zip_name(info)
    return entry_of(name, re.split(r"[/\\]", name), _zip_time(info), read)  # some programs on Windows write \


def unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Return the bytes of a file in a zip. zipfile unpacks no more than the size in its header. Raises Refused."""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise Refused("is a link or a device in the zip")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("is packed in an unusual way")  # and could not be unpacked in small steps
    if info.file_size > limit:
        raise Refused(f"is larger than {limit // 1_000_000} MB")
    try:
        with archive.open(info) as file:
            data = file.read(limit + 1)
    except Exception as error:  # zipfile does not wrap the errors that damaged data raise
        raise Refused(f"is damaged in the zip ({error})") from error
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
