"""The judge: a process in its own sandbox that runs the checks; the learner's functions run in another.

The names of the learner's functions refer to `Proxy` objects. Changes of the learner's code to PyTorch, to ``assert``
or to IPython are confined to its own sandbox.

The checks are compiled before the first message is read. From then on no other code can be (`_refuse_new_code`).
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from types import CodeType, MappingProxyType

from torch.autograd.profiler import record_function

from .decoder import Decoder
from .names import without_magic
from .protocol import Line, Message, ProtocolError
from .proxy import PRINTED, TEXT, Calls, Proxy, TroubleError
from .wire import NotPlainError, Opaque

if sys.platform != "win32":  # judges are forked on Linux only
    import resource

SECONDS = 300  # of computing time, for all checks of a notebook
SEED = "CHECK_SEED"  # the variable in which a check finds its seed: gpt2_lib/course/check.py reads it
BUILTIN = vars(builtins)
NEW_CODE = {"compile", "exec", "code.__new__", "marshal.load", "marshal.loads", "pickle.find_class", "ctypes.dlopen"}


def main(request: dict, ready: int, line: int) -> None:
    """Run the instructor's cells of ``request``, then its checks on request, until the worker ends."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    os.environ["MPLBACKEND"] = "agg"
    sys.path[:] = [path for path in sys.path if path]
    seeds = {int(number): seed for number, seed in request["seeds"].items()}
    made = judge(request["cells"], request["checks"], Line(socket.socket(fileno=line)), seeds)
    os.write(ready, b".")
    os.close(ready)
    made.serve()


def judge(
    cells: Sequence[str], sources: Mapping[str, str], line: Line, seeds: Mapping[int, int] = MappingProxyType({})
) -> Judge:
    """Return a judge whose cells have run and whose checks are compiled; from now on no new code can be compiled.

    ``seeds``: of the checks that draw random inputs; a check without one draws a new seed each time.
    """
    notebook: dict[str, object] = {"__name__": "__main__", "__builtins__": BUILTIN}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for cell in cells:
            with contextlib.suppress(Exception):  # some need a notebook around them; a check that misses it will say so
                exec(compile(without_magic(cell), "<locked cell>", "exec"), notebook)
    checks = {int(number): _compiled(source) for number, source in sources.items()}
    record_function("")  # an optimiser's first step makes code of a type's name: not later than now
    _refuse_new_code([code for codes in checks.values() for code in codes if code is not None])
    return Judge(line, checks, notebook, seeds)


def _compiled(source: str) -> tuple[CodeType, CodeType | None]:
    """Return a compiled check, and its last expression, whose value may be points."""
    try:
        tree = ast.parse(without_magic(source))
    except SyntaxError as error:
        tree = ast.parse(f"raise SyntaxError({str(error)!r})")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value = compile(ast.Expression(last.value), "<check>", "eval") if isinstance(last, ast.Expr) else None
    return compile(tree, "<check>", "exec"), value


def _refuse_new_code(own: list[CodeType]) -> None:
    """Forbid new code from here on, except for imports of installed modules: no message can become code.

    ``own`` is recognised by identity and has to stay alive: code objects with the same content are equal.
    """
    known = {id(code) for code in own}

    def look(event: str, arguments: tuple) -> None:
        if event in NEW_CODE and not (event == "exec" and id(arguments[0]) in known) and not _is_import():
            raise TroubleError(f"a check tried to make code of data ({event}), which can't be done here")

    sys.addaudithook(look)


