"""The sandbox as a Jupyter kernel provisioner, and a kernel manager that always uses it.

jupyter_client handles messages, heartbeats and restarts. Here the process is forked from a warm `Zygote` into a
bubblewrap `Sandbox`. Messages go over Unix sockets inside the sandbox: no folder of this machine is shared.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import zmq
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from .bubblewrap import SOCKETS, Limits, Sandbox
from .zygote import Forked, Zygote

NAME = "gpt2-course-sandbox"
PORTS = ("shell", "iopub", "stdin", "control", "hb")
MESSAGE = 256 << 20  # bytes of a message from a kernel, at most: a larger one ends the connection
_zygotes: dict[tuple[str, ...], Zygote] = {}  # what they have imported -> at most one, of each process that grades


def zygote(warm: tuple[str, ...]) -> Zygote:
    """Return this process's zygote that has imported ``warm``; start one if there is none or it died."""
    if warm not in _zygotes or not _zygotes[warm].alive():
        for other in _zygotes.values():
            other.close()
        _zygotes.clear()
        _zygotes[warm] = Zygote(warm)
    return _zygotes[warm]


class SandboxProvisioner(KernelProvisionerBase):
    """Starts, watches and ends one kernel in one sandbox."""

    parent: SandboxKernelManager
    sandbox: Sandbox | None = None
    forked: Forked | None = None

    @property
    def has_process(self) -> bool:
        return self.forked is not None

    async def pre_launch(self, **options: object) -> dict:
        manager = self.parent
        self.sandbox = Sandbox(manager.limits, manager.hidden)
        manager.transport, manager.ip = "ipc", self.sandbox.path(f"{SOCKETS}/s")
        for number, port in enumerate(PORTS, start=1):
            setattr(manager, f"{port}_port", number)
        return await super().pre_launch(cmd=[], **options)

    async def launch_kernel(self, cmd: list[str], **options: object) -> KernelConnectionInfo:
        manager = self.parent
        assert self.sandbox is not None
        connection = {"transport": "ipc", "ip": f"{SOCKETS}/s", "key": manager.session.key.decode()}
        connection |= {f"{port}_port": number for number, port in enumerate(PORTS, start=1)}
        request = {"target": "autograder.sandbox.kernel:main", "connection": connection, "own_work": manager.own_work}
        self.forked = zygote(manager.warm).fork_into(self.sandbox, manager.limits, request, manager.files)
        self.forked.started(120.0)  # the first one waits for the zygote's imports
        # It listens: connect now, and never again. Later the notebook could have put a link in a socket's place.
        manager.context.setsockopt(zmq.RECONNECT_IVL, -1)
        manager.context.setsockopt(zmq.MAXMSGSIZE, MESSAGE)
        connected = manager.get_connection_info()
        self.connection_info = connected
        return connected

    async def poll(self) -> int | None:
        return 0 if self.forked is None else self.forked.poll()

    async def wait(self) -> int | None:
        while self.forked is not None and self.forked.poll() is None:
            time.sleep(0.01)  # only after it was killed: it takes no time
        return 0

    async def send_signal(self, signum: int) -> None:
        if self.forked is not None:
            self.forked.signal(signum)

    async def kill(self, restart: bool = False) -> None:
        self._end()

    async def terminate(self, restart: bool = False) -> None:
        self._end()

    async def cleanup(self, restart: bool = False) -> None:
        self._end()

    def _end(self) -> None:
        if self.sandbox is not None:
            self.sandbox.close()  # and with it everything in it
            self.sandbox = None
        if self.forked is not None:
            self.forked.close()
            self.forked = None


class SandboxKernelManager(AsyncKernelManager):
    """A kernel manager whose kernels run in the sandbox, whatever kernels are installed here."""

    limits = Limits()
    files: Mapping[str, str] = MappingProxyType({})  # that lie beside the notebook: path -> base64
    hidden: Sequence[str] = ()  # folders that the sandbox covers
    warm: tuple[str, ...] = ()
    own_work = ""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable],
            display_name="Python 3 (sandbox)",
            language="python",
            interrupt_mode="signal",
            metadata={"kernel_provisioner": {"provisioner_name": NAME}},
        )

    async def interrupt_kernel(self) -> None:
        if self.provisioner is not None:
            await self.provisioner.send_signal(signal.SIGINT)
