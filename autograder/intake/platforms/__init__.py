"""One grammar a platform: what the names in its export tell of each file. Which platform it is is decided once.

These read names, and the few files that a platform itself adds; they write nothing and know nothing of grading.
"""

from __future__ import annotations

from ..source import CollectError, Entry
from . import blackboard, brightspace, canvas, folders, github, gradescope, ilias, moodle, sakai
from .place import Course, Place, Places, Reader

PLATFORMS: dict[str, Reader] = {
    "Moodle": moodle.read,
    "Gradescope": gradescope.read,
    "Sakai": sakai.read,
    "ILIAS": ilias.read,
    "Blackboard": blackboard.read,
    "Brightspace": brightspace.read,
    "Canvas": canvas.read,
    "GitHub Classroom": github.read,
}
FOLDERS = "plain folders"
NAMES = (*(name.split()[0].lower() for name in PLATFORMS), "folders")  # for the command line


def understood(entries: list[Entry], course: Course, platform: str | None = None) -> tuple[str, Places]:
    """The platform whose names most of these files have, and what they tell. Raises CollectError.

    ``platform``, one of NAMES, decides it.
    """
    if platform == "folders":
        return FOLDERS, folders.read(entries, course)
    readings = {
        name: read(entries, course) for name, read in PLATFORMS.items() if platform in (None, name.split()[0].lower())
    }
    name, places = max(readings.items(), key=lambda reading: len(reading[1]))  # of equals the first
    if platform is not None:
        if not places:
            raise CollectError(f"No file in it is named as {name} names them.")
        return name, places
    if any(isinstance(place, Place) for place in places.values()) and 2 * len(places) > len(entries):
        return name, places
    return FOLDERS, folders.read(entries, course)
