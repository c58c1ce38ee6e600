"""Recognition of a file: a notebook of the course, by its cells' grade ids or its name, or an artifact."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ..versions import base, order
from .archive import may_be_notebook
from .folder import MAX_NOTEBOOK
from .names import BROWSERS, LATER, base_name, copy_mark, notebook_of
from .platforms.place import Aside, Place
from .regular import Refused
from .source import OTHER_ARCHIVES, CollectError, Entry

ARTIFACTS = (".gpt2pack", ".onnx", ".csv", ".json")  # models and logs that a notebook asks for
MAX_NAME = 200  # bytes; file systems take 255, and some of these names get a suffix
# In JSON a quotation mark inside a text is escaped: this finds nbgrader's key alone. No parser reads untrusted files.
GRADE_ID = re.compile(rb'"grade_id"\s{0,9}:\s{0,9}"([^"\\]{1,200})"')
STAMP = re.compile(rb'"digest"\s{0,9}:\s{0,9}"([0-9a-f]{64})"')
MAX_MARKS = 10_000  # of a notebook; 2,000 cells are graded at most
STUB = b"YOUR CODE HERE"  # nbgrader's metadata of the cells to be written
LIKE_A_NOTEBOOK = (b'"nbformat"', b'"cells"')


@dataclass
class Released:
    """The notebooks that a course has released."""

    assignments: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # notebook -> these
    ids: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))  # notebook -> its grade ids
    cells: dict[tuple[str, str], set[bytes]] = field(default_factory=lambda: defaultdict(set))  # with the assignment
    stamps: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set))  # digest in a notebook -> as above
    stubs: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # notebook -> what is to be written in it
    texts: dict[str, str] = field(default_factory=lambda: defaultdict(str))  # assignment -> all its text

    @classmethod
    def of(cls, root: Path) -> Released:
        """Return the released notebooks of a course. Raises CollectError if there are none."""
        found = cls()
        for path in [*(root / "release").glob("*/*.ipynb"), *(root / "notebooks").glob("*/*.ipynb")]:
            if ".new" not in "".join(path.suffixes):
                data = path.read_bytes()
                found.assignments[path.stem].add(path.parent.name)
                cells = set(_marks(GRADE_ID, data))
                found.ids[path.stem] |= cells
                found.cells[path.stem, path.parent.name] |= cells
                for stamp in _marks(STAMP, data):
                    found.stamps[stamp].add(path.parent.name)
                found.stubs[path.stem] = found.stubs[path.stem] or data.count(STUB)
                found.texts[path.parent.name] += data.decode("utf-8", "replace")
        if not found.assignments:
            raise CollectError(
                "No assignment has been released, so no notebook can be recognised: run make release first."
            )
        return found

    def versions(self, what: What, candidates: Collection[str]) -> list[str]:
        """Return the versions of an assignment that a notebook may belong to, the oldest first.

        By its digest, else by its cells. Those returned have equal cells; none if it is as near to others.
        """
        stamped = {name for stamp in what.stamps for name in self.stamps.get(stamp, ()) if name in candidates}
        differ = {name: len(self.cells[what.notebook, name] ^ what.cells) for name in stamped or candidates}
        nearest = sorted((name for name, number in differ.items() if number == min(differ.values())), key=order)
        alike = all(self.cells[what.notebook, name] == self.cells[what.notebook, nearest[0]] for name in nearest)
        return nearest if alike else []

    @property
    def all(self) -> set[str]:
        return {assignment for found in self.assignments.values() for assignment in found}

    def ask_for(self, file: str) -> set[str]:
        """Return the assignments whose text names a file."""
        return {assignment for assignment, text in self.texts.items() if file in text}


@dataclass(frozen=True)
class What:
    """A recognised file: a notebook (its name) or an artifact (notebook ""), with its file's name."""

    file: str
    notebook: str = ""
    blank: bool = False  # nothing was written in it
    cells: frozenset[bytes] = frozenset()  # the grade ids that stand in it
    stamps: frozenset[bytes] = frozenset()  # the digests, of which a release's own is one
    sha256: str = ""  # of a notebook's bytes


