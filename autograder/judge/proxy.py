"""Proxies of the learner's functions: a check calls them here, and the learner's sandbox computes the result.

A call transfers its arguments as plain data (`wire`) or, for models and functions, as copies (`transfer`); the reply
is plain data, with the changes to the arguments.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import signal
from collections.abc import Iterator

from .decoder import Decoder
from .encoder import Encoder
from .protocol import Line, Message, ProtocolError
from .transfer import draw, get_random, pack, restore, theirs
from .wire import NotPlainError, TheirsError

TEXT = 20_000  # characters of a message
SYSTEMS = re.compile(r"\[Errno (\d{1,5})\] ([^\n]+?)(?:: ('[^\n]*'|\"[^\n]*\"))?")  # the text of a system's error
PRINTED = 1 << 20  # characters of what a check prints


class TroubleError(BaseException):
    """An error of the grader, not the learner. Not an Exception, so that no check catches it as theirs."""


class Calls:
    """The calls of one check to the learner's functions, and their outcomes."""

    def __init__(self, line: Line, check: int, notebook: dict[str, object]) -> None:
        self.check = check
        self.functions: dict[str, Proxy] = {}  # those that a check may delete or replace for a while
        self.errors: list[BaseException] = []  # that the learner's code has raised
        self.missing: set[str] = set()  # names that the learner's notebook doesn't have
        self.untravelled = ""  # values that could not be transferred
        self.opaque = ""  # the type of a result, or of a part of one, of which only the type's name was transferred
        self.dropped = 0  # unexpected messages
        self.answered = False  # whether a call has come back with something
        self._line, self._notebook, self._number, self._random = line, notebook, 0, get_random()

    def ask(self, content: dict, buffers: list[bytes]) -> Message:
        """Return the answer to one call. Raises NotPlainError for a call that is too large."""
        self._number += 1
        if (state := get_random()) != self._random:  # the check has set a seed, say
            content, buffers = {**content, "random": True}, [*buffers, state]
            draw()  # as the function may: should the check set the same seed again, that is seen
            self._random = get_random()
        with _undisturbed():
            try:
                self._line.send(Message("call", self.check, self._number, content, buffers))
            except ProtocolError as error:
                raise NotPlainError(str(error)) from error
            while True:
                message = self._line.receive()
                if message is None:
                    raise TroubleError("no answer came")
                if (message.kind, message.check, message.call) == ("answer", self.check, self._number):
                    return message
                self.dropped += 1

    def changed(self) -> tuple[list[str], dict[str, object]]:
        """Return the learner's functions that the check has deleted, and the values by which it replaced others."""
        gone = [name for name in self.functions if name not in self._notebook]
        put = {n: self._notebook[n] for n, f in self.functions.items() if self._notebook.get(n, f) is not f}
        return gone, put


class Proxy:
    """A function of the learner's that is called in the learner's sandbox."""

    def __init__(self, name: str, calls: Calls, borrowed: str | None) -> None:
        self.__name__ = name
        self.__borrowed__ = borrowed  # what a look at the true function has found (gpt2_lib.course.own_work)
        self._calls = calls

    def __call__(self, *arguments: object, **named: object) -> object:
        values = {str(place): value for place, value in enumerate(arguments)} | named
        try:
            try:
                answer = self._calls.ask(*self._call(values))
                told, decoder = answer.content, Decoder(answer.buffers)
                print(str(told.get("printed", ""))[:PRINTED], end="")
                for name, what in told.get("after", {}).items():
                    restore(values[name], what, decoder)
                if "error" not in told:
                    if "returned" in told:
                        return values[told["returned"]]
                    self._calls.answered = True
                    decoder.opaque = ""  # of the arguments: a function of the check's stays what it is
                    result = decoder.decode(told["result"])
                    self._calls.opaque = self._calls.opaque or decoder.opaque
                    return result
                if told["error"].get("name") == "NotPlainError":
                    raise NotPlainError(str(told["error"]["text"])[:TEXT])
                error = error_of(told["error"])
            except (NotPlainError, TheirsError, EOFError, OSError):
                raise
            except Exception as forged:
                raise NotPlainError(f"the reply is no valid answer ({type(forged).__name__}: {forged})") from forged
        except NotPlainError as reason:
            self._calls.untravelled = f"{self.__name__}(): {reason}"
            raise
        self._calls.errors.append(error)
        raise error

    def _call(self, values: dict[str, object]) -> tuple[dict, list[bytes]]:
        gone, put = self._calls.changed()
        call: dict[str, object] = {"name": self.__name__, "deleted": gone}
        everything = dict(values)
        for name, value in put.items():  # what can't travel is left out: the learner's code can't have relied on it
            with contextlib.suppress(NotPlainError, TheirsError):
                pack({name: value})
                everything[f"={name}"] = value
        try:
            encoder = Encoder(strict=True, exact=True)
            return {**call, "values": encoder.encode(everything)}, encoder.buffers
        except NotPlainError:
            pass
        try:
            return {**call, "packed": True}, [pack(everything)]
        except NotPlainError:  # a type that only this process knows is sent as its built-in base type
            encoder = Encoder(strict=True)
            return {**call, "values": encoder.encode(everything)}, encoder.buffers

    def __reduce__(self) -> tuple:
        return theirs, (self.__name__,)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Defer a check's timer signals until the end of the body."""
    rang: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda number, _: rang.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        if rang and callable(handler):
            signal.raise_signal(signal.SIGALRM)


def error_of(told: dict) -> Exception:
    """Return the learner's error as the nearest built-in type, with its text and, for a system's error, its file."""
    kinds = [vars(builtins).get(name) for name in told["types"]]
    kind = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), RuntimeError)
    name, text = str(told.get("name", kind.__name__)), str(told["text"])
    text = text if kind.__name__ == name else f"{name}: {text}"
    try:
        made = kind(text)
        if isinstance(made, OSError) and (said := SYSTEMS.fullmatch(text)):
            number, reason, file = int(said[1]), said[2], said[3]
            whole = kind(number, reason, *([file[1:-1]] if file else []))
            made = whole if (str(whole), reason) == (text, os.strerror(number)) else made
        return made
    except Exception:  # UnicodeDecodeError and similar classes need more arguments than a text
        return RuntimeError(f"{kind.__name__}: {text}")
