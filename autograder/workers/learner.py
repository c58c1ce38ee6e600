"""A learner's kernel in its sandbox, as a worker holds it: cells, requests, and a watch on what it uses up.

What counts is computing time, so that a busy machine costs nobody points. There are limits on the clock as well, else
whoever only sleeps would hold a worker for ever; they grow with how slow the machine is, and what they end is not
held against the learner but told to the instructor.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

import psutil
import zmq
from jupyter_client.client import KernelClient
from jupyter_core.utils import run_sync
from nbclient.client import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async
from nbformat import NotebookNode

from ..judge.client import Names
from ..sandbox.bubblewrap import Limits
from ..sandbox.messages import BoundedSession
from ..sandbox.provisioner import SandboxKernelManager, SandboxProvisioner, zygote
from ..sandbox.zygote import Zygote

LOOK = 0.5  # seconds between two looks at what it uses up, where nothing runs for longer
STUBBORN = 5.0  # seconds in which code may go on after it was interrupted
HELD = re.compile(rb"^(?:RssAnon|RssShmem):\s+(\d+) kB$", re.MULTILINE)  # of /proc/<pid>/status; the rest is files
SHARE = re.compile(rb"^(?:Pss_Anon|Pss_Shmem):\s+(\d+) kB$", re.MULTILINE)  # the same, of what several share a part
SOCKETS = 512  # Unix sockets in a sandbox: what waits in them is memory that no other limit counts
OUTPUTS = 2_000  # of a cell
KINDS = {
    "status",
    "execute_input",
    "stream",
    "error",
    "display_data",
    "execute_result",
    "update_display_data",
    "clear_output",
}


class BrokenToolError(Exception):
    """The grader's own processes failed (were killed, say); the submission has nothing to do with it."""


class StoppedError(Exception):
    """A limit on the whole submission was reached: nothing more of it runs."""


@dataclass(frozen=True)
class Setting:
    """What a notebook runs with. Files are path -> base64."""

    limits: Limits = field(default_factory=Limits)
    files: Mapping[str, str] = field(default_factory=dict)  # that lie beside the notebook
    given: Mapping[str, str] = field(default_factory=dict)  # those of them that are the instructor's
    skip: frozenset[int] = frozenset()  # cells that need not run
    imports: str = ""  # that the instructor's other cells make
    asked: Mapping[str, Names] = field(default_factory=dict)  # check -> what it takes from the learner
    warm: tuple[str, ...] = ()  # what the course's notebooks import
    own_work: str = ""  # "module:function": the course's rule on whose work an answer is
    hidden: tuple[str, ...] = ()  # folders that the sandbox covers


def as_text(files: Mapping[str, bytes]) -> dict[str, str]:
    """Files as a `Setting` has them."""
    return {path: base64.b64encode(data).decode() for path, data in files.items()}


@dataclass
class Account:
    """What a submission has used so far. ``until`` is when its time on the clock is over (`time.monotonic`)."""

    until: float
    seconds: float = 0.0  # of computing
    received: int = 0  # bytes of messages


