"""Tests with full or read-only disks and a container's quota: real ones, mounted for one process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import graded as made
import pytest
from classroom import REPOSITORY
from graded import Graded

from autograder.files import write_whole
from autograder.notebooks import read_notebook, to_text

RUN = "import sys; from pathlib import Path; from autograder.__main__ import main; root, *rest = sys.argv[1:]; "
RUN += "sys.exit(main(rest, Path(root)))"
WORKERS = "from autograder.workers.pool import processes; print(processes().count)"
FILL = """
import shutil, sys
from pathlib import Path
folder, kept = map(Path, (sys.argv.pop(1), sys.argv.pop(1)))
shutil.copytree(kept, folder, dirs_exist_ok=True)
with open(folder / ".filler", "wb", buffering=0) as file:
    try:
        while file.write(bytes(512)):
            pass
    except OSError:
        pass
"""


def inside(mounts: list[str], code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python where these mounts are."""
    return subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", *mounts, sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """With one submission, graded, and one that is still to be graded."""
    graded = Graded(tmp_path_factory.mktemp("machine"))
    graded.add("ada")
    handed_in = to_text(read_notebook(graded.root / "notebooks" / made.PHASE / f"{made.NOTEBOOK}.ipynb"))
    write_whole(graded.root / "submitted" / "bob" / made.PHASE / f"{made.NOTEBOOK}.ipynb", handed_in)
    write_whole(graded.root.parent / "export" / "eve" / f"{made.NOTEBOOK}.ipynb", handed_in)
    master = graded.root / "source" / made.PHASE / f"{made.NOTEBOOK}.py"
    master.write_text(master.read_text(encoding="utf-8") + "\n# %%\n1 + 1\n", encoding="utf-8")  # to be released
    for name in ("setup.mk", "pyproject.toml"):  # of which a handout is made
        shutil.copy(REPOSITORY / name, graded.root)
    for folder in ("autograded", "feedback", "grades", "handout"):
        (graded.root / folder).mkdir(exist_ok=True)
    return graded


COMMANDS = {
    "collect": ("submitted", ["collect", "EXPORT"]),
    "release": ("source", ["release"]),
    "grade": ("autograded", ["grade", "--unsafe-no-sandbox"]),
    "feedback": ("feedback", ["feedback"]),
    "export": ("grades", ["export"]),
    "handout": ("handout", ["handout", "HANDOUT"]),
}


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("trouble", ["Read-only file system", "No space left on device"])
def test_a_disk_that_cant_be_written_is_a_sentence(course: Graded, tmp_path: Path, command: str, trouble: str) -> None:
    name, arguments = COMMANDS[command]
    folder, full = course.root / name, tmp_path / "full"
    paths = {"EXPORT": str(course.root.parent / "export"), "HANDOUT": str(course.root / "handout" / "new")}
    mounts, code = ["--ro-bind", str(folder), str(folder)], RUN
    if trouble.startswith("No space"):
        mounts = ["--bind", str(folder), str(full), "--size", str(1 << 16), "--tmpfs", str(folder)]
        code = FILL + RUN
        full.mkdir()
    before = contents(course.root)
    done = inside(
        mounts, code, *([folder, full] if code != RUN else []), course.root, *(paths.get(a, a) for a in arguments)
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert trouble in done.stderr
    assert "Traceback" not in done.stderr
    assert re.sub(r"^(\n|feedback: .*\n)*", "", done.stderr).count("\n") == 1  # but for the bar of progress
    assert contents(course.root) == before


@pytest.mark.parametrize("version", [1, 2])
def test_the_default_of_workers_keeps_to_the_containers_quota(tmp_path: Path, version: int) -> None:
    files = {"cpu.max": "100000 100000\n"}  # the time of one core
    if version == 1:
        files = {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = inside(["--bind", str(tmp_path), "/sys/fs/cgroup"], WORKERS)
    assert found.stdout == "1\n", found.stderr
