"""Generation behind the routes: requests take turns on a few threads, and text is produced piece by piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ..onnx import OnnxGPT2
from .metrics import Metrics
from .settings import Settings

PIECE_SECONDS = 0.02  # text is handed over this often, and not token by token: changing threads takes time


class Busy(Exception):
    """Raised when all threads are in use and the queue is full."""


@dataclass(frozen=True)
class GenerationRequest:
    """A request that passed every check; the prompt is token ids."""

    ids: list[int]
    max_new_tokens: int
    temperature: float
    top_k: int | None
    seed: int | None
    stop: tuple[str, ...]  # the text ends before the first of these
    stream: bool


@dataclass
class Made:
    """The progress of a generation, and why it ends: ``stop`` (model or stop string) or ``length`` (the limit)."""

    new_tokens: int = 0
    finish_reason: Literal["stop", "length"] = "length"


class Service:
    """The state behind the routes: the model, the threads and their queue, counters, and whether it is draining."""

    def __init__(self, model: OnnxGPT2, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.draining = False
        self.in_flight = 0  # requests for text from their first byte to the last of their answer
        self._pool = ThreadPoolExecutor(settings.concurrent, thread_name_prefix="generate")
        self._turns = asyncio.Semaphore(settings.concurrent)
        self._waiting = 0
        self.metrics = Metrics(in_flight=lambda: self.in_flight, waiting=lambda: self._waiting)

    async def pieces(self, asked: GenerationRequest, made: Made, deadline: float) -> AsyncGenerator[str, None]:
        """Yield text after the prompt, piece by piece, counted in ``made``; a caller that stops ends the generation.

        Raises `Busy` when the queue is full, and TimeoutError at the deadline (of the event loop's clock), which is
        checked between pieces.
        """
        loop = asyncio.get_running_loop()
        async with self._turn(deadline):
            self.metrics.prompt_tokens.inc(len(asked.ids))
            text, until = Utf8Pieces(self.model.tokenizer), UntilStop(asked.stop)
            sampling = {"temperature": asked.temperature, "top_k": asked.top_k, "seed": asked.seed}
            tokens = self.model.generate_ids(asked.ids, asked.max_new_tokens, **sampling)
            while found := await loop.run_in_executor(self._pool, _some, tokens):
                piece, before = "", made.new_tokens
                for token in found:
                    piece += until.add(text.add(token))
                    made.new_tokens += 1
                    if until.found:
                        made.finish_reason = "stop"
                        break
                self.metrics.new_tokens.inc(made.new_tokens - before)
                yield piece
                if until.found:
                    return
                if loop.time() > deadline:
                    raise TimeoutError
            piece = until.add(text.rest())
            if until.found or made.new_tokens < asked.max_new_tokens:
                made.finish_reason = "stop"
            yield piece + until.rest()

    @asynccontextmanager
    async def _turn(self, deadline: float) -> AsyncIterator[None]:
        """Wait for a free thread, and hold it."""
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
    """Return the tokens of the next `PIECE_SECONDS`, at least one; [] at the end."""
    end = time.monotonic() + PIECE_SECONDS
    found = []
    for token in tokens:
        found.append(token)
        if time.monotonic() > end:
            break
    return found


class Utf8Pieces:
    """A decoder of token ids to text, piece by piece: the bytes of a split character wait for the rest."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.waiting: list[int] = []

    def add(self, token: int) -> str:
        """Return the text that is complete with this token; it may be empty."""
        self.waiting.append(token)
        text = self.tokenizer.decode(self.waiting)
        if text.endswith("\N{REPLACEMENT CHARACTER}"):  # perhaps incomplete: the next tokens decide
            return ""
        self.waiting.clear()
        return text

    def rest(self) -> str:
        """Return the rest after the last token, with replacement characters for invalid bytes."""
        text = self.tokenizer.decode(self.waiting)
        self.waiting.clear()
        return text


class UntilStop:
    """A filter that ends the text before the first complete stop string; a possible beginning of one waits."""

    def __init__(self, stop: Sequence[str]) -> None:
        self.stop = stop
        self.found = False
        self.waiting = ""

    def add(self, piece: str) -> str:
        """Return the text that is certain with this piece; it may be empty."""
        text = self.waiting + piece
        ends = [(start + len(string), start) for string in self.stop if (start := text.find(string)) >= 0]
        if ends:
            self.found = True
            self.waiting = ""
            return text[: min(ends)[1]]
        begun = (n for string in self.stop for n in range(1, len(string)) if text.endswith(string[:n]))
        sure = len(text) - max(begun, default=0)
        self.waiting = text[sure:]
        return text[:sure]

    def rest(self) -> str:
        """Return the waiting text after the last piece."""
        rest, self.waiting = self.waiting, ""
        return rest
