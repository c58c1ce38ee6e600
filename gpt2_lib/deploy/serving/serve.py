"""The server of a pruned model over HTTP: FastAPI, uvicorn and ONNX Runtime.

gpt2-pruning serve --model model.onnx --host 127.0.0.1 --port 8000

POST /generate   {"prompt": "...", "max_new_tokens": 100, "temperature": 0.8, "top_k": 40, "seed": 1, "stop": ["\\n"],
                 "stream": false}
POST /v1/completions, GET /v1/models    the same for clients of OpenAI's API
GET  /healthz    200 while the process lives       GET /readyz    200 while it takes new work
GET  /metrics    counters in Prometheus's text format

There is no login and no encryption: keep it on 127.0.0.1, or behind something that has both.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch

from ..extras import DeployError, need
from ..onnx import OnnxGPT2
from .app import create_app
from .generation import Service
from .settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

READY = "Serving at "  # the start of the line that says the address; `service` waits for it


def main(argv: Sequence[str]) -> None:
    """Serve a file of `export_onnx` until SIGTERM or Ctrl-C; on failure exits with 2 and one line.

    At the end it prints `Metrics.summary` as one line of JSON.
    """
    options = vars(parser().parse_args(argv))
    path, host, port, with_stdin = (options.pop(name) for name in ("model", "host", "port", "until_stdin_closes"))
    torch.set_num_threads(1)  # it only draws the tokens
    listener = None
    try:
        settings = Settings(**options)
        listener = _listen(host, port)
        need("uvicorn", "deploy")  # before the model, which takes longer to read
        model = OnnxGPT2(path, threads=1)  # one thread a generation; several generations side by side
        if model.tokenizer is None:
            raise DeployError(f"{path} holds no tokenizer: export a model that has one.")
        service = Service(model, settings)
        app = create_app(service)
    except (DeployError, ImportError, ValueError) as error:
        if listener is not None:
            listener.close()
        print(f"Can't serve: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    address = f"[{host}]" if ":" in host else host
    server = _server(app, service, f"http://{address}:{listener.getsockname()[1]}")
    if with_stdin:
        threading.Thread(target=_when_stdin_ends, args=(server.drain,), daemon=True).start()
    server.run([listener])
    with suppress(BrokenPipeError):  # the parent process has ended
        print(json.dumps(service.metrics.summary()), flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = argparse.ArgumentParser(
        prog="gpt2-pruning serve",
        description="Serve a model over HTTP: POST /generate, or /v1/completions for clients of OpenAI's API.",
        allow_abbrev=False,
    )
    found.add_argument("--model", type=Path, required=True, help="a file that export_onnx wrote")
    found.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    found.add_argument("--port", type=int, default=8000, help="0 takes a free one (%(default)s)")
    found.add_argument(
        "--until-stdin-closes", action="store_true", help="drain when standard input ends, as by SIGTERM"
    )
    usual = Settings()
    for option in fields(Settings):
        name, default = "--" + option.name.replace("_", "-"), getattr(usual, option.name)
        found.add_argument(name, type=option.type, default=default, help=option.metadata["help"] + " (%(default)s)")
    return found


def _listen(host: str, port: int) -> socket.socket:
    try:
        if not 0 <= port <= 65535:
            raise OSError("a port is a number from 0 to 65535")
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise DeployError(f"can't listen on {host} port {port}: {error}. Choose another with --port.") from None


def _server(app: FastAPI, service: Service, url: str) -> Any:
    """Return uvicorn's server of ``app``, with a method ``drain``; it prints ``url`` when it is ready."""
    import uvicorn

    class Server(uvicorn.Server):
        """A server that drains on the first signal (it answers probes, refuses new work) and stops at the second."""

        drain_until = float("inf")

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.should_exit = self.force_exit = service.draining
            self.drain()

        def drain(self) -> None:
            if not service.draining:
                self.drain_until = time.monotonic() + service.settings.drain_seconds
                service.draining = True

        async def on_tick(self, counter: int) -> bool:
            if service.draining and (service.in_flight == 0 or time.monotonic() > self.drain_until):
                self.should_exit = True
            return await super().on_tick(counter)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(f"{READY}{url} (Ctrl-C stops)", flush=True)

    return Server(
        uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )


def _when_stdin_ends(then: Callable[[], None]) -> None:
    with suppress(OSError):
        while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
    then()
