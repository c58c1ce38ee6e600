"""Gradescope, "Export submissions":

    assignment_9_export/submission_metadata.yml
    assignment_9_export/submission_123/lab.ipynb

Only the metadata names the owner of a folder:

    submission_123:
      :submitters:
      - :name: Ada Lovelace
        :sid: '2026001'
        :email: ada@example.edu
      :created_at: 2026-11-20 10:00:00.000000000 Z
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import yaml

from ..regular import Refused
from ..source import Entry
from ..times import from_text
from .place import Aside, Course, Person, Place, Places, names_at

FOLDER = re.compile(r"submission_\d+")
METADATA = re.compile(r"submission_metadata\.ya?ml")
MAX_METADATA = 20_000_000  # bytes


def read(entries: list[Entry], depth: int, _: Course) -> Places:
    found: dict[int, Place | Aside | Refused] = {}
    names = {part for _, part, _ in names_at(depth, entries)}
    theirs = {part for part in names if FOLDER.fullmatch(part) or METADATA.fullmatch(part)}
    if 2 * len(theirs) <= len(names):  # a learner of another platform may hand in such a file, which takes long to read
        return {}
    people: dict[tuple[str, ...], tuple[Person, datetime | None]] = {}  # path of a folder -> whose it is
    for number, part, below in names_at(depth, entries):
        if METADATA.fullmatch(part) and not below:
            found[number] = Aside("Gradescope's own: who handed in")
            beside = entries[number].parts[:depth]
            people |= {(*beside, folder): who for folder, who in _people(entries[number]).items()}
    for number, part, below in names_at(depth, entries):
        path = entries[number].parts[: depth + 1]
        if below and path in people:
            person, time = people[path]
            found[number] = Place(person, below, part, time=time)
        elif below and FOLDER.fullmatch(part):
            found[number] = Refused("submission_metadata.yml does not say whose it is: export it again, with it")
    return found


def _people(entry: Entry) -> dict[str, tuple[Person, datetime | None]]:
    """Return {folder: who submitted it, of several the first}; {} for an unreadable file."""
    try:
        content = yaml.load(entry.read(MAX_METADATA), Loader=_Loader)  # a loader without aliases or tags
    except (Refused, FileNotFoundError, yaml.YAMLError, RecursionError, ValueError):
        return {}
    found = {}
    for folder, about in content.items() if isinstance(content, dict) else ():
        if not (isinstance(folder, str) and isinstance(about, dict)):
            continue
        submitters = about.get(":submitters") or about.get("submitters")
        first = submitters[0] if isinstance(submitters, list) and submitters else None
        if not isinstance(first, dict):
            continue
        said = {str(key).lstrip(":"): str(value) for key, value in first.items() if value not in (None, "")}
        number = said.get("sid") or said.get("email") or ""
        if name := said.get("name") or number:
            time = str(about.get(":created_at") or about.get("created_at") or "")
            login = number.partition("@")[0]
            found[folder] = (Person(name[:200], number[:200], "Gradescope", login[:200]), _time(time))
    return found


def _time(text: str) -> datetime | None:
    time = from_text(re.sub(r"(\.\d{6})\d+", r"\1", text).replace(" Z", " UTC"))
    return time.replace(tzinfo=UTC) if time else None


class _Loader(yaml.BaseLoader):
    """A YAML loader whose values are all text; without aliases, so that a small file stays small."""

    def compose_node(self, parent: object, index: object) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)  # pyright: ignore[reportArgumentType]
