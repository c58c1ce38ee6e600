"""What the course says of the world outside, from ``facts.toml``: every statement with its sources and a date."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("facts.toml")
MARK = re.compile(r"<<fact ([^<>\n]+)>>")
YEAR = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Fact:
    """A statement; ``said``: what is often said instead; ``figure``: the key of the measurement that tests it here."""

    text: str
    sources: Mapping[str, str]  # {name: address}
    year: int  # of the newest source
    checked: datetime.date
    said: str = ""
    figure: str = ""

    def links(self) -> str:
        """The sources as Markdown: [name](address), ..., year."""
        return ", ".join([*(f"[{name}]({address})" for name, address in self.sources.items()), str(self.year)])

    def markdown(self) -> str:
        """The statement with its sources, without a full stop."""
        return f"{self.text.removesuffix('.')} ({self.links()})"


@cache
def facts() -> Mapping[str, Fact]:
    """All of them by name. Raises TypeError for a key that no fact has."""
    return {name: Fact(**entry) for name, entry in tomllib.loads(FILE.read_text(encoding="utf-8")).items()}


def fill_in(text: str) -> str:
    """``text`` with statements in the place of their marks ``<<fact NAME>>``. Raises KeyError for an unknown one."""
    return MARK.sub(lambda mark: facts()[mark[1]].markdown(), text)


def old(today: datetime.date) -> list[str]:
    """The names of what was last looked up more than a year before ``today``."""
    return [name for name, fact in facts().items() if today - fact.checked > YEAR]


def claims(measured: Mapping[str, str]) -> str:
    """Markdown: each claim, what is true of it, and ``measured[fact.figure]``.

    Raises KeyError for a figure that no claim asks for.
    """
    said = [fact for fact in facts().values() if fact.said]
    unknown = set(measured) - {fact.figure for fact in said}
    if unknown:
        raise KeyError(f"No claim asks for the figures {sorted(unknown)}.")
    return "\n\n".join(
        f"> **“{fact.said}”**  \n{fact.markdown()}."
        + (f"  \n**Measured here:** {measured[fact.figure]}." if fact.figure in measured else "")
        for fact in said
    )