class LearnerKernel(NotebookClient):
    """A kernel in a sandbox. ``interrupted`` says why the last cell or request was: "computing", "waiting" or ""."""

    def __init__(self, notebook: NotebookNode, setting: Setting, account: Account) -> None:
        manager = SandboxKernelManager(session=BoundedSession())
        manager.limits, manager.files, manager.hidden = setting.limits, setting.files, setting.hidden
        manager.warm, manager.own_work = setting.warm, setting.own_work
        super().__init__(notebook, manager, allow_errors=True, timeout=None, record_timing=False, startup_timeout=300)
        self.reset_execution_trackers()
        self.limits, self.account = setting.limits, account
        self.zygote: Zygote = zygote(setting.warm)
        self.interrupted, self.dropped = "", 0
        self._manager, self._over, self._requesting, self._kept = manager, "", False, 0
        self._roots: list[psutil.Process] = []
        self._seconds, self._processes, self._asked_for, self._looked = 0.0, 0, 0, 0.0

    def start(self) -> None:
        """Raises BrokenToolError, since nothing of the learner's has run yet, and StoppedError should it have."""
        self.kc = None
        try:
            run_sync(self._manager.start_kernel)()
            # Whatever the kernel leaves behind becomes a child of the sandbox's first process.
            top = self._manager.provisioner
            assert isinstance(top, SandboxProvisioner)
            assert top.forked is not None
            assert top.sandbox is not None
            self._roots = [psutil.Process(pid) for pid in (top.forked.pid, top.sandbox.pid)]
            self.start_new_kernel_client()
        except (OSError, RuntimeError, EOFError, psutil.Error, DeadKernelError) as error:
            self._roots = []
            self.stop()
            raise BrokenToolError(f"no kernel could be started: {error}") from error
        except StoppedError:
            self.stop()
            raise

    async def async_start_new_kernel_client(self) -> KernelClient:
        """nbclient's, without the channels for input and heartbeats: nobody reads them."""
        assert self.km is not None
        kc = self.km.client()
        kc.start_channels(stdin=False, hb=False)
        self.kc = kc
        watch = asyncio.ensure_future(self._watch(self.limits.cell_seconds))
        try:
            await ensure_async(kc.wait_for_ready(timeout=self.startup_timeout))
        finally:
            watch.cancel()
            self._raise_if_over()
        return kc

    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    def stop(self) -> None:
        """Whatever happens here, the sandbox ends."""
        try:
            self.account.seconds += self._usage()[0]
            self.account.received += self._received()
            if self.kc is not None:  # not stop_channels(): it opens those that were never started
                for channel in (self.kc.shell_channel, self.kc.iopub_channel, self.kc.control_channel):
                    channel.stop()
                self.kc = None
        finally:
            run_sync(self._manager.shutdown_kernel)(now=True)
            self.km = None

    # A cell, a request

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, execution_count: int | None = None, store_history: bool = True
    ) -> NotebookNode:
        self._kept, self.interrupted = 0, ""
        watch = asyncio.ensure_future(self._watch(self.limits.cell_seconds))
        try:
            return await super().async_execute_cell(cell, cell_index, execution_count, store_history)
        finally:
            watch.cancel()
            self._raise_if_over()

    execute_cell = run_sync(async_execute_cell)

    def request(
        self, kind: str, content: dict, buffers: Sequence[bytes] = (), seconds: float = 60.0
    ) -> tuple[dict, list[bytes]]:
        """Send the kernel a request and wait for its reply. Raises DeadKernelError, StoppedError."""
        return run_sync(self._ask)(kind, content, list(buffers), seconds)

    async def _ask(self, kind: str, content: dict, buffers: list[bytes], seconds: float) -> tuple[dict, list[bytes]]:
        self.interrupted, self._requesting = "", True
        watch = asyncio.ensure_future(self._watch(seconds))
        try:
            assert self.kc is not None
            socket = self.kc.shell_channel
            message = self.kc.session.msg(kind, content)
            self.kc.session.send(socket.socket, message, buffers=buffers)
            while True:
                try:
                    reply = await ensure_async(socket.get_msg(timeout=0.5))
                except Empty:
                    self._raise_if_over()  # should the watch have ended
                    await self._async_check_alive()
                    continue
                if (
                    reply["parent_header"].get("msg_id") == message["header"]["msg_id"]
                    and reply["msg_type"] == kind.replace("request", "reply")
                    and isinstance(reply["content"], dict)
                ):
                    buffers = [bytes(b) for b in reply["buffers"]]
                    self._asked_for += sum(map(len, buffers))
                    return reply["content"], buffers
                self.dropped += reply["msg_type"] != "kernel_info_reply"  # of these nbclient may have asked for several
        finally:
            self._requesting = False
            watch.cancel()
            self._raise_if_over()

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Keep as much of a cell's output as is allowed, and of an error its end."""
        content, limit = msg["content"], self.limits.cell_output
        if msg["msg_type"] not in KINDS or (len(cell.outputs) > OUTPUTS and msg["msg_type"] != "status"):
            return None  # widgets' messages among them: no grade depends on these
        if msg["msg_type"] == "stream":
            text = str(content.get("text", ""))
            content["text"] = text if len(text) <= limit else text[:limit] + "\n... the rest was cut\n"
            size = len(text)
        elif msg["msg_type"] == "error":
            content["ename"], content["evalue"] = str(content.get("ename"))[:200], str(content.get("evalue"))[:20_000]
            content["traceback"] = [str(frame)[:20_000] for frame in list(content.get("traceback", ()))[-20:]]
            size = sum(map(len, content["traceback"]))
        else:
            size = sum(len(str(part)) for part in dict(content.get("data") or {}).values())
        before, self._kept = self._kept, self._kept + size
        if size and (before > limit or (self._kept > limit and msg["msg_type"] not in ("stream", "error"))):
            return None
        return super().process_message(msg, cell, cell_index)

    # What it uses up

    def _raise_if_over(self) -> None:
        printed = self.account.received + self._received() > self.limits.output
        if printed or time.monotonic() > self._looked + LOOK:  # to look at all its processes takes time
            self._over = self._over or self._too_much()
        if self._over:
            raise StoppedError(self._over)

    def _too_much(self) -> str:
        """Which limit on the whole submission is passed, "" where none is."""
        self._looked = time.monotonic()
        used, memory = self._usage()
        limits = self.limits
        if self._processes > limits.processes // 2:  # threads don't count here
            return f"It started more than {limits.processes // 2} processes."
        if self.account.received + self._received() > limits.output:
            return f"It printed more than {limits.output >> 20} MB."
        if memory > 1.5 * limits.memory:
            return f"Its processes took more than {1.5 * limits.memory / 2**30:g} GB of memory."
        if self.account.seconds + used > limits.seconds:
            return f"All in all it took more than {limits.seconds:g} seconds of computing time."
        if self._sockets() > SOCKETS:
            return f"It opened more than {SOCKETS} sockets."
        if time.monotonic() > self.account.until:
            return f"It held the grader for more than {limits.total / 60:g} minutes."
        return ""

    def _received(self) -> int:
        """Bytes of this kernel's messages so far, but for the data of answers that were asked for: a model, say."""
        session = self.kc.session if self.kc is not None else None
        return session.received - self._asked_for if isinstance(session, BoundedSession) else 0

    def _sockets(self) -> int:
        """Unix sockets in the sandbox's own network namespace."""
        for root in self._roots[1:]:
            with contextlib.suppress(OSError):
                return Path(f"/proc/{root.pid}/net/unix").read_bytes().count(b"\n")
        return 0

    async def _watch(self, seconds: float) -> None:
        """Watch what runs for at most ``seconds``; nothing goes on that can't be watched."""
        try:
            await self._watching(seconds)
        except Exception as error:  # whatever its messages and processes hold
            self._over = f"It could not be watched ({type(error).__name__})."
            await self._kill()

    async def _watching(self, seconds: float) -> None:
        """Interrupt what computes for more than ``seconds``; kill what does not stop, or uses up too much in all."""
        begun, pause = time.monotonic(), 0.2
        before = None
        assert self.kc is not None
        while True:
            await asyncio.sleep(pause)
            # What nbclient sends for a widget can swallow the signal that a reply is there: look for one.
            self.kc.shell_channel.socket.get(zmq.EVENTS)
            if self._requesting:
                await self._drain()
            used, now = self._usage()[0], time.monotonic()
            if before is None:
                before, active, since = used, used, now
            if used > active + 0.1:  # even on a busy machine, who computes gets further
                active, since = used, now
            pause = min(1.0, pause * 1.5)
            self._over = self._too_much()
            waited = max((now - since) / self.limits.idle, (now - begun) / (self.limits.waiting * seconds))
            if used - before > seconds:
                self.interrupted = "computing"
            elif waited > 1 and waited > _slowness():
                self.interrupted = "waiting"
            if self._over or (self.interrupted and await self._interrupt()):
                await self._kill()
            if self._over or self.interrupted:
                return

    def look_after(self) -> None:
        """While nothing is asked of it: what its threads and processes do counts as well. Raises StoppedError."""
        run_sync(self._drain)()
        self._raise_if_over()

    async def _drain(self) -> None:
        """Read, and so count, what nobody waits for."""
        assert self.kc is not None
        with contextlib.suppress(Exception):  # none is left, or one that no kernel sends: the next look goes on
            while self.account.received + self._received() <= self.limits.output:
                await ensure_async(self.kc.iopub_channel.get_msg(timeout=0))

    async def _interrupt(self) -> bool:
        """Interrupt again and again, for code that swallows it; True if it still goes on."""
        assert self.km is not None
        begun, patience = time.monotonic(), STUBBORN * max(1.0, 2 * _slowness())
        while time.monotonic() < begun + patience:  # whoever waits for the reply cancels this as soon as it comes
            await ensure_async(self.km.interrupt_kernel())
            await asyncio.sleep(0.003 if time.monotonic() > begun + 1 else 0.2)
        return True

    async def _kill(self) -> None:
        assert self.km is not None
        assert self.km.provisioner is not None
        await ensure_async(self.km.provisioner.kill())

    def _usage(self) -> tuple[float, int]:
        """Computing time (seconds) and memory (bytes) of all processes in the sandbox, now or when last seen."""
        seconds, memory = 0.0, 0
        seen: list[tuple[int, int]] = []
        for root in self._roots:
            try:
                processes = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue  # it has ended
            for process in processes:
                try:
                    times = process.cpu_times()
                    held = _sum(HELD, Path(f"/proc/{process.pid}/status"))
                except (psutil.Error, OSError):
                    continue
                seconds += times.user + times.system + times.children_user + times.children_system
                memory += held
                seen.append((process.pid, held))
        if memory > 1.5 * self.limits.memory:  # now it is worth a closer look: forks share what they have not changed
            memory = sum(_share(pid, held) for pid, held in seen)
        self._seconds, self._processes = max(self._seconds, seconds), sum(held > 0 for _, held in seen)
        return self._seconds, memory


def _sum(wanted: re.Pattern[bytes], file: Path) -> int:
    return sum(int(kilobytes) << 10 for kilobytes in wanted.findall(file.read_bytes()))


def _share(pid: int, held: int) -> int:
    """The process's part of the memory that it holds with others; ``held`` where that can't be told."""
    try:
        return _sum(SHARE, Path(f"/proc/{pid}/smaps_rollup")) or held
    except OSError:
        return held


def _slowness() -> float:
    """How many times as long as it should a bit of computing takes on this machine now."""
    begun, computed, piece = time.monotonic(), time.thread_time(), 0.02
    while time.thread_time() - computed < piece:
        pass
    return (time.monotonic() - begun) / piece
