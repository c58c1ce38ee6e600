"""Student ids: the names of students' folders in submitted/, autograded/ and feedback/."""

from __future__ import annotations

import re
import unicodedata

MAX_ID = 60  # characters
RESERVED = ("students.csv", "collected.csv")  # names in submitted/ that belong to no learner


def student_id(name: str, keep_case: bool = False) -> str:
    """Return a folder name that nbgrader reads back unchanged: letters and digits of any script, ``. _ @ -``.

    nbgrader finds folders by glob and reads ids by regular expression: a dot in front, spaces around, ``* ? [ ]``,
    a line break or a slash would hide a submission or mix it up with another; "," and "+" separate ids elsewhere.
    """
    name = unicodedata.normalize("NFKC", name)
    kept = ""
    for char in name if keep_case else name.lower():
        kind = unicodedata.category(char)[0]
        after_letter = kept and unicodedata.category(kept[-1])[0] in "LM"
        kept += char if kind in "LN" or char in "._@-" or (kind == "M" and after_letter) else "-"
    made = re.sub("-+", "-", kept)[:MAX_ID].strip("-.") or "student"
    return made.replace(".", "-") if made.casefold() in RESERVED else made


def marked(base: str, mark: str) -> str:
    """Return the id ``base`` with a mark that tells namesakes apart: a long name is cut, never the mark's end."""
    mark = student_id(mark)[-MAX_ID // 2 :]
    return student_id(f"{base[: MAX_ID - 1 - len(mark)]}-{mark}", keep_case=True)
