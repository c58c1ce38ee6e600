"""A clock that jumps over sleep, for tests of code that waits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from unittest import mock

CLOCKS = ("time", "monotonic", "perf_counter")  # those that go on during sleep


@contextlib.contextmanager
def no_sleep() -> Iterator[None]:
    """`time.sleep` returns at once, and the clocks of `time` have moved on as if it had not."""
    slept, real = 0, {f"{name}_ns": getattr(time, f"{name}_ns") for name in CLOCKS}

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += round(seconds * 1e9)

    clocks = {name: lambda name=name: real[name]() + slept for name in real}
    clocks |= {name: lambda name=name: (real[f"{name}_ns"]() + slept) / 1e9 for name in CLOCKS}
    with contextlib.ExitStack() as stack:
        for name, new in {"sleep": sleep, **clocks}.items():
            stack.enter_context(mock.patch.object(time, name, new))
        yield
