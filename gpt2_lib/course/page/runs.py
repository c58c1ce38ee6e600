"""The last runs of a notebook's cells: which of them stopped before they made their answer anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from .cells import made

MISSING = object()  # stands for a name's value where there is none
DEFINED = re.compile(r"^(?:async +)?(?:def|class) +(\w+)", re.MULTILINE)

Stopped = Callable[[str, set[str]], None]  # gets a stopped cell's source, and the answers that it did not make


class Runs:
    """Runs of one kernel's cells. An answer is outdated if its cell stopped, and the name is what it was before."""

    def __init__(self) -> None:
        self._stopped: dict[str, tuple[object, str]] = {}  # name: its value before the run, and the run's error
        self._before: dict[str, object] = {}
        self._tell: Stopped = lambda source, names: None

    def follow(self, shell: InteractiveShell, tell: Stopped) -> None:
        """Follow the runs of ``shell``, and ``tell`` of each that stops. Twice changes nothing."""
        self._shell, self._tell = shell, tell
        shell.events.register("pre_run_cell", self.begin)  # IPython leaves out what is registered already
        shell.events.register("post_run_cell", self.end)

    def begin(self, info: Any) -> None:
        """Remember what the names are that the cell is going to make."""
        names = made(info.raw_cell, self._shell)
        if names is None:  # a syntax error: its lines tell, or the cell's id, which is its answer's name
            names = {*DEFINED.findall(info.raw_cell), info.cell_id}
        self._before = {name: self._shell.user_ns.get(name, MISSING) for name in names}

    def end(self, result: Any) -> None:
        """Remember which names a stopped cell has not made. Small things alone are kept: functions."""
        error = result.error_before_exec or result.error_in_exec
        old = {
            name: before
            for name, before in self._before.items()
            if error is not None
            and before is self._shell.user_ns.get(name, MISSING)
            and (before is MISSING or isinstance(before, FunctionType))
        }
        self._stopped = {n: of for n, of in self._stopped.items() if n not in self._before}
        self._stopped |= {name: (before, type(error).__name__) for name, before in old.items()}
        self._before = {}
        if error is not None:
            self._tell(result.info.raw_cell, set(old))

    def outdated(self, name: str, value: object = MISSING) -> str | None:
        """Return the error that stopped the cell of ``name``, if ``value`` is from before it; None if it is not."""
        before, error = self._stopped.get(name, (None, None))
        return error if before is value else None


runs = Runs()
