"""The names of groups: people choose them, so names that read alike, or as several groups' names, stay apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from hashlib import sha256

from .class_list import MAX_TEXT, one_group, one_line, same

NO_GROUP = ("", "default group", "no group", "no groups", "none", "-")
SEVERAL = "member of more than one group"  # Moodle's for who is in several; it names none of them

Group = tuple[str, str]  # its name, and its mark: a platform's number, or letters that stand for the text in a list


def groups_of(text: str, between: str = "") -> str:
    """Return the groups of a cell as the class list writes them; ``between``: the separators of several groups."""
    return "; ".join(name for name, _ in written(text, between))


def written(text: str, between: str = "", number: str = "") -> list[Group]:
    """Return the groups of a cell; ``number`` is the platform's of the group."""
    raw = [part.strip() for part in (re.split(f"[{between}]", text) if between else [text])]
    named = [(one_line(part).replace(";", ",").strip(), part) for part in raw]
    return [(name, number or sha256(part.encode()).hexdigest()[:8]) for name, part in named if not _is_none(name)]


def told_apart(groups: Collection[Group]) -> dict[Group, str]:
    """Return {group: its name, with its mark where another group's name reads alike}."""
    spelled = {group: group[0] for group in groups}
    while True:  # a name with a mark may read as one that somebody chose
        marks: dict[str, set[str]] = defaultdict(set)
        for (_, mark), name in spelled.items():
            marks[same(one_group(name))].add(mark)
        rivals = [group for group, name in spelled.items() if len(marks[same(one_group(name))]) > 1]
        if not rivals:
            return spelled
        spelled |= {group: marked(spelled[group], group[1]) for group in rivals}


def marked(name: str, mark: str) -> str:
    """Return a group's name with its mark, as long as the class list takes it."""
    return f"{name[: MAX_TEXT - len(mark) - 3]} ({mark})"


def _is_none(name: str) -> bool:
    told = name.casefold()
    return told in NO_GROUP or told.startswith((SEVERAL, "not a member of any group"))
