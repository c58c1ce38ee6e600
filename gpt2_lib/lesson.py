"""What only a lesson needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def when_written(exercise: str) -> Iterator[None]:
    """Run a demonstration that uses the learner's code; say so when that is not written yet."""
    try:
        yield
    except NotImplementedError:
        print(f"This comes alive when {exercise} is written: fill it in above and run this cell again.")
