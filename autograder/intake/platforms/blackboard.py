"""Blackboard, "Assignment file download":

    lab_alovelace_attempt_2026-11-20-10-00-00.txt
    lab_alovelace_attempt_2026-11-20-10-00-00_lab.ipynb

The text beside the files says "Name: Ada Lovelace (alovelace)". The export has each attempt. User names may hold "_":
the assignment's title is the common start of all names.
"""

from __future__ import annotations

import re
from datetime import datetime

from ..regular import Refused
from ..source import Entry
from ..times import from_form
from .place import Aside, Course, Person, Place, Places, common_start, local, names_at, newest

ATTEMPT = r"_(?:attempt|versuch|tentative|intento|tentativo|poging)_(?P<time>\d{4}(?:-\d\d){5})"
NAME = re.compile(rf"(?P<who>.+?){ATTEMPT}(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
ANY_ATTEMPT = re.compile(ATTEMPT, re.IGNORECASE)
REAL_NAME = re.compile(r"[^:\n]{1,30}: (?P<name>.+) \((?P<login>[^()\n]+)\)\s*")


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    names = {n: (name, below) for n, part, below in names_at(depth, entries) if (name := NAME.fullmatch(part))}
    real = {}
    for number, (name, below) in names.items():
        said = _said(entries[number]) if name["rest"] == ".txt" and not below else None
        if said and name["who"].endswith(f"_{said[1]}"):
            real[name["who"]] = said
    titles = {who.removesuffix(login) for who, (_, login) in real.items()}
    title = titles.pop() if len(titles) == 1 else _title({name["who"] for name, _ in names.values()})
    found: dict[int, Place | Aside] = {}
    for number, (name, below) in names.items():
        if not name["rest"].startswith("_"):
            found[number] = Aside("Blackboard's own: what was typed there")
            continue
        shown, login = real.get(name["who"], ("", name["who"].removeprefix(title)))
        times = {time: _time(time) for time in ANY_ATTEMPT.findall(name[0])}
        when = newest(times)
        person = Person(shown or login, login, "Blackboard", login)
        order = int(when.replace("-", ""))
        found[number] = Place(person, below or (name["rest"][1:],), name["who"], when, order, times[when])
    return found


def _time(text: str) -> datetime | None:
    return local(from_form(text, "%Y-%m-%d-%H-%M-%S"))


def _title(who: set[str]) -> str:
    """Return the common start of all names, up to a "_"; of a single name all but the last word."""
    common = common_start(who) if len(who) > 1 else "".join(who)
    return common[: common.rfind("_") + 1]


def _said(entry: Entry) -> tuple[str, str] | None:
    try:
        text = entry.read(100_000).decode("utf-8", "replace")
    except (Refused, FileNotFoundError):
        return None
    name = REAL_NAME.fullmatch(text.partition("\n")[0])  # what follows is the learner's
    return (name["name"].strip()[:200], name["login"].strip()[:200]) if name else None
