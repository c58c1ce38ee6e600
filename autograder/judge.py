"""The verdict, outside the sandbox: a check runs here, in a trusted process, and the learner's functions are far away.

The names of the learner's functions stand for `Proxy` objects. A call carries its arguments to the sandbox as plain
data (`wire`), the function computes there, and plain data comes back. Whatever the learner's code did to PyTorch,
to ``assert`` or to IPython, it did it there. A check that passes something else than plain data (a model, a function)
is not judged here: `serve` says so, and it runs beside the learner's code, watched by a `witness`.

`serve` runs the notebook's locked cells once, then each check in a fork of its own: no check sees what another left.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from .wire import Decoder, Encoder, NotPlainError, Opaque

BUILTIN = __import__("builtins").__dict__


class Judge:
    """The grading process's side: has checks judged, and answers the judge's calls with ``call``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def verdict(self, source: str, found: dict[str, dict], call: Callable[[dict, list[bytes]], tuple]) -> dict:
        """Run the check ``source``; {"status": "ok" | "error" | "not plain" | "died", ...}.

        ``found``: what the learner's names stand for (`kernel.Kernel._look`). ``call``: carries one call to the
        sandbox, (content, buffers) -> (content, buffers). Raises EOFError where the judge is gone.
        """
        _send(self._connection, {"source": source, "found": found})
        failure: Exception | None = None
        while True:
            told, buffers = _receive(self._connection)
            if "verdict" in told:
                if failure is not None:
                    raise failure
                return told["verdict"]
            try:
                answer = call(told["call"], buffers)
            except Exception as error:  # the judge goes on and comes to an end, whatever happened in the sandbox
                failure = error
                answer = {"error": {"types": ["AssertionError"], "text": "The kernel died."}}, []
            _send(self._connection, *answer)


# Below: inside the judge's process.


class Proxy:
    """A function of the learner's, called where it is."""

    def __init__(self, name: str, connection: Connection, borrowed: str | None) -> None:
        self.__name__, self.borrowed, self._connection = name, borrowed, connection

    def __call__(self, *arguments: object, **named: object) -> object:
        encoder = Encoder(strict=True)
        call = {"name": self.__name__, "arguments": encoder.encode(arguments), "named": encoder.encode(named)}
        _send(self._connection, {"call": call}, encoder.buffers)
        told, buffers = _receive(self._connection)
        decoder = Decoder(buffers)
        if "arguments" in told:
            _take_over(arguments, decoder.decode(told["arguments"]))
            _take_over(named, decoder.decode(told["named"]))
        if "error" in told:
            raise _error(told["error"])
        return decoder.decode(told["result"])


def serve(connection: Connection, cells: list[str]) -> None:
    """Run the locked ``cells``, then judge checks until the connection ends."""
    notebook: dict[str, object] = {"__name__": "__main__", "__builtins__": BUILTIN}
    _own_work_is_looked_at_in_the_sandbox()
    os.environ["MPLBACKEND"] = "agg"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for cell in cells:
            exec(compile(cell, "<locked cell>", "exec"), notebook)
    while True:
        try:
            request, _ = _receive(connection)
        except EOFError:
            return
        child = os.fork()
        if child == 0:
            _send(connection, {"verdict": _judge(connection, request, notebook)})
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            _send(connection, {"verdict": {"status": "died", "text": "the check stopped its process"}})


def _judge(connection: Connection, request: dict, notebook: dict[str, object]) -> dict:
    from .zygote import _fresh_randomness

    _fresh_randomness()
    printed = io.StringIO()
    for name, what in request["found"].items():
        proxy = Proxy(name, connection, what.get("borrowed"))
        notebook[name] = proxy if what["callable"] else type(what["type"], (Opaque,), {})()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(request["source"], "<check>", "exec"), notebook)
    except BaseException as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, NotPlainError):
                return {"status": "not plain", "text": str(cause)}
            cause = cause.__cause__ or cause.__context__
        return {
            "status": "error",
            "name": type(error).__name__,
            "text": str(error)[:20_000],
            "printed": printed.getvalue(),
        }
    return {"status": "ok", "printed": printed.getvalue()}


def _own_work_is_looked_at_in_the_sandbox() -> None:
    """`progress.check` asks whether an answer calls the library's; of a proxy the sandbox has told it."""
    from gpt2_lib import progress

    look = progress.borrowed
    progress.borrowed = lambda f, notebook: f.borrowed if isinstance(f, Proxy) else look(f, notebook)


def names_needed(check: str, locked: list[str]) -> list[str]:
    """The names that ``check`` takes from the learner: used in it or in the locked cells, and made in neither."""
    used, made = set(), set(BUILTIN)
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


def _error(told: dict) -> BaseException:
    """The learner's error, of the nearest built-in type, with its text."""
    types = [BUILTIN[name] for name in told["types"] if name in BUILTIN]
    kind = types[0] if types else RuntimeError
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = RuntimeError
    text = told["text"] if kind.__name__ == told.get("name", kind.__name__) else f"{told['name']}: {told['text']}"
    try:
        error = kind(text)
    except Exception:  # UnicodeDecodeError and the like want more than a text
        error = RuntimeError(f"{kind.__name__}: {text}")
    return error


def _take_over(ours: object, theirs: object) -> None:
    """Make ``ours``, the arguments as they were sent, what the function left of them."""
    with torch.no_grad():
        if isinstance(ours, Tensor) and isinstance(theirs, Tensor):
            if ours.shape == theirs.shape and ours.dtype == theirs.dtype:
                if not torch.equal(ours, theirs):
                    ours.copy_(theirs)
            else:
                ours.data = theirs.detach()
        elif isinstance(ours, dict) and isinstance(theirs, dict):
            if list(ours) == list(theirs) and all(type(ours[k]) is type(theirs[k]) for k in ours):
                for key, value in ours.items():
                    _take_over(value, theirs[key])
            else:
                ours.clear()
                ours.update(theirs)
        elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
            if len(ours) == len(theirs) and all(type(a) is type(b) for a, b in zip(ours, theirs, strict=True)):
                for mine, new in zip(ours, theirs, strict=True):
                    _take_over(mine, new)
            elif isinstance(ours, list):
                ours[:] = theirs


def _send(connection: Connection, content: dict, buffers: list[bytes] = ()) -> None:
    connection.send_bytes(json.dumps([content, len(buffers)]).encode())
    for buffer in buffers:
        connection.send_bytes(buffer)


def _receive(connection: Connection) -> tuple[dict, list[bytes]]:
    content, count = json.loads(connection.recv_bytes())
    return content, [connection.recv_bytes() for _ in range(count)]
