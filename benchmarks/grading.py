"""How long does a class take to grade, beside `nbgrader autograde` run for each student?

``python benchmarks/grading.py [--students 60] [--most 200] [--stock 4]``: a class of Phase 2 made of right, wrong,
slow, broken and hostile submissions; how it grows from 20 to 200 of them; then the 60 again on a Dask cluster.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import report

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "course")]

from answers import answers  # noqa: E402
from classroom import NOTEBOOKS, Classroom, solutions  # noqa: E402

from autograder.authoring.sources import to_notebook  # noqa: E402
from autograder.course import Course  # noqa: E402
from autograder.grading.grade import grade  # noqa: E402
from autograder.notebooks import to_text  # noqa: E402
from autograder.reports.export import export  # noqa: E402
from autograder.workers.pool import cluster, processes  # noqa: E402

PHASE = "phase2_techniques"
BAR = 8
RIGHT = (0, 1, 2, 3, 7)  # the last digits of the students who must get all points; 7 is slow
STOCK_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.ignore = ["*.py", "*.pyc", "__pycache__", ".ipynb_checkpoints", "feedback"]
c.Execute.timeout = 600
c.OverwriteCells.add_missing_cells = True
"""
SLOW = "import time\n\nstop = time.process_time() + 10\nwhile time.process_time() < stop:\n    pass\n\n\n"
HOSTILE = (
    "import torch\n\ntorch.equal = torch.allclose = lambda *a, **k: True\n\n\n",
    "import os\n\nos._exit(0)\n\n\n",
    "get_ipython().ast_transformers.append(None)\n\n\n",
    "print('x' * 50_000_000)\n\n\n",
)


