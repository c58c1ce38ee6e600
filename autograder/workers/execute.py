"""Run one sanitised notebook in the sandbox: nbgrader's `Execute`, with limits, a judge and a second chance.

In the place of nbgrader's own preprocessor (nbgrader_config.py puts it there). What is different:

- The kernel is in a sandbox (`provisioner`); what it uses up is watched from outside: computing time, not the clock.
- A check whose inputs and outputs are plain data is judged outside (`judge`), and the sandbox never sees it. The others
  run beside the learner's code; should the tools be changed by then (`witness`), they give no points.
- Code that ends or hangs the kernel costs the points of what it breaks: the rest runs again without it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil
import zmq
from jupyter_core.utils import run_sync
from nbclient.client import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade, is_locked, is_solution

from ..judge.client import Judge, names_needed
from ..sandbox.bubblewrap import Limits
from ..sandbox.provisioner import SandboxKernelManager, SandboxProvisioner, zygote
from ..sandbox.witness import tools_of
from ..sandbox.zygote import Forked

CALL_SECONDS = 15.0  # computing time of one call from a check
STUBBORN = 5.0  # seconds in which code may go on after it was interrupted
RESTARTS = 12
HELD = re.compile(r"^(?:RssAnon|RssShmem):\s+(\d+) kB$", re.MULTILINE)  # of /proc/<pid>/status; the rest is files
TOO_LONG = "This took more than {:g} seconds of computing time and was stopped. Is there a loop that never ends?"
_judges: dict[tuple, Forked] = {}  # (the zygote's pid, locked cells) -> the judge that has run them


class BrokenToolError(Exception):
    """The grader's own processes failed (were killed, say); the submission has nothing to do with it."""


class _StoppedError(Exception):
    """A limit on the whole submission was reached: nothing more of it runs."""


@dataclass
class Report:
    """What happened beside the outputs. ``review``: (cell, reason) for a person to look at."""

    review: list[tuple[str, str]] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)  # checks decided outside of the sandbox
    seconds: float = 0.0  # computing time inside it


