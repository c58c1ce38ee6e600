"""The learner's kernel, inside the sandbox: ipykernel with two more kinds of requests.

``look_request`` returns the values of names in the notebook. ``call_request`` calls a function of the notebook with
plain data and returns plain data (`wire`).
"""

from __future__ import annotations

import builtins
import importlib
import io
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, cast

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from ..course import PROJECT
from ..judge.decoder import Decoder
from ..judge.encoder import Encoder
from ..judge.transfer import Watched, set_random, unpack
from ..judge.wire import NotPlainError

if TYPE_CHECKING:
    from ipykernel.zmqshell import ZMQInteractiveShell
    from jupyter_client.session import Session

PRINTED = 1 << 20  # characters that a call may print
BUILTIN_ERRORS = {n for n, e in vars(builtins).items() if isinstance(e, type) and issubclass(e, BaseException)}


class Kernel(IPythonKernel):
    """An ipykernel that answers look and call requests."""

    shell: ZMQInteractiveShell
    session: Session
    borrowed: Callable[[object, dict], str | None] | None = None  # the course's rule on whose work an answer is

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.shell_handlers |= {"call_request": self._call, "look_request": self._look}

    def start(self) -> None:
        super().start()
        sys.path.insert(0, "")  # only now: what Jupyter looks for at its start would be found beside the notebook

    async def do_execute(self, code: str, silent: bool, *options, **named) -> dict:
        """Execute as ipykernel does; return an error where ipykernel itself fails on the code (a sum of thousands)."""
        try:
            return await super().do_execute(code, silent, *options, **named)
        except Exception as error:
            told = {"ename": type(error).__name__, "evalue": _text(error), "traceback": [f"{type(error).__name__}"]}
            self.send_response(self.iopub_socket, "error", told)
            return {"status": "error", **told, "execution_count": self.execution_count, "payload": []}

    def _publish_status(self, status, channel, parent=None) -> None:
        """Publish no "busy" and "idle" around each call: its reply is enough, and there are hundreds."""
        header = cast(dict, parent or self.get_parent(channel)).get("header", {})
        if header.get("msg_type") not in ("call_request", "look_request"):
            super()._publish_status(status, channel, parent)

    def _look(self, stream, ident, parent) -> None:
        """Return the values of names: a function and what it is built on, plain data, or a type's name."""
        content, encoder = parent["content"], Encoder(strict=False)
        found: dict[str, dict[str, object]] = {}
        for name in content["names"]:
            if name in self.shell.user_ns:
                value = self.shell.user_ns[name]
                found[name] = {"type": type(value).__name__[:80], "callable": callable(value)}
                if callable(value):
                    found[name]["function"] = type(value) is types.FunctionType and value.__module__ == "__main__"
                    found[name]["borrowed"] = self._borrowed(value)
                elif name in content["values"] and _is_plain(value):
                    with suppress(NotPlainError):  # all together are too much
                        found[name]["value"] = encoder.encode(value)
        self.session.send(stream, "look_reply", {"found": found}, parent, ident=ident, buffers=[*encoder.buffers])

    def _borrowed(self, function: object) -> str | None:
        try:
            return self.borrowed(function, self.shell.user_ns) if self.borrowed else None
        except Exception as error:  # an object may raise anything when it is inspected
            return f"a value that can't be inspected ({type(error).__name__})"

    def _call(self, stream, ident, parent) -> None:
        content, buffers = parent["content"], [bytes(b) for b in parent["buffers"]]
        encoder = Encoder(strict=False)
        reply: dict[str, object]
        try:
            values = unpack(buffers[0]) if "packed" in content else Decoder(buffers).decode(content["values"])
            printed = io.StringIO()
            assert isinstance(values, dict)
            changes = {name.removeprefix("="): values.pop(name) for name in [*values] if name.startswith("=")}
            watched = Watched(values)
            arguments = [values[name] for name in values if name.isdecimal()]
            named = {name: value for name, value in values.items() if not name.isdecimal()}
            function = self.shell.user_ns[content["name"]]
            before = dict(self.shell.user_ns)
            if "random" in content:
                set_random(buffers[-1])
            try:
                for name in content["deleted"]:
                    self.shell.user_ns.pop(name, None)
                self.shell.user_ns.update(changes)
                with redirect_stdout(printed):
                    result = function(*arguments, **named)
                returned = watched.place_of(result)
                reply = {"returned": returned} if returned is not None else {"result": encoder.encode(result)}
            except KeyboardInterrupt:
                reply = {"interrupted": True}
            except NotPlainError as reason:  # of the result: the grader determines it, not the learner's code
                reply = {"error": {"types": [], "name": "NotPlainError", "text": _text(reason)}}
                encoder = Encoder(strict=False)
            except (Exception, SystemExit) as error:
                reply = {"error": _told(error)}
            finally:
                for name in (*content["deleted"], *changes):
                    if name in before:
                        self.shell.user_ns[name] = before[name]
            reply |= {"after": watched.after(encoder), "printed": _clean(printed.getvalue()[:PRINTED])}
        except (Exception, KeyboardInterrupt) as error:
            encoder = Encoder(strict=False)
            text = f"a call or a result that can't be transferred: {_text(error)}"
            reply = {"error": {"types": ["RuntimeError"], "text": text}}
        self.session.send(stream, "call_reply", reply, parent, ident=ident, buffers=list(encoder.buffers))


def _is_plain(value: object) -> bool:
    """Return whether a value can be transferred, and read more than once."""
    try:
        return not isinstance(value, Iterator) and bool(Encoder(strict=True).encode(value))
    except Exception:  # an object may raise anything when it is inspected
        return False


def _clean(text: str) -> str:
    """Return text without halves of surrogate pairs, which no message can carry."""
    return text.encode("utf-8", "replace").decode()


def _told(error: BaseException) -> dict:
    """Return an error as plain data: its built-in types, its name and its text."""
    types = [t.__name__ for t in type(error).__mro__ if t.__name__ in BUILTIN_ERRORS]
    return {"types": types, "name": type(error).__name__[:80], "text": _text(error)}


def _text(error: BaseException) -> str:
    try:
        return _clean(str(error)[:20_000])
    except Exception:  # the `__str__` of a learner's class may raise an error
        return type(error).__name__


def main(request: dict, ready: int, _: int) -> None:
    """Serve as the kernel at ``request["connection"]`` until the end.

    Writes a byte to the descriptor ``ready`` when it listens.
    """
    for descriptor in (1, 2):  # what ipykernel does not take goes nowhere
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    sys.argv = ["ipykernel"]
    sys.path[:] = [p for p in sys.path if p not in ("", str(PROJECT))]
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    if request["own_work"]:
        module, _, rule = request["own_work"].partition(":")
        Kernel.borrowed = staticmethod(getattr(importlib.import_module(module), rule))
    connection = request["connection"]
    key = connection.pop("key")
    app = IPKernelApp.instance(kernel_class=Kernel, **connection, connection_file="/tmp/kernel.json", log_level=50)
    app.ignore_cwd = True  # until `Kernel.start`
    app.session.key = key.encode()
    app.initialize([])
    assert app.shell is not None
    # IPython's own end the kernel a moment later, when other code is running.
    app.shell.user_ns["exit"] = app.shell.user_ns["quit"] = sys.exit
    os.write(ready, b".")
    os.close(ready)
    app.start()
