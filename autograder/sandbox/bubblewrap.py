"""The bubblewrap sandbox: what a submission may see, write and use.

A sandbox has namespaces of its own (mounts, processes, network, IPC, host name; users too where root did not start
it). It sees the system's and Python's folders and ``gpt2_lib``, all read-only, and nothing else of this machine: no
gradebook, no source, no other submission, no network. The course is covered wherever it is, under /usr too. Its
writable folders are in memory, limited in size, and end with it. All its processes end with the sandbox, and the
sandbox ends with the process that made it.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..course import PROJECT
from . import cgroup, seccomp

HOME = "/home/learner"  # where the notebook runs; empty but for the submission's own small files
SOCKETS = "/run/kernel"
MEMORY = ("/dev/shm", "/tmp", HOME, SOCKETS)  # what can be written, in memory
UIDS = range(60_000, 65_000)  # root drops to one of these, another in each sandbox: its limits don't bind root
SECRET = (
    "gradebook.db",
    "gradebook.key",
    "source",
    "release",
    "submitted",
    "autograded",
    "feedback",
    "nbgrader_config.py",
)
MEGABYTE = 1 << 20
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = ("ld.so.cache", "localtime", "fonts", "mime.types", "nsswitch.conf")  # of /etc; no passwords, no hosts


class SandboxError(Exception):
    """No sandbox can be made here; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """The limits of one submission. Time is CPU time, so that a busy machine costs nobody points."""

    memory: int = 2048 * MEGABYTE  # bytes of data of one process (RLIMIT_DATA), and of all together
    processes: int = 96  # threads count
    disk: int = 256 * MEGABYTE  # bytes in each of the folders that can be written
    cell_seconds: float = 60.0  # computing time of one cell, then it is interrupted
    seconds: float = 600.0  # computing time of all, then it is over
    waiting: float = 10.0  # how many times as long it may take on the clock, where the machine is idle
    idle: float = 60.0  # seconds on the clock without computing, where the machine is idle, then it is interrupted
    total: float = 900.0  # seconds on the clock that a submission may hold a worker, then it is over
    cell_output: int = 1 * MEGABYTE  # bytes that are kept of what one cell prints
    output: int = 32 * MEGABYTE  # bytes of all messages from a notebook, then it is over


class Sandbox:
    """A sandbox that waits for processes; ``pid`` is its first process as this machine counts.

    ``uid`` is the user id of its processes if root made it, else None.
    """

    def __init__(self, limits: Limits, hidden: Sequence[str] = ()) -> None:
        """Start a sandbox; the folders ``hidden`` are covered. Raises SandboxError."""
        read, write = os.pipe()
        rules = _rules()
        try:
            self._holder = subprocess.Popen(
                command(limits, write, hidden, rules),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[write] if rules is None else [write, rules],
                env={},
            )
        except OSError as error:
            raise SandboxError(f"{_WAY_OUT.format(reason=error)}") from error
        finally:
            os.close(write)
            if rules is not None:
                os.close(rules)
        with os.fdopen(read) as info:
            told = info.read()
        assert self._holder.stdout is not None
        ready = self._holder.stdout.readline()
        if ready != b"ready\n":
            reason = self._holder.communicate()[1].decode(errors="replace").strip() or "it ended at once"
            raise SandboxError(_WAY_OUT.format(reason=reason))
        self.pid = json.loads(told)["child-pid"]
        self._claim, self.uid = _own_uid() if os.geteuid() == 0 else (None, None)
        self.group = cgroup.make(2 * limits.memory, limits.processes)

    def path(self, inside: str) -> str:
        """Return a path of the sandbox as this machine reaches it. Never read what a submission may have put there."""
        return f"/proc/{self.pid}/root{inside}"

    def close(self) -> None:
        """End all processes in it."""
        self._holder.kill()
        self._holder.wait()
        if self._claim is not None:
            self._claim.close()
        cgroup.remove(self.group)
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            if pipe is not None:
                pipe.close()


def _rules() -> int | None:
    """Return a descriptor from which bubblewrap reads the seccomp filter for its own processes inside."""
    program = seccomp.program()
    if not program:
        return None
    read, write = os.pipe()
    os.write(write, program)
    os.close(write)
    return read


