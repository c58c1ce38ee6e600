"""The zygote: a process that has imported all that a notebook needs, and forks processes into sandboxes.

Importing PyTorch and the rest takes seconds of CPU time; a fork takes milliseconds. The zygote itself runs no
learner's code, holds no secrets and has one thread: only such a process can be forked safely.

    zygote = Zygote(["torch"])
    kernel = zygote.fork_into(sandbox, limits, {"target": "autograder.sandbox.kernel:main", ...}, files)
    ...                                                        # a `Forked`: poll, signal, close
"""

from __future__ import annotations

import base64
import gc
import importlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from ..course import PROJECT
from .bubblewrap import HOME, Limits, Sandbox
from .privileges import die_with_parent, drop, enter, limit_what_it_computes

if sys.platform != "win32":  # there, notebooks can be checked only
    import fcntl
    import resource

WARM = ("torch", "numpy", "ipykernel.kernelapp", "matplotlib_inline.backend_inline")
WARM += ("autograder.sandbox.kernel", "autograder.judge.process", "autograder.grading.prepare")
OPEN_FILES = 1 << 16  # of a process that sends descriptors to the zygote, and of the zygote
READY, LINE = 3, 4  # descriptors: on one a process says that it has begun, the other is a socket for its own use


class Forked:
    """A handle of a process forked from the zygote: a pipe whose other end the process (or its guard) has."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.pid: int | None = None
        self.status: int | None = None  # its exit status, when it has ended
        self.result: object = None  # what a process without a sandbox came to

    def poll(self) -> int | None:
        """Return None while it runs, else its exit status (-1 if unknown)."""
        while self.status is None and self.connection.poll():
            self._hear()
        return self.status

    def started(self, seconds: float) -> int:
        """Wait until it runs; returns its pid. Raises RuntimeError with the cause of a failure."""
        while self.pid is None and self.status is None:
            if not self.connection.poll(seconds):
                raise RuntimeError(f"it did not start within {seconds:g} seconds")
            self._hear()
        if self.pid is None:
            raise RuntimeError("it could not be started")
        return self.pid

    def outcome(self, seconds: float) -> object:
        """Return the result of a process without a sandbox. Raises RuntimeError if it ended early or takes longer."""
        while self.result is None:
            if self.status is not None or not self.connection.poll(seconds):
                raise RuntimeError("it took more memory or time than it may")
            self._hear()
        return self.result

    def _hear(self) -> None:
        try:
            told = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            told = {"status": -1}
        if "error" in told:
            raise RuntimeError(told["error"])
        self.result = told.get("result", self.result)
        self.pid, self.status = told.get("pid", self.pid), told.get("status", self.status)

    def signal(self, number: int) -> None:
        if self.poll() is None:
            self.connection.send_bytes(json.dumps({"signal": number}).encode())

    def close(self) -> None:
        """Kill the process and close the handle."""
        self.connection.close()


class Zygote:
    """A handle of the zygote process, which ends when this object is closed or this process ends."""

    def __init__(self, warm: Sequence[str] = ()) -> None:
        """Start the zygote. ``warm``: its imports in addition to those of every notebook."""
        _may_open_many()
        folder = tempfile.mkdtemp(prefix="matplotlib-")
        self._remove_folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        ours, theirs = socket.socketpair()
        environment = {k: os.environ[k] for k in ("PATH", "LANG", "LD_LIBRARY_PATH", "TZ") if k in os.environ}
        # One thread: a process that has computed with several can't be forked, and the workers fill the cores.
        environment |= {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
        }
        environment |= {
            "HOME": HOME,
            "MPLBACKEND": "agg",
            "IPYTHONDIR": "/tmp/ipython",
            "MPLCONFIGDIR": folder,  # nobody else's, who could have put settings there
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "autograder.sandbox.zygote", str(theirs.fileno()), *warm],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._socket = ours

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, request: dict, line: socket.socket | None = None) -> Forked:
        """Fork a process that runs ``request["target"]`` ("module:function") with the request and the end of ``line``.

        Raises OSError where the zygote is gone.
        """
        ours, theirs = Pipe()
        descriptors = [theirs.fileno(), *([line.fileno()] if line is not None else [])]
        socket.send_fds(self._socket, [b"f"], descriptors)
        theirs.close()
        ours.send_bytes(json.dumps(request).encode())
        return Forked(ours)

    def fork_into(
        self,
        sandbox: Sandbox,
        limits: Limits,
        request: dict,
        files: Mapping[str, str],
        line: socket.socket | None = None,
    ) -> Forked:
        """Fork as `fork` does, into a sandbox with these limits; ``files`` {path: base64} lie in its working folder."""
        place = {"sandbox": sandbox.pid, "uid": sandbox.uid, "limits": vars(limits), "files": dict(files)}
        group = None if sandbox.group is None else str(sandbox.group / "cgroup.procs")
        return self.fork({**request, **place, "group": group}, line)

    def close(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._remove_folder()


def _may_open_many() -> None:
    """Raise this process's limit on open files, also for the zygote, as far as it may.

    Linux lets a user have as many descriptors under way in sockets as the sender may open files, and an unprivileged
    grader is the same user as its learners, who may open few: without this one of them could stop all others.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, wanted), most))


