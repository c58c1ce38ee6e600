"""Resources used by the processes of a sandbox: CPU time, memory, sockets, read from /proc.

Orphaned processes become children of the sandbox's first process, so none can leave the tree.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

HELD = re.compile(rb"^(?:RssAnon|RssShmem):\s+(\d+) kB$", re.MULTILINE)  # of /proc/<pid>/status; the rest is files
SHARE = re.compile(rb"^(?:Pss_Anon|Pss_Shmem):\s+(\d+) kB$", re.MULTILINE)  # the same, of what several share a part


@dataclass(frozen=True)
class Use:
    """One sample: seconds of CPU time so far, bytes of memory, processes that hold some."""

    seconds: float
    memory: int
    processes: int


class Usage:
    """The use of the processes below ``pids``: one that was forked into a sandbox, and the sandbox's own."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        """Record the processes. Raises psutil.Error if one of them has ended."""
        self._roots = [psutil.Process(pid) for pid in pids]
        self._seconds = 0.0

    def look(self, memory: float) -> Use:
        """Return the current use; CPU time never falls, and above ``memory`` bytes memory is measured more exactly."""
        seconds, held_by = 0.0, {}
        for process in self._processes():
            try:
                times = process.cpu_times()
                held_by[process.pid] = _sum(HELD, Path(f"/proc/{process.pid}/status"))
            except (psutil.Error, OSError):
                continue
            seconds += times.user + times.system + times.children_user + times.children_system
        total = sum(held_by.values())
        if total > memory:  # forks share what they have not changed
            total = sum(_share(pid, held) for pid, held in held_by.items())
        self._seconds = max(self._seconds, seconds)
        return Use(self._seconds, total, sum(held > 0 for held in held_by.values()))

    def sockets(self) -> int:
        """Return the number of Unix sockets in the sandbox's network namespace."""
        for root in self._roots[1:]:
            with contextlib.suppress(OSError):
                return Path(f"/proc/{root.pid}/net/unix").read_bytes().count(b"\n")
        return 0

    def _processes(self) -> list[psutil.Process]:
        found = []
        for root in self._roots:
            with contextlib.suppress(psutil.Error):  # it has ended
                found += [root, *root.children(recursive=True)]
        return found


def _sum(wanted: re.Pattern[bytes], file: Path) -> int:
    return sum(int(kilobytes) << 10 for kilobytes in wanted.findall(file.read_bytes()))


def _share(pid: int, held: int) -> int:
    """Return the process's memory with a proportional share of common pages; ``held`` if that is unknown."""
    try:
        return _sum(SHARE, Path(f"/proc/{pid}/smaps_rollup")) or held
    except OSError:
        return held


def slowness() -> float:
    """Return how many times as long as usual a small computation takes on this machine now."""
    begun, computed, piece = time.monotonic(), time.thread_time(), 0.02
    while time.thread_time() - computed < piece:
        pass
    return (time.monotonic() - begun) / piece
