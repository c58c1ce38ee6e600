"""Generations behind the routes: they take turns on a few threads, and their text comes piece by piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from ..onnx import OnnxGPT2
from .metrics import Metrics
from .settings import Settings

PIECE_SECONDS = 0.02  # text is handed over this often, and not token by token: changing threads takes time


class Busy(Exception):
    """All threads generate and the queue is full."""


class Service:
    """What stands behind the routes: the model, turns for generations, counters, and whether it is draining."""

    def __init__(self, model: OnnxGPT2, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.draining = False
        self.in_flight = 0  # requests to /generate from their first byte to the last of their answer
        self._pool = ThreadPoolExecutor(settings.concurrent, thread_name_prefix="generate")
        self._turns = asyncio.Semaphore(settings.concurrent)
        self._waiting = 0
        self.metrics = Metrics(in_flight=lambda: self.in_flight, waiting=lambda: self._waiting)

    async def pieces(
        self, ids: list[int], new_tokens: int, deadline: float, **sampling: Any
    ) -> AsyncGenerator[str, None]:
        """Text after the prompt's ``ids``, piece by piece; whoever stops asking stops the generation.

        Raises `Busy` when too many wait already, and TimeoutError at the deadline (of the event loop's clock), which
        is looked at between pieces.
        """
        loop = asyncio.get_running_loop()
        async with self._turn(deadline):
            self.metrics.prompt_tokens.inc(len(ids))
            text = Utf8Pieces(self.model.tokenizer)
            tokens = self.model.generate_ids(ids, new_tokens, **sampling)
            while found := await loop.run_in_executor(self._pool, _some, tokens):
                self.metrics.new_tokens.inc(len(found))
                yield "".join(map(text.add, found))
                if loop.time() > deadline:
                    raise TimeoutError
            yield text.rest()

    @asynccontextmanager
    async def _turn(self, deadline: float) -> AsyncIterator[None]:
        """Wait for a free thread."""
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


def _some(tokens: Iterator[int]) -> list[int]:
    """The next tokens, as many as come in `PIECE_SECONDS`, at least one; empty at the end."""
    end = time.monotonic() + PIECE_SECONDS
    found = []
    for token in tokens:
        found.append(token)
        if time.monotonic() > end:
            break
    return found


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
