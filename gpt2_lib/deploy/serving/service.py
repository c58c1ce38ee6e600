"""`deploy_to_production(model)`: a served model in its own process, with a handle to query, measure and stop it."""

# A wrong model is reported to users without a type checker too.
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from ...generate import renamed
from ...gpt2 import GPT2
from ...modules import unwrap
from ..extras import DeployError, need
from ..onnx import export_onnx
from .load_test import ask, load_test, send
from .serve import READY
from .settings import Settings

PACKAGES = ("onnxruntime", "fastapi", "uvicorn", "prometheus_client")
START_SECONDS = 120.0
STOP_SECONDS = Settings().drain_seconds + 10


def deploy_to_production(model: nn.Module | Path | str, port: int = 0, int8: bool = True) -> Deployment:
    """Serve ``model``, or a file of `export_onnx`, on 127.0.0.1 and return the handle once it is ready.

    A GPT2 is exported first, with ``int8`` as 8-bit integers; a file is served as it is. ``port`` 0 takes a free
    one. The server ends with `Deployment.stop`, with this interpreter, and when this process is killed.

    Raises DeployError when the server doesn't come up (its last lines are in the message; nothing is left
    behind), MissingExtraError without the server's packages, ValueError for what is no model or has no tokenizer,
    and what `export_onnx` raises.
    """
    for package in PACKAGES:
        if find_spec(package) is None:  # the server imports them, not this process
            need(package, "deploy")
    if isinstance(model, str | Path):
        return Deployment(_start(Path(model), port), None)
    inner = unwrap(model) if isinstance(model, nn.Module) else model
    if not isinstance(inner, GPT2):
        raise ValueError(f"A GPT2, or the path of a file of export_onnx, can be deployed; got {type(inner).__name__}.")
    if inner.tokenizer is None:
        raise ValueError("This model carries no tokenizer, and a server takes text: set model.tokenizer.")
    with TemporaryDirectory(prefix="gpt2-served-", ignore_cleanup_errors=True) as folder:
        return Deployment(_start(export_onnx(inner, Path(folder) / "model.onnx", int8), port), inner)


class Deployment:
    """A served model. ``url`` is its address, ``model`` the GPT2 that was deployed (None for a file).

    Clients of OpenAI's API take ``url + "/v1"``.
    Used in a ``with`` statement, it stops at its end. Its methods raise DeployError when the server is gone or too
    busy, and ValueError for what the server refuses.
    """

    def __init__(self, server: _Server, model: GPT2 | None) -> None:
        self._server, self.model, self.url = server, model, server.url
        self._served: dict[str, Any] | None = None
        atexit.register(self.stop)

    @renamed(new_tokens="max_new_tokens")
    def generate(
        self,
        prompt: str,
        max_new_tokens: int = 100,
        temperature: float = 0.8,
        top_k: int | None = 40,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
    ) -> str:
        """Continue ``prompt``, as `gpt2_lib.generate` does; returns the prompt and what follows it.

        The continuation ends before the first of the strings ``stop``.
        """
        body = _body(prompt, max_new_tokens, temperature, top_k, seed, stop)
        try:
            status, answer = ask(self.url, "/generate", body, Settings().request_seconds + 10)
        except (OSError, HTTPException) as error:
            raise self._gone(error) from error
        _check(status, answer)
        return prompt + json.loads(answer)["text"]

    @renamed(new_tokens="max_new_tokens")
    def stream(
        self,
        prompt: str,
        max_new_tokens: int = 100,
        temperature: float = 0.8,
        top_k: int | None = 40,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
    ) -> Iterator[str]:
        """Yield the continuation of ``prompt``, piece by piece. A caller that stops ends the generation."""
        body = _body(prompt, max_new_tokens, temperature, top_k, seed, stop) | {"stream": True}
        try:
            connection, answer = send(self.url, "/generate", body, Settings().request_seconds + 10)
        except (OSError, HTTPException) as error:
            raise self._gone(error) from error
        try:
            if answer.status != 200:
                _check(answer.status, answer.read())
            for line in answer:
                event: dict[str, Any] = json.loads(line.removeprefix(b"data: ")) if line.strip() else {}
                if "error" in event:
                    raise DeployError(event["error"])
                if event.get("done"):
                    return
                if event:
                    yield event["text"]
            raise self._gone("the stream broke off")
        except (OSError, HTTPException) as error:
            raise self._gone(error) from error
        finally:
            connection.close()

    def measure(self, requests: int = 50, concurrency: int = 4) -> dict[str, Any]:
        """Return the result of a load test of this server: the fields of `load_test.LoadResult`, and its errors."""
        result = load_test(self.url, requests, concurrency)
        return asdict(result) | {"errors": result.errors}

    def stop(self) -> dict[str, Any]:
        """Let the server finish its current work, and end it; returns its totals (requests by status, tokens).

        Returns the same again if it was stopped before; ``{}`` if the server could not report them.
        """
        if self._served is None:
            atexit.unregister(self.stop)
            self._served = self._server.stop()
        return self._served

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if self._served is not None:
            return f"<Deployment, stopped; it was at {self.url}>"
        if not self._server.alive:
            return f"<Deployment, ended by itself; it was at {self.url}>"
        return f"<Deployment at {self.url}: .generate(prompt) asks it, .measure() loads it, .stop() ends it>"

    def _gone(self, error: object) -> DeployError:
        if self._served is not None:
            return DeployError("This deployment was stopped: start another with deploy_to_production(model).")
        if not self._server.alive:
            return DeployError(f"The server at {self.url} has ended. Its last lines:\n{self._server.last_lines()}")
        return DeployError(f"The server at {self.url} didn't answer: {error}.")


