"""The course's statements about the outside world, from ``facts.toml``, each with its sources and a date."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("facts.toml")
MARK = re.compile(r"<<(fact|table) ([^<>\n]+)>>")
YEAR = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Fact:
    """A statement; ``said``: a usual claim that it corrects; ``figure``: the key of the measurement that tests it."""

    text: str
    sources: Mapping[str, str]  # {name: address}
    year: int  # of the newest source
    checked: datetime.date
    said: str = ""
    figure: str = ""
    table: Mapping[str, list[Any]] = field(default_factory=dict[str, list[Any]])  # head, and rows under it

    def links(self) -> str:
        """Return the sources as Markdown: [name](address), ..., year."""
        return ", ".join([*(f"[{name}]({address})" for name, address in self.sources.items()), str(self.year)])

    def markdown(self) -> str:
        """Return the statement with its sources, without a full stop."""
        return f"{self.text.removesuffix('.')} ({self.links()})"

    def markdown_table(self) -> str:
        """Return the table with its sources below. Raises KeyError where there is none."""
        head, rows = self.table["head"], self.table["rows"]
        lines = [head, ["-", *("-:" for _ in head[1:])], *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\nSources: {self.links()}."


@cache
def facts() -> Mapping[str, Fact]:
    """Return all facts by name. Raises TypeError for a key that no fact has."""
    return {name: Fact(**entry) for name, entry in tomllib.loads(FILE.read_text(encoding="utf-8")).items()}


def fill_in(text: str) -> str:
    """Return ``text`` with each mark ``<<fact NAME>>`` or ``<<table NAME>>`` replaced by its statement or table.

    Raises KeyError for an unknown one.
    """

    def filled(mark: re.Match[str]) -> str:
        fact = facts()[mark[2]]
        return fact.markdown() if mark[1] == "fact" else fact.markdown_table()

    return MARK.sub(filled, text)


def report_old(today: datetime.date) -> str:
    """Return a sentence that lists the facts older than a year, with their sources."""
    names = old(today)
    if not names:
        return f"All {len(facts())} facts of {FILE.name} were looked up within a year."
    lines = [f"  {name} ({facts()[name].checked}): {', '.join(facts()[name].sources.values())}" for name in names]
    return "\n".join([f"Older than a year in {FILE.name}, look them up again and date them:", *lines])


def old(today: datetime.date) -> list[str]:
    """Return the names of the facts that were last checked more than a year before ``today``."""
    return [name for name, fact in facts().items() if today - fact.checked > YEAR]


def claims(measured: Mapping[str, str], shown: int) -> str:
    """Return Markdown: each claim, its correction, ``measured[fact.figure]``; after the first ``shown`` folded.

    Raises KeyError for a figure that no claim asks for.
    """
    said = [fact for fact in facts().values() if fact.said]
    unknown = set(measured) - {fact.figure for fact in said}
    if unknown:
        raise KeyError(f"No claim asks for the figures {sorted(unknown)}.")
    told = [
        f"> **“{fact.said}”**  \n{fact.markdown()}."
        + (f"  \n**Measured here:** {measured[fact.figure]}." if fact.figure in measured else "")
        for fact in said
    ]
    more = f"<details><summary>Going deeper: {len(told) - shown} more claims</summary>"
    return "\n\n".join([*told[:shown], more, *told[shown:], "</details>"])
