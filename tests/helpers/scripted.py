"""A server whose model follows a script, so that its tests don't depend on the machine's speed; and its requests."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any

import uvicorn
from tiny import bpe_of

from gpt2_lib import load_pretrained_gpt2
from gpt2_lib.deploy.serving.app import create_app
from gpt2_lib.deploy.serving.generation import Service
from gpt2_lib.deploy.serving.load_test import ask
from gpt2_lib.deploy.serving.settings import Settings

MINI = load_pretrained_gpt2()
TOKENIZER = bpe_of(MINI)
JSON = {"Content-Type": "application/json"}


def until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait for ``condition``; fail with ``what`` if it never holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def post(url: str, body: bytes, headers: dict[str, str] = JSON) -> tuple[int, dict, dict[str, str]]:
    """Status, JSON and headers of the answer to exactly these bytes."""
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("POST", "/generate", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), {name.lower(): value for name, value in answer.getheaders()}


def generate(url: str, **body: object) -> tuple[int, dict, dict[str, str]]:
    return post(url, json.dumps({"prompt": "To be"} | body).encode())


def metrics(url: str) -> dict[str, float]:
    lines = ask(url, "/metrics")[1].decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


class Scripted:
    """A server in this process; for each request its model gives the tokens of a new ``script()``."""

    def __init__(self, script: Callable[[], Iterator[int]], tokenizer: object = TOKENIZER, **limits: Any) -> None:
        self.given = 0

        def generate_ids(ids: list[int], new_tokens: int, **_: object) -> Iterator[int]:
            for token in script():
                self.given += 1
                yield token

        model: Any = SimpleNamespace(config=MINI.config, tokenizer=tokenizer, generate_ids=generate_ids)
        self.service = Service(model, Settings(**{"concurrent": 1} | limits))
        self.server = uvicorn.Server(
            uvicorn.Config(create_app(self.service), log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        )
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))

    def __enter__(self) -> Scripted:
        self.thread.start()
        until(lambda: self.server.started, "the server doesn't start")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()

    def stands_still(self) -> bool:
        """Return whether no request is in flight and no tokens are generated."""
        if self.service.in_flight:
            return False
        before = self.given
        time.sleep(0.1)
        return self.given == before


def endless() -> Iterator[int]:
    """Yield tokens for as long as they are requested."""
    while True:
        time.sleep(0.002)
        yield 65


def events(url: str, **body: object) -> list[dict]:
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("POST", "/generate", json.dumps({"prompt": "a", "stream": True} | body), JSON)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("content-type", "").startswith("text/event-stream")
        return [json.loads(event.removeprefix("data: ")) for event in answer.read().decode().strip().split("\n\n")]
