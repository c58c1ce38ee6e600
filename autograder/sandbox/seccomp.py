"""The seccomp filter of a learner's process: it blocks system calls, in addition to the dropped privileges.

Without privileges most of these fail anyway. A new user namespace would give privileges again, inside it, and with
them a far larger part of the kernel to attack; and a VSOCK reaches a virtual machine's host through any namespace.
"""

from __future__ import annotations

import ctypes
import errno
import os

# Machine -> (its number for audits, {what is refused: its number}), from Linux's syscall tables.
ELSEWHERE = {"io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431}
ELSEWHERE |= {"fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442}
REFUSED = {
    "x86_64": {"ptrace": 101, "syslog": 103, "pivot_root": 155, "chroot": 161, "acct": 163, "mount": 165}
    | {"umount2": 166, "swapon": 167, "init_module": 175, "delete_module": 176, "quotactl": 179, "kexec_load": 246}
    | {"add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298}
    | {"name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310}
    | {"process_vm_writev": 311, "finit_module": 313, "bpf": 321, "userfaultfd": 323, **ELSEWHERE},
    "aarch64": {"umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60, "acct": 89, "unshare": 97}
    | {"kexec_load": 104, "init_module": 105, "delete_module": 106, "syslog": 116, "ptrace": 117, "add_key": 217}
    | {"request_key": 218, "keyctl": 219, "swapon": 224, "perf_event_open": 241, "name_to_handle_at": 264}
    | {"open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271}
    | {"finit_module": 273, "bpf": 280, "userfaultfd": 282, **ELSEWHERE},
}
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SOCKET = {"x86_64": 41, "aarch64": 198}
CLONE = {"x86_64": 56, "aarch64": 220}
# These fail with ENOSYS, so that programs do without them.
CLONE3 = 435  # hides from filters which flags it is called with
UNLIMITED = {  # memfd_create, shmget, msgget, memfd_secret: memory that no limit counts
    "x86_64": (319, 29, 68, 447),
    "aarch64": (279, 194, 186, 447),
}
SETSOCKOPT = {"x86_64": 54, "aarch64": 208}
BUFFERS = (7, 8, 32, 33)  # SO_SNDBUF and the like: a socket's buffer is memory that no limit counts, so it stays small
FAMILIES = (1, 2, 10, 16)  # of sockets: Unix, IPv4, IPv6, and netlink, which looks names up
NAMESPACES = 0x7E020000  # all of clone's flags that ask for one
X32 = 0x40000000  # the same calls under other numbers

LOAD, EQUAL, AT_LEAST, HAS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of classic BPF
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NUMBER, MACHINE, ARGUMENT = 0, 4, 16  # where these lie in what a filter is given
PR_SET_SECCOMP, FILTER = 22, 2


class _Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def refuse() -> None:
    """Install the filter for this process and its children. Needs PR_SET_NO_NEW_PRIVS; raises OSError.

    On an architecture with unknown numbers nothing happens: the rest of the sandbox has to suffice.
    """
    data = program()
    if not data:
        return
    length = len(data) // ctypes.sizeof(_Step)
    filter = _Program(length, (_Step * length).from_buffer_copy(data))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(filter), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel did not accept the seccomp filter")


def program() -> bytes:
    """Return the filter as the kernel reads it; empty on an architecture with unknown numbers."""
    machine = os.uname().machine
    return b"".join(bytes(_Step(*step)) for step in _steps(machine)) if machine in REFUSED else b""


def _steps(machine: str) -> list[tuple[int, int, int, int]]:
    """Return the filter's steps from top to bottom; a condition skips the next ``yes`` or ``no`` steps."""
    refused = (RETURN, 0, 0, ERROR | errno.EPERM)
    steps = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, AUDIT[machine]), refused, (LOAD, 0, 0, NUMBER)]
    steps += [(AT_LEAST, 0, 1, X32), refused] if machine == "x86_64" else []
    for number in REFUSED[machine].values():
        steps += [(EQUAL, 0, 1, number), refused]
    for number in (CLONE3, *UNLIMITED[machine]):
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERROR | errno.ENOSYS)]
    steps += [(EQUAL, 0, 4, CLONE[machine]), (LOAD, 0, 0, ARGUMENT), (HAS, 0, 1, NAMESPACES), refused]
    steps += [(RETURN, 0, 0, ALLOW)]
    steps += [(EQUAL, 0, 3 + len(BUFFERS), SETSOCKOPT[machine]), (LOAD, 0, 0, ARGUMENT + 16)]
    steps += [(EQUAL, len(BUFFERS) - n, 0, option) for n, option in enumerate(BUFFERS)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERROR)]  # returns success and does nothing
    steps += [(EQUAL, 0, 2 + len(FAMILIES), SOCKET[machine]), (LOAD, 0, 0, ARGUMENT)]
    steps += [(EQUAL, len(FAMILIES) - n, 0, family) for n, family in enumerate(FAMILIES)]
    return [*steps, (RETURN, 0, 0, ERROR | errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)]