def _is_import() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class Judge:
    """The checks run in ``notebook``, one after the other: later ones see the names of earlier ones."""

    def __init__(
        self,
        line: Line,
        checks: dict[int, tuple[CodeType, CodeType | None]],
        notebook: dict,
        seeds: Mapping[int, int],
    ) -> None:
        self._line, self._checks, self._notebook, self._seeds = line, checks, notebook, seeds
        self._given: dict[str, object] = {}  # the values of the learner's names at the last check

    def serve(self) -> None:
        while True:
            try:
                message = self._line.receive()
                if message is not None and message.kind == "check" and message.check in self._checks:
                    self._line.send(Message("verdict", message.check, 0, self._verdict(message)))
            except (EOFError, OSError, ProtocolError):
                return

    def _verdict(self, message: Message) -> dict:
        """Run a check; returns {"status": "passed" | "failed" | "trouble", ...}, all values text."""
        calls, printed = Calls(self._line, message.check, self._notebook), io.StringIO()
        code, last = self._checks[message.check]
        os.environ[SEED] = str(self._seeds.get(message.check, ""))
        try:
            self._give_names(message, calls)
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
                exec(code, self._notebook)
                value = eval(last, self._notebook) if last is not None else None
            verdict = {"status": "passed", **_credit(value)}
        except BaseException as error:
            verdict = _failed(error, calls)
        if calls.untravelled and verdict["status"] != "trouble":
            text = (
                f"The arguments or the result of your function can't be transferred to the check. {calls.untravelled}"
            )
            verdict = {"status": "failed", "name": "AssertionError", "text": text, "review": calls.untravelled}
        elif calls.opaque and verdict["status"] == "failed":
            verdict["review"] = f"your function's {calls.opaque} can't be transferred to the check: was it right?"
        if calls.dropped:
            verdict["review"] = f"{calls.dropped} unsolicited messages arrived"
        return {name: text[:TEXT] for name, text in verdict.items()} | {"printed": printed.getvalue()[:PRINTED]}

    def _give_names(self, message: Message, calls: Calls) -> None:
        """Bind the learner's names to their current values in the check's notebook."""
        for name, value in self._given.items():
            if self._notebook.get(name) is value:
                del self._notebook[name]
        self._given.clear()
        calls.missing = set(message.content["missing"])
        decoder = Decoder(message.buffers)
        for name, what in message.content["found"].items():
            try:
                self._given[name] = self._value_of(name, what, decoder, calls)
            except Exception as error:  # our kernels never send that
                calls.untravelled = f"the value of {name} can't be read ({type(error).__name__}: {error})"
        self._notebook |= self._given

    @staticmethod
    def _value_of(name: str, what: dict, decoder: Decoder, calls: Calls) -> object:
        if what["callable"]:
            proxy = Proxy(name, calls, what.get("borrowed"))
            if what.get("function"):
                calls.functions[name] = proxy
            return proxy
        return decoder.decode(what["value"]) if "value" in what else type(what["type"], (Opaque,), {})()


def _credit(value: object) -> dict[str, str]:
    """Return nbgrader's partial credit, the number that a check ends with. All else is full credit, as in nbgrader."""
    if value is None:
        return {}
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]  # of NumPy and PyTorch as well
    except Exception:
        return {"review": f"the check ended with a {type(value).__name__}, where nbgrader takes numbers: full points"}
    if isinstance(value, bool | str) or type(value).__name__ == "bool_":
        return {"review": f"the check ended with {value!r}, where nbgrader takes numbers: full points"}
    if 0 <= number < float("inf"):
        return {"value": repr(number)}
    return {"value": "0.0", "review": f"the check ended with {number}, which is no number of points: none were given"}


def _failed(error: BaseException, calls: Calls) -> dict[str, str]:
    """Return the verdict on a check that ended with ``error``: the learner's failure or the grader's trouble."""
    name, text = type(error).__name__, _text(error)
    theirs = isinstance(error, AssertionError | NotPlainError) or any(error is one for one in calls.errors)
    missing = isinstance(error, NameError) and error.name in calls.missing
    no_function = isinstance(error, TypeError) and text.endswith("object is not callable")
    # What a check does with an answer of another type than it expects: None, most often.
    other_type = calls.answered and isinstance(error, TypeError | AttributeError)
    if theirs or missing or no_function or other_type:
        return {"status": "failed", "name": name, "text": text}
    return {"status": "trouble", "name": name, "text": text}


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return type(error).__name__
