"""Exports for Canvas: its gradebook CSV with the points, and a zip of feedback pages for each assignment.

The CSV has Canvas's own columns up to Section, and those of this course's assignments: Canvas leaves all others as they
are. It goes to Grades > Import (Canvas Instructor Guide, "How do I import grades in the Gradebook?";
lib/gradebook_importer.rb). A learner without points keeps an empty cell.

The zip goes to the assignment's "Upload Submissions" in SpeedGrader's or the gradebook's menu (Canvas Instructor Guide,
"How do I upload all student submissions for an assignment?"). Canvas finds the learner by the two numbers in a file's
name, as its download writes them (app/models/assignment.rb, infer_comment_context_from_filename), and shows the page
under the name of the file that was handed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..course import Course
from ..intake.class_list import ClassList, Learner, words
from ..intake.enrol import gradebook
from ..intake.platforms.canvas import start_of
from ..intake.report import collected_of
from ..intake.roster import lines_of
from ..intake.tables import Table, read_table
from ..term import Term, read_term
from ..text import plain
from ..versions import base
from .archive import pages_of, write_zip
from .grade_table import FOLDER, amount, safe, write_csv
from .moodle import Sent, not_in
from .pages import points
from .summary import GRADED, Row, Summary

ID = re.compile(r" ?\(\d+\)$")


def write_canvas(course: Course, summaries: list[Summary]) -> Sent:
    """Write grades/canvas.csv; nothing if no gradebook was enrolled. Raises TableError."""
    path = gradebook(course.root)
    if not path.exists():
        return Sent()
    table, term = read_table(path), read_term(course.root)
    told = []
    columns: list[tuple[int, Summary]] = []
    for summary in (one for one in summaries if one.in_use):
        place = _column(table, summary.assignment, term)
        if isinstance(place, str):
            told.append(place)
        else:
            columns.append((place, summary))
    if not columns:
        return Sent(told=tuple(told))
    section = table.column("Section") or 0
    number = table.column("ID") or 0
    ids = {one.canvas: one.id for one in ClassList.of(course.root).learners if one.canvas}
    rows = [[safe(cell) for cell in (*table.columns[: section + 1], *(table.columns[place] for place, _ in columns))]]
    for cells in table.rows:
        student = ids.get(cells[number].strip(), "")
        head = [safe(cell) for cell in cells[: section + 1]]
        if not cells[number].strip().isdecimal():
            rows.append([*head, *(safe(cells[place]) for place, _ in columns)])
        else:
            maxima = _maxima(table, [place for place, _ in columns])
            rows.append([*head, *(_points(student, s, maxima[place]) for place, s in columns)])
    told += _unknown(table, ClassList.of(course.root).learners)
    met = {ids.get(cells[number].strip(), "") for cells in table.rows}
    told += not_in("Canvas's gradebook", met, [row for _, summary in columns for row in summary.rows])
    for place, summary in columns:
        most = _maxima(table, [place])[place]
        if most and most != summary.maximum:
            told.append(
                f"Canvas's maximum for {summary.assignment} is {points(most)}, here it is {points(summary.maximum)}: "
                "the points were scaled."
            )
    written = write_csv(course.root / FOLDER / "canvas.csv", rows, mark=False)
    return Sent((written,), tuple(told))


def _unknown(table: Table, learners: Iterable[Learner]) -> list[str]:
    """Return a sentence for each line of Canvas's that nobody has by number, but somebody may have by name."""
    number = table.column("ID") or 0
    known = {one.canvas for one in learners}
    told = []
    for cells in table.rows:
        id, name = cells[number].strip(), " ".join(cells[0].split())
        named = [plain(one.id) for one in learners if not one.canvas and words(one.name) == words(name)]
        if id.isdecimal() and id not in known and named:
            may = " or ".join(named)
            told.append(
                f"{plain(name)} of Canvas's gradebook has no points in canvas.csv, since it may be {may}: "
                f"write {id} into the column canvas of the right one in roster.csv, then make export again."
            )
    return told


def write_canvas_feedback(course: Course, summary: Summary) -> Sent:
    """Write grades/<assignment>-canvas-feedback.zip: a page for each file that came from Canvas."""
    names = uploads(course.root, summary)
    pages = []
    for row in summary.rows:
        for page in pages_of(course.root, row):
            name = names.get((row.student, f"{page.stem}.ipynb")) or names.get((row.student, ""))
            if name:
                pages.append((f"{name}_{page.name}", page))
    target = course.root / FOLDER / f"{summary.assignment}-canvas-feedback.zip"
    return Sent(tuple(write_zip(target, pages))) if names else Sent()


def uploads(root: Path, summary: Summary) -> dict[tuple[str, str], str]:
    """Return {(student, notebook): the start of their file's name, up to Canvas's numbers}; notebook "": any file."""
    counts = {row.student: row.assignment for row in summary.rows}
    lines = [row for row in lines_of(root / "submitted") if row["system"] == "Canvas"]
    numbers = {one.id: one.canvas for one in ClassList.of(root).learners} | {r["student"]: r["number"] for r in lines}
    found: dict[tuple[str, str], str] = {}
    for row in collected_of(root / "submitted"):
        student, ours = row["student"], base(row["assignment"]) == base(summary.assignment)
        if student and ours and (start := _start(row["file"], numbers.get(student, ""))):
            found[student, ""] = start
    for row in lines:
        student, ours = row["student"], row["assignment"] == counts.get(row["student"])
        if ours and (start := _start(row["entry"], row["number"])):
            found[student, row["file"]] = found[student, ""] = start
    return found


def _start(entry: str, number: str) -> str:
    """Return "lovelaceada_LATE_12345_678910" of a path in Canvas's download, "" if it has no such part."""
    return next(filter(None, (start_of(part, number) for part in entry.split("/"))), "")


def _column(table: Table, assignment: str, term: Term) -> int | str:
    """Return the position of an assignment's column, or a sentence if it is ambiguous or missing."""
    wanted = term.of(assignment).canvas
    after = (table.column("Section") or 0) + 1
    titles = {place: title for place, title in enumerate(table.columns) if place >= after}
    if wanted:
        found = [place for place, title in titles.items() if wanted in (title, ID.sub("", title))]
    else:
        found = [place for place, title in titles.items() if _squashed(ID.sub("", title)) == _squashed(assignment)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(plain(title, 60) for title in titles.values() if ID.search(title)) or "none"
    what = f"no column {wanted!r}" if wanted else f"no column called {assignment}"
    return (
        f'Canvas\'s gradebook has {what}: write in term.toml, under [{assignment}], canvas = "..." with one of: {shown}'
    )


def _maxima(table: Table, places: Iterable[int]) -> dict[int, float]:
    """Return {column: maximum points in Canvas}; 0 if unknown."""
    for cells in table.rows:
        if "Points Possible" in cells[0]:
            return {place: amount(cells[place]) for place in places}
    return dict.fromkeys(places, 0.0)


def _points(student: str, summary: Summary, most: float) -> str:
    row: Row | None = next((row for row in summary.rows if row.student == student), None)
    if row is None or row.status != GRADED or row.total is None:
        return ""
    return points(round(row.total * most / summary.maximum if most and summary.maximum else row.total, 2))


def _squashed(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
