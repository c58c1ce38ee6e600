"""Hand-ins as a learning platform exports them, brought to ``submitted/<student>/<assignment>/<notebook>.ipynb``.

Understood, from a zip or from a folder:

- Moodle, "Download all submissions": ``Ada Lovelace_123_assignsubmission_file_/lab.ipynb``, or flat
- Canvas, "Download submissions": ``lovelaceada_LATE_12345_678910_lab-1.ipynb``
- nbgrader's own layout, and a folder a student: ``ada/lab/lab.ipynb``, ``ada/lab.ipynb``
- loose notebooks: ``ada_lab.ipynb``, ``lab_ada.ipynb``

Beside a notebook its artefacts are taken too, the models and logs that Phase 3's challenges ask for: those of the
same person, from the same folder of the source.

Nothing is lost: each file of the source is in the report, taken or not and why. ``submitted/students.csv`` says who is
behind a student id. A notebook that is replaced by a newer one moves to ``submitted/.replaced/``, where neither
nbgrader nor grading looks.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..text import FORMULA, plain
from .folder import COPY, MAX_EXTRA, MAX_NOTEBOOK, Refused, looks_like, read_regular
from .times import read_time

MAX_ENTRIES = 50_000
MAX_TOTAL = 4_000_000_000  # bytes, unpacked
MAX_ID = 60  # characters
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # nbgrader's, in timestamp.txt
COLUMNS: tuple[str, ...] = ("student", "name", "system", "number", "assignment", "notebook", "entry", "time")

# Moodle puts no "_" into names. Some versions leave out the last one, groups may have no number.
MOODLE = re.compile(
    r"(?P<name>.+?)(?:_(?P<number>\d+))?_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?", re.DOTALL
)
CANVAS = re.compile(
    r"(?:(?P<name>.+?)_)??(?P<late>LATE_)?(?P<number>\d+|anon_[^_]+)_(?P<attachment>\d+)_(?P<file>.+)", re.DOTALL
)
CANVAS_TEXT = re.compile(r".+_(?:\d+|anon_[^_]+)_(?:text|link)\.html", re.DOTALL)
AROUND = ("notebooks", "submitted")  # folders that are nobody's name
ARTEFACTS = (".gpt2pack", ".onnx", ".csv", ".json")
LEFT_BEHIND = ("__MACOSX", "__pycache__")


class CollectError(Exception):
    """The source as a whole can't be collected; the message says what to do."""


@dataclass(frozen=True)
class Collected:
    """What became of one file of the source. Without a match, student, assignment and notebook are ""."""

    entry: str
    outcome: str
    taken: bool = False
    student: str = ""
    assignment: str = ""
    notebook: str = ""


@dataclass(frozen=True)
class _Entry:
    """A file of the source. ``read`` gives its bytes or raises Refused."""

    name: str
    parts: tuple[str, ...]
    time: datetime | None
    read: Callable[[], bytes]


@dataclass(frozen=True)
class _Person:
    """Somebody as the source names them. Canvas' numbers stay, Moodle's are new for each assignment."""

    name: str
    number: str = ""
    system: str = ""


class _Artefact(Refused):
    """No notebook, but it may belong to one: a file ``file`` of ``person`` (None: of the folder's)."""

    def __init__(self, file: str, person: _Person | None) -> None:
        super().__init__("no notebook of the same person lies beside it")
        self.file, self.person = file, person


@dataclass(frozen=True)
class _HandIn:
    entry: _Entry
    person: _Person
    assignment: str
    notebook: str
    late: bool
    rank: tuple  # of several, the highest is taken


