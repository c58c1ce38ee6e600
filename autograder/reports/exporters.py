"""The exports as nbgrader's plugins: ``nbgrader export --exporter=autograder.reports.exporters.MoodleExport``.

They write what `make export` writes, into grades/. ``--assignment`` chooses assignments; ``--to`` and ``--student``
have no meaning, since a platform takes a whole class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import ExportPlugin

from ..course import Course
from .canvas import write_canvas, write_canvas_feedback
from .export import refresh, summaries
from .moodle import Sent, write_moodle
from .open_tasks import to_grade, to_settle
from .summary import Summary
from .term_table import write_term


def _with_pages(course: Course, summary: Summary, write: Callable[[Course, Summary], Sent]) -> Sent:
    refresh(course, summary)
    return write(course, summary)


def _joined(sent: Iterable[Sent]) -> Sent:
    every = list(sent)
    return Sent(tuple(path for one in every for path in one.files), tuple(text for one in every for text in one.told))


class _Export(ExportPlugin):
    """Base class of the exporters: nbgrader gives them the course's folder through its application."""

    def export(self, gradebook: Gradebook) -> None:
        assert self.parent is not None
        course = Course(Path(self.parent.coursedir.root))
        chosen: list[str] = list(self.assignment)
        every = [summary for summary in summaries(course) if not chosen or summary.assignment in chosen]
        sent = self.sent(course, every)
        for path in sent.files:
            self.log.info("Wrote %s", path)
        pending = {summary.assignment: summary.pending for summary in every}
        for told in (*sent.told, *to_settle(every), *to_grade(pending, "export")):
            self.log.warning(told)

    def sent(self, course: Course, every: list[Summary]) -> Sent:
        raise NotImplementedError


class MoodleExport(_Export):
    """Exporter of Moodle's grading worksheets, and a zip of feedback for each."""

    def sent(self, course: Course, every: list[Summary]) -> Sent:
        return _joined(_with_pages(course, summary, write_moodle) for summary in every)


class CanvasExport(_Export):
    """Exporter of Canvas's gradebook, and a zip of feedback for each assignment."""

    def sent(self, course: Course, every: list[Summary]) -> Sent:
        feedback = [_with_pages(course, summary, write_canvas_feedback) for summary in every]
        return _joined([write_canvas(course, every), *feedback])


class TermExport(_Export):
    """Exporter of the term's table, for the registrar."""

    def sent(self, course: Course, every: list[Summary]) -> Sent:
        return Sent((write_term(course.root, every),))
