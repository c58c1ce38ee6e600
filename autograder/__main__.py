"""``python -m autograder``: one subcommand for each thing that a learner or an instructor does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .check import CheckError, check
from .course import PROJECT, CourseError
from .grade import feedback, grade, table
from .notebooks import NotebookError
from .release import release, stale
from .sources import SourceError


def main(argv: list[str] | None = None, root: Path = PROJECT) -> int:
    """Run one subcommand on the course at ``root``; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments, root)
    except (CheckError, CourseError, NotebookError, SourceError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m autograder", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    command("release", _release, "make the learners' notebooks from source/")
    command("check-release", _check_release, "fail, naming them, if generated notebooks are stale")
    check_parser = command("check", _check, "grade your own notebooks/ and see your points")
    check_parser.add_argument("phase", nargs="?", help="a folder of notebooks/; all of them if left out")
    for name, run, text in (
        ("grade", _grade, "grade everything in submitted/"),
        ("feedback", _feedback, "write feedback/ for everything graded"),
    ):
        command(name, run, text).add_argument("--assignment", help="only this one, such as phase1_overview")
    return parser


def _release(arguments: argparse.Namespace, root: Path) -> int:
    print("\n".join(release(root)) or "Everything was up to date.")
    return 0


def _check_release(arguments: argparse.Namespace, root: Path) -> int:
    files = stale(root)
    if files:
        print("\n".join([*files, "Run make release, and commit what it writes."]), file=sys.stderr)
        return 1
    print("The generated notebooks are fresh.")
    return 0


def _check(arguments: argparse.Namespace, root: Path) -> int:
    return 0 if check(root, arguments.phase) else 1


def _grade(arguments: argparse.Namespace, root: Path) -> int:
    return _report(grade(root, arguments.assignment), "submitted")


def _feedback(arguments: argparse.Namespace, root: Path) -> int:
    return _report(feedback(root, arguments.assignment), "autograded")


def _report(submissions: list, folder: str) -> int:
    if not submissions:
        print(f"There is nothing in {folder}/: it holds one folder a student, {folder}/<student>/<assignment>/.")
        return 1
    print(table(submissions))
    return int(any(s.failure for s in submissions))


if __name__ == "__main__":
    sys.exit(main())