def collect(root: Path, source: Path, assignment: str | None = None) -> list[Collected]:
    """Bring the hand-ins in ``source``, a zip or a folder, into ``root``/submitted/ (of one assignment, or all).

    Again with the same source it changes nothing. Raises CollectError.
    """
    known = _released(root)
    if assignment is not None and assignment not in {a for found in known.values() for a in found}:
        raise CollectError(f"There is no assignment {assignment!r} in release/ or notebooks/.")
    with _opened(root, source) as entries:
        times = _timestamps(entries)
        hand_ins: list[_HandIn] = []
        artefacts: list[tuple[_Entry, _Artefact]] = []
        report: list[Collected] = []
        for entry in entries:
            if entry.parts in times:
                report.append(Collected(entry.name, "taken as the time of the submission", taken=True))
                continue
            try:
                hand_ins.append(_understood(entry, known, assignment, times))
            except _Artefact as artefact:
                artefacts.append((entry, artefact))
            except Refused as reason:
                report.append(Collected(entry.name, f"not taken: {reason}"))
        roster = _Roster(root / "submitted")
        students = roster.identify(hand_ins)
        roster.save()  # before the notebooks: whoever has one keeps the id, even if this is interrupted
        best: dict[tuple, _HandIn] = {}
        for hand_in, student in zip(hand_ins, students, strict=True):
            key = (student, hand_in.assignment, hand_in.notebook)
            best[key] = max(best.get(key, hand_in), hand_in, key=lambda h: h.rank)
        for hand_in, student in zip(hand_ins, students, strict=True):
            winner = best[student, hand_in.assignment, hand_in.notebook]
            if winner is hand_in:
                report.append(_stored(root, hand_in, student, roster))
            else:
                outcome = f"not taken: {winner.entry.name!r} was taken in its place"
                report.append(_collected(hand_in, student, outcome, taken=False))
        roster.save()
        report += [_stored_beside(root, *a, hand_ins, students) for a in artefacts]
    return sorted(report, key=lambda c: c.entry)


def table(collected: list[Collected]) -> str:
    """One line a file: whose it is, what became of it, what it was called."""
    rows = [(plain(c.student or "?"), c.assignment or "?", c.outcome, plain(c.entry)) for c in collected]
    width = max((len(f"{student}  {assignment}") for student, assignment, *_ in rows), default=0)
    lines = [f"{f'{s}  {a}':<{width}}  {plain(outcome)}  <- {entry}" for s, a, outcome, entry in rows]
    taken = sum(c.taken for c in collected)
    return "\n".join([*lines, f"{taken} taken, {len(collected) - taken} not taken"])


def _released(root: Path) -> dict[str, set[str]]:
    """Notebook name -> the assignments that have one of this name."""
    known: dict[str, set[str]] = {}
    for path in [*(root / "release").glob("*/*.ipynb"), *(root / "notebooks").glob("*/*.ipynb")]:
        if ".new" not in "".join(path.suffixes):
            known.setdefault(path.stem, set()).add(path.parent.name)
    if not known:
        raise CollectError("No assignment has been released, so no notebook can be recognised: run make release first.")
    return known


# Reading the source


@contextlib.contextmanager
def _opened(root: Path, source: Path) -> Iterator[list[_Entry]]:
    if source.is_dir():
        ours, theirs = (root / "submitted").resolve(), source.resolve()
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
            raise CollectError(f"{source} is where hand-ins go to, or holds it: name a zip or a folder elsewhere.")
        yield list(_folder_entries(source))
        return
    try:
        archive = zipfile.ZipFile(source)
    except FileNotFoundError as error:
        raise CollectError(f"There is no {source}: name a zip as Moodle or Canvas exports it, or a folder.") from error
    except OSError as error:
        raise CollectError(f"{source} can't be read: {error.strerror}.") from error
    except Exception as error:  # of a damaged directory of files, zipfile lets through what it stumbles on
        raise CollectError(
            f"{source.name} is no whole zip file. Was the download cut short? Download it again."
        ) from error
    with archive:
        yield list(_zip_entries(archive, source))


def _folder_entries(source: Path) -> Iterator[_Entry]:
    def unreadable(error: OSError) -> None:
        raise CollectError(f"{error.filename} can't be read: {error.strerror}.") from error

    for folder, folders, files in os.walk(source, onerror=unreadable):
        folders.sort()
        for name in sorted([*files, *(f for f in folders if Path(folder, f).is_symlink())]):
            path = Path(folder, name)
            relative = path.relative_to(source)
            yield _Entry(relative.as_posix(), relative.parts, None, lambda path=path: read_regular(path, MAX_NOTEBOOK))


def _zip_entries(archive: zipfile.ZipFile, source: Path) -> Iterator[_Entry]:
    files = [info for info in archive.infolist() if not info.filename.endswith("/")]
    if len(files) > MAX_ENTRIES:
        raise CollectError(f"{source.name} holds {len(files)} files, and at most {MAX_ENTRIES} are taken at once.")
    if any(info.flag_bits & 1 for info in files):
        raise CollectError(f"{source.name} is encrypted: unpack it with its password, and name the folder instead.")
    left = [MAX_TOTAL]
    for info in files:
        parts = tuple(re.split(r"[/\\]", info.filename))  # some programs on Windows write \
        yield _Entry(info.filename, parts, _zip_time(info), lambda info=info: _unpacked(archive, info, left))


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: list[int]) -> bytes:
    """The bytes of an entry; what its header says about its size is not believed."""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise Refused("is a link or a device in the zip")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("is packed in an unusual way")  # and could not be unpacked in small steps
    try:
        with archive.open(info) as file:
            data = file.read(MAX_NOTEBOOK + 1)
    except Exception as error:  # of damaged data, zipfile lets through what it stumbles on
        raise Refused(f"is damaged in the zip ({error})") from error
    if len(data) > MAX_NOTEBOOK:
        raise Refused(f"is larger than {MAX_NOTEBOOK // 1_000_000} MB")
    left[0] -= len(data)
    if left[0] < 0:
        raise CollectError(f"The zip holds more than {MAX_TOTAL // 1_000_000_000} GB: collect it in parts.")
    return data


