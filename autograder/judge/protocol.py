"""The protocol between a worker and a judge: messages of known kinds, numbered by check and call, limited in size.

    worker -> judge   ("check", 3, 0, what the learner's names stand for)     ("answer", 3, 1, a call's result)
    judge -> worker   ("call", 3, 1, a call)                                  ("verdict", 3, 0, what came of the check)

A reader drops unsolicited messages. Waiting ends at a deadline, which raises nothing in the middle of a message.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .wire import BYTES, TEXT

PARTS = 4096
HEAD = 2 * TEXT  # bytes of a message's JSON
NEVER = 1e9  # seconds


class ProtocolError(Exception):
    """The other side sent an invalid message."""


@dataclass(frozen=True)
class Message:
    """A message. ``content`` is JSON; ``check`` and ``call`` are numbers, 0 where there is none."""

    kind: str
    check: int
    call: int
    content: dict
    buffers: Sequence[bytes] = ()


class Line:
    """One end of a connection. Raises EOFError if the other end is closed, OSError if it does not read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, message: Message, seconds: float = 60.0) -> None:
        """Send a message. Raises ProtocolError for one that is too large, of which nothing was sent."""
        head = json.dumps([message.kind, message.check, message.call, message.content]).encode()
        if len(head) > HEAD or len(message.buffers) >= PARTS or sum(map(len, message.buffers)) > BYTES:
            raise ProtocolError("too large a message")
        parts = [head, *message.buffers]
        self._connection.settimeout(seconds)
        self._connection.sendall(struct.pack(f">I{len(parts)}I", len(parts), *map(len, parts)))
        for part in parts:
            self._connection.sendall(part)

    def receive(self, deadline: float = NEVER) -> Message | None:
        """Return the next message, None if there is none by the ``deadline`` (of `time.monotonic`)."""
        try:
            (count,) = struct.unpack(">I", self._exactly(4, deadline))
            if not 1 <= count <= PARTS:
                raise ProtocolError("too many parts")
            sizes = struct.unpack(f">{count}I", self._exactly(4 * count, deadline))
            if sizes[0] > HEAD or sum(sizes[1:]) > BYTES:
                raise ProtocolError("too large a message")
            head, *buffers = [self._exactly(size, deadline) for size in sizes]
        except TimeoutError:
            return None
        return _message(head, buffers)

    def ready(self, seconds: float) -> bool:
        """Return whether something can be read within this many seconds."""
        return bool(select.select([self._connection], [], [], seconds)[0])

    def close(self) -> None:
        self._connection.close()

    def _exactly(self, count: int, deadline: float) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            got = self._connection.recv_into(view)
            if got == 0:
                raise EOFError("the other end is gone")
            view = view[got:]
        return bytes(data)


def _message(head: bytes, buffers: list[bytes]) -> Message:
    try:
        kind, check, call, content = json.loads(head)
    except (ValueError, TypeError, RecursionError) as error:
        raise ProtocolError(f"no message: {error}") from error
    if not (isinstance(kind, str) and type(check) is type(call) is int and isinstance(content, dict)):
        raise ProtocolError("no message")
    return Message(kind, check, call, content, buffers)
