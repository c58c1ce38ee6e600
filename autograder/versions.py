"""Versions of an assignment: ``phase2_techniques`` as released first, ``phase2_techniques-v2`` beside it.

nbgrader can neither add cells to an assignment with submissions nor remove any. So an assignment that has to change
during the term gets a version beside it (`authoring.version`), and each submission is graded by its own version.
To a learner, the registrar and the learning platform all versions are one assignment, under the first one's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NUMBERED = re.compile(r"(.+)-v([1-9]\d{0,3})", re.DOTALL)


def base(assignment: str) -> str:
    """Return the name of the first version."""
    found = NUMBERED.fullmatch(assignment)
    return found[1] if found else assignment


def order(assignment: str) -> tuple[str, int]:
    """Return a sort key that puts the versions of an assignment side by side, the oldest first."""
    found = NUMBERED.fullmatch(assignment)
    return (found[1], int(found[2])) if found else (assignment, 1)


def following(assignment: str, known: Iterable[str]) -> str:
    """Return the name of the version after all of the ``known`` assignments."""
    number = max((order(name)[1] for name in known if base(name) == base(assignment)), default=1)
    return f"{base(assignment)}-v{number + 1}"
