"""Text from a submission made safe, by one module for terminals, pages, tables and logs."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches

ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
BREAK = re.compile("[\t-\r\x85\u2028\u2029]+")
# Control characters, those that turn text around, and those that have no width.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]+")
PREDICATE = re.compile(r"(?:is|has|holds|may|could|would|was|can't)\b")
# What begins a formula in a spreadsheet, in wide and small forms too.
FORMULA = ("=", "+", "-", "@", "\t", "\r", *"\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b")
# A formula is read where a cell begins: also after the ";" or tab at which many spreadsheets divide a line; and in a
# new line, where "-" and "+" begin a list's items.
_SPACE = "[ '\xa0\u3000]*"
_FIRST, _IN_A_LINE = re.escape("".join(FORMULA)), "=@\uff1d\uff20\ufe66\ufe6b"
_BEGIN = rf"(?:(?:^|(?<=[;\t])){{0}}(?={_SPACE}[{_FIRST}])|(?<=[\r\n]){{0}}(?={_SPACE}[{_IN_A_LINE}]))"
OPEN, MASKED = re.compile(_BEGIN.format("")), re.compile(_BEGIN.format("'"))


def plain(text: object, limit: int = 2_000) -> str:
    """Return one printable line: no terminal commands, no line breaks, no half of a surrogate pair."""
    shown = ANSI.sub("", str(text)[: 4 * limit]).encode("utf-8", "replace").decode()
    shown = CONTROL.sub("?", BREAK.sub(" ", shown)).strip()
    return shown if len(shown) <= limit else _to_a_word(shown[: limit + 1]) + " ..."


def _to_a_word(text: str) -> str:
    """Return a cut text without its last character and the rest of the word that this is in, unless that is long."""
    whole = text.rpartition(" ")[0]
    return whole if 2 * len(whole) > len(text) else text[:-1]


def of_file(name: str, reason: str) -> str:
    """Return a sentence about a file from a reason such as "is a link" or "no notebook"."""
    return f"{name} {reason}" if PREDICATE.match(reason) else f"{name}: {reason}"


def masked(text: str) -> str:
    """Return the text with a quotation mark before each formula that a spreadsheet would read in it."""
    return OPEN.sub("'", text)


def for_table(text: object) -> str:
    """Return the text for a cell of a CSV file, in one line, in which no spreadsheet reads a formula."""
    return masked(plain(text))


def from_table(text: str) -> str:
    """Return the original text of a cell that `masked` or `for_table` made."""
    return MASKED.sub("", text)


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence on an unknown name, with its mark: the nearest ``known`` name, or some of them."""
    near = nearest(name, known)
    return plain(f": did you mean {near}?" if near else f": there are {', '.join(sorted(known)[:5]) or 'none'}.")


def nearest(name: str, known: Collection[str]) -> str:
    """Return the ``known`` name that is spelled nearly as an unknown one; "" if none is."""
    return next(iter(get_close_matches(name, sorted(known), 1)), "")
