"""Resources used by the processes of a sandbox: CPU time, memory, sockets, files, read from /proc.

The kernel's memory on their behalf counts, too: what waits in sockets in bytes, files in number.

Orphaned processes become children of the sandbox's first process, so none can leave the tree.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..sandbox.bubblewrap import MEMORY

HELD = re.compile(rb"^(?:RssAnon|RssShmem):\s+(\d+) kB$", re.MULTILINE)  # of /proc/<pid>/status; the rest is files
SHARE = re.compile(rb"^(?:Pss_Anon|Pss_Shmem):\s+(\d+) kB$", re.MULTILINE)  # the same, of what several share a part

OPEN = re.compile(rb"^sockets: used (\d+)$", re.MULTILINE)  # of /proc/<pid>/net/sockstat
INTERNET = ("tcp", "tcp6", "udp", "udp6")
QUEUES = re.compile(rb"^ *\d+:(?: [0-9A-F:]+){2} [0-9A-F]{2} ([0-9A-F]{8}):([0-9A-F]{8}) ", re.MULTILINE)


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
        """Return the number of sockets in the sandbox's network namespace."""
        return sum(int(number) for number in OPEN.findall(self._of_the_sandbox("net/sockstat")))

    def files(self) -> int:
        """Return the number of files, links and folders in what the sandbox may write."""
        count = 0
        for root in self._roots[1:]:
            for folder in MEMORY:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                    found = os.statvfs(f"/proc/{root.pid}/root{folder}")
                    count += found.f_files - found.f_ffree
        return count

    def queued(self) -> int:
        """Return the bytes that wait in the sandbox's TCP and UDP sockets."""
        waiting = [pair for table in INTERNET for pair in QUEUES.findall(self._of_the_sandbox(f"net/{table}"))]
        return sum(int(sent, 16) + int(received, 16) for sent, received in waiting)

    def _of_the_sandbox(self, name: str) -> bytes:
        for root in self._roots[1:]:
            with contextlib.suppress(OSError):
                return Path(f"/proc/{root.pid}/{name}").read_bytes()
        return b""

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