def _zip_time(info: zipfile.ZipInfo) -> datetime | None:
    if info.date_time <= (1980, 1, 1, 0, 0, 0):
        return None  # what is written when the time is not known
    try:
        return datetime(*info.date_time).astimezone(UTC)  # a zip holds local time
    except (ValueError, OverflowError):
        return None


def _timestamps(entries: list[_Entry]) -> dict[tuple[str, ...], datetime]:
    """Path of each readable timestamp.txt -> the time in it."""
    found = {}
    for entry in entries:
        if entry.parts[-1] == "timestamp.txt":
            with contextlib.suppress(Refused, ValueError, OverflowError, FileNotFoundError):
                found[entry.parts] = read_time(entry.read()[:100].decode()).replace(tzinfo=UTC)
    return found


# Understanding names


def _understood(
    entry: _Entry, known: dict[str, set[str]], only: str | None, times: dict[tuple[str, ...], datetime]
) -> _HandIn:
    """Whose notebook, of which assignment, an entry is; raises Refused with the reason if that can't be said."""
    parts, file = entry.parts, entry.parts[-1]
    if ".." in parts or parts[0] == "" or ":" in parts[0][:2]:
        raise Refused("its name leads out of the source")
    if any(
        part.startswith("._") or part in LEFT_BEHIND or (part.startswith(".") and not MOODLE.fullmatch(part))
        for part in parts
    ):
        raise Refused("left behind by a program")
    person, late, rank = None, False, (0, 0)
    for part in parts:
        if moodle := MOODLE.fullmatch(part):
            if moodle["kind"] != "file":
                raise Refused("no file, but what was typed into Moodle: read it there")
            person = _Person(moodle["name"], moodle["number"] or "", "Moodle")
            file = moodle["file"] if part == file and moodle["file"] else file
            break
    else:
        if CANVAS_TEXT.fullmatch(file):
            raise Refused("no file, but what was typed into Canvas: read it there")
        if canvas := CANVAS.fullmatch(file):
            number = canvas["number"]
            person = _Person(canvas["name"] or number, number, "Canvas")
            file, late = canvas["file"], bool(canvas["late"])
            again = re.search(r"-(\d+)\.ipynb$", file)
            rank = (int(again[1]) if again else 0, int(canvas["attachment"]))
    stem, suffix = os.path.splitext(file)
    if suffix.lower() in (".zip", ".gz", ".tar", ".7z", ".rar"):
        raise Refused("packed inside the source: unpack it by hand, and collect the folder")
    if suffix.lower() in ARTEFACTS:
        raise _Artefact(file, person)
    if suffix.lower() != ".ipynb":
        raise Refused("no notebook")
    notebook, who = _notebook(stem, known)
    assignment = _assignment(known[notebook], parts, only)
    if person is None:
        places = {a for found in known.values() for a in found} | set(AROUND)
        folders = [part for part in parts[:-1] if part not in places]
        if not who and not folders:
            raise Refused("whose is it? Put it into a folder with the student's name")
        person = _Person(who or folders[-1])
    # In a platform's folder it is one more file that a learner has uploaded.
    time = entry.time if person.system else times.get((*parts[:-1], "timestamp.txt"), entry.time)
    rank = (*rank, time or datetime.min.replace(tzinfo=UTC), stem == notebook)
    return _HandIn(replace(entry, time=time), person, assignment, notebook, late, rank)


def _notebook(stem: str, known: Collection[str]) -> tuple[str, str]:
    """The notebook that a file is by its name, and the rest of the name: "" or a student's."""
    for name in known:
        if looks_like(stem, name):
            return name, ""
    stem = unicodedata.normalize("NFC", stem)
    for name in sorted(known, key=len, reverse=True):
        exact = re.escape(unicodedata.normalize("NFC", name))
        # After a student's name "-2" may belong to it: only what surely is a copy's mark is dropped.
        pattern = rf"(.+?)[-_ ]+{exact}{COPY}*|{exact}[-_ ]+(.+?)(?:[ _]?\(\d+\)|-copy\d*)*"
        if found := re.fullmatch(pattern, stem, re.IGNORECASE | re.DOTALL):
            return name, found[1] or found[2]
    raise Refused(f"its name is none of {', '.join(f'{name}.ipynb' for name in sorted(known))}")


