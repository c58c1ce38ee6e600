"""Responses to a request, whole or streamed; the generation ends when the client disconnects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from .generation import Busy, GenerationRequest, Made, Service

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse

CLIENT_GONE = 499  # counted in /metrics and never sent: the client hung up
RETRY = {"Retry-After": "1"}  # seconds
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # of a stream: proxies pass it on as it comes


class Form(Protocol):
    """Format of a response: one JSON object, or the data of server-sent events."""

    def whole(self, text: str, made: Made) -> dict[str, Any]: ...
    def piece(self, text: str) -> dict[str, Any]: ...
    def ending(self, made: Made) -> list[dict[str, Any] | str]: ...
    def error(self, sentence: str, status: int) -> dict[str, Any]: ...


class Plain:
    """The response of /generate to a prompt of ``prompt_tokens`` tokens."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens

    def _counts(self, made: Made) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "new_tokens": made.new_tokens,
            "finish_reason": made.finish_reason,
        }

    def whole(self, text: str, made: Made) -> dict[str, Any]:
        return {"text": text} | self._counts(made)

    def piece(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def ending(self, made: Made) -> list[dict[str, Any] | str]:
        return [{"done": True} | self._counts(made)]

    def error(self, sentence: str, status: int) -> dict[str, Any]:
        return {"error": sentence}


async def answer(request: Request, asked: GenerationRequest, form: Form, service: Service, deadline: float) -> Response:
    """Return the response to ``asked``. Raises HTTPException with 503 for a full queue, with 504 at the deadline."""
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse, Response

    made = Made()
    pieces = service.pieces(asked, made, deadline)
    late = f"Stopped after {service.settings.request_seconds:g} seconds, this server's limit: ask for fewer tokens."
    try:  # a stream's first piece too, so that its status can still say what is wrong
        text = await _unless_gone(request, anext(pieces) if asked.stream else _joined(pieces))
    except Busy:
        raise HTTPException(503, "Too many requests are waiting: try again in a second.", RETRY) from None
    except TimeoutError:
        raise HTTPException(504, late) from None
    if text is None:
        return Response(status_code=CLIENT_GONE)
    if not asked.stream:
        return JSONResponse(form.whole(text, made))
    request.state.outcome = CLIENT_GONE  # what is counted unless the last event is reached
    return _event_stream()(_events(text, pieces, form, made, late, request.state), pieces)


async def _joined(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def _unless_gone(request: Request, work: Awaitable[str]) -> str | None:
    """Return the result of ``work``, or cancel it and return None if the client disconnects first."""

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


@cache
def _event_stream() -> Callable[[AsyncIterator[str], AsyncGenerator[str, None]], StreamingResponse]:
    """Return the class of a streamed response, made on first use: its base class is in an optional package."""
    from starlette.responses import StreamingResponse

    class EventStream(StreamingResponse):
        """A response that stops the generation when it ends: complete, disconnected, or not read."""

        media_type = "text/event-stream"

        def __init__(self, events: AsyncIterator[str], pieces: AsyncGenerator[str, None]) -> None:
            super().__init__(events, headers=HEADERS)
            self.pieces = pieces

        async def __call__(self, *call: Any) -> None:
            async with aclosing(self.pieces):
                await super().__call__(*call)

    return EventStream


async def _events(
    first: str, pieces: AsyncIterator[str], form: Form, made: Made, late: str, state: Any
) -> AsyncIterator[str]:
    """Yield server-sent events: one for each piece, then those of the ending, or an error at the deadline."""
    try:
        yield _event(form.piece(first))
        async for piece in pieces:
            if piece:
                yield _event(form.piece(piece))
        state.outcome = 200
        for data in form.ending(made):
            yield _event(data)
    except TimeoutError:
        state.outcome = 504
        yield _event(form.error(late, 504))


def _event(data: dict[str, Any] | str) -> str:
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n"
