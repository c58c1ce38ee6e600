"""The commands for events of a term outside the grading cycle: appeals, learners who leave, backups."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .authoring.version import version
from .course import Course
from .grading.rerun import rerun
from .grading.results import table
from .grading.solution import solution
from .labels import labels
from .lock import locked, say_who_works
from .records.backup import backup, restore
from .records.drop import drop
from .records.rename import rename
from .reports.open_tasks import to_grade
from .reports.pages import points
from .reports.show import show
from .text import plain

Command = Callable[[str, Callable[[argparse.Namespace, Path], int], str], argparse.ArgumentParser]


def add_commands(command: Command, assignment: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the commands to a parser: ``command`` creates one, ``assignment`` adds the option of this name."""
    sub = command(
        "version", _version, "release a new version of an assignment, with other cells, beside the earlier one"
    )
    sub.add_argument("assignment", help="the assignment, such as phase1_overview")
    sub = command("drop", _drop, "remove a learner from the course, or their submission to one assignment")
    sub.add_argument("student", help="the learner's id")
    assignment(sub)
    sub = command("rename", _rename, "give a learner another id; if that id is in use, the two are joined")
    sub.add_argument("old", help="the old id")
    sub.add_argument("new", help="the new id")
    sub = command("solution", _solution, "grade the course's own solutions as if a learner had handed them in")
    sub.add_argument(
        "--files", metavar="DIR", type=Path, help="a folder with the files that are submitted beside a notebook"
    )
    assignment(sub)
    sub = command("show", _show, "write a page with a learner's answers beside the solutions and the checks")
    sub.add_argument("student", help="the learner's id")
    assignment(sub)
    sub = command("rerun", _rerun, "run one check of a submission once more, with the same random inputs")
    sub.add_argument("student", help="the learner's id")
    sub.add_argument("check", help="the check's name, as on the feedback page")
    assignment(sub)
    sub = command("backup", _backup, "write everything of this term into one zip")
    sub.add_argument("target", nargs="?", type=Path, help="the file, x.zip, or a folder for it (default: backups/)")
    command("restore", _restore, "restore a backup; the present state is kept in backups/").add_argument(
        "source", type=Path
    )


def _version(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "version"):
        return _say(version(root, arguments.assignment))


def _drop(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "drop"):
        return _say(drop(root, arguments.student, arguments.assignment))


def _rename(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "rename"):
        return _say(rename(root, arguments.old, arguments.new))


def _solution(arguments: argparse.Namespace, root: Path) -> int:
    graded = solution(root, arguments.assignment, arguments.files)
    whole = True
    for submission, found in graded:
        got, most = points(submission.points), points(submission.max_points)
        print(f"{submission.assignment}: {submission.failure or f'{got} of {most} points'}")
        if found:
            print(table(found, labels(Course(root).rules.checks)))
        for review in submission.review:
            print(plain(f"  flagged: {review.cell or review.notebook}: {review.reason}"))
        whole = whole and not submission.failure and not submission.review and got == most
    return int(not whole)


def _show(arguments: argparse.Namespace, root: Path) -> int:
    say_who_works(root)
    page, left = show(Course(root), arguments.student, arguments.assignment)
    return _say([page.relative_to(root).as_posix(), *to_grade(left, f"show STUDENT={arguments.student}")])


def _rerun(arguments: argparse.Namespace, root: Path) -> int:
    done = rerun(root, arguments.student, arguments.check, arguments.assignment)
    print(done)
    return int(bool(done.trouble))


def _backup(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "backup"):
        return _say(backup(root, arguments.target))


def _restore(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "restore"):
        return _say(restore(root, arguments.source))


def _say(lines: list[str]) -> int:
    print("\n".join(map(plain, lines)))
    return 0
