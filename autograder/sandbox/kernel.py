"""The learner's kernel, inside the sandbox: ipykernel, and two more kinds of requests.

``call_request`` calls a function of the notebook with plain data and sends plain data back (`wire`).
``witness_request`` tells what of Python, PyTorch, IPython and ``gpt2_lib`` is no longer what it was (`witness`).
"""

from __future__ import annotations

import base64
import builtins
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from gpt2_lib.own_work import borrowed

from ..course import PROJECT
from ..judge.transfer import Watched, unpack
from ..judge.wire import Decoder, Encoder
from .bubblewrap import HOME
from .witness import Witness

if TYPE_CHECKING:
    from ipykernel.zmqshell import ZMQInteractiveShell
    from jupyter_client.session import Session

BUILTIN_ERRORS = {n for n, e in vars(builtins).items() if isinstance(e, type) and issubclass(e, BaseException)}


class Kernel(IPythonKernel):
    """ipykernel with calls from outside."""

    shell: ZMQInteractiveShell
    session: Session

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.shell_handlers["call_request"] = self._call
        self.shell_handlers["look_request"] = self._look
        self.shell_handlers["witness_request"] = self._witness
        self.witness: Witness  # `run` sets it, when all is in place

    def _look(self, stream, ident, parent) -> None:
        """What the names stand for: absent, a type's name, or a function and what it is built on."""
        found: dict[str, dict[str, object]] = {}
        for name in parent["content"]["names"]:
            if name in self.shell.user_ns:
                value = self.shell.user_ns[name]
                found[name] = {"type": type(value).__name__[:80], "callable": callable(value)}
                if callable(value):
                    try:
                        found[name]["borrowed"] = borrowed(value, self.shell.user_ns)
                    except Exception as error:  # whatever a strange object does when looked at
                        found[name]["borrowed"] = f"something that can't be looked at ({type(error).__name__})"
        self.session.send(stream, "look_reply", {"found": found}, parent, ident=ident)

    def _call(self, stream, ident, parent) -> None:
        content, buffers = parent["content"], [bytes(b) for b in parent["buffers"]]
        values = unpack(buffers[0]) if "packed" in content else Decoder(buffers).decode(content["values"])
        assert isinstance(values, dict)
        encoder, watched = Encoder(strict=False), Watched(values)
        arguments = [values[name] for name in values if name.isdecimal()]
        named = {name: value for name, value in values.items() if not name.isdecimal()}
        try:
            function = self.shell.user_ns[content["name"]]
            reply: dict[str, object]
            try:
                result = function(*arguments, **named)
                returned = watched.place_of(result)
                reply = {"returned": returned} if returned is not None else {"result": encoder.encode(result)}
            except KeyboardInterrupt:
                reply = {"interrupted": True}
            except (Exception, SystemExit) as error:
                reply = {"error": _told(error)}
            reply["after"] = watched.after(encoder)
        except (Exception, KeyboardInterrupt) as error:
            encoder = Encoder(strict=False)
            text = f"no call, or no result, that can be carried: {_text(error)}"
            reply = {"error": {"types": ["RuntimeError"], "text": text}}
        self.session.send(stream, "call_reply", reply, parent, ident=ident, buffers=list(encoder.buffers))

    def _witness(self, stream, ident, parent) -> None:
        found = {"changed": self.witness.changed(), "hidden": self.witness.hidden(parent["content"]["builtin"])}
        self.session.send(stream, "witness_reply", found, parent, ident=ident)


def _told(error: BaseException) -> dict:
    """An error as plain data: its built-in types, its name and its text."""
    types = [t.__name__ for t in type(error).__mro__ if t.__name__ in BUILTIN_ERRORS]
    return {"types": types, "name": type(error).__name__[:80], "text": _text(error)}


def _text(error: BaseException) -> str:
    try:
        return str(error)[:20_000]
    except Exception:  # a class of the learner's may have a text that can't be made
        return type(error).__name__


def run(connection: dict, extras: dict[str, str], ready: int) -> None:
    """Serve as the kernel at ``connection`` until the end; ``extras`` are files (path -> base64) that lie beside it.

    Writes a byte to the descriptor ``ready`` when it listens.
    """
    for name, data in extras.items():
        path = Path(HOME, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
    for descriptor in (1, 2):  # what ipykernel does not take goes nowhere
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    sys.argv = ["ipykernel"]
    sys.path[:] = ["", *(p for p in sys.path if p not in ("", str(PROJECT)))]
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    key = connection.pop("key")
    app = IPKernelApp.instance(kernel_class=Kernel, **connection, connection_file="/tmp/kernel.json", log_level=50)
    app.session.key = key.encode()
    app.initialize([])
    assert app.shell is not None
    # IPython's own end the kernel a moment later, when other code is running.
    app.shell.user_ns["exit"] = app.shell.user_ns["quit"] = sys.exit
    app.kernel.witness = Witness(app.shell)
    os.write(ready, b".")
    os.close(ready)
    app.start()