def _assignment(candidates: set[str], parts: tuple[str, ...], only: str | None) -> str:
    if only is not None:
        if only not in candidates:
            raise Refused(f"is of {' or '.join(sorted(candidates))}, and only {only} was asked for")
        return only
    named = [part for part in parts[:-1] if part in candidates] or sorted(candidates)
    if len(set(named)) > 1:
        raise Refused(f"may be of {' or '.join(sorted(candidates))}: collect it with --assignment")
    return named[0]


# Who is who


def _written(text: str) -> str:
    """For a table: no spreadsheet may read a formula in it."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def _read(text: str) -> str:
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


class _Roster:
    """``submitted/students.csv``: which student id stands for whom, and where each notebook came from."""

    def __init__(self, submitted: Path) -> None:
        self._path = submitted / "students.csv"
        self._rows: list[dict[str, str]] = []
        if self._path.exists():
            with self._path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                reader = csv.DictReader(file)
                self._rows = list(reader)
                columns = tuple(reader.fieldnames or ())
            if columns != COLUMNS or any(None in (*row, *row.values()) for row in self._rows):
                raise CollectError(f"{self._path} has not the columns {', '.join(COLUMNS)}: repair it or move it away.")
        self._rows = [{column: _read(text) for column, text in row.items()} for row in self._rows]
        self._folders = {path.name for path in submitted.glob("*/") if not path.name.startswith(".")}
        self._before = self._ids()

    def identify(self, hand_ins: list[_HandIn]) -> list[str]:
        """The student id of each; new people are entered."""
        people = {(h.person, h.assignment) for h in hand_ins}
        ids: dict[tuple[_Person, str], str] = {}
        for hand_in in sorted(hand_ins, key=lambda h: (h.assignment, h.person.name, h.person.number)):
            person, assignment = hand_in.person, hand_in.assignment
            here = {other for other, where in people if where == assignment or other.system != "Moodle"}
            if (person, assignment) not in ids:
                ids[person, assignment] = self._known(person, assignment, here) or self._new(person, assignment, here)
            row = self.row(ids[person, assignment], assignment, hand_in.notebook)
            row |= {"name": person.name, "system": person.system, "number": person.number}
        return [ids[h.person, h.assignment] for h in hand_ins]

    def row(self, student: str, assignment: str, notebook: str) -> dict[str, str]:
        """The line of a notebook; a new one if there is none."""
        wanted = {"student": student, "assignment": assignment, "notebook": notebook}
        for row in self._rows:
            if wanted.items() <= row.items():
                return row
        self._rows.append(dict.fromkeys(COLUMNS, "") | wanted)
        return self._rows[-1]

    def time(self, student: str, assignment: str) -> str:
        """When the last notebook of a submission was handed in, "" if that is not known."""
        return max(r["time"] for r in self._rows if (r["student"], r["assignment"]) == (student, assignment))

    def save(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        rows = sorted(self._rows, key=lambda row: [row[column] for column in COLUMNS])
        writer.writerows({column: _written(text) for column, text in row.items()} for row in rows)
        _write(self._path, text.getvalue().encode("utf-8", "surrogateescape"))

    def _known(self, person: _Person, assignment: str, here: Collection[_Person]) -> str:
        """The id that somebody has already, or "". ``here``: who else hands in."""
        mine = [row for row in self._rows if (row["name"], row["system"]) == (person.name, person.system)]
        for row in mine:
            if row["number"] == person.number:
                return row["student"]
        if not person.system and person.name in self._before:
            return person.name  # the folder is named by the id
        if person.system != "Moodle" or person.name == "Participant":  # everybody's name in blind marking
            return ""
        # A name that is met once in each assignment is the same person's, with a new number.
        elsewhere = {row["student"] for row in mine} - {r["student"] for r in mine if r["assignment"] == assignment}
        namesakes = [other for other in here if other.name == person.name]
        return elsewhere.pop() if len(namesakes) == len(elsewhere) == 1 else ""

    def _new(self, person: _Person, assignment: str, here: Collection[_Person]) -> str:
        keep_case = not person.system and person.name == student_id(person.name, keep_case=True)
        base = student_id(person.name, keep_case)
        mark = hashlib.sha256("\n".join((*vars(person).values(), assignment)).encode("utf-8", "replace")).hexdigest()
        names = [base] if sum(student_id(other.name) == base.lower() for other in here) == 1 else []
        names += [f"{base}-{student_id(person.number)}"] if person.number else []
        taken = {name.casefold() for name in self._ids()}  # some file systems don't tell A from a
        return next(name for name in [*names, f"{base}-{mark[:8]}"] if name.casefold() not in taken)

    def _ids(self) -> set[str]:
        return self._folders | {row["student"] for row in self._rows}


def student_id(name: str, keep_case: bool = False) -> str:
    """A folder name that nbgrader reads back as it is: letters and digits of any script, and ``. _ @ -``.

    nbgrader finds folders by glob and reads ids by regular expression: a dot in front, spaces around, ``* ? [ ]``,
    a line break or a slash would hide a submission or mix it up with another; "," and "+" separate ids elsewhere.
    """
    name = unicodedata.normalize("NFKC", name)
    kept = ""
    for char in name if keep_case else name.lower():
        kind = unicodedata.category(char)[0]
        after_letter = kept and unicodedata.category(kept[-1])[0] in "LM"
        kept += char if kind in "LN" or char in "._@-" or (kind == "M" and after_letter) else "-"
    return re.sub("-+", "-", kept)[:MAX_ID].strip("-.") or "student"


# Writing


def _stored(root: Path, hand_in: _HandIn, student: str, roster: _Roster) -> Collected:
    folder = root / "submitted" / student / hand_in.assignment
    path = folder / f"{hand_in.notebook}.ipynb"
    row = roster.row(student, hand_in.assignment, hand_in.notebook)
    time = hand_in.entry.time.strftime(TIME_FORMAT) if hand_in.entry.time else ""

    try:
        data = hand_in.entry.read()
        there = read_regular(path, MAX_NOTEBOOK)
    except FileNotFoundError:
        there = None
    except Refused as reason:
        return _collected(hand_in, student, f"not taken: {reason}", taken=False)
    if there == data:
        outcome = "there already"
    elif there is not None and time and time < row["time"]:
        return _collected(hand_in, student, "not taken: older than the one there", taken=False)
    else:
        outcome = "taken"
        if there is not None:
            outcome = f"taken; the one before is {_set_aside(root / 'submitted', path, there)}"
        _write(path, data)
    if there != data or not row["time"]:
        row |= {"entry": hand_in.entry.name, "time": time}
        if latest := roster.time(student, hand_in.assignment):
            _write(folder / "timestamp.txt", latest.encode())
    return _collected(hand_in, student, outcome, taken=True)


def _stored_beside(
    root: Path, entry: _Entry, artefact: _Artefact, hand_ins: list[_HandIn], students: list[str]
) -> Collected:
    """Put an artefact beside the notebook of the same person, if that is of one assignment."""
    places = {
        (student, hand_in.assignment)
        for hand_in, student in zip(hand_ins, students, strict=True)
        if hand_in.entry.parts[:-1] == entry.parts[:-1] and artefact.person in (None, hand_in.person)
    }
    if len(places) != 1:
        reason = "it lies beside notebooks of several" if places else artefact
        return Collected(entry.name, f"not taken: {reason}")
    (student, assignment) = places.pop()
    path = root / "submitted" / student / assignment / artefact.file
    try:
        data = entry.read()
        if len(data) > MAX_EXTRA:
            raise Refused(f"is larger than {MAX_EXTRA // 1_000_000} MB")
        there = path.is_file() and not path.is_symlink() and path.read_bytes() == data
        if not there:
            _write(path, data)
    except (Refused, OSError) as reason:  # a name that no file can have, a full disk
        return Collected(entry.name, f"not taken: {reason}", False, student, assignment)
    return Collected(entry.name, "there already" if there else "taken", True, student, assignment)


def _collected(hand_in: _HandIn, student: str, outcome: str, taken: bool) -> Collected:
    late = "; late, says Canvas" if hand_in.late else ""
    return Collected(hand_in.entry.name, outcome + late, taken, student, hand_in.assignment, hand_in.notebook)


def _set_aside(submitted: Path, path: Path, data: bytes) -> str:
    """Keep what will be replaced; returns where, relative to submitted/."""
    student, assignment = path.parts[-3:-1]
    number = 1
    while True:
        kept = submitted / ".replaced" / f"{student}--{assignment}--{path.stem}.{number}.ipynb"
        if not kept.exists():
            _write(kept, data)
        if kept.read_bytes() == data:
            return kept.relative_to(submitted).as_posix()
        number += 1


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
