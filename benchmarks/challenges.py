"""The four challenges' reference solutions, trained from scratch: do they meet the bars, and in how many minutes?

python benchmarks/challenges.py [--out docs/benchmarks.md] [--artifacts tests/course/artifacts]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report
import torch

from autograder.authoring.sources import to_notebook
from gpt2_lib.course import challenges
from gpt2_lib.course.challenges import bars, reference, speed
from gpt2_lib.storage.packed import save_packed

NOTEBOOK = Path(__file__).resolve().parent.parent / "source" / "phase3_production" / "challenges.ipynb"
MAKERS = {"sparse.gpt2pack": "make_sparse", "mobile.onnx": "make_mobile", "edge.gpt2pack": "make_edge"}
MINUTES = 10

Found = challenges.Packed | challenges.Exported | challenges.Tracked


def notebook() -> dict[str, Any]:
    """The names that the notebook's locked cells and its solutions make."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in to_notebook(NOTEBOOK).cells:
        role = cell.metadata.get("nbgrader", {})
        if role.get("solution") or (role.get("locked") and not role["grade"]):
            exec(cell.source, names)
    return names


def made(names: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Have the solutions write their files into this folder; file -> minutes on the clock and of computing."""
    minutes = {}
    for file, maker in MAKERS.items():
        clock, computed = time.monotonic(), time.process_time()
        names[maker]()
        minutes[file] = (time.monotonic() - clock) / 60, (time.process_time() - computed) / 60
    return minutes


def row(challenge: str, what: str, found: Found, file: str, minutes: dict[str, tuple[float, float]]) -> list[str]:
    """One line of the table."""
    model = found.packed.model if isinstance(found, challenges.Tracked) else found.model
    clock, computed = (f"{m:.1f}" for m in minutes[file]) if file in minutes else ("with a", "with a")
    lost = f"**{challenges.lost(model, hidden=True):.2%}**"
    return [challenge, file, f"{Path(file).stat().st_size / 1e6:.2f}", what, lost, clock, computed]


def met(*asserted: Callable[[], None]) -> bool:
    """Whether all bars are met; says which are not."""
    missed = []
    for check in asserted:
        try:
            check()
        except AssertionError as error:
            missed.append(error)
            print(error, file=sys.stderr)
    return not missed


def measure(names: dict[str, Any], minutes: dict[str, tuple[float, float]]) -> tuple[list[list[str]], bool]:
    """The table's rows, and whether every challenge's highest bar is met."""
    c = challenges
    sparse, mobile = c.packed(names["sparse_model"]), c.exported(names["mobile_model"])
    tracked, edge = c.tracked(names["tracked_run"]), c.packed(names["edge_model"])
    cuts = len({row["sparsity"] for row in tracked.rows})
    faster = f"{speed.speed_up(mobile):.2f}x, {mobile.removed:.0%} cut out"
    table: list[tuple[str, str, Found, str]] = [
        (f"a: {c.SPARSE:.0%} gone, < {c.SPARSE_LOST:.0%} lost", f"{sparse.gone:.1%} gone", sparse, "sparse.gpt2pack"),
        (f"b: {c.FASTER}x as fast, < {c.MOBILE_LOST:.0%} lost", faster, mobile, "mobile.onnx"),
        (f"c: {bars.CUTS} cuts, as a", f"{cuts} cuts, {len(tracked.rows)} rows", tracked, "run.csv"),
        (f"d: {c.SMALLER:g}x int8 alone, < {c.EDGE_LOST:.0%} lost", f"{edge.smaller:.2f}x", edge, "edge.gpt2pack"),
    ]
    rows = [row(*entries, minutes) for entries in table]
    every = met(
        lambda: c.assert_gone(sparse, c.SPARSE),
        lambda: c.assert_quality(sparse, c.SPARSE_LOST, hidden=True),
        lambda: c.assert_faster(mobile, c.FASTER),
        lambda: c.assert_quality(mobile, c.MOBILE_LOST, hidden=True),
        lambda: c.assert_log(tracked),
        lambda: c.assert_schedule(tracked),
        lambda: c.assert_agrees(tracked),
        lambda: c.assert_int8(edge),
        lambda: c.assert_smaller(edge, c.SMALLER),
        lambda: c.assert_quality(edge, c.EDGE_LOST, hidden=True),
    )
    return rows, every


def main() -> None:
    parser = argparse.ArgumentParser(description=report.first_line(__doc__))
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    parser.add_argument("--artifacts", type=Path, help="folder into which the files are copied")
    arguments = parser.parse_args()
    page, target = (path and path.resolve() for path in (arguments.out, arguments.artifacts))
    names, exported = notebook(), []
    export_onnx = names["export_onnx"]
    names["export_onnx"] = lambda model, path: (exported.append(model), export_onnx(model, path))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        minutes = made(names)
        rows, every = measure(names, minutes)
        if target is not None:
            target.mkdir(parents=True, exist_ok=True)
            for name in ("sparse.gpt2pack", "run.csv", "edge.gpt2pack"):
                shutil.copy(name, target)
            # In half the bytes and half the precision: the tests make mobile.onnx from it.
            save_packed(exported.pop().half(), target / "mobile.gpt2pack")
        os.chdir(NOTEBOOK.parent)
    total = sum(clock for clock, _ in minutes.values())
    header = ["challenge", "file", "MB", "measured", "accuracy lost", "minutes", "CPU minutes"]
    report.publish(
        "challenges",
        f"""## The four challenges

The reference solutions of the notebook `challenges`, from scratch, on {torch.get_num_threads()} threads:
**{total:.1f} minutes** all together (bar: {MINUTES}). Accuracy lost is relative to gpt2-mini, on the
{reference.HIDDEN} held-out pages that grading looks at; the speed-up is ONNX Runtime's on one thread, batch and
length {speed.TIMED}. The run of challenge a is gradual and keeps a log, so it is that of challenge c, too; d
packs a's model as int8, and is compared with gpt2-mini rounded to int8 alone, packed in the same way.

{report.environment()}

{report.table(header, rows)}
""",
        page,
    )
    sys.exit(not every or total > MINUTES)


if __name__ == "__main__":
    main()