class _Server:
    """The process of `serve`: its address, and the last lines of its output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ""
        self._lines: deque[str] = deque(maxlen=30)
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # its address, or None when it has ended
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None  # `_start` asks for pipes
        with self.process.stdout as lines:
            for line in lines:
                self._lines.append(line.rstrip())
                if line.startswith(READY):
                    self._news.put(line.removeprefix(READY).split()[0])
        self._news.put(None)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def last_lines(self) -> str:
        return "\n".join(self._lines) or "(it printed nothing)"

    def wait_until_ready(self) -> None:
        try:
            url = self._news.get(timeout=START_SECONDS)
        except queue.Empty:
            raise DeployError(
                f"The server was not ready after {START_SECONDS:.0f} seconds. Its last lines:\n{self.last_lines()}"
            ) from None
        if url is None:
            raise DeployError(f"The server didn't start. Its last lines:\n{self.last_lines()}")
        self.url = url

    def stop(self) -> dict[str, Any]:
        """Send SIGTERM and return the summary that the server printed last, or ``{}``."""
        if sys.platform == "win32" and self.process.stdin is not None:  # there SIGTERM would kill it
            self.process.stdin.close()
        else:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        if self.process.stdin is not None:
            self.process.stdin.close()
        last = self._lines[-1] if self._lines else ""
        return json.loads(last) if self.process.returncode == 0 and last.startswith("{") else {}


def _start(file: Path, port: int) -> _Server:
    command = [sys.executable, "-P", "-m", "gpt2_lib.deploy", "serve", "--until-stdin-closes"]
    root = str(Path(__file__).parents[3])  # -P keeps this folder's files from hiding packages, and so ours as well
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [*command, "--model", str(file), "--port", str(port)],
        stdin=subprocess.PIPE,  # closes when this process ends, however it ends
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        # An interrupted notebook cell is not meant for the server.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
    )
    server = _Server(process)
    try:
        server.wait_until_ready()
    except BaseException:
        process.kill()
        server.stop()
        raise
    return server


def _body(
    prompt: str, max_new_tokens: int, temperature: float, top_k: int | None, seed: int | None, stop: str | Sequence[str]
) -> dict[str, Any]:
    sampling = {"temperature": temperature, "top_k": top_k, "seed": seed}
    strings = [stop] if isinstance(stop, str) else list(stop)
    return {"prompt": prompt, "max_new_tokens": max_new_tokens, "stop": strings} | sampling


def _check(status: int, answer: bytes) -> None:
    if status == 200:
        return
    try:
        sentence = json.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        sentence = answer[:200].decode(errors="replace")
    raise (ValueError if 400 <= status < 500 else DeployError)(f"The server answered {status}: {sentence}")
