"""The grading process's end of the line to a `judge`: sends it checks, carries its calls to the sandbox."""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing.connection import Connection

Call = Callable[[dict, list[bytes]], tuple[dict, list[bytes]]]


class Judge:
    """Has checks judged, and answers the judge's calls."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def verdict(self, source: str, found: dict[str, dict], call: Call) -> dict:
        """Run the check ``source``; {"status": "ok" | "error" | "not plain" | "died", ...}.

        ``found``: what the learner's names stand for (`kernel.Kernel._look`). ``call``: carries one call to the
        sandbox, (content, buffers) -> (content, buffers). Raises EOFError where the judge is gone.
        """
        send(self._connection, {"source": source, "found": found})
        failure: Exception | None = None
        while True:
            told, buffers = receive(self._connection)
            if "verdict" in told:
                if failure is not None:
                    raise failure
                return told["verdict"]
            answer: tuple[dict, list[bytes]]
            try:
                answer = call(told["call"], buffers)
            except Exception as error:  # the judge goes on and comes to an end, whatever happened in the sandbox
                failure = error
                answer = {"error": {"types": ["AssertionError"], "text": "The kernel died."}}, []
            send(self._connection, *answer)

    def end(self) -> None:
        """The submission's last check is judged."""
        send(self._connection, {"end": True})


@cache
def names_needed(check: str, locked: tuple[str, ...]) -> list[str]:
    """The names that ``check`` takes from the learner: used in it or in the locked cells, and made in neither."""
    used, made = set(), set(dir(builtins))
    for source in (check, *locked):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                made.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.arg):
                made.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                made.add(node.name)
    return sorted(used - made)


def send(connection: Connection, content: dict, buffers: Sequence[bytes] = ()) -> None:
    connection.send_bytes(json.dumps([content, len(buffers)]).encode())
    for buffer in buffers:
        connection.send_bytes(buffer)


def receive(connection: Connection) -> tuple[dict, list[bytes]]:
    content, count = json.loads(connection.recv_bytes())
    return content, [connection.recv_bytes() for _ in range(count)]
