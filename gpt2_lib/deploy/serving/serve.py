"""A pruned model served over HTTP: FastAPI, uvicorn and ONNX Runtime.

python -m gpt2_lib.deploy serve --model model.onnx --host 127.0.0.1 --port 8000

POST /generate   {"prompt": "...", "max_new_tokens": 100, "temperature": 0.8, "top_k": 40, "seed": 1, "stream": false}
GET  /healthz    200 while the process lives       GET /readyz    200 while it takes new work
GET  /metrics    counters in Prometheus's text format

There is no login and no encryption: keep it on 127.0.0.1, or behind something that has both.
"""

# No `from __future__ import annotations`: FastAPI must see the types of the routes, which are local names here.

import argparse
import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import torch

from ..extras import DeployError, need
from ..onnx import OnnxGPT2

READY = "Serving at "  # the start of the line that says the address; `service` waits for it
DISCARDED_BYTES = 8 * 2**20  # of a body over the limit this much is read, so that its sender can read the answer
PIECE_SECONDS = 0.02  # text is handed over this often, and not token by token: changing threads takes time
TAKING_SECONDS = 5  # after the time for a request, for its client to take the rest of the answer
COLDEST = 0.001  # logits over a smaller temperature overflow
CLIENT_GONE = 499  # counted in /metrics and never sent: the client hung up
RETRY = {"Retry-After": "1"}  # seconds


