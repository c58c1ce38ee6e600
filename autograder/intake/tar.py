"""The files in a tar, read in one pass over its headers.

A header has 512 bytes, of which the name takes 100. A longer name, or an exact time, lies in a file of its own before
it: as GNU's long name, or as PAX records "27 path=notebooks/lab.ipynb\\n". Python's own tarfile reads these whatever
their size is, before Python 3.11.10 and 3.12.6 in quadratic time (CVE-2024-6232).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from .budget import MAX_NAME, MAX_NAMES, TOO_LONG
from .regular import Refused

BLOCK = 512
MORE, MORE_LATER = 482, 504  # where a sparse file's header, and each block after it, says that one more follows
LONG_NAME, RECORDS = tarfile.GNUTYPE_LONGNAME, (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
ABOUT = (LONG_NAME, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE, *RECORDS)  # headers of text about files


@dataclass(frozen=True)
class Member:
    """A file in a tar, with the place of its bytes; ``refused``: why these are not read, "" if they may be."""

    name: str
    seconds: float
    offset: int
    size: int
    refused: str = ""


def members(data: bytes) -> Iterator[Member]:
    """Yield the files of a tar, without its folders. Raises Refused, ValueError and tarfile.TarError."""
    at = names = 0
    said: dict[str, str] = {}  # what a header says of the next one
    while (block := data[at : at + BLOCK]).strip(b"\0") or not at:
        head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        size = int(said.get("size", head.size))
        at += BLOCK
        end = _end(data, at, size) if head.isreg() or head.type in ABOUT else at
        names += BLOCK
        if head.type in ABOUT:
            names += size
            _assert_short(size, names)
            body = data[at:end]
            if head.type == LONG_NAME:
                said["path"] = _text(body.partition(b"\0")[0])
            elif head.type in RECORDS:
                said |= _records(body)
            at += -(-size // BLOCK) * BLOCK
            continue
        _assert_short(0, names)
        name, seconds = said.get("path", head.name), float(said.get("mtime", head.mtime))
        sparse = head.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in said)
        said = {}
        if head.type == tarfile.GNUTYPE_SPARSE:
            more = block[MORE]
            while more:
                more = data[at : _end(data, at, BLOCK)][MORE_LATER]
                at += BLOCK
        if head.isreg():
            yield Member(name, seconds, at, size, "is a sparse file: pack it without --sparse" if sparse else "")
            at += -(-size // BLOCK) * BLOCK
        elif not head.isdir():
            yield Member(name, seconds, at, 0, "is a link or a device in the tar")


def _end(data: bytes, at: int, size: int) -> int:
    if not 0 <= size <= len(data) - at:
        raise ValueError("its end is missing")
    return at + size


def _assert_short(size: int, names: int) -> None:
    if size > MAX_NAME:
        raise Refused(f"has a name or a header of more than {MAX_NAME // 1_000} kB: pack it with another program")
    if names > MAX_NAMES:
        raise Refused(TOO_LONG)


def _records(body: bytes) -> dict[str, str]:
    """Return PAX records: their length, " ", their key, "=", their value, and the end of the line."""
    found, at = {}, 0
    while at < len(body) and body[at]:
        space = body.find(b" ", at, at + 12)
        end = at + int(body[at:space]) if space > at else 0
        if not at < space + 1 < end <= len(body):
            raise ValueError("a PAX record of no length")
        key, _, value = body[space + 1 : end - 1].partition(b"=")
        found[_text(key)] = _text(value)
        at = end
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
