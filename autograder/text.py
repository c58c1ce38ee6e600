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
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(text: object, limit: int = 2_000) -> str:
    """Return one printable line: no terminal commands, no line breaks, no half of a surrogate pair."""
    shown = ANSI.sub("", str(text)[: 4 * limit]).encode("utf-8", "replace").decode()
    shown = CONTROL.sub("?", BREAK.sub(" ", shown)).strip()
    return shown if len(shown) <= limit else shown[:limit] + " ..."


def of_file(name: str, reason: str) -> str:
    """Return a sentence about a file from a reason such as "is a link" or "no notebook"."""
    return f"{name} {reason}" if PREDICATE.match(reason) else f"{name}: {reason}"


def for_table(text: object) -> str:
    """Return the text for a cell of a CSV file, in which no spreadsheet reads a formula."""
    shown = plain(text)
    return f"'{shown}" if shown.lstrip("'").startswith(FORMULA) else shown


def from_table(text: str) -> str:
    """Return the original text of a cell that `for_table` made."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence on an unknown name: the nearest of the ``known`` ones, or all of them."""
    near = get_close_matches(name, sorted(known), 1)
    return plain(f": did you mean {near[0]}?" if near else f": there are {', '.join(sorted(known)[:5]) or 'none'}")