def _setting(default: float, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Settings:
    """Limits of a server; each is also an option of the command line. Raises ValueError for one that isn't positive."""

    prompt_characters: int = _setting(20_000, "longest prompt, in characters (its tokens must fit the context as well)")
    max_new_tokens: int = _setting(512, "most tokens that one request may ask for")
    body_bytes: int = _setting(256 * 1024, "largest body of a request")
    concurrent: int = _setting(os.cpu_count() or 1, "generations at the same time, one thread each")
    queued: int = _setting(64, "generations that may wait for their turn; more are refused with 503")
    request_seconds: float = _setting(60.0, "time for one request, waiting included; then 504")
    drain_seconds: float = _setting(30.0, "after SIGTERM, time for the requests in flight")

    def __post_init__(self) -> None:
        for option in fields(self):
            if not getattr(self, option.name) > 0:
                raise ValueError(f"{option.name} must be more than 0; got {getattr(self, option.name)}.")


class Utf8Pieces:
    """Token ids to text, piece by piece: the bytes of a character that is cut between tokens wait for the rest."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.waiting: list[int] = []

    def add(self, token: int) -> str:
        """The text that is complete with this token; may be empty."""
        self.waiting.append(token)
        text = self.tokenizer.decode(self.waiting)
        if text.endswith("\N{REPLACEMENT CHARACTER}"):  # cut, or no text at all: the next tokens will tell
            return ""
        self.waiting.clear()
        return text

    def rest(self) -> str:
        """What is left after the last token, replacement characters for what never became text."""
        text = self.tokenizer.decode(self.waiting)
        self.waiting.clear()
        return text


class Service:
    """What stands behind the routes: the model, turns for generations, counters, and whether it is draining."""

    def __init__(self, model: OnnxGPT2, settings: Settings) -> None:
        prometheus = need("prometheus_client", "deploy")
        self.model, self.settings = model, settings
        self.draining = False
        self.in_flight = 0  # requests to /generate from their first byte to the last of their answer
        self._pool = ThreadPoolExecutor(settings.concurrent, thread_name_prefix="generate")
        self._turns = asyncio.Semaphore(settings.concurrent)
        self._waiting = 0
        self.registry = registry = prometheus.CollectorRegistry()
        self.requests = prometheus.Counter("gpt2_requests", "Requests to /generate", ["status"], registry=registry)
        self.new_tokens = prometheus.Counter("gpt2_new_tokens", "Tokens generated", registry=registry)
        self.prompt_tokens = prometheus.Counter("gpt2_prompt_tokens", "Tokens of prompts read", registry=registry)
        self.seconds = prometheus.Histogram("gpt2_request_seconds", "Seconds a request took", registry=registry)
        for name, text, value in (
            ("gpt2_in_flight", "Requests to /generate being answered", lambda: self.in_flight),
            ("gpt2_waiting", "Generations that wait for their turn", lambda: self._waiting),
            ("process_resident_memory_bytes", "Resident memory", lambda: psutil.Process().memory_info().rss),
            ("process_cpu_seconds", "CPU time, user and system", lambda: sum(psutil.Process().cpu_times()[:2])),
        ):
            prometheus.Gauge(name, text, registry=registry).set_function(value)

    def summary(self) -> dict[str, Any]:
        """What has been served so far: requests by status, tokens, resident bytes."""
        samples = [s for metric in self.requests.collect() for s in metric.samples if s.name.endswith("_total")]
        return {
            "requests": {s.labels["status"]: int(s.value) for s in samples},
            "prompt_tokens": int(self.registry.get_sample_value("gpt2_prompt_tokens_total")),
            "new_tokens": int(self.registry.get_sample_value("gpt2_new_tokens_total")),
            "resident_bytes": psutil.Process().memory_info().rss,
        }

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Wait for a free thread. Raises `Busy` when too many wait already, TimeoutError at the deadline."""
        if self._turns.locked() and self._waiting >= self.settings.queued:
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def pieces(
        self, ids: list[int], new_tokens: int, deadline: float, **sampling: Any
    ) -> AsyncGenerator[str, None]:
        """Text after the prompt's ``ids``, piece by piece; whoever stops asking stops the generation.

        Raises as `turn` does; the deadline (of the event loop's clock) is looked at between pieces.
        """
        loop = asyncio.get_running_loop()
        async with self.turn(deadline):
            self.prompt_tokens.inc(len(ids))
            text = Utf8Pieces(self.model.tokenizer)
            tokens = self.model.generate_ids(ids, new_tokens, **sampling)
            while found := await loop.run_in_executor(self._pool, _some, tokens):
                self.new_tokens.inc(len(found))
                yield "".join(map(text.add, found))
                if loop.time() > deadline:
                    raise TimeoutError
            yield text.rest()


def _some(tokens: Iterator[int]) -> list[int]:
    """The next tokens, as many as come in `PIECE_SECONDS`, at least one; empty at the end."""
    end = time.monotonic() + PIECE_SECONDS
    found = []
    for token in tokens:
        found.append(token)
        if time.monotonic() > end:
            break
    return found


class Busy(Exception):
    """All threads generate and the queue is full."""


class Watch:
    """ASGI middleware: counts the requests to /generate, and ends those whose client doesn't take its answer."""

    def __init__(self, app: Callable[..., Awaitable[None]], service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http" or scope["path"] != "/generate":
            return await self.app(scope, receive, send)
        service, start, status = self.service, time.monotonic(), 500

        async def noting(message: dict) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        service.in_flight += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(service.settings.request_seconds + TAKING_SECONDS):
                    await self.app(scope, receive, noting)
        finally:
            service.in_flight -= 1
            service.requests.labels(scope.get("state", {}).get("outcome", status)).inc()
            service.seconds.observe(time.monotonic() - start)


def create_app(service: Service) -> Any:
    """The FastAPI application: routes, limits, and for every fault of a request a 4xx with a sentence that helps."""
    for package in ("fastapi", "pydantic", "starlette"):
        need(package, "deploy")
    import pydantic
    from fastapi import FastAPI, Request, responses
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    settings = service.settings
    context = service.model.config.n_positions

    class Asked(pydantic.BaseModel):
        """The body of a request to /generate."""

        model_config = pydantic.ConfigDict(strict=True, extra="forbid", title="Generate")
        prompt: str
        max_new_tokens: int = pydantic.Field(min(100, settings.max_new_tokens), ge=1, le=settings.max_new_tokens)
        temperature: float = pydantic.Field(0.8, ge=0, le=10, allow_inf_nan=False, description="0 is greedy")
        top_k: int | None = pydantic.Field(40, ge=1, le=2**31)
        seed: int | None = pydantic.Field(None, ge=0, lt=2**63)
        stream: bool = pydantic.Field(False, description="server-sent events, one a piece of text")

    class EventStream(responses.StreamingResponse):
        """Stops the generation however the answer ends: complete, hung up on, or not taken."""

        media_type = "text/event-stream"

        def __init__(self, events: AsyncIterator[str], pieces: AsyncGenerator[str, None]) -> None:
            super().__init__(events, headers={"Cache-Control": "no-store"})
            self.pieces = pieces

        async def __call__(self, *call: Any) -> None:
            async with aclosing(self.pieces):
                await super().__call__(*call)

    app = FastAPI(title="Pruned GPT-2", docs_url=None, redoc_url=None)  # the page of docs needs the Internet
    app.add_middleware(Watch, service=service)

    @app.exception_handler(HTTPException)
    async def in_one_sentence(_: Request, error: HTTPException) -> responses.JSONResponse:
        return responses.JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.get("/healthz")
    async def live() -> dict:
        return {"status": "alive"}

    @app.get("/readyz")
    async def ready() -> dict:
        if service.draining:
            raise HTTPException(503, "Shutting down: no new work.", RETRY)
        return {"status": "ready"}

    @app.get("/metrics")
    async def metrics() -> responses.Response:
        prometheus = need("prometheus_client", "deploy")
        return responses.Response(
            prometheus.generate_latest(service.registry), media_type=prometheus.CONTENT_TYPE_LATEST
        )

    async def read_body(request: Request) -> bytes:
        too_large = HTTPException(413, f"The body is larger than {settings.body_bytes:,} bytes: send a shorter prompt.")
        if int(request.headers.get("content-length", 0)) > DISCARDED_BYTES:
            raise too_large
        body, size = bytearray(), 0
        async for chunk in request.stream():  # what comes is counted, whatever was announced
            size += len(chunk)
            if size <= settings.body_bytes:
                body += chunk
            elif size > DISCARDED_BYTES:
                break
        if size > settings.body_bytes:
            raise too_large
        return bytes(body)

    def parse(body: bytes) -> tuple[Asked, list[int]]:
        try:
            asked = Asked.model_validate_json(body)
        except pydantic.ValidationError as error:
            raise HTTPException(
                422, _sentence(error.errors(include_input=False)[0], list(Asked.model_fields))
            ) from None
        if not asked.prompt:
            raise HTTPException(422, "The prompt is empty: give the model at least one character to start from.")
        if 0 < asked.temperature < COLDEST:
            raise HTTPException(422, f"temperature: should be 0 (greedy) or at least {COLDEST}.")
        if len(asked.prompt) > settings.prompt_characters:
            raise HTTPException(
                422, f"The prompt has {len(asked.prompt):,} characters; {settings.prompt_characters:,} are allowed."
            )
        assert service.model.tokenizer is not None  # `main` takes no file without one
        ids = service.model.tokenizer.encode(asked.prompt)
        if len(ids) > context:
            raise HTTPException(422, f"The prompt has {len(ids):,} tokens; this model sees {context:,}: shorten it.")
        return asked, ids

    described = {"application/json": {"schema": Asked.model_json_schema()}}

    @app.post("/generate", openapi_extra={"requestBody": {"content": described}})
    async def generate(request: Request) -> responses.Response:
        start = asyncio.get_running_loop().time()
        deadline = start + settings.request_seconds
        if service.draining:
            raise HTTPException(503, "Shutting down: send this to another server.", RETRY | {"Connection": "close"})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "Send JSON, with the header 'Content-Type: application/json'.")
        try:
            async with asyncio.timeout_at(deadline):
                body = await read_body(request)
        except TimeoutError:
            raise HTTPException(408, f"The body had not come after {settings.request_seconds:g} seconds.") from None
        except ClientDisconnect:
            return responses.Response(status_code=CLIENT_GONE)
        asked, ids = parse(body)
        sampling = {"temperature": asked.temperature, "top_k": asked.top_k, "seed": asked.seed}
        pieces = service.pieces(ids, asked.max_new_tokens, deadline, **sampling)
        late = f"Stopped after {settings.request_seconds:g} seconds, this server's limit: ask for fewer tokens."
        try:  # a stream's first piece too, so that its status can still say what is wrong
            text = await _unless_gone(request, anext(pieces) if asked.stream else _joined(pieces))
        except Busy:
            raise HTTPException(503, "Too many requests are waiting: try again in a second.", RETRY) from None
        except TimeoutError:
            raise HTTPException(504, late) from None
        if text is None:
            return responses.Response(status_code=CLIENT_GONE)
        counts = {"prompt_tokens": len(ids), "new_tokens": asked.max_new_tokens}
        if not asked.stream:
            return responses.JSONResponse({"text": text} | counts)
        request.state.outcome = CLIENT_GONE  # what is counted unless the last event is reached
        return EventStream(_events(text, pieces, counts, late, request.state), pieces)

    return app


async def _joined(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def _unless_gone(request: Any, work: Awaitable[str]) -> str | None:
    """What ``work`` gives, or None if the client hangs up before; then the work is cancelled."""

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working = asyncio.ensure_future(work)
    tasks = (working, asyncio.ensure_future(hung_up()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _events(
    first: str, pieces: AsyncIterator[str], counts: dict[str, int], late: str, state: Any
) -> AsyncIterator[str]:
    """Server-sent events: {"text": ...} for each piece, then {"done": true, ...}, or {"error": ...} when it is late."""
    try:
        yield _event(text=first)
        async for piece in pieces:
            if piece:
                yield _event(text=piece)
        state.outcome = 200
        yield _event(done=True, **counts)
    except TimeoutError:
        state.outcome = 504
        yield _event(error=late)


def _event(**data: Any) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _sentence(error: Mapping[str, Any], fields: list[str]) -> str:
    """What is wrong with a body, from the first of pydantic's errors."""
    if error["type"] == "json_invalid":
        return f"The body is not JSON in UTF-8: {error['ctx']['error']}."
    name = str(error["loc"][0])[:40] if error["loc"] else ""
    if not name:
        return f"Send a JSON object with the fields {', '.join(fields)}."
    if error["type"] == "missing":
        return f"The field {name!r} is missing."
    if error["type"] == "extra_forbidden":
        return f"There is no field {name!r}; the fields are {', '.join(fields)}."
    return f"{name}: {error['msg'].removeprefix('Input ')}."


def main(argv: Sequence[str]) -> None:
    """Serve a file of `export_onnx` until SIGTERM or Ctrl-C; ends with status 2 and one line if that can't be.

    At the end it prints `Service.summary` as one line of JSON.
    """
    parser = argparse.ArgumentParser(
        prog="python -m gpt2_lib.deploy serve",
        description="Serve a model over HTTP: POST /generate.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", type=Path, required=True, help="a file that export_onnx wrote")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="drain when standard input ends, as by SIGTERM"
    )
    for option in fields(Settings):
        name, kind = "--" + option.name.replace("_", "-"), option.type
        parser.add_argument(name, type=kind, default=option.default, help=option.metadata["help"] + " (%(default)s)")
    options = vars(parser.parse_args(argv))
    path, host, port, with_stdin = (options.pop(name) for name in ("model", "host", "port", "until_stdin_closes"))
    torch.set_num_threads(1)  # it only draws the tokens
    # From 1.29 on ONNX Runtime reports its use to Microsoft unless this is set before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    listener = None
    try:
        settings = Settings(**options)
        listener = _listen(host, port)
        uvicorn = need("uvicorn", "deploy")
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

    class Server(uvicorn.Server):
        """Drains on the first signal, still answering probes and refusing new work; stops at once on the second."""

        drain_until = float("inf")

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.should_exit = self.force_exit = service.draining
            self.drain()

        def drain(self) -> None:
            if not service.draining:
                self.drain_until = time.monotonic() + settings.drain_seconds
                service.draining = True

        async def on_tick(self, counter: int) -> bool:
            if service.draining and (service.in_flight == 0 or time.monotonic() > self.drain_until):
                self.should_exit = True
            return await super().on_tick(counter)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            address = f"[{host}]" if ":" in host else host
            print(f"{READY}http://{address}:{listener.getsockname()[1]} (Ctrl-C stops)", flush=True)

    server = Server(
        uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )
    if with_stdin:
        threading.Thread(target=_when_stdin_ends, args=(server.drain,), daemon=True).start()
    server.run([listener])
    with suppress(BrokenPipeError):  # whoever started it is gone
        print(json.dumps(service.summary()), flush=True)


def _listen(host: str, port: int) -> socket.socket:
    try:
        if not 0 <= port <= 65535:
            raise OSError("a port is a number from 0 to 65535")
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise DeployError(f"can't listen on {host} port {port}: {error}. Choose another with --port.") from None


def _when_stdin_ends(then: Callable[[], None]) -> None:
    with suppress(OSError):
        while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
    then()