# Below: inside the zygote process.


def main(control: int, warm: Sequence[str]) -> None:
    """Import, then fork for every request over the descriptor ``control``, until it is closed."""
    die_with_parent()
    for module in (*WARM, *warm):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is shared with the forks stays shared: no collector writes into it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=control) as requests:
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, 1, 2)
            if not message:
                return
            if os.fork() == 0:
                requests.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _serve(Connection(descriptors[0]), *descriptors[1:])
            for descriptor in descriptors:
                os.close(descriptor)


def _serve(connection: Connection, line: int | None = None) -> None:
    """Run the request in a fresh fork, then exit. Never returns."""
    try:
        die_with_parent()
        request = json.loads(connection.recv_bytes())
        _fresh_randomness()
        if "sandbox" in request:
            _guard(connection, request, line)
        else:
            limit_what_it_computes()
            connection.send_bytes(json.dumps({"result": _target(request)(request)}).encode())
    except BaseException as error:
        text = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
        connection.send_bytes(json.dumps({"error": text}).encode())
    finally:
        os._exit(0)


def _target(request: dict) -> Callable:
    module, _, function = request["target"].partition(":")
    return getattr(importlib.import_module(module), function)


def _guard(connection: Connection, request: dict, line: int | None) -> None:
    """Fork a process into its sandbox, report its start and end, pass signals on, and end with it or the user."""
    group = os.open(request["group"], os.O_WRONLY) if request["group"] else None
    enter(request["sandbox"])  # the next fork is in the sandbox's process namespace; this process is not
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if group is not None:
                os.write(group, b"0")  # this process
            # Nothing else stays open: not the way to the grader, and not that to its namespaces.
            kept = [fcntl.fcntl(number, fcntl.F_DUPFD, LINE + 1) for number in (write, line) if number is not None]
            for number, descriptor in zip(kept, (READY, LINE), strict=False):
                os.dup2(number, descriptor)
            os.closerange(READY + len(kept), os.sysconf("SC_OPEN_MAX"))
            drop(request["uid"], Limits(**request["limits"]))
            _write(request.pop("files"))
            _target(request)(request, READY, LINE)
        finally:
            os._exit(1)
    os.close(write)
    if os.read(read, 1) == b"":
        raise RuntimeError(f"the process ended at its start, with {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")
    connection.send_bytes(json.dumps({"pid": pid}).encode())
    ended = os.pidfd_open(pid)
    while True:
        ready = wait([connection, ended])
        if ended in ready:
            _, status = os.waitpid(pid, 0)
            connection.send_bytes(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
            return
        try:
            os.kill(pid, json.loads(connection.recv_bytes())["signal"])
        except EOFError:
            os.kill(pid, signal.SIGKILL)
            return


def _write(files: dict[str, str]) -> None:
    for name, data in files.items():
        path = Path(HOME, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))


def _fresh_randomness() -> None:
    import numpy as np
    import torch

    random.seed()
    np.random.seed()
    torch.seed()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
