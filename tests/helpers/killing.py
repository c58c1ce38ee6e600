"""Kill the grader, a worker or a zygote at random moments, run it again, and check that nothing was lost.

``python tests/system/killing.py --kills 20`` does it on a small class; test_killing.py does it a few times.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":  # pytest has these folders on its path
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "course")]
from classroom import Classroom  # noqa: E402

MASTER = '''# %% locked="setup"
import torch

# %% exercise="double"
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% tests="double_basics" points=2
assert torch.equal(double(torch.ones(3)), 2 * torch.ones(3)), "Twice 1 is 2."

# %% tests="double_text" points=1
assert double("a") == "aa", "Twice 'a' is 'aa'."
'''
BUSY = "import time\n\nstop = time.process_time() + {seconds:.2f}\nwhile time.process_time() < stop:\n    pass\n\n\n"
ANSWERS = (
    "def double(x):\n    return 2 * x",
    "def double(x):\n    return x",
    "def double(x):\n    return torch.add(x, x)",
)
POINTS = (3.0, 0.0, 2.0)
WHO = ("grader", "worker", "zygote")


@dataclass
class Story:
    """What happened: how often each was killed, and how often the grader was started."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WHO, 0))
    runs: int = 0


def make_class(root: Path, students: int) -> dict[str, float]:
    """A class in ``root``; student -> the points that are due."""
    source = root / "doubling.py"
    root.mkdir(parents=True)
    source.write_text(MASTER, encoding="utf-8")
    room = Classroom.made_of([source], root / "course", "tiny")
    due = {}
    for number in range(students):
        student = f"student{number:02}"
        room.hand_in(student, "doubling", {"double": BUSY.format(seconds=0.3) + ANSWERS[number % 3]})
        due[student] = POINTS[number % 3]
    return due


def start(course: Path) -> subprocess.Popen:
    code = (
        "import sys; from pathlib import Path; from autograder.__main__ import main;"
        "sys.exit(main(['grade', '--workers', '2'], root=Path(sys.argv[1]))) if __name__ == '__main__' else None"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(course)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def processes(grader: subprocess.Popen, who: str) -> list[psutil.Process]:
    """The grader itself, its workers or its zygotes; none of those that are ending just now."""
    if who == "grader":
        return [psutil.Process(grader.pid)]
    found = []
    for child in psutil.Process(grader.pid).children(recursive=True):
        with suppress(psutil.Error):
            if {"worker": "spawn_main", "zygote": "autograder.sandbox.zygote"}[who] in " ".join(child.cmdline()):
                found.append(child)
    return found


def kill_one(grader: subprocess.Popen, who: str) -> bool:
    """kill -9 of the grader, or of one of its workers or zygotes; False where there is none now."""
    try:
        random.choice(processes(grader, who)).kill()
    except (psutil.Error, IndexError):
        return False
    return True


def torment(course: Path, kills: int, patience: float = 600.0) -> Story:
    """Grade ``course`` to the end, with ``kills`` kills on the way, one after the other of each kind."""
    story, end = Story(), time.monotonic() + patience
    while time.monotonic() < end:
        grader = start(course)
        story.runs += 1
        while grader.poll() is None and sum(story.kills.values()) < kills:
            time.sleep(random.uniform(0.5, 6.0))  # workers need some seconds to start: they are killed then, too
            who = WHO[sum(story.kills.values()) % len(WHO)]
            if grader.poll() is None and kill_one(grader, who):
                story.kills[who] += 1
        grader.communicate(timeout=patience)
        if grader.returncode == 0 and sum(story.kills.values()) >= kills:
            return story
        if grader.returncode == 0:  # done before all kills were given: some of it once more
            for done in sorted((course / "autograded").glob("student*"))[:4]:
                (done / "tiny" / "grading.json").unlink(missing_ok=True)
    raise TimeoutError(f"the class was not graded within {patience:g} seconds: {story}")


def faults(course: Path, due: dict[str, float]) -> list[str]:
    """Return the faults of the gradebook, empty if there are none."""
    found = []
    with sqlite3.connect(course / "gradebook.db") as book:
        if book.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            found.append("the gradebook is damaged")
        rows = book.execute("SELECT student_id, COUNT(*) FROM submitted_assignment GROUP BY student_id").fetchall()
        found += [f"{student} is in the gradebook {count} times" for student, count in rows if count != 1]
        found += [f"{student} is not in the gradebook" for student in due if student not in dict(rows)]
    room = Classroom(course, "tiny")
    for student, points in due.items():
        got = sum(result.points for result in room.results(student))
        if got != points:
            found.append(f"{student} has {got} points, and {points} are due")
    left = [p for p in psutil.process_iter(["cmdline"]) if str(course) in " ".join(p.info["cmdline"] or [])]
    found += [f"process {p.pid} is left over" for p in left]
    found += [f"{path.name} is left over" for path in course.glob("autograded/*/.grading-*")]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--students", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        due = make_class(Path(folder, "class"), arguments.students)
        story = torment(Path(folder, "class", "course"), arguments.kills)
        wrong = faults(Path(folder, "class", "course"), due)
    print(f"{story.kills}, {story.runs} runs; faults: {wrong or 'none'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
