"""Tests of the number of processors: a container's quota, in folders that imitate the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.workers.pool import processes
from gpt2_lib.deploy.serving.settings import Settings
from gpt2_lib.system import processors


def container(folder: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """The folder of groups with ``files`` in it, and the file that says which of them a process is in."""
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "self").write_text(membership)
    return folder / "cgroup", folder / "self"


V1 = {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}
BOTH = "4:memory:/m\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "found"),
    [
        ("0::/\n", {"cpu.max": "250000 100000\n"}, [2.5]),
        ("0::/\n", {"cpu.max": "max 100000\n"}, []),
        ("0::/\n", {}, []),
        (
            "0::/a/b\n",
            {"cpu.max": "max 100000\n", "a/cpu.max": "100000 100000", "a/b/cpu.max": "400000 100000"},
            [4, 1],
        ),
        ("0::/host/made/this\n", {"cpu.max": "300000 100000\n"}, [3]),
        ("0::/host/made/inner\n", {"cpu.max": "max 1\n", "inner/cpu.max": "50000 100000\n"}, [0.5]),
        ("0::/../../other\n", {"cpu.max": "100000 100000\n"}, [1]),
        ("0::/a:b\n", {"a:b/cpu.max": "100000 100000\n"}, [1]),
        (BOTH, V1, [1.5]),
        (BOTH, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, []),
        ("3:cpu,cpuacct:/d\n", {f"cpu,cpuacct/d/{name[4:]}": text for name, text in V1.items()}, [1.5]),
        ("0::/\n", {"cpu.max": "no number\n"}, []),
        ("0::/\n", {"cpu.max": "100000 0\n"}, []),
        ("odd\n\n", {"cpu.max": "100000 100000\n"}, [1]),
    ],
)
def test_the_quotas_of_all_levels_are_found(
    tmp_path: Path, membership: str, files: dict[str, str], found: list[float]
) -> None:
    quotas = list(processors.quotas(*container(tmp_path, membership, files)))
    assert sorted(set(quotas)) == sorted(found)


@pytest.mark.parametrize(("quotas", "count"), [([], 4), ([2.5], 2), ([64.0], 4), ([3.0, 1.9], 1), ([0.2], 1)])
def test_the_smaller_of_affinity_and_quota_counts(
    monkeypatch: pytest.MonkeyPatch, quotas: list[float], count: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(processors, "quotas", lambda: iter(quotas))
    assert processors.processors() == count
    assert processes().count == count
    assert processes(7).count == 7
    assert Settings().concurrent == count


def test_elsewhere_than_on_linux_there_are_no_quotas(tmp_path: Path) -> None:
    assert list(processors.quotas(tmp_path / "none", tmp_path / "neither")) == []
