"""The watch on a learner's kernel: it measures the use of resources and ends the kernel at a limit.

Limits are on CPU time, so that a busy machine costs nobody points. Limits on wall-clock time stop code that only
sleeps and would block a worker for ever; they grow with the machine's slowness, and a stop by them is not held against
the learner but reported to the instructor.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import zmq
from jupyter_client.client import KernelClient
from jupyter_core.utils import run_sync
from nbclient.util import ensure_async

from ..sandbox.bubblewrap import Limits
from ..sandbox.messages import BoundedSession
from ..sandbox.provisioner import SandboxKernelManager
from .setting import Account, StoppedError
from .usage import Usage, Use, slowness

LOOK = 0.5  # seconds between two measurements of usage, where nothing runs for longer
STUBBORN = 5.0  # seconds in which code may go on after it was interrupted
SOCKETS = 512  # in a sandbox: what waits in Unix sockets is memory that no other limit counts
QUEUED = 64 << 20  # bytes that wait in its TCP and UDP sockets: all sockets of a machine share what Linux has for them
FILES = 50_000  # in what a sandbox may write: an empty one takes the kernel some kilobytes, too


class Watch:
    """A watch; ``interrupted`` says why the last cell or request was stopped: "computing", "waiting" or ""."""

    def __init__(self, limits: Limits, account: Account, manager: SandboxKernelManager) -> None:
        self.interrupted = ""
        self.usage = Usage()
        self.client: KernelClient | None = None
        self.asked_for = 0  # bytes of the data of answers
        self._limits, self._account, self._manager = limits, account, manager
        self._over, self._requesting, self._looked = "", False, 0.0

    @contextlib.asynccontextmanager
    async def over(self, seconds: float, requesting: bool = False) -> AsyncIterator[None]:
        """Watch the body of a ``with`` statement, for at most ``seconds`` of CPU time.

        ``requesting``: nobody else reads the kernel's outputs. Raises StoppedError at a limit on the whole submission.
        """
        self.interrupted, self._requesting = "", requesting
        task = asyncio.ensure_future(self._watch(seconds))
        try:
            yield
        finally:
            self._requesting = False
            task.cancel()
            self.raise_if_over()

    def look_after(self) -> None:
        """Check the limits while no request runs: the kernel's threads and processes count too. Raises StoppedError."""
        run_sync(self._drain)()
        self.raise_if_over()

    def raise_if_over(self) -> None:
        """Raise StoppedError if a limit on the whole submission is passed."""
        printed = self._account.received + self._received() > self._limits.output
        if printed or time.monotonic() > self._looked + LOOK:  # to look at all its processes takes time
            self._over = self._over or self._too_much()
        if self._over:
            raise StoppedError(self._over)

    def settle(self) -> None:
        """Add this kernel's use to the account, at its end."""
        self._account.seconds += self._use().seconds
        self._account.received += self._received()

    def _use(self) -> Use:
        return self.usage.look(1.5 * self._limits.memory)

    def _received(self) -> int:
        """Return the bytes of this kernel's messages so far, without requested data such as a model."""
        session = self.client.session if self.client is not None else None
        return session.received - self.asked_for if isinstance(session, BoundedSession) else 0

    def _too_much(self) -> str:
        """Return which limit on the whole submission is passed, "" if none is."""
        self._looked = time.monotonic()
        use, limits, account = self._use(), self._limits, self._account
        if use.processes > limits.processes // 2:  # threads don't count here
            return f"It started more than {limits.processes // 2} processes."
        if account.received + self._received() > limits.output:
            return f"It printed more than {limits.output >> 20} MB."
        if use.memory > 1.5 * limits.memory:
            return f"Its processes took more than {1.5 * limits.memory / 2**30:g} GB of memory."
        if account.seconds + use.seconds > limits.seconds:
            return f"All in all it took more than {limits.seconds:g} seconds of computing time."
        if self.usage.sockets() > SOCKETS:
            return f"It opened more than {SOCKETS} sockets."
        if self.usage.queued() > QUEUED:
            return f"It left more than {QUEUED >> 20} MB unread in its connections."
        if self.usage.files() > FILES:
            return f"It made more than {FILES:,} files."
        if time.monotonic() > account.until:
            return f"It used the grader for more than {limits.total / 60:g} minutes."
        return ""

    async def _watch(self, seconds: float) -> None:
        """Watch for at most ``seconds``; stop a kernel that can't be watched."""
        try:
            await self._watching(seconds)
        except Exception as error:  # whatever its messages and processes hold
            self._over = f"It could not be watched ({type(error).__name__})."
            await self._kill()

    async def _watching(self, seconds: float) -> None:
        """Interrupt code that computes for more than ``seconds``; kill a kernel that goes on, or exceeds a total."""
        begun, pause = time.monotonic(), 0.2
        before = None
        assert self.client is not None
        while True:
            await asyncio.sleep(pause)
            # What nbclient sends for a widget can swallow the signal that a reply is there: look for one.
            self.client.shell_channel.socket.get(zmq.EVENTS)
            if self._requesting:
                await self._drain()
            used, now = self._use().seconds, time.monotonic()
            if before is None:
                before, active, since = used, used, now
            if used > active + 0.1:  # even on a busy machine, a computation makes progress
                active, since = used, now
            pause = min(1.0, pause * 1.5)
            self._over = self._too_much()
            waited = max((now - since) / self._limits.idle, (now - begun) / (self._limits.waiting * seconds))
            if used - before > seconds:
                self.interrupted = "computing"
            elif waited > 1 and waited > slowness():
                self.interrupted = "waiting"
            if self._over or (self.interrupted and await self._interrupt()):
                await self._kill()
            if self._over or self.interrupted:
                return

    async def _drain(self) -> None:
        """Read, and so count, messages that nobody waits for."""
        assert self.client is not None
        with contextlib.suppress(Exception):  # none is left, or one that no kernel sends: the next look goes on
            while self._account.received + self._received() <= self._limits.output:
                await ensure_async(self.client.iopub_channel.get_msg(timeout=0))

    async def _interrupt(self) -> bool:
        """Interrupt repeatedly, for code that catches it; returns True if the code still runs."""
        begun, patience = time.monotonic(), STUBBORN * max(1.0, 2 * slowness())
        while time.monotonic() < begun + patience:  # the task that waits for the reply cancels this when it comes
            await self._manager.interrupt_kernel()
            await asyncio.sleep(0.003 if time.monotonic() > begun + 1 else 0.2)
        return True

    async def _kill(self) -> None:
        assert self._manager.provisioner is not None
        await self._manager.provisioner.kill()
