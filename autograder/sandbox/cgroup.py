"""A cgroup for each sandbox, where permitted (cgroup v2): limits of memory, processes and a share of processors.

A group with processes can't have subgroups with limits, so the grader and the processes beside it (make, a shell) move
into a group of their own first. This is allowed in a delegated group (`systemd-run --user --scope -p Delegate=yes
make grade`); elsewhere nothing changes, and only the limits of `zygote` and of the workers' watch apply.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

OURS = "grader"
WEIGHT = 50  # of processor time, where 100 is the default: less than the grader's own
_numbers = itertools.count()


def enter(base: Path | None = None) -> bool:
    """Make room for groups beside this process; returns whether there is. Call it once, before workers start."""
    base = base or _own()
    if base is None or base.name == OURS:
        return base is not None
    try:
        inner = base / OURS
        inner.mkdir(exist_ok=True)
        for process in (base / "cgroup.procs").read_text().split():
            (inner / "cgroup.procs").write_text(process)
        (base / "cgroup.subtree_control").write_text("+cpu +memory +pids")
    except OSError:
        return False
    return True


def make(memory: int, processes: int, own: Path | None = None) -> Path | None:
    """Return a new group with these limits, beside that of this process; None where there can be none."""
    own = own or _own()
    if own is None or own.name != OURS:
        return None
    group = own.parent / f"sandbox-{os.getpid()}-{next(_numbers)}"
    try:
        group.mkdir()
        (group / "memory.max").write_text(str(memory))
        (group / "pids.max").write_text(str(processes))
        (group / "cpu.weight").write_text(str(WEIGHT))
    except OSError:
        remove(group)
        return None
    return group


def remove(group: Path | None) -> None:
    """Remove a group whose processes have ended."""
    if group is not None:
        with contextlib.suppress(OSError):  # the last process may not be gone yet; an empty group does no harm
            group.rmdir()


def _own() -> Path | None:
    """Return the group of this process, where cgroup v2 alone is mounted."""
    try:
        lines = Path("/proc/self/cgroup").read_text().split()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        mounted = [line.split() for line in mounts if " - cgroup2 " in line]
    except OSError:
        return None
    if len(lines) != 1 or not lines[0].startswith("0::") or not mounted:
        return None
    return Path(mounted[0][4]) / lines[0][3:].lstrip("/")
