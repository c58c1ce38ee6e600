"""Middleware around every request for text: it counts requests and enforces a final time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from .generation import Service

WATCHED = ("/generate", "/v1/completions")
TAKING_SECONDS = 5  # after the time for a request, for its client to take the rest of the answer


class Watch:
    """ASGI middleware that counts the requests for text, and ends those whose client doesn't read the response."""

    def __init__(self, app: Callable[..., Awaitable[None]], service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[None]]
    ) -> None:
        if scope["type"] != "http" or scope["path"] not in WATCHED:
            return await self.app(scope, receive, send)
        service, start, status = self.service, time.monotonic(), 500

        async def noting(message: dict[str, Any]) -> None:
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
            service.metrics.count(scope.get("state", {}).get("outcome", status), time.monotonic() - start)
