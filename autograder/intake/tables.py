"""Instructors' tables: CSV files of any separator and encoding, read whole or refused in one sentence."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..text import from_table, plain
from .regular import Refused, read_regular

MAX_TABLE = 20_000_000  # bytes
SEPARATORS = (",", ";", "\t")
BOMS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
OTHERS = {b"%PDF": "a PDF", b"<": "a web page"}
EXCEL = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=([,;\t])"?[,;\t]*\r?\n', re.IGNORECASE)  # Excel's own first line
MAX_HEAD = 100_000  # characters in which the first row ends
SHOWN = 8  # columns named in a sentence


class TableError(Exception):
    """A table can't be used; the message is one sentence with what was found and what to do."""


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file as texts: ``columns`` are the header's names; ``rows`` are full, without empty ones.

    ``lines`` are the rows' line numbers in the file. ``note`` says what was guessed, "" if nothing.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    note: str = ""

    def column(self, *names: str) -> int | None:
        """Return the position of the first of these columns that exists, ignoring case and spaces."""
        known = {_squeezed(column): place for place, column in reversed([*enumerate(self.columns)])}
        return next((known[name.casefold()] for name in names if name.casefold() in known), None)

    @property
    def shown(self) -> str:
        """The columns, for a sentence."""
        more = f" and {len(self.columns) - SHOWN} more" if len(self.columns) > SHOWN else ""
        return ", ".join(plain(column, 60) or "(no name)" for column in self.columns[:SHOWN]) + more


def read_table(path: Path) -> Table:
    """Read a CSV file: UTF-8, UTF-16, UTF-32 or else Windows-1252; commas, semicolons or tabs.

    Raises TableError.
    """
    try:
        data = read_regular(path, MAX_TABLE)
    except FileNotFoundError:
        raise TableError(f"There is no file {path}.") from None
    except Refused as refused:
        raise TableError(f"{path} {refused}.") from None
    return parsed(data, path.name)


def parsed(data: bytes, name: str) -> Table:
    """Return the table in a CSV file's bytes. Raises TableError."""
    if data.startswith(EXCEL):
        if _is_plain_zip(data):
            raise TableError(f"{name} is a zip, and no table: make collect takes what learners hand in.")
        raise TableError(f"{name} is a workbook of a spreadsheet program: save it as CSV (UTF-8), and take that.")
    for start, what in OTHERS.items():
        if data.lstrip().startswith(start):
            raise TableError(f"{name} is {what}: download or save it as CSV (UTF-8), and take that.")
    text, note = _decoded(data, name)
    told, separator = SEPARATOR_LINE.match(text), _separator(text)
    if told:
        text, separator = text[told.end() :], told[1]
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        found = [(reader.line_num, tuple(row)) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise TableError(f"{name} is no table that can be read ({error}): save it as CSV (UTF-8) again.") from None
    if not found:
        raise TableError(f"{name} is empty: it needs a head, such as name, email, and a line for each person.")
    (_, head), *rows = found
    if "\0" in "".join(head):
        raise TableError(f"{name} is no text: save it as CSV (UTF-8), and take that.")
    titles = Counter(map(_squeezed, head))
    again = [column.strip() for column in head if titles[_squeezed(column)] > 1 and column.strip()]
    if again:
        raise TableError(f"{name} has two columns {plain(again[0], 60)!r}: rename or remove one.")
    for line, row in rows:
        if len(row) > len(head) and any(cell.strip() for cell in row[len(head) :]):
            raise TableError(f"Line {line} of {name} has {len(row)} cells, its head {len(head)}: repair that line.")
    cells = tuple(tuple(from_table(cell) for cell in (*row, *[""] * len(head))[: len(head)]) for _, row in rows)
    return Table(name, tuple(head), cells, tuple(line for line, _ in rows), note)


def _squeezed(column: str) -> str:
    """Return a column's name in one spelling: a spreadsheet may break it into lines."""
    return " ".join(column.casefold().split())


def _is_plain_zip(data: bytes) -> bool:
    """Return whether the data is a complete zip that is no workbook of a spreadsheet program."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return not {"[Content_Types].xml", "mimetype"} & {*archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    """Return the text, and a remark if its encoding was guessed."""
    note = ""
    try:
        text = data.decode(_unicode(data))
    except UnicodeDecodeError:
        note = f"{name} is not UTF-8: read as Windows's Latin (cp1252); if names are wrong, save it as CSV (UTF-8)"
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            raise TableError(f"{name} is neither UTF-8 nor Windows's Latin: save it as CSV (UTF-8) again.") from None
    return text, note


def _unicode(data: bytes) -> str:
    """Return the Unicode encoding, by its byte order mark or by the zeros beside the commas."""
    for mark, encoding in BOMS.items():
        if data.startswith(mark):
            return encoding
    half = len(data) // 4
    if half and data[1::2].count(0) > half:
        return "utf-16-le"
    return "utf-16-be" if half and data[0::2].count(0) > half else "utf-8-sig"


def _separator(text: str) -> str:
    """Return the separator that divides the header into most cells; a quoted header may have several lines."""
    counts = {separator: _cells_in_head(text[:MAX_HEAD], separator) for separator in SEPARATORS}
    return max(SEPARATORS, key=lambda separator: counts[separator])  # of equals the first


def _cells_in_head(text: str, separator: str) -> int:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return next((len(row) for row in rows if any(cell.strip() for cell in row)), 0)
    except csv.Error:
        return 0
