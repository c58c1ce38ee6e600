"""A kernel's messages: all are counted on arrival, and only those of an honest kernel's size are read."""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.session import Session

SMALL = 1 << 16  # bytes of a header or of metadata
CONTENT = 8 << 20  # bytes of JSON


class BoundedSession(Session):
    """A session that counts ``received`` bytes. Content that is too large is left out, and the message says so."""

    received = 0

    def deserialize(self, msg_list: list, content: bool = True, copy: bool = True) -> dict[str, Any]:
        """Return a message. Raises ValueError or TypeError for what no kernel sends."""
        parts = [part if isinstance(part, bytes) else bytes(part.bytes) for part in msg_list]
        self.received += sum(map(len, parts))
        if any(len(part) > SMALL for part in parts[:4]):
            raise ValueError("a message's header or metadata is too large")
        if len(parts) > 4 and len(parts[4]) > CONTENT:
            parts[4] = json.dumps(_left_out(len(parts[4]))).encode()
            parts[0] = self.sign(parts[1:5])
        return super().deserialize(parts, content)


def _left_out(size: int) -> dict:
    """Return a replacement for any message's content."""
    text = f"[{size:,} bytes were left out]"
    error = {"types": ["RuntimeError"], "name": "RuntimeError", "text": text}
    made = {"status": "error", "ename": "Error", "evalue": text, "traceback": [], "error": error}
    return made | {"name": "stdout", "text": text + "\n", "data": {"text/plain": text}, "metadata": {}}
