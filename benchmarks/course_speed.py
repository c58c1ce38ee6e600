"""Waiting times of learners: a pass over 10,000 held-out tokens, and a new point of the explorer.

python benchmarks/course_speed.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from report import arguments, environment, publish, table

from gpt2_lib import evaluate, held_out_windows, load_pretrained_gpt2
from gpt2_lib.course.experiments import METHODS, measure
from gpt2_lib.course.widgets import Explorer

ROUNDS = 9
FORWARD_BAR, POINT_BAR = 2.0, 1.0  # seconds, on two cores


def median_seconds(work: Callable[[int], object]) -> float:
    """Median wall-clock seconds of ``work(round)``, after one round that doesn't count."""
    seconds = []
    for round_ in range(ROUNDS + 1):
        started = time.perf_counter()
        work(round_)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def main() -> None:
    page = arguments(__doc__).out
    model, tokenizer = load_pretrained_gpt2()
    length = model.config.n_positions
    ten_thousand = held_out_windows(tokenizer, length, 10_000 // length + 1)
    windows = held_out_windows(tokenizer, length, 12)  # as in Phase 1
    explorer = Explorer(model, windows, [measure(model, windows, METHODS[0].name)])

    def drag(round_: int) -> None:
        explorer.feedforward.value = 5 + 5 * round_

    rows, missed = [], []
    for threads in (2, 1):
        torch.set_num_threads(threads)
        forward = median_seconds(lambda _: evaluate(model, ten_thousand))
        point = median_seconds(drag)
        rows.append([str(threads), f"{forward:.2f}", f"{point:.2f}"])
        if threads == 2 and forward > FORWARD_BAR:
            missed.append(f"a pass takes {forward:.2f} s, not {FORWARD_BAR:g}")
        if threads == 2 and point > POINT_BAR:
            missed.append(f"a point takes {point:.2f} s, not {POINT_BAR:g}")
        explorer.feedforward.value = 0
    header = [
        "threads",
        f"{ten_thousand.numel():,} held-out tokens, seconds (bar: {FORWARD_BAR:g})",
        f"a new point of the explorer, seconds (bar: {POINT_BAR:g})",
    ]
    text = (
        "## Waiting times of learners\n\n"
        f"gpt2-mini, wall-clock, median of {ROUNDS}. A point is: prune, measure on {windows.size(0)} windows of "
        f"{length} tokens, write 40 tokens, draw four pictures. The bars are for two cores.\n\n"
        f"{environment()}.\n\n{table(header, rows)}"
    )
    publish("course_speed", text, page, missed)


if __name__ == "__main__":
    main()
