"""``python -m autograder``: one subcommand for each task of a learner or an instructor."""

# ruff: noqa: E402
from __future__ import annotations

import signal

# Ctrl-C ends the command without a traceback while it is importing what follows.
STARTING = __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler
if STARTING:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import io
import os
import sys
from pathlib import Path

from tqdm.auto import tqdm

from .authoring.handout import HandoutError, handout
from .authoring.release import release, stale
from .authoring.sources import SourceError
from .commands import add_commands
from .course import PROJECT, Course, CourseError, GradebookError, folders
from .errors import FULL, of_disk
from .grading.basis import pending_in
from .grading.check import CheckError, check, check_notebook
from .grading.grade import grade
from .grading.record import clear
from .grading.rehearse import rehearse
from .grading.settle import settle
from .intake.class_list import Learner
from .intake.collect import collect
from .intake.enrol import enrol
from .intake.enrol import told as enrolled
from .intake.folder import IntakeError
from .intake.platforms import NAMES
from .intake.report import REFUSED
from .intake.report import table as collected_table
from .intake.source import CollectError
from .intake.tables import TableError
from .lock import LockError, locked, say_who_works
from .notebooks import NotebookError
from .reports.export import export_all
from .reports.feedback import feedback
from .reports.open_tasks import to_grade, to_settle
from .reports.people import people
from .reports.run_summary import closing, nothing
from .reports.state import states
from .reports.summary import summarise
from .sandbox import bubblewrap
from .sandbox.bubblewrap import SandboxError
from .text import plain
from .workers.pool import cluster, processes
from .workers.setting import BrokenToolError

ERRORS = (CheckError, CollectError, CourseError, HandoutError, IntakeError, LockError, NotebookError, SandboxError)
ERRORS += (SourceError, BrokenToolError, TableError)


