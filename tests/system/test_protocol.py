"""Tests of the protocol: any message from a sandbox, in any order, gives a verdict or an error, and runs no code.

python tests/system/test_protocol.py 200000 5000     the same, so often
"""

from __future__ import annotations

import multiprocessing
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from autograder.judge.client import Judge, JudgeError
from autograder.judge.encoder import Encoder
from autograder.judge.process import judge
from autograder.judge.protocol import Line, Message, ProtocolError

CELL = "import os, torch\nsecret = os.urandom(16)"  # no answer is right
CHECKS = {
    "1": "assert f(3) == secret, 'no'",
    "2": "x = torch.ones(3)\nassert f(x, [1, {'a': 2}]) is secret\nassert x.sum() == 3",
    "3": "m = torch.nn.Linear(2, 2)\ntry:\n    f(m)\nexcept Exception:\n    pass\nassert f(1) is secret, f(2)",
    "4": "assert value == secret",
}
WORDS = ["plain", "int", "float", "tensor", "list", "dict", "opaque", "bytes", "array", "iterator", "call", "compile"]
ATOMS = [None, True, 0, 1, -1, 2**70, 0.5, "", "1", "torch.float32", "<f4", "f", "0", "__import__('os')", "\ud800"]
MESSAGES, DELAYS = 20_000, 300


def serve(connection: socket.socket) -> None:
    judge([CELL], CHECKS, Line(connection)).serve()


@contextmanager
def judging() -> Iterator[socket.socket]:
    """Yield the client's end of a line to a real judge, in a process without a sandbox."""
    ours, theirs = socket.socketpair()
    context = multiprocessing.get_context("forkserver")  # with what a judge imports
    context.set_forkserver_preload(["autograder.judge.process"])
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        assert process.is_alive(), "the judge died"
    finally:
        ours.close()
        process.kill()
        process.join()


def value(draw: random.Random, depth: int = 0) -> object:
    """JSON of any kind; often what the judge may take for a value."""
    if depth > 4 or draw.random() < 0.3:
        return draw.choice(ATOMS)
    if draw.random() < 0.5:
        return [draw.choice(WORDS), *(value(draw, depth + 1) for _ in range(draw.randrange(4)))]
    if draw.random() < 0.5:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    keys = ["result", "returned", "after", "error", "types", "text", "name", "0", "1", "callable", "type", "value"]
    return {draw.choice(keys): value(draw, depth + 1) for _ in range(draw.randrange(4))}


def answer(draw: random.Random) -> tuple[dict, Sequence[bytes]]:
    """Return a sandbox's reply to a call: well-formed, nearly, or not at all."""
    encoder = Encoder(strict=False)
    forms = [
        lambda: {"result": encoder.encode(draw.choice([1, "x", [1, 2], {"a": (1.5, None)}, b"x", object()]))},
        lambda: {"returned": draw.choice(["0", "1", "x"]), "after": {"0": ["value", encoder.encode(5)]}},
        lambda: {"error": {"types": [draw.choice(["ValueError", "exec", "SystemExit"])], "name": "E", "text": "t"}},
        lambda: {"after": {"0": ["module", encoder.encode(({}, {}, True))]}, "result": encoder.encode(None)},
        lambda: {"result": value(draw), "after": {"0": value(draw)}},
        lambda: {draw.choice(["result", "error", "after", "source", "found"]): value(draw)},
    ]
    content = draw.choice(forms)()
    buffers = [draw.randbytes(draw.randrange(20)) for _ in range(draw.randrange(3))]
    return content, list(encoder.buffers) or buffers


def names(draw: random.Random) -> dict:
    """Return the sandbox's report on the learner's names: mostly functions."""
    found = {"f": {"type": "function", "callable": True, "function": True, "borrowed": None}}
    found["value"] = {"type": "int", "callable": False, "value": value(draw)}
    if draw.random() < 0.2:
        found[draw.choice(["f", "value", "secret", "torch"])] = value(draw)  # type: ignore[assignment]
    return {"found": found, "missing": []}


def try_messages(count: int) -> dict[str, int]:
    """So many messages from a sandbox to a judge; {status: verdicts}."""
    draw, statuses = random.Random(0), {"passed": 0, "failed": 0, "trouble": 0}
    sent = 0
    with judging() as connection:
        line = Line(connection)
        while sent < count:
            check = draw.randrange(1, 5)
            line.send(Message("check", check, 0, names(draw)))
            sent += 1
            while True:
                message = line.receive(time.monotonic() + 600)
                assert message is not None, "no verdict"
                if message.kind == "verdict":
                    assert message.check == check
                    assert "make code" not in message.content.get("text", "")
                    statuses[message.content["status"]] += 1
                    break
                stale = [Message(draw.choice(["answer", "call", "verdict", "check", "x"]), draw.randrange(9), 0, {})]
                stale += [Message("answer", check, message.call + draw.choice([-1, 1, 7]), answer(draw)[0])]
                for other in draw.sample(stale, draw.randrange(3)):
                    line.send(other)
                line.send(Message("answer", check, message.call, *answer(draw)))
                sent += 1
    return statuses


def tampered(connection: socket.socket, draw: random.Random) -> socket.socket:
    """A line to the same judge on which messages are dropped, doubled, delayed and change places, both ways."""
    ours, middle = socket.socketpair()

    def carry(source: Line, target: Line) -> None:
        kept: list[Message] = []
        while True:
            try:
                message = source.receive(time.monotonic() + 0.01)
                if message is not None:
                    fate = draw.random()
                    kept += [] if fate < 0.02 else [message, message] if fate < 0.05 else [message]
                    if fate < 0.1:
                        draw.shuffle(kept)
                        continue
                while kept:
                    target.send(kept.pop(0))
            except (EOFError, OSError, ProtocolError, ValueError):
                return

    for one, other in ((connection, middle), (middle, connection)):
        threading.Thread(target=carry, args=(Line(one.dup()), Line(other.dup())), daemon=True).start()
    return ours


def try_delays(count: int) -> dict[str, int]:
    """So many checks on a line that can't be relied on; {what came of them: how often}."""
    draw, ends = random.Random(1), {"passed": 0, "failed": 0, "trouble": 0, "no verdict": 0}

    def call(content: dict, buffers: Sequence[bytes]) -> tuple[dict, Sequence[bytes]]:
        time.sleep(draw.random() * 0.02 if draw.random() < 0.1 else 0)
        return answer(draw)

    while sum(ends.values()) < count:
        with judging() as connection:
            Judge(Line(connection)).verdict(1, names(draw), [], call, time.monotonic() + 600)  # now it is warm
            client = Judge(Line(tampered(connection, draw)))
            for _ in range(50):
                try:
                    deadline = time.monotonic() + 1.0
                    verdict = client.verdict(draw.randrange(1, 5), names(draw), [], call, deadline)
                    ends[verdict.status] += 1
                except JudgeError:  # flagged, and the judge is replaced
                    ends["no verdict"] += 1
                    break
            client.close()
    return ends


def test_every_check_ends_with_a_verdict_whatever_a_sandbox_sends() -> None:
    statuses = try_messages(MESSAGES)
    assert statuses["passed"] == 0
    assert statuses["failed"] > 0
    assert statuses["trouble"] > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_messages_that_are_late_lost_doubled_or_in_another_order_decide_nothing() -> None:
    ends = try_delays(DELAYS)
    assert ends["passed"] == 0
    assert ends["failed"] > 0
    assert ends["no verdict"] > 0


if __name__ == "__main__":
    print(try_messages(int(sys.argv[1])), try_delays(int(sys.argv[2])))