def hand_in(room: Classroom, wrong: dict, right: dict, reference: dict[str, str], count: int) -> None:
    """``count`` students: of ten, four right in ways of their own, three wrong, one each slow, broken and hostile."""
    for number in range(count):
        student, kind = f"student{number:03}", number % 10
        chosen = dict(reference)
        for exercise in reference:
            if kind < 4:  # a star import would give the other exercises' answers another `round`
                ways = [code for code in right[exercise].values() if "import *" not in code]
            else:
                ways = [code for _, code in wrong[exercise].values()]
            if kind < 7 and ways and number % 3:
                chosen[exercise] = ways[number % len(ways)]
        first = next(iter(chosen))
        if kind == 7:
            chosen[first] = SLOW + chosen[first]
        if kind == 9:
            chosen[first] = HOSTILE[number // 10 % len(HOSTILE)] + chosen[first]
        text = to_text(room.written(room.phase, chosen, whole=True))
        room.submit(student, room.phase, text[: len(text) // 2] if kind == 8 else text)


def busy() -> float:
    """Computing time of everything on this machine since it started, seconds."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def timed(root: Path, workers: int, scheduler: str = "") -> dict:
    """Grade the class: what came out, wall-clock and computing seconds, the grading process's own peak memory."""
    room = Classroom(root, PHASE)
    shutil.rmtree(room.root / "autograded", ignore_errors=True)
    wall, used = time.monotonic(), busy()
    graded = grade(room.root, room.phase, workers=cluster(scheduler) if scheduler else processes(workers))
    return {
        "submissions": len(graded),
        "seconds": time.monotonic() - wall,
        "busy": busy() - used,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "flagged": {s.student: [f"{look.cell}: {look.reason}" for look in s.review] for s in graded if s.review},
        "failed": sum(bool(s.failure) for s in graded),
        "right": all(s.points == s.max_points for s in graded if int(s.student[-3:]) % 10 in RIGHT),
        "csv": next(p for p in export(Course(root), PHASE) if p.suffix == ".csv").read_bytes(),
    }


def in_a_fresh_process(root: Path, workers: int, scheduler: str = "") -> dict:
    """`timed`, so that a peak of memory is that of this class alone."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(timed, root, workers, scheduler).result()


def stock(room: Classroom, students: list[str]) -> list[float]:
    """Wall-clock seconds of `nbgrader autograde` for each of these students, in a copy of the course."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "course")
        shutil.copytree(room.root, copy)
        shutil.rmtree(copy / "autograded", ignore_errors=True)
        (copy / "nbgrader_config.py").write_text(STOCK_CONFIG, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("nbgrader")), "autograde", room.phase, "--force"]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        for student in students:
            start = time.monotonic()
            subprocess.run(
                [*command, "--student", student], cwd=copy, env=environment, capture_output=True, check=False
            )
            seconds.append(time.monotonic() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=60)
    parser.add_argument("--most", type=int, default=200, help="the largest class")
    parser.add_argument("--stock", type=int, default=4, help="students that plain nbgrader grades, for the ratio")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        room = Classroom.with_notebook(NOTEBOOKS[PHASE], Path(folder, "course"))
        reference = solutions(to_notebook(NOTEBOOKS[PHASE]))
        wrong, right = answers(PHASE)
        sizes = sorted({min(20, arguments.students), arguments.students, max(arguments.most, arguments.students)})
        hand_in(room, wrong, right, reference, sizes[-1])
        students = sorted(p.name for p in (room.root / "submitted").iterdir())
        classes = {}
        for size in sizes:
            part = Path(folder, f"course{size}")
            shutil.copytree(room.root, part)
            for student in students[size:]:
                shutil.rmtree(part / "submitted" / student)
            classes[size] = in_a_fresh_process(part, arguments.workers)
            print({k: v for k, v in classes[size].items() if k != "csv"}, flush=True)
        ours, part = classes[arguments.students], Path(folder, f"course{arguments.students}")
        # Plain nbgrader has no answer to hostile code: it is spared the hostile and the broken.
        plain = [student for n, student in enumerate(students) if n % 10 < 8]
        alone = stock(room, plain[: arguments.stock])
        # The fastest of them: whatever else the machine did meanwhile made stock look slower, not us faster.
        ratio = min(alone) / (ours["seconds"] / ours["submissions"])
        print(f"stock: {alone}", flush=True)
        from distributed import LocalCluster

        # None is for no dashboard, whatever the type says.
        dask = LocalCluster(
            n_workers=arguments.workers,
            threads_per_worker=1,
            dashboard_address=None,  # pyright: ignore[reportArgumentType]
        )
        with dask:
            by_dask = in_a_fresh_process(part, arguments.workers, dask.scheduler_address)
        same = by_dask["csv"] == ours["csv"]
        assert all(c["right"] for c in (*classes.values(), by_dask)), "a right submission lost points"
    rows = [
        (
            f"{size}",
            f"{c['seconds']:.0f}",
            f"{c['seconds'] / size:.2f}",
            f"{c['busy'] / size:.2f}",
            f"{c['peak']:.0f}",
            f"{len(c['flagged'])}",
            f"{c['failed']}",
        )
        for size, c in classes.items()
    ]
    header = ("submissions", "seconds", "seconds each", "CPU seconds each", "grader's peak, MB", "to review", "failed")
    report.publish(
        "grading",
        f"""## Grading a class

A class of Phase 2 (whole notebooks): of ten submissions four are right in ways of their own, three wrong, one slow (10
seconds of computing), one broken, one hostile (tools replaced, the kernel ended, 50 MB printed). {arguments.workers}
workers, each submission in its sandbox, its checks in another. Wall-clock, starting the workers
included. CPU seconds are those of the whole machine meanwhile; the peak is the resident memory of the process that
hands out and records. "To review" are flagged for a person, "failed" could not be run. All right ones got all points,
the slow too.

{report.environment()}

{report.table(header, rows)}

Stock `nbgrader autograde` (no sandbox, all cells run), once for each of {len(alone)} of these students:
{min(alone):.0f} to {max(alone):.0f} seconds. The fastest of them is **{ratio:.1f} times** as long as
one of the class of {arguments.students} takes. Bar: {BAR}.

The class of {arguments.students} on a Dask LocalCluster: {by_dask["seconds"]:.0f} seconds; the CSV of grades is
{"the same, byte for byte" if same else "NOT the same"}.
""",
        arguments.out,
    )
    sys.exit(ratio < BAR or not same)


if __name__ == "__main__":
    main()
