"""The verdict, outside the sandbox: a check runs here, in a trusted process, and the learner's functions are far away.

The names of the learner's functions stand for `Proxy` objects. A call carries its arguments to the sandbox as plain
data (`wire`) or, where they are models and functions, as copies (`carry`); the function computes there, and plain
data comes back. Whatever the learner's code did to PyTorch, to ``assert`` or to IPython, it did it there. A check that
passes what can't travel (a generator, a list of models) is not judged here: `serve` says so, and it runs beside the
learner's code, watched by a `witness`.

`serve` runs the notebook's locked cells once, and judges each submission in a fork of its own: none sees what another
left.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from .client import receive, send
from .transfer import pack, restore, theirs
from .wire import Decoder, Encoder, NotPlainError, Opaque

if sys.platform != "win32":  # judges are forked on Linux only
    import resource

MEMORY = 4 << 30  # bytes of data that the checks of one submission may take here
SECONDS = 600  # and of computing time
BUILTIN = __import__("builtins").__dict__


class Proxy:
    """A function of the learner's, called where it is."""

    def __init__(self, name: str, connection: Connection, borrowed: str | None) -> None:
        self.__name__, self.borrowed, self._connection = name, borrowed, connection

    def __call__(self, *arguments: object, **named: object) -> object:
        values = {str(place): value for place, value in enumerate(arguments)} | named
        call: dict[str, object] = {"name": self.__name__}
        encoder = Encoder(strict=True)
        try:
            call["values"], buffers = encoder.encode(values), encoder.buffers
        except NotPlainError:
            call["packed"], buffers = True, [pack(values)]
        send(self._connection, {"call": call}, buffers)
        told, buffers = receive(self._connection)
        decoder = Decoder(buffers)
        for name, what in told.get("after", {}).items():
            restore(values[name], what, decoder, _take_over)
        if "error" in told:
            raise _error(told["error"])
        return values[told["returned"]] if "returned" in told else decoder.decode(told["result"])

    def __reduce__(self) -> tuple:
        return theirs, (self.__name__,)


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
            request, _ = receive(connection)
        except EOFError:
            return
        if "end" in request:
            continue
        child = os.fork()
        if child == 0:
            # What the sandbox sends is small and plain, yet a check might do something large with it.
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            while "end" not in request:
                send(connection, {"verdict": _judge(connection, request, dict(notebook))})
                request, _ = receive(connection)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            send(connection, {"verdict": {"status": "died", "text": "The check stopped its process."}})


def _judge(connection: Connection, request: dict, notebook: dict[str, object]) -> dict:
    printed = io.StringIO()
    try:
        for name, what in request["found"].items():
            proxy = Proxy(name, connection, what.get("borrowed"))
            notebook[name] = proxy if what["callable"] else type(what["type"], (Opaque,), {})()
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
            if ours.shape == theirs.shape and ours.dtype == theirs.dtype and not torch.equal(ours, theirs):
                ours.copy_(theirs)  # other tensors of the check's may look at the same memory
            ours.data = theirs.detach()  # and what came back may share it
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
