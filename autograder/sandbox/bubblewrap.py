"""A bubblewrap sandbox: what a submission may see, write and use up.

A sandbox has namespaces of its own (mounts, processes, network, IPC, host name; users too where root did not start
it). It sees the system's and Python's folders and ``gpt2_lib``, all read-only, and nothing else of this machine: no
gradebook, no source, no other submission, no network. What it may write is in memory, limited in size, and gone with
it. All its processes die with the sandbox, and the sandbox dies with the process that made it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..course import PROJECT

HOME = "/home/learner"  # where the notebook runs; empty but for the submission's own small files
SOCKETS = "/run/kernel"
LEARNER = 60_000  # root drops to this uid and those after it, one a sandbox: a limit on processes doesn't bind root
MEGABYTE = 1 << 20
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = ("ld.so.cache", "localtime", "fonts", "mime.types", "nsswitch.conf")  # of /etc; no passwords, no hosts


class SandboxError(Exception):
    """No sandbox can be made here; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Time is computing time, so that a busy machine costs nobody points."""

    memory: int = 2048 * MEGABYTE  # bytes of data of one process (RLIMIT_DATA), and of all together
    processes: int = 96  # threads count
    disk: int = 256 * MEGABYTE  # bytes in each of the folders that can be written
    cell_seconds: float = 60.0  # computing time of one cell, then it is interrupted
    seconds: float = 600.0  # computing time of all, then it is over
    waiting: float = 10.0  # how many times as long it may take on the clock
    idle: float = 60.0  # seconds on the clock without computing, then it is interrupted
    cell_output: int = 1 * MEGABYTE  # bytes that are kept of what one cell prints
    output: int = 32 * MEGABYTE  # bytes printed in all, then it is over


class Sandbox:
    """A sandbox that waits for processes; ``pid`` is its first process as this machine counts."""

    def __init__(self, limits: Limits) -> None:
        read, write = os.pipe()
        try:
            self._holder = subprocess.Popen(
                command(limits, info=write),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[write],
                env={},
            )
        except OSError as error:
            raise SandboxError(f"{_WAY_OUT.format(reason=error)}") from error
        finally:
            os.close(write)
        with os.fdopen(read) as info:
            told = info.read()
        assert self._holder.stdout is not None
        ready = self._holder.stdout.readline()
        if ready != b"ready\n":
            reason = self._holder.communicate()[1].decode(errors="replace").strip() or "it ended at once"
            raise SandboxError(_WAY_OUT.format(reason=reason))
        self.pid = json.loads(told)["child-pid"]

    def path(self, inside: str) -> str:
        """A path of the sandbox as this machine can reach it. Never read what a submission may have put there."""
        return f"/proc/{self.pid}/root{inside}"

    def close(self) -> None:
        """End all that runs in it."""
        self._holder.kill()
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            if pipe is not None:
                pipe.close()


def check() -> None:
    """Raise SandboxError, with the reason and the way out, where no sandbox can be made."""
    if sys.platform != "linux":
        raise SandboxError(
            "The sandbox needs Linux. On Windows grade in WSL2, on macOS in a Linux container: docs/instructor.md has "
            "the commands. To run learners' code without a sandbox, on this machine and as you, but not on Windows: "
            "--unsafe-no-sandbox."
        )
    Sandbox(Limits()).close()


_WAY_OUT = (
    "No sandbox can be made here: {reason}. Bubblewrap must be there (Debian and Ubuntu: apt install bubblewrap) and "
    "may have to be allowed (Ubuntu 24.04 forbids it by AppArmor until a profile allows it; Docker until --cap-add "
    "SYS_ADMIN --security-opt seccomp=unconfined): docs/instructor.md says how. To run learners' code without a "
    "sandbox, on this machine and as you: --unsafe-no-sandbox."
)


def command(limits: Limits, info: int) -> list[str]:
    """bubblewrap's command line; it writes its first process's pid to the descriptor ``info``. Raises SandboxError."""
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError(_WAY_OUT.format(reason="the command bwrap is not installed"))
    made = [program, "--die-with-parent", "--new-session", "--hostname", "sandbox", "--info-fd", str(info)]
    made += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    made += [] if os.geteuid() == 0 else ["--unshare-user"]
    for folder in SYSTEM:
        if os.path.islink(folder):
            made += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            made += ["--ro-bind", folder, folder]
    # Settings of the kernel belong to root, who may be the one that grades (in a container's user namespace, say).
    made += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    for folder in ("/dev/shm", "/tmp", HOME, SOCKETS):
        made += ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", folder]
    # After the folders in memory: the course may lie in one of them, /tmp say.
    settings = [f"/etc/{name}" for name in SETTINGS if os.path.exists(f"/etc/{name}")]
    ours = [p for p in (sys.base_prefix, sys.prefix, str(PROJECT / "gpt2_lib")) if not p.startswith("/usr/")]
    for path in dict.fromkeys([*settings, *ours]):
        for parent in reversed(Path(path).parents):
            made += ["--perms", "0755", "--dir", str(parent)]  # else nobody but root could go through it
        made += ["--ro-bind", path, path]
    made += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME]
    # The first process only waits: until its input ends, which happens when this process does.
    return [*made, "--", "/bin/sh", "-c", "echo ready; exec cat >/dev/null"]
