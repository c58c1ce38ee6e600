"""File names as people and programs change them: copies, versions, translations, other suffixes."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection

from .entry import ARCHIVES

COPY = r"(?:[ _]?\(\d+\)|[-_ ]copy ?\d*|-\d+)"  # what browsers, JupyterLab and Canvas append
COPY_SUFFIX = re.compile(f"{COPY}$", re.IGNORECASE)
BROWSERS = re.compile(r"(?:[ _]?\(\d+\)|[-_ ]copy ?\d*)$", re.IGNORECASE)  # and JupyterLab's
NOTEBOOKS = (".ipynb", ".ipynb.txt", ".ipynb.json", ".json", ".txt")  # what a browser makes of a notebook
A_COPY = r"cop(?:y|ie|ia|io)|cópia|kop(?:i[aeo]|ija)|копия|副本|コピー|사본"
COPY_OF = re.compile(rf"^\W*(?:{A_COPY})[\W\d_]+(?:of|von|de|di|van|av|af|от)\b", re.IGNORECASE)
VERSION = re.compile(
    rf"(?:{A_COPY}|of|von|final(?:e|ly)?|last|latest|new|neu|version|ver|v|solutions?|lösung|loesung|answers?|done|"
    r"fixed|submission|submit|abgabe|my|mein|draft|corrected|kopie)?\d{0,2}",
    re.IGNORECASE,
)

LATER = re.compile(
    r"[-_ .]+(?:v\d+|version ?\d*|(?:final|last|latest|new|neu|fixed|corrected|draft)\d*)$", re.IGNORECASE
)
END = 60  # characters in which one such mark lies: a name of many is read in steps, each as short


def is_junk(parts: tuple[str, ...]) -> bool:
    """Return whether a path is one that programs leave behind."""
    return any(part.startswith(".") or part in ("__MACOSX", "__pycache__") for part in parts)


def is_work(file: str) -> bool:
    """Return whether a file of this name may be, or hold, a notebook."""
    return ".ipynb" in file.lower() or file.lower().endswith(ARCHIVES)


def base_name(file: str, marks: re.Pattern[str] = COPY_SUFFIX) -> str:
    """Return the name without a copy's suffix: edge (1).gpt2pack and edge-1.gpt2pack are edge.gpt2pack."""
    stem, suffix = os.path.splitext(file)
    return list(filter(None, _shortened(stem, marks)))[-1] + suffix if stem else file


def _shortened(stem: str, marks: re.Pattern[str]) -> list[str]:
    """Return a name, the same without the mark at its end, without two, ...; only the last characters are searched."""
    found = [stem]
    while mark := marks.search(stem, max(0, len(stem) - END)):
        stem = stem[: mark.start()]
        found.append(stem)
    return found


def copy_mark(file: str) -> str:
    """Return the suffix that `base_name` removes."""
    stem = os.path.splitext(file)[0]
    return stem[len(os.path.splitext(base_name(file))[0]) :]


def looks_like(stem: str, name: str) -> bool:
    """Return whether a file's name without .ipynb is ``name``, apart from case and copy suffixes (" (1)", "-Copy1")."""
    stem, name = (unicodedata.normalize("NFC", text).casefold() for text in (stem, name))
    return name in _shortened(stem, COPY_SUFFIX)


def notebook_of(file: str, known: Collection[str]) -> tuple[str, str] | None:
    """Return the longest of ``known`` that a file's name holds, and the rest, which may name its owner ("").

    A rest that marks a version or a copy names no owner.
    """
    at = re.search(r"\.ipynb|\.(?:json|txt)$", file, re.IGNORECASE)
    if at is None:
        return None
    stem = unicodedata.normalize("NFKC", file[: at.start()])
    for name in sorted(known, key=len, reverse=True):
        words = map(re.escape, re.split(r"[-_ .]+", unicodedata.normalize("NFKC", name)))
        pattern = r"(?<![^\W_])" + r"[-_ .]+".join(words) + r"(?![^\W_])"
        if found := re.search(pattern, stem, re.IGNORECASE):
            return name, _whose(stem[: found.start()], stem[found.end() :])
    return None


def _whose(before: str, after: str) -> str:
    after = _shortened(after, BROWSERS)[-1]
    for part in (COPY_OF.sub("", before), after):
        words = [word for word in re.split(r"[\W_]+", part) if word]
        if not all(VERSION.fullmatch(word) for word in words):
            return _shortened(part, LATER)[-1].strip(" -_.")
    return ""
