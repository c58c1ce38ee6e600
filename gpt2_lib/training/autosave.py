"""Snapshots that a run takes by itself: once a minute, and when it is interrupted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 60.0  # of training at most that a killed run loses; a step that takes longer is saved each time


class Autosave:
    """Calls ``save`` before a step that begins SECONDS or more after the last save, and after an interrupted one.

    An interrupt (Ctrl-C, a notebook's stop button) would leave a step's weights half updated. So the step is finished,
    what the loop does with it too, and the next step raises KeyboardInterrupt, after the save. A second interrupt in
    the same step stops at once, without one. Other threads than the main one are never interrupted.
    """

    held = False  # an interrupt has been caught that no next step has raised; after a run's last step none does

    def __init__(self, save: Callable[[], object]) -> None:
        self._save, self._interrupted, self._saved = save, False, time.monotonic()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run a step in a ``with`` statement."""
        if self._interrupted or time.monotonic() - self._saved >= SECONDS:
            self._save()
            self._saved = time.monotonic()
        if self._interrupted:
            self._interrupted = Autosave.held = False
            raise KeyboardInterrupt("The run was saved: made again with the same settings, it goes on from here.")
        here = threading.current_thread() is threading.main_thread()
        usual = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if usual:
            signal.signal(signal.SIGINT, self._finish_first)
        try:
            yield
        finally:
            if usual:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _finish_first(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            signal.default_int_handler(number, frame)
        self._interrupted = Autosave.held = True
