"""Tests of the sandboxes' cgroups, in a folder that imitates the kernel's: this machine may have no cgroup v2."""

from __future__ import annotations

from pathlib import Path

from autograder.sandbox import cgroup


def test_the_grader_makes_room_and_each_sandbox_gets_its_limits(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("11\n12\n")
    assert cgroup.enter(tmp_path)
    assert (tmp_path / "grader" / "cgroup.procs").read_text() == "12"  # each written by itself, as the kernel wants
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    groups = [cgroup.make(1 << 30, 96, own=tmp_path / "grader") for _ in range(2)]
    assert len(set(groups)) == 2
    for group in groups:
        assert group is not None
        assert group.parent == tmp_path
        limits = {path.name: path.read_text() for path in group.iterdir()}
        assert limits == {"memory.max": str(1 << 30), "pids.max": "96", "cpu.weight": "50"}


def test_nothing_changes_without_a_delegated_group(tmp_path: Path) -> None:
    assert not cgroup.enter(tmp_path / "missing")
    assert cgroup.make(1, 1, own=tmp_path) is None  # no room was made beside it
    cgroup.remove(None)
    cgroup.remove(tmp_path / "missing")
