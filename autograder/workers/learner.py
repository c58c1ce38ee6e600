"""The worker's side of a learner's kernel in its sandbox: cells and requests, each under a `Watch`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from queue import Empty

import psutil
from jupyter_client.client import KernelClient
from jupyter_core.utils import run_sync
from nbclient.client import NotebookClient
from nbclient.exceptions import CellExecutionComplete, DeadKernelError
from nbclient.util import ensure_async
from nbformat import NotebookNode

from ..sandbox.messages import BoundedSession
from ..sandbox.provisioner import SandboxKernelManager, SandboxProvisioner, zygote
from ..sandbox.zygote import Zygote
from .setting import Account, BrokenToolError, Setting, StoppedError
from .shapes import KINDS, is_whole
from .usage import Usage
from .watch import Watch

OUTPUTS = 2_000  # of a cell


class LearnerKernel(NotebookClient):
    """A kernel in a sandbox. ``watch`` says why the last run was interrupted.

    ``dropped`` counts messages that no kernel sends: unasked ones, and those of another shape.
    """

    def __init__(self, notebook: NotebookNode, setting: Setting, account: Account) -> None:
        manager = SandboxKernelManager(session=BoundedSession())
        manager.limits, manager.files, manager.hidden = setting.limits, setting.files, setting.hidden
        manager.warm, manager.own_work = setting.warm, setting.own_work
        super().__init__(notebook, manager, allow_errors=True, timeout=None, record_timing=False, startup_timeout=300)
        self.reset_execution_trackers()
        self.limits = setting.limits
        self.zygote: Zygote = zygote(setting.warm)
        self.watch = Watch(setting.limits, account, manager)
        self.dropped = 0
        self.killed = False  # at its end, by Linux, whose memory ran out, or by itself
        self._manager, self._kept, self._kept_in_all = manager, 0, 0  # bytes of outputs: of this cell, of all

    def start(self) -> None:
        """Start the kernel. Raises BrokenToolError before any code of the learner has run, StoppedError afterwards."""
        self.kc = None
        try:
            run_sync(self._manager.start_kernel)()
            top = self._manager.provisioner
            assert isinstance(top, SandboxProvisioner)
            assert top.forked is not None
            assert top.sandbox is not None
            assert top.forked.pid is not None
            self.watch.usage = Usage([top.forked.pid, top.sandbox.pid])
            self.start_new_kernel_client()
        except (OSError, RuntimeError, EOFError, psutil.Error, DeadKernelError) as error:
            self.stop()
            raise BrokenToolError(f"no kernel could be started: {error}") from error
        except StoppedError:
            self.stop()
            raise

    async def async_start_new_kernel_client(self) -> KernelClient:
        """Start nbclient's client without the channels for input and heartbeats, which are not read."""
        assert self.km is not None
        kc = self.km.client()
        kc.start_channels(stdin=False, hb=False)
        self.kc = self.watch.client = kc
        async with self.watch.over(self.limits.cell_seconds):
            await ensure_async(kc.wait_for_ready(timeout=self.startup_timeout))
        return kc

    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    def stop(self) -> None:
        """End the sandbox in any case."""
        try:
            self.watch.settle()
            top = self._manager.provisioner
            if isinstance(top, SandboxProvisioner) and top.forked is not None:
                self.killed = top.forked.poll() == -signal.SIGKILL
            if self.kc is not None:  # not stop_channels(): it opens those that were never started
                for channel in (self.kc.shell_channel, self.kc.iopub_channel, self.kc.control_channel):
                    channel.stop()
                self.kc = self.watch.client = None
        finally:
            run_sync(self._manager.shutdown_kernel)(now=True)
            self.km = None

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, execution_count: int | None = None, store_history: bool = True
    ) -> NotebookNode:
        self._kept, others = 0, asyncio.all_tasks()
        try:
            async with self.watch.over(self.limits.cell_seconds):
                return await super().async_execute_cell(cell, cell_index, execution_count, store_history)
        finally:  # nbclient's own go on after an error, and would fail later, on the terminal
            for task in asyncio.all_tasks() - others:
                task.cancel()

    execute_cell = run_sync(async_execute_cell)

    def request(
        self, kind: str, content: dict, buffers: Sequence[bytes] = (), seconds: float = 60.0
    ) -> tuple[dict, list[bytes]]:
        """Send the kernel a request and wait for its reply. Raises DeadKernelError, StoppedError."""
        return run_sync(self._ask)(kind, content, list(buffers), seconds)

    async def _ask(self, kind: str, content: dict, buffers: list[bytes], seconds: float) -> tuple[dict, list[bytes]]:
        async with self.watch.over(seconds, requesting=True):
            assert self.kc is not None
            socket = self.kc.shell_channel
            message = self.kc.session.msg(kind, content)
            self.kc.session.send(socket.socket, message, buffers=buffers)
            while True:
                try:
                    reply = await ensure_async(socket.get_msg(timeout=0.5))
                except Empty:
                    self.watch.raise_if_over()  # should the watch have ended
                    await self._async_check_alive()
                    continue
                if (
                    reply["parent_header"].get("msg_id") == message["header"]["msg_id"]
                    and reply["msg_type"] == kind.replace("request", "reply")
                    and isinstance(reply["content"], dict)
                ):
                    buffers = [bytes(b) for b in reply["buffers"]]
                    self.watch.asked_for += sum(map(len, buffers))
                    return reply["content"], buffers
                self.dropped += reply["msg_type"] != "kernel_info_reply"  # of these nbclient may have asked for several

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Keep a cell's output up to the limits, and the end of an error."""
        kind, content, limit = msg["msg_type"], msg["content"], self.limits.cell_output
        if not isinstance(kind, str) or kind not in KINDS or (len(cell.outputs) > OUTPUTS and kind != "status"):
            return None  # widgets' messages among them: no grade depends on these
        if not is_whole(kind, content):
            self.dropped += 1
            return None
        if kind == "stream":
            text = content["text"]
            content["text"] = text if len(text) <= limit else text[:limit] + "\n... the rest was cut\n"
            size = len(text)
        elif kind == "error":
            content["ename"], content["evalue"] = content["ename"][:200], content["evalue"][:20_000]
            content["traceback"] = [frame[:20_000] for frame in content["traceback"][-20:]]
            size = sum(map(len, content["traceback"]))
        elif kind in ("display_data", "update_display_data", "execute_result"):
            size = self._size_of_display(content, kind)
        else:
            size = 0
        too_much = self._kept > limit or (self._kept + size > limit and kind not in ("stream", "error"))
        if size and (too_much or self._kept_in_all + size > self.limits.output):
            return None
        self._kept += size
        self._kept_in_all += size
        try:
            return super().process_message(msg, cell, cell_index)
        except CellExecutionComplete:
            raise
        except Exception:  # a display that is there no more, say: nbclient takes a kernel's word for it
            self.dropped += 1
            return None

    def _size_of_display(self, content: dict, kind: str) -> int:
        """Return the bytes that a display takes: one that has an id is written into each output with this id."""
        if kind == "execute_result":
            content.setdefault("execution_count", None)  # of one whose content was left out
        size = sum(len(str(part)) for part in (*content["data"].values(), content["metadata"]))
        places = self._display_id_map.get((content.get("transient") or {}).get("display_id") or "", {})
        copies = sum(map(len, places.values())) + (kind != "update_display_data")
        return size * copies