def main(argv: list[str] | None = None, root: Path = PROJECT) -> int:
    """Run one subcommand on the course at ``root``; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status = arguments.run(arguments, _course(arguments.course or root))
        sys.stdout.flush()
        return status
    except ERRORS as error:
        print("\n".join(map(plain, str(error).split("\n"))), file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of the pipe has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # at its end Python would complain
        return 141
    except OSError as error:  # a full disk or a read-only folder, in any command
        print(plain(of_disk(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Finished work is kept: the same command continues from here.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m autograder", description=__doc__)
    parser.add_argument("--course", metavar="DIR", type=Path, help="the course's folder, if it is not this project")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    def assignment(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--assignment", metavar="A", help="only this one, such as phase1_overview")

    command("release", _release, "make the learners' notebooks from source/")
    command(
        "check-release",
        _check_release,
        "list generated notebooks that are stale and checks without a verdict; fail if there are any",
    )
    command("handout", _handout, "create or update a folder for the learners' own repository").add_argument(
        "target", type=Path, help="the folder"
    )
    sub = command("check", _check, "grade your own notebooks/ and see your points")
    sub.add_argument("phase", nargs="?", help="a folder of notebooks/; all of them if left out")
    sub.add_argument(
        "--notebook", type=Path, metavar="FILE", help="only this notebook, with the results as JSON for its page"
    )
    sub = command("roster", _roster, "add a learning platform's list of people to the class list, roster.csv")
    sub.add_argument("source", type=Path, help="a CSV file: participants, a grading worksheet, a gradebook, or names")
    assignment(sub)
    sub = command("collect", _collect, "copy a learning platform's export, or a folder, to submitted/")
    sub.add_argument("source", type=Path, help="the zip or the folder")
    sub.add_argument(
        "--from", dest="platform", choices=NAMES, help="the platform of the export; by default the file names decide"
    )
    assignment(sub)
    sub = command("grade", _grade, "grade everything in submitted/ that is new or has changed")
    assignment(sub)
    sub.add_argument("--student", metavar="S", help="only this one")
    sub.add_argument(
        "--workers",
        metavar="N",
        type=_count,
        help="submissions at a time; by default one for each core that this process may use",
    )
    sub.add_argument("--scheduler", metavar="tcp://...", help="use the workers of this Dask scheduler")
    sub.add_argument(
        "--unsafe-no-sandbox", action="store_true", help="run the learners' code on this machine, as you, unprotected"
    )
    sub.add_argument(
        "--again", action="store_true", help="grade again what was graded before; points given by hand stay"
    )
    assignment(command("feedback", _feedback, "write feedback/ for everything graded"))
    assignment(command("export", _export, "write grades/: a CSV and a page about the class"))
    add_commands(command, assignment)
    return parser


def _course(root: Path) -> Path:
    if not root.is_dir():
        raise CourseError(f"There is no folder {root}: --course wants the folder with nbgrader_config.py in it.")
    return root.resolve()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _release(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "release"):
        print("\n".join(release(root)) or "Everything was up to date.")
        for line in to_grade(pending_in(Course(root)), "feedback export"):
            print(line)
    return 0


def _check_release(arguments: argparse.Namespace, root: Path) -> int:
    files = stale(root)
    if files:
        print("\n".join([*files, "Run make release, and commit what it writes."]), file=sys.stderr)
        return 1
    print("The generated notebooks are fresh.")
    try:
        bubblewrap.check(root)
    except SandboxError:
        print("The checks were not tried: that needs the sandbox (Linux, bubblewrap).")
        return 0
    faults = rehearse(root)
    print(
        "\n".join(faults) or "Every check gives a verdict on its solution.",
        file=sys.stderr if faults else sys.stdout,
    )
    return int(bool(faults))


def _handout(arguments: argparse.Namespace, root: Path) -> int:
    told = handout(root, arguments.target)
    files = [line for line in told if line.endswith(": written") and not line.startswith("notebooks/")]
    lines = [line for line in told if line not in files]
    lines += [f"{len(files)} files of the library and the set-up: written"] if files else []
    print("\n".join(lines) or "Everything was up to date.")
    if told:
        print(f"next: push {arguments.target} as the learners' repository, or send it as a zip")
    return 0


def _check(arguments: argparse.Namespace, root: Path) -> int:
    if arguments.notebook is None:
        return 0 if check(root, arguments.phase) else 1
    print(check_notebook(root, arguments.notebook).json())
    return 0


def _roster(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "roster"):
        print(enrolled(enrol(root, arguments.source, arguments.assignment)))
    return 0


def _collect(arguments: argparse.Namespace, root: Path) -> int:
    with locked(root, "collect"):
        report = collect(root, arguments.source, arguments.assignment, arguments.platform)
    print(collected_table(report))
    return int(all(entry.kind == REFUSED for entry in report.files))  # also of an empty export


def _grade(arguments: argparse.Namespace, root: Path) -> int:
    workers = cluster(arguments.scheduler) if arguments.scheduler else processes(arguments.workers)
    safe = not arguments.unsafe_no_sandbox
    with locked(root, "grade") as alone:
        if alone:
            clear(root)
        submissions = grade(root, arguments.assignment, arguments.student, workers, safe, arguments.again)
    if not submissions:
        return _nothing(root, "submitted", arguments.assignment, arguments.student)
    print(closing(Course(root), submissions))
    return int(any(s.failure and not s.refused for s in submissions))


def _feedback(arguments: argparse.Namespace, root: Path) -> int:
    say_who_works(root)
    graded = list(folders(root / "autograded", arguments.assignment))
    if not graded:
        return _nothing(root, "autograded", arguments.assignment)
    course, pages, failed = Course(root), 0, 0
    left = settle(course, arguments.assignment)
    who = people(course.root)
    known = {name: states(course, name) for name in {name for _, name in graded}}
    current = [(student, name) for student, name in graded if student not in left.get(name, {})]
    for student, assignment in tqdm(current, desc="feedback", unit="submission"):
        try:
            person = who.get(student, Learner(student))
            pages += len(feedback(course, assignment, student, person, known[assignment].get(student, "")))
        except Exception as error:  # an error in one submission does not stop the others
            if isinstance(error, GradebookError) or (isinstance(error, OSError) and error.errno in FULL):
                raise  # this is everybody's
            reason = of_disk(error) if isinstance(error, OSError) else error
            if not isinstance(error, (*ERRORS, OSError)):
                reason = f"{type(error).__name__}: {error}; please report this"
            print(f"{plain(student)}  {plain(assignment)}: {plain(reason)}", file=sys.stderr)
            failed += 1
    every = [summarise(course, name, left[name]) for name in sorted(known.keys() & left.keys())]
    told = [*to_settle(every), *to_grade(left, "feedback")]
    print("\n".join([f"{pages} pages in feedback/; {failed} submissions failed", *told]))
    return int(failed > 0)


def _export(arguments: argparse.Namespace, root: Path) -> int:
    say_who_works(root)
    done = export_all(Course(root), arguments.assignment)
    files = [str(path.relative_to(root.resolve())) for path in done.files]
    print("\n".join([*files, *map(plain, done.told)]) or "Nothing was released yet. next: make release")
    return int(not done.files)


def _nothing(root: Path, step: str, assignment: str | None, student: str | None = None) -> int:
    print(nothing(Course(root), step, assignment, student))
    return 1


if __name__ == "__main__":
    if STARTING:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # on Windows the encoding of a file or a pipe has few characters
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
