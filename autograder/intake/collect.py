"""Collection: submissions from a learning platform's export go to ``submitted/<student>/<assignment>/``.

`platforms` finds the person of a file, `owners` the student's folder; `contents` recognises the file, `attempts`
chooses among several, and `store` copies it. The report and ``submitted/collected.csv`` list every file of the
export: taken, set aside or refused, and why.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..text import plain
from .archive import Archives
from .budget import Budget
from .contents import Released, What, assignments_of, recognise
from .earlier import Earlier
from .file import File
from .folder import MAX_EXTRA_FILES, too_many_extras
from .names import is_junk, notebook_of
from .owners import Owners
from .platforms import FOLDERS, platform_of, understood
from .platforms.place import Aside, Course, Person, Place, Readings
from .regular import Refused
from .report import Outcomes, Report, save, to_rename
from .roster import Roster
from .source import CollectError, Entry, is_archive, opened
from .store import Store

Placed = list[tuple[Entry, Place]]


def collect(root: Path, source: Path, assignment: str | None = None, platform: str | None = None) -> Report:
    """Copy the submissions in ``source``, a zip or a folder, to ``root``/submitted/ (of one assignment, or all).

    ``platform``, one of `platforms.NAMES`, is the platform of the export. A second call with the same source changes
    nothing. Raises CollectError.
    """
    released = Released.of(root)
    if assignment is not None and assignment not in released.all:
        raise CollectError(f"There is no assignment {assignment!r} in release/ or notebooks/.")
    with opened(root, source) as export:
        return _Collecting(root / "submitted", export, released, assignment).go(source.name, platform)


class _Collecting:
    """The collection of one export."""

    def __init__(self, submitted: Path, export: list[Entry], released: Released, only: str | None) -> None:
        self._submitted, self._export, self._released, self._only = submitted, export, released, only
        self._archives, self._outcomes, self._roster = Archives(), Outcomes(), Roster(submitted)
        self._owners = Owners(self._roster, released, only, self._outcomes, Earlier(submitted, released))
        self._store = Store(submitted, self._roster, released, self._outcomes)

    def go(self, name: str, platform: str | None) -> Report:
        shown, placed, found = self._placed(name, platform)
        files = self._without_too_many(list(self._recognised(found)))
        for assignment in sorted({file.assignment for file in files if file.assignment}):
            self._roster.check_numbers(
                [file.place.person for file in files if file.assignment == assignment], assignment
            )
        plans = [(*settled[:2], self._store.plan(*settled)) for settled in self._owners.settled(files)]
        self._roster.save()  # before the files: a learner who has an id keeps it, even if this is interrupted
        for plan in plans:
            self._store.put(*plan)
        every = list(dict([*placed, *found]).items())
        where = self._tell_learners(every, files)
        self._store.save_reasons()
        self._roster.save()
        told = self._outcomes.files(self._owners.of(every), where)
        save(self._submitted, name, told)
        people = {place.person for _, place in every if not is_junk(place.file)}
        taken = {file.place.person for file in files if file.what.notebook}
        nothing = tuple(sorted({self._owners.shown(person) for person in people - taken}))
        unlisted = self._roster.unlisted({collected.student for collected in told} - {""})
        strays = to_rename(self._roster)
        by_name = tuple(sorted(self._roster.by_name_alone))
        times = tuple(self._store.own_times)
        return Report(shown, len(people), told, nothing, tuple(unlisted), strays, times, by_name)

    def _placed(self, name: str, platform: str | None) -> tuple[str, Placed, Placed]:
        """Return the platform, the files with a known person, and the same with archives replaced by their contents."""
        entries = list(self._usable())
        course = Course(
            self._released.all, lambda f: notebook_of(f, self._released.assignments), self._roster.is_known, name
        )
        shown, places = understood(entries, course, platform)
        placed, found = [], []
        nobody = Refused(f"is not named as {shown} names files: collect it apart, with --from")
        settled = [self._settled(places.get(number, nobody)) for number in range(len(entries))]
        sizes = Counter((p.person, p.home) for p in settled if isinstance(p, Place) and not is_junk(p.file))
        budgets: dict[tuple[Person, str], Budget | None] = {}
        for entry, place in zip(entries, settled, strict=True):
            if not isinstance(place, Place):
                self._outcomes.tell(entry, place)
                continue
            whose = place.person, place.home
            if whose not in budgets:
                budget = budgets[whose] = Budget()
                try:
                    budget.look_at(sizes[whose])
                except Refused as over:  # said once, of the first file
                    budgets[whose] = None
                    placed.append((entry, place))
                    self._outcomes.tell(entry, Refused(f"its hand-in {over}"))
            if (budget := budgets[whose]) is None:
                continue
            entry = replace(entry, read=budget.charged(entry.read))
            inside = self._inside(entry, budget) if is_archive(place.file[-1]) else None
            guessed = shown == FOLDERS and platform is None and not self._roster.is_known(place.person.name)
            if guessed and isinstance(inside, list) and (made_by := platform_of(inside, course)):
                self._outcomes.tell(entry, _whole_download(made_by))
                continue
            placed.append((entry, place))
            found += self._unpacked(entry, place, inside)
        return shown, placed, found

    def _settled(self, place: Place | Readings | Aside | Refused) -> Place | Aside | Refused:
        return self._roster.settled(place) if isinstance(place, Readings) else place

    def _usable(self) -> Iterator[Entry]:
        for entry in self._export:
            if leads_out(entry.parts):
                self._outcomes.tell(entry, Refused("its name leads out of the export"))
            else:
                yield entry

    def _inside(self, archive: Entry, budget: Budget) -> list[Entry] | Refused:
        try:
            return self._archives.inside(archive, budget)
        except Refused as refused:
            return refused

    def _unpacked(
        self, entry: Entry, place: Place, inside: list[Entry] | Refused | None
    ) -> Iterator[tuple[Entry, Place]]:
        """Yield the file, or the files ``inside`` it if it is an archive."""
        if inside is None:
            yield entry, place
            return
        if isinstance(inside, Refused):
            self._outcomes.tell(entry, inside)
            return
        self._outcomes.tell(entry, Aside("opened: what is in it is listed as well"))
        for inner in inside:
            if leads_out(inner.parts):
                self._outcomes.tell(inner, Refused("its name leads out of the archive"))
            elif is_archive(inner.parts[-1]):
                self._outcomes.tell(
                    inner, Refused("is an archive within an archive: unpack it, and collect the folder")
                )
            else:
                parts = (*entry.parts[:-1], *inner.parts)
                time = place.time or entry.time
                where = replace(place, file=inner.parts, time=time, guessed=place.time is None)
                yield replace(inner, parts=parts), where

    def _recognised(self, found: Placed) -> Iterator[File]:
        for entry, place in found:
            if is_junk(place.file):
                self._outcomes.tell(entry, Aside("left behind by a program"))
                continue
            try:
                what = recognise(entry, place, self._released)
                if isinstance(what, What) and what.notebook:
                    where = assignments_of(what, place, entry, self._released, self._only)
                    what = where if isinstance(where, Aside) else File(entry, place, what, where)
            except (Refused, FileNotFoundError) as refused:
                gone = Refused("went away meanwhile")
                self._outcomes.tell(entry, refused if isinstance(refused, Refused) else gone)
                continue
            if isinstance(what, Aside):
                self._outcomes.tell(entry, what)
            else:
                yield what if isinstance(what, File) else File(entry, place, what)

    def _without_too_many(self, files: list[File]) -> list[File]:
        """Return the files without the artifacts of a hand-in that are more than grading takes; those are reported."""
        beside: dict[tuple[Person, str, str | None], list[File]] = defaultdict(list)
        for file in files:
            if not file.what.notebook:
                beside[file.place.person, file.place.home, file.place.attempt].append(file)
        over = set()
        for artifacts in beside.values():
            if len(artifacts) > MAX_EXTRA_FILES:  # what the course asks for comes first
                artifacts.sort(key=lambda file: not self._released.ask_for(file.what.file))
                over |= set(artifacts[MAX_EXTRA_FILES:])
        for file in over:
            self._outcomes.tell(file.entry, Refused(too_many_extras()))
        return [file for file in files if file not in over]

    def _tell_learners(self, every: Placed, files: list[File]) -> dict[str, str]:
        """Create a folder with reasons, for a feedback page, for everybody who submitted no notebook.

        Returns {file of theirs: the assignment}.
        """
        assignments = {self._only} if self._only else {file.assignment for file in files if file.assignment}
        if len(assignments) != 1:
            return {}
        (assignment,) = assignments
        reasons: dict[Person, list[str]] = {}
        said = self._outcomes.reasons()
        for entry, place in every:
            if entry.name in said and not is_junk(place.file):
                reasons.setdefault(place.person, []).append(f"{plain(place.file[-1])}: {plain(said[entry.name])}")
        empty = reasons.keys() - {file.place.person for file in files if file.what.notebook}
        for person, student in self._owners.identify(empty, assignment).items():
            self._store.nothing_of(student, person, assignment, reasons[person])
        return {entry.name: assignment for entry, place in every if place.person in empty}


def _whole_download(platform: str) -> Refused:
    return Refused(
        f"is a download from {platform}, with its learners in it: give this file itself, with FROM=, to make collect. "
        'If it is one learner\'s own, collect it again with ARGS="--from folders"'
    )


def leads_out(parts: tuple[str, ...]) -> bool:
    return ".." in parts or parts[0] == "" or ":" in parts[0][:2] or any("\0" in part for part in parts)
