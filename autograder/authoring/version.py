"""Versions: a new version of an assignment beside the released one, for cells that change during the term."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..course import Course, CourseError
from ..text import did_you_mean, plain
from ..versions import base, following, order
from .release import release
from .sources import ORDER, notebooks


def version(root: Path, assignment: str) -> list[str]:
    """Move the masters of ``assignment`` to a new version of it, and release that; returns a report.

    The released version stays beside it: source/<assignment>/ keeps its notebooks, release/ and the gradebook keep
    what its submissions are graded by. Raises CourseError, SourceError; then nothing has changed.
    """
    phases = {path.parent.name for path in notebooks(root)}
    there = {path.name for path in (root / "source").glob("*/")}
    if assignment not in phases:
        newer = [name for name in sorted(there, key=order) if base(name) == base(assignment) and name in phases]
        if assignment in there and newer:
            raise CourseError(f"{plain(assignment, 80)} is an older version: the masters are in source/{newer[-1]}/.")
        raise CourseError(
            f"There is no assignment {plain(assignment, 80)!r} in source/{did_you_mean(assignment, phases)}"
        )
    with Course(root).gradebook() as gradebook:
        released = {str(entry.name) for entry in gradebook.assignments}
    if assignment not in released:
        raise CourseError(f"{assignment} was never released, so there is no older version to keep: run make release.")
    new = following(assignment, {*there, *released})
    old_place, new_place = root / "source" / assignment, root / "source" / new
    masters = sorted([*old_place.glob("*.py"), *old_place.glob(ORDER)])
    new_place.mkdir()
    try:
        for master in masters:
            os.rename(master, new_place / master.name)
        told = release(root)
    except BaseException:
        for master in masters:
            if not master.exists():
                os.rename(new_place / master.name, master)
        shutil.rmtree(new_place)
        raise
    return [
        f"The masters are in source/{new}/ now; {assignment} stays as it was handed out, and is graded by that.",
        *told,
        "next: make handout. Submissions of either version are assigned to it automatically.",
    ]
