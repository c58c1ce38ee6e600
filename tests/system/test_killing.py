"""Tests that a killed grader loses nothing (tests/helpers/killing.py kills more often)."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
from killing import faults, make_class, processes, start, torment


def test_kills_lose_nothing(tmp_path: Path) -> None:
    due = make_class(tmp_path / "class", 9)
    story = torment(tmp_path / "class" / "course", kills=6)
    assert story.kills == {"grader": 2, "worker": 2, "zygote": 2}
    assert faults(tmp_path / "class" / "course", due) == []


def test_workers_end_with_a_grader_that_is_killed_while_they_start(tmp_path: Path) -> None:
    make_class(tmp_path / "class", 2)
    with start(tmp_path / "class" / "course") as grader:
        workers, end = [], time.monotonic() + 300
        while not workers and time.monotonic() < end:
            workers = processes(grader, "worker")
        grader.kill()
    assert workers
    _, left = psutil.wait_procs(workers, timeout=60)
    assert left == []
