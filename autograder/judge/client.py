"""The worker's client of a judge: it starts the judge, requests verdicts, and forwards calls to the sandbox."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..sandbox.bubblewrap import MEGABYTE, Limits, Sandbox
from ..sandbox.zygote import Forked, Zygote
from .protocol import Line, Message, ProtocolError
from .proxy import PRINTED, TEXT

Call = Callable[[dict, Sequence[bytes]], tuple[dict, Sequence[bytes]]]
LIMITS = Limits(memory=4096 * MEGABYTE, disk=64 * MEGABYTE)
START = 120.0  # seconds on the clock: the first one waits for the zygote's imports


@dataclass(frozen=True)
class Verdict:
    """``status`` is "passed", "failed" or "trouble" (an error of the grader); ``value`` is partial credit, as text."""

    status: str
    name: str = ""
    text: str = ""
    value: str = ""
    printed: str = ""
    review: str = ""


class JudgeError(Exception):
    """The judge has ended, or sent no verdict in time."""


class Judge:
    """The client of a judge for one notebook of one submission, at the other end of ``line``."""

    def __init__(self, line: Line, sandbox: Sandbox | None = None) -> None:
        self._line, self._sandbox = line, sandbox
        self._process: Forked | None = None  # dropping the last reference kills it
        self.dropped = 0  # unsolicited messages

    @classmethod
    def start(
        cls,
        zygote: Zygote,
        cells: Sequence[str],
        checks: Mapping[int, str],
        files: Mapping[str, str],
        hidden: Sequence[str] = (),
        seeds: Mapping[int, int] = MappingProxyType({}),
    ) -> Judge:
        """Start a judge. ``cells`` and ``checks`` are the instructor's; ``files`` lie beside, ``hidden`` is covered.

        ``seeds``: {check: seed of its random inputs}. Raises JudgeError, SandboxError.
        """
        ours, theirs = socket.socketpair()
        made = cls(Line(ours), Sandbox(LIMITS, hidden))
        try:
            request = {"target": "autograder.judge.process:main", "cells": list(cells), "checks": dict(checks)}
            request["seeds"] = dict(seeds)
            assert made._sandbox is not None
            made._process = zygote.fork_into(made._sandbox, LIMITS, request, files, theirs)
            made._process.started(START)
        except (OSError, RuntimeError) as error:
            made.close()
            raise JudgeError(f"no judge could be started: {error}") from error
        finally:
            theirs.close()
        return made

    def close(self) -> None:
        self._line.close()
        if self._sandbox is not None:
            self._sandbox.close()

    def verdict(
        self,
        check: int,
        names: dict,
        values: Sequence[bytes],
        call: Call,
        deadline: float,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Verdict:
        """Request the verdict of a check. ``names`` are the learner's names and their values, ``values`` the buffers.

        ``call`` carries one call to the sandbox, (content, buffers) -> (content, buffers), and ``meanwhile`` is called
        now and then while the judge computes; what they raise ends the check. Raises JudgeError, at the ``deadline``
        (of `time.monotonic`) at the latest.
        """
        calls = 0
        self._send(Message("check", check, 0, names, values))
        while True:
            while not self._line.ready(0.5) and time.monotonic() < deadline:
                meanwhile()
            message = self._receive(deadline)
            if (message.kind, message.check, message.call) == ("verdict", check, 0):
                return _verdict(message.content)
            if (message.kind, message.check, message.call) == ("call", check, calls + 1):
                calls += 1
                content, buffers = call(message.content, message.buffers)
                self._send(Message("answer", check, calls, content, buffers))
            else:
                self.dropped += 1

    def _send(self, message: Message) -> None:
        try:
            self._line.send(message)
        except (OSError, ProtocolError) as error:
            raise JudgeError(f"the judge does not accept messages: {error}") from error

    def _receive(self, deadline: float) -> Message:
        try:
            message = self._line.receive(deadline)
        except (EOFError, OSError, ProtocolError) as error:
            raise JudgeError(f"the judge ended: {error}") from error
        if message is None:
            raise JudgeError("no verdict came in time")
        return message


def _verdict(content: dict) -> Verdict:
    """Return the verdict in a message. Raises JudgeError for anything else: the judge reads untrusted data."""
    fields = {name: content.get(name, "") for name in Verdict.__dataclass_fields__}
    if not all(isinstance(text, str) and len(text) <= max(TEXT, PRINTED) for text in fields.values()):
        raise JudgeError("the judge sent no verdict")
    if fields["status"] not in ("passed", "failed", "trouble"):
        raise JudgeError("the judge sent no verdict")
    return Verdict(**fields)