def _own_uid() -> tuple[socket.socket, int]:
    """Return a user id for one sandbox alone, and the claim on it, an abstract socket that ends with this process."""
    for uid in random.SystemRandom().sample(UIDS, len(UIDS)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0gpt2-course-sandbox-{uid}")
            return claim, uid
        except OSError:
            claim.close()
    raise SandboxError("No user id is free for another sandbox.")


def check(root: Path) -> None:
    """Raise SandboxError, with reason and advice, if no sandbox can be made that hides the course."""
    if sys.platform != "linux":
        raise SandboxError(
            "The sandbox needs Linux. On Windows grade in WSL2, on macOS in a Linux container: "
            "docs/grading-machines.md has the commands. To run learners' code without a sandbox, on this machine and "
            "as you, but not on Windows: --unsafe-no-sandbox."
        )
    hidden = names_of(root)
    sandbox = Sandbox(Limits(), hidden)
    try:
        courses = _names_of(root)
        secret = [f"{course}/{entry}" for course in courses for entry in SECRET]
        secret += [name for name in hidden if name not in courses]
        seen = [path for path in secret if _shows(sandbox.path(path))]
    finally:
        sandbox.close()
    if seen:
        raise SandboxError(
            f"Learners' code would see {seen[0]}: nothing was graded. Move the course to another folder, one in your "
            "home or /srv, and grade there."
        )


def _shows(path: str) -> bool:
    """Return whether a path has content: a covered folder is empty, a covered file a device."""
    if os.path.isdir(path):
        return bool(os.listdir(path))
    return os.path.isfile(path)


def names_of(root: Path) -> list[str]:
    """Return every path on this machine of a course and of its private contents."""
    secret = [root, *(root / name for name in SECRET if (root / name).exists())]
    return list(dict.fromkeys(name for path in secret for name in _names_of(path)))


def _names_of(root: Path) -> list[str]:
    """Return every path of a folder or file: it, or a parent, may be mounted twice."""
    mounts = []
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    for line in table.rstrip("\n").split("\n"):
        words = [re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), word) for word in line.split(" ")]
        _, _, device, inside, point, *_ = words
        mounts.append((device, Path(inside), Path(point)))
    root = root.resolve()
    device, inside, point = max((m for m in mounts if root.is_relative_to(m[2])), key=lambda m: len(m[2].parts))
    place = inside / root.relative_to(point)
    found = [
        at / place.relative_to(top) for number, top, at in mounts if number == device and place.is_relative_to(top)
    ]
    return list(dict.fromkeys(map(str, [root, *found])))


_WAY_OUT = (
    "No sandbox can be made here: {reason}. Bubblewrap must be there (Debian and Ubuntu: apt install bubblewrap) and "
    "may have to be allowed (Ubuntu 24.04 forbids it by AppArmor until a profile allows it; Docker until --cap-add "
    "SYS_ADMIN --security-opt seccomp=unconfined): docs/grading-machines.md says how. To run learners' code without a "
    "sandbox, on this machine and as you: --unsafe-no-sandbox."
)


def command(limits: Limits, info: int, hidden: Sequence[str] = (), rules: int | None = None) -> list[str]:
    """Return bubblewrap's command line. Raises SandboxError.

    It writes its first process's pid to the descriptor ``info``, and reads a seccomp filter from ``rules``.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError(_WAY_OUT.format(reason="the command bwrap is not installed"))
    made = [program, "--die-with-parent", "--new-session", "--hostname", "sandbox", "--info-fd", str(info)]
    made += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    made += [] if os.geteuid() == 0 else ["--unshare-user"]
    made += [] if rules is None else ["--seccomp", str(rules)]
    # Settings of the kernel belong to root, who may be the one that grades (in a container's user namespace, say).
    made += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    shown = [folder for folder in SYSTEM if os.path.isdir(folder)]
    shown += [f"/etc/{name}" for name in SETTINGS if os.path.exists(f"/etc/{name}")]
    shown += [sys.base_prefix, sys.prefix, str(PROJECT / "gpt2_lib")]
    covered = [p for p in (str(PROJECT), *hidden) if any(Path(p).is_relative_to(s) for s in shown)]
    files = [path for path in covered if os.path.isfile(path)]
    covered = [path for path in covered if os.path.isdir(path)]
    covered = [path for path in covered if not any(str(parent) in covered for parent in Path(path).parents)]
    files = [path for path in files if not any(str(parent) in covered for parent in Path(path).parents)]
    steps = (
        dict.fromkeys(files, "hide")
        | dict.fromkeys(covered, "cover")
        | dict.fromkeys(MEMORY, "memory")
        | dict.fromkeys(shown, "show")
    )
    # The folder before what is in it: the library lies in the course, and the course may lie under /usr or /tmp.
    for path, step in sorted(steps.items(), key=lambda entry: len(Path(entry[0]).parts)):
        for parent in reversed(Path(path).parents):
            made += ["--perms", "0755", "--dir", str(parent)]  # else only root could enter it
        if step == "memory":
            made += ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", path]
        elif step == "hide":
            made += ["--ro-bind", os.devnull, path]
        elif step == "cover":
            made += ["--perms", "0755", "--tmpfs", path]
        elif os.path.islink(path) and path in SYSTEM:
            made += ["--symlink", os.readlink(path), path]
        else:
            made += ["--ro-bind", path, path]
    for path in ("/dev", *covered, "/"):
        made += ["--remount-ro", path]
    # The first process only waits: until its input ends, which happens when this process does.
    return [*made, "--chdir", HOME, "--", "/bin/sh", "-c", "echo ready; exec cat >/dev/null"]
