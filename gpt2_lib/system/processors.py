"""The processors that this process may use: a container shows the machine's, and may use only a few."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def processors() -> int:
    """Return the usable processors: the smaller of CPU affinity and the cgroups' quota; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *quotas()])))


def quotas(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> Iterator[float]:
    """Return the quotas, in processors, of this process's cgroup and of its visible ancestors; cgroup v1 and v2."""
    for path in _paths(membership):
        for top in (groups, groups / "cpu", groups / "cpu,cpuacct"):
            for folder in _levels(top, path):
                quota = _quota(folder)
                if quota is not None:
                    yield quota


def _paths(membership: Path) -> set[PurePosixPath]:
    """Return the cgroups of this process that may limit its time, relative to the root cgroup."""
    found = {PurePosixPath()}
    try:
        lines = membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # no Linux
        return found
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            found.add(PurePosixPath(*(part for part in path.split("/") if part not in ("", "..", "."))))
    return found


def _levels(top: Path, path: PurePosixPath) -> Iterator[Path]:
    """Return the cgroup's folder and its ancestors, up to ``top``.

    A container may show its own group as the top, while the path is still that from the machine's: what is not there
    is left out from the front.
    """
    parts = path.parts
    while parts and not top.joinpath(*parts).is_dir():
        parts = parts[1:]
    for length in range(len(parts), -1, -1):
        yield top.joinpath(*parts[:length])


def _quota(folder: Path) -> float | None:
    """Return the quota of one cgroup in processors, None where it has none."""
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            text = " ".join((folder / file).read_text(encoding="ascii") for file in files)
            quota, period = map(int, text.split())
        except (OSError, ValueError):  # not there; "max 100000"
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None