def recognise(entry: Entry, place: Place, released: Released) -> What | Aside:
    """Return what a file is. Raises Refused if a person has to act."""
    file = place.file[-1]
    lower = file.lower()
    if lower.endswith(OTHER_ARCHIVES):
        raise Refused("is packed in a way that is not read here: unpack it, and collect the folder")
    if not (may_be_notebook(file) or lower.endswith(ARTIFACTS)):
        return Aside("no notebook, and nothing that one asks for")
    if may_be_notebook(file):
        data = entry.read(MAX_NOTEBOOK)
        if ".ipynb" in lower or all(mark in data for mark in LIKE_A_NOTEBOOK):
            if not data.strip():
                raise Refused("is empty: ask for it again")
            if data.lstrip().startswith(b"<"):
                raise Refused("is a web page about a notebook: ask for the file itself (GitHub: Download raw file)")
            cells = frozenset(_marks(GRADE_ID, data))
            notebook = _notebook(file, cells, released)
            stubs = released.stubs[notebook]
            blank = 0 < stubs <= data.count(STUB)
            stamps = frozenset(_marks(STAMP, data))
            return What(f"{notebook}.ipynb", notebook, blank, cells, stamps, sha256(data).hexdigest())
    if lower.endswith(ARTIFACTS):
        if len(file.encode("utf-8", "replace")) > MAX_NAME:
            raise Refused(f"its name is longer than {MAX_NAME} bytes: shorten it")
        return What(file)
    return Aside("no notebook")


def _marks(pattern: re.Pattern[bytes], data: bytes) -> Iterator[bytes]:
    """Yield the first marks of a notebook. A pattern that begins with a text is found as fast as that text."""
    found = (mark[1] for mark in pattern.finditer(data) if data[mark.start() - 1 : mark.start()] != b"\\")
    return itertools.islice(found, MAX_MARKS)


def _notebook(file: str, ids: frozenset[bytes], released: Released) -> str:
    found = {name: len(ids & known) for name, known in released.ids.items()}
    most = max(found.values())
    alike = [name for name, number in found.items() if number == most]
    named = notebook_of(file, alike if most else found)
    if most and len(alike) == 1:
        return alike[0]
    if ids and not most and any(released.ids.values()):
        shown = json.dumps(min(ids).decode("utf-8", "replace"))
        raise Refused(f"is of another course or assignment: it has a cell {shown}, and no released notebook has")
    if named is None:
        names = ", ".join(f"{name}.ipynb" for name in sorted(alike if most else found))
        raise Refused(f"could be none of {names}, by its name or by its cells: rename it to the one it is")
    return named[0]


def assignments_of(
    what: What, place: Place, entry: Entry, released: Released, only: str | None
) -> tuple[str, ...] | Aside:
    """Return the assignment of a notebook, in each version that it may belong to. Raises Refused if unclear.

    If nothing else decides among versions, the first counts: the one that was asked for, else the oldest.
    """
    candidates = released.assignments[what.notebook]
    if only is not None:
        if base(only) not in {base(name) for name in candidates}:
            return Aside(f"of {' or '.join(sorted(candidates))}; {only} was asked for")
        candidates = {name for name in candidates if base(name) == base(only)}
    named = {part for part in (*entry.parts[:-1], *place.file[:-1]) if part in candidates} or candidates
    if len({base(name) for name in named}) == 1:
        family = {name for name in candidates if base(name) == base(next(iter(named)))}
        if found := released.versions(what, family):
            found = [name for name in found if name in named] or found
            return tuple(sorted(found, key=lambda name: name != only))
        named = {only} if only in named else named
    if len(named) > 1:
        raise Refused(f'may be of {" or ".join(sorted(candidates))}: collect it with ARGS="--assignment ..."')
    return tuple(named)


def artifact(file: str, platform: str, marks: Collection[str], released: Released) -> str:
    """Return the expected name of an artifact: without a copy's suffix, if it has one.

    ``marks`` are the suffixes of the notebooks beside it. On platforms other than Canvas, "-1" may be part of a name.
    """
    if released.ask_for(file):
        return file
    for less in (base_name(file), base_name(file, LATER)):  # a name that the course asks for
        if less != file and released.ask_for(less):
            return less
    counted = platform == "Canvas" or copy_mark(file) in marks
    return base_name(file) if counted else base_name(file, BROWSERS)