class SandboxedExecute(Execute):
    """Runs the notebook; errors of the learner's code are outputs, as with nbgrader."""

    limits = Limits()
    extras: Mapping[str, str] = MappingProxyType({})  # files that lie beside the notebook: path -> base64
    skip: frozenset[int] = frozenset()  # cells that need not run (`skipping`)

    def preprocess(
        self, nb: NotebookNode, resources: dict | None = None, km: object = None
    ) -> tuple[NotebookNode, dict | None]:
        for cell in nb.cells:
            cell.metadata.pop("tags", None)  # "skip-execution" on a check would give its points
        self.report = Report()
        self._done: set[int] = set()  # cells with a final result
        self._harmful: dict[str, str] = {}  # function -> why it is called no more
        self._printed = 0  # bytes
        self._before = 0.0  # computing time of earlier kernels
        self._locked = tuple(c.source for c in nb.cells if is_locked(c) and not is_grade(c) and c.cell_type == "code")
        self._asked = False  # the judge
        why = "It was not run: the kernel died too often."
        for _ in range(RESTARTS):
            try:
                self._run(nb, resources)
                break
            except DeadKernelError:
                if not self._zygote.alive():  # it takes its kernels with it
                    raise BrokenToolError("the zygote died") from None
                self._blame(nb.cells[self._at], self._at)
            except _StoppedError as stopped:
                why = str(stopped)
                self.report.review.append((nb.cells[self._at].id, why))
                break
            except BrokenToolError:
                raise
            except Exception as error:  # whatever forged messages make the code that reads them stumble on
                if not self._zygote.alive():
                    raise BrokenToolError("the zygote died") from error
                why = f"The kernel sent messages that no kernel sends ({type(error).__name__}: {error})."
                self.report.review.append((nb.cells[self._at].id, why[:300]))
                break
            finally:
                self._before += self._seconds
        for index, cell in enumerate(nb.cells):
            if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell) and index not in self._done:
                fail(cell, "RuntimeError", why)
        self.report.seconds = self._before
        return nb, resources

    def _run(self, nb: NotebookNode, resources: dict | None) -> None:
        """All cells that have no final result yet, in a fresh kernel."""
        self._at, self._seconds, self._over = 0, 0.0, ""
        self._calling, self._interrupted = "", False
        manager = SandboxKernelManager()
        manager.extras = dict(self.extras)
        NotebookClient.__init__(self, nb, manager)
        self.reset_execution_trackers()
        self._check_assign_resources(resources)
        self.kc = None
        self._zygote = zygote()
        try:
            run_sync(manager.start_kernel)()
        except (OSError, RuntimeError, EOFError) as error:
            run_sync(manager.shutdown_kernel)(now=True)
            raise BrokenToolError(f"no kernel could be started: {error}") from error
        try:
            # Whatever the kernel leaves behind becomes a child of the sandbox's first process.
            top = manager.provisioner
            assert isinstance(top, SandboxProvisioner)
            assert top.forked is not None
            assert top.sandbox is not None
            tops = (top.forked.pid, top.sandbox.pid)
            self._roots = [psutil.Process(pid) for pid in tops]
            self.start_new_kernel_client()
        except (psutil.Error, RuntimeError, DeadKernelError) as error:  # nothing of the learner's has run yet
            self._roots = []
            run_sync(manager.shutdown_kernel)(now=True)
            raise BrokenToolError(f"the kernel did not start: {error}") from error
        try:
            for index, cell in enumerate(nb.cells):
                self._at = index
                if cell.cell_type != "code" or index in self._done or not cell.source.strip():
                    continue
                if is_grade(cell) and not is_solution(cell):
                    self._check(cell, index)
                    self._done.add(index)
                elif index not in self.skip:
                    self.execute_cell(cell, index)
                    self._tidy(cell)
        finally:
            self._seconds = self._usage()[0]
            if self._asked:
                self._asked = False
                self._dismiss_judge()
            if self.kc is not None:
                self.kc.stop_channels()
                self.kc = None
            run_sync(manager.shutdown_kernel)(now=True)
            self.km = None

    # One check

    def _check(self, cell: NotebookNode, index: int) -> None:
        names = names_needed(cell.source, self._locked)
        found = self._request("look_request", {"names": names})[0]["found"] if names else {}
        # Of what the sandbox says, only what was asked for: else it could replace the check's own tools.
        found = {name: dict(found[name]) for name in names if name in found}
        verdict = self._verdict(cell.source, found)
        if verdict["status"] != "not plain":
            self.report.judged.append(cell.id)
            cell.outputs = []
            if verdict.get("printed"):
                cell.outputs.append(
                    new_output("stream", name="stdout", text=verdict["printed"][: self.limits.cell_output])
                )
            if verdict["status"] == "error":
                fail(cell, verdict["name"], verdict["text"], keep=True)
            elif verdict["status"] == "died":
                fail(cell, "RuntimeError", verdict["text"], keep=True)
            return
        changed, hidden = self._witness(cell.source)
        if hidden and not changed:
            fail(cell, "NameError", f"Your notebook uses {', '.join(hidden)} for something else; choose another name.")
            return
        if not changed:
            self.execute_cell(cell, index)
            self._tidy(cell)
            changed, _ = self._witness(cell.source)
        if changed:
            fail(cell, "AssertionError", "This notebook changes the tools that its answers are checked with.")
            self.report.review.append((cell.id, f"the notebook replaced {', '.join(changed)}"))

    def _verdict(self, source: str, found: dict[str, dict]) -> dict:
        key = (self._zygote.pid, *self._locked)
        try:
            if key not in _judges:
                _judges.clear()  # of another notebook, or of a zygote that died
                _judges[key] = self._zygote.fork({"kind": "judge", "cells": self._locked})
            self._asked = True
            return Judge(_judges[key].connection).verdict(source, found, self._call)
        except (EOFError, OSError) as error:
            _judges.clear()
            raise BrokenToolError(f"the judge died: {error}") from error

    def _dismiss_judge(self) -> None:
        try:
            for judge in _judges.values():
                Judge(judge.connection).end()
        except OSError:
            _judges.clear()

    def _witness(self, check: str) -> tuple[list[str], list[str]]:
        """What of the tools was changed; which names of Python's own are used for something else."""
        reply, _ = self._request("witness_request", {"builtin": tools_of(check)})
        return [str(name) for name in reply["changed"]], [str(name) for name in reply["hidden"]]

    def _call(self, content: dict, buffers: list[bytes]) -> tuple[dict, list[bytes]]:
        """One call of the judge's, carried to the kernel: (content, buffers) -> (content, buffers)."""
        name = content["name"]
        if name in self._harmful:
            return {"error": {"types": ["AssertionError"], "text": self._harmful[name]}}, []
        self._calling = name
        reply, buffers = self._request("call_request", content, buffers, seconds=CALL_SECONDS)
        self._calling = ""
        if reply.get("interrupted"):
            self._harmful[name] = TOO_LONG.format(CALL_SECONDS)
            return {"error": {"types": ["AssertionError"], "text": self._harmful[name]}}, []
        return reply, buffers

    def _request(
        self, kind: str, content: dict, buffers: Sequence[bytes] = (), seconds: float = 60.0
    ) -> tuple[dict, list[bytes]]:
        """Send the kernel a request and wait for its reply. Raises DeadKernelError."""
        return run_sync(self._ask)(kind, content, list(buffers), seconds)

    async def _ask(self, kind: str, content: dict, buffers: list[bytes], seconds: float) -> tuple[dict, list[bytes]]:
        watch = asyncio.ensure_future(self._watch(seconds))
        try:
            assert self.kc is not None
            socket = self.kc.shell_channel
            message = self.kc.session.msg(kind, content)
            self.kc.session.send(socket.socket, message, buffers=buffers)
            while True:
                try:
                    reply = await ensure_async(socket.get_msg(timeout=0.5))
                except Exception as error:
                    if type(error).__name__ != "Empty":
                        raise
                    await self._async_check_alive()
                    continue
                if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                    return reply["content"], [bytes(b) for b in reply["buffers"]]
        finally:
            watch.cancel()
            self._raise_if_over()

    # What it uses up

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, execution_count: int | None = None, store_history: bool = True
    ) -> NotebookNode:
        self._kept, self._interrupted = 0, False
        watch = asyncio.ensure_future(self._watch(self.limits.cell_seconds))
        try:
            return await super().async_execute_cell(cell, cell_index, execution_count, store_history)
        finally:
            watch.cancel()
            self._raise_if_over()

    execute_cell = run_sync(async_execute_cell)

    def _raise_if_over(self) -> None:
        if self._printed > self.limits.output:
            self._over = f"It printed more than {self.limits.output >> 20} MB."
        if self._over:
            raise _StoppedError(self._over)

    async def _watch(self, seconds: float) -> None:
        """Interrupt what computes for more than ``seconds``; kill what does not stop, or uses up too much in all."""
        begun, pause = time.monotonic(), 0.2
        before = None
        assert self.kc is not None
        while True:
            await asyncio.sleep(pause)
            # What nbclient sends for a widget can swallow the signal that a reply is there: look for one.
            self.kc.shell_channel.socket.get(zmq.EVENTS)
            used, memory = self._usage()
            now = time.monotonic()
            if before is None:
                before, active, since = used, used, now
            if used > active + 0.1:  # even on a busy machine, who computes gets further
                active, since = used, now
            pause = min(1.0, pause * 1.5)
            limits = self.limits
            if self._printed > limits.output:
                self._over = f"It printed more than {limits.output >> 20} MB."
            elif memory > 1.5 * limits.memory:
                self._over = f"Its processes took more than {1.5 * limits.memory / 2**30:g} GB of memory."
            elif self._before + used > limits.seconds:
                self._over = f"All in all it took more than {limits.seconds:g} seconds of computing time."
            elif used - before > seconds or now - since > limits.idle or now - begun > limits.waiting * seconds:
                self._interrupted = True
                if await self._interrupt():
                    await self._kill()
                return
            if self._over:
                await self._kill()
                return

    async def _interrupt(self) -> bool:
        """Interrupt again and again, for code that swallows it; True if it still goes on."""
        assert self.km is not None
        stop = time.monotonic() + STUBBORN
        while time.monotonic() < stop:  # whoever waits for the reply cancels this as soon as it comes
            await ensure_async(self.km.interrupt_kernel())
            await asyncio.sleep(0.003 if time.monotonic() > stop - STUBBORN + 1 else 0.2)
        return True

    async def _kill(self) -> None:
        assert self.km is not None
        assert self.km.provisioner is not None
        await ensure_async(self.km.provisioner.kill())

    def _usage(self) -> tuple[float, int]:
        """Computing time (seconds) and memory (bytes) of all processes in the sandbox now."""
        seconds, memory = 0.0, 0
        for root in self._roots:
            try:
                processes = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue  # it has ended
            for process in processes:
                try:
                    times = process.cpu_times()
                    status = Path(f"/proc/{process.pid}/status").read_text()
                except (psutil.Error, OSError):
                    continue
                seconds += times.user + times.system + times.children_user + times.children_system
                memory += sum(int(kilobytes) << 10 for kilobytes in HELD.findall(status))
        return seconds, memory

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        content = msg["content"]
        text = content.get("text", "")
        size = len(text) if isinstance(text, str) else 0
        size += (
            sum(len(str(part)) for part in content.get("data", {}).values())
            if isinstance(content.get("data"), dict)
            else 0
        )
        self._printed += size
        self._kept += size
        if size and self._kept > self.limits.cell_output:
            if self._kept - size > self.limits.cell_output or msg["msg_type"] != "stream":
                return None
            content["text"] = text[: self.limits.cell_output] + "\n... the rest was cut\n"
        return super().process_message(msg, cell, cell_index)

    # What went wrong

    def _tidy(self, cell: NotebookNode) -> None:
        """After a cell: an interruption by the limit says so."""
        if self._interrupted:
            fail(cell, "CellTimeoutError", TOO_LONG.format(self.limits.cell_seconds))
        if is_grade(cell):  # nbgrader takes a number shown by a check as its points; anybody's code can show one
            cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]

    def _blame(self, cell: NotebookNode, index: int) -> None:
        """The kernel died in this cell: it, or the function that a check called, runs no more."""
        why = "it could not be stopped" if self._interrupted else "the kernel died while it ran"
        if self._calling:
            self._harmful[self._calling] = f"{self._calling}() is not called again: {why}."
            self.report.review.append((cell.id, f"{why}: {self._calling}()"))
        else:
            fail(cell, "RuntimeError", f"This cell does not run again: {why}. Does it end the process or never end?")
            self._done.add(index)
            self.report.review.append((cell.id, why))


def fail(cell: NotebookNode, name: str, text: str, keep: bool = False) -> None:
    """Give the cell an error as its output; with ``keep``, after what it has."""
    output = new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])
    cell.outputs = [*(cell.outputs if keep else []), output]
