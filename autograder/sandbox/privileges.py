"""Entry of a process into a sandbox: namespaces, limits, privileges, system calls."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from . import seccomp
from .bubblewrap import HOME, Limits

if sys.platform != "win32":  # there, notebooks can be checked only
    import fcntl
    import resource

NAMESPACES = {"user": 0x10000000, "mnt": 0x00020000, "ipc": 0x08000000, "uts": 0x04000000, "net": 0x40000000}
NAMESPACES |= {"cgroup": 0x02000000, "pid": 0x20000000}
NS_GET_USERNS = 0xB701  # ioctl: the user namespace that owns another
MEMORY, SECONDS = 2 << 30, 30  # bytes and computing time of what reads a notebook
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38


def enter(pid: int) -> None:
    """Move this process into the namespaces of the process ``pid`` (children, for that of processes)."""
    libc = ctypes.CDLL(None, use_errno=True)

    def open_namespace(of: int | str, name: str) -> int:
        return os.open(f"/proc/{of}/ns/{name}", os.O_RDONLY)

    def same(one: int, other: int) -> bool:
        return os.fstat(one).st_ino == os.fstat(other).st_ino

    wanted = {name: open_namespace(pid, name) for name in NAMESPACES}
    steps = [(name, handle) for name, handle in wanted.items() if not same(handle, open_namespace("self", name))]
    if "user" in dict(steps):
        # bubblewrap makes two, one in the other. The outer one owns the rest, so it comes first and the inner one last.
        outer = fcntl.ioctl(wanted["mnt"], NS_GET_USERNS)
        inner = [] if same(outer, wanted["user"]) else [steps[0]]
        steps = [("user", outer), *steps[1:], *inner]
    for name, handle in steps:
        if libc.setns(handle, NAMESPACES[name]) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"the sandbox's {name} namespace can't be entered: {os.strerror(error)}")


def drop(uid: int | None, limits: Limits) -> None:
    """Give up every privilege, for good, and apply the limits."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setsid()
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # the kernel kills this process first if memory runs out
    resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))
    room = _mapped() + limits.memory  # memory that is shared counts here, and not as data
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 1024 if most == resource.RLIM_INFINITY else min(1024, most // 2)  # fewer than the grader: see `zygote`
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_NPROC, (limits.processes, limits.processes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.disk, limits.disk))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0 or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the privileges could not be given up")
    seccomp.refuse()
    os.chdir(HOME)
    os.environ["LOGNAME"] = os.environ["USER"] = "learner"
    os.umask(0o077)


def limit_what_it_computes() -> None:
    """Apply the limits of a process that reads a notebook without running it."""
    mapped = _mapped()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def _mapped() -> int:
    """Return the bytes of address space that this process has mapped."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def die_with_parent() -> None:
    """End when the parent ends, in any way."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
