"""The budget of one learner's hand-in: what is over it is refused, in a sentence, and the others' are collected.

It is looked at before something is read where a header says the size, and while it is read in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .regular import Refused

MAX_FILES = 10_000  # of a hand-in, with those in its archives
MAX_READ = 1_000_000_000  # bytes: each file is read at most a few times
MAX_ARCHIVE = 200_000_000  # bytes of an archive, packed and unpacked
MAX_NAMES = 8_000_000  # bytes of the names in an archive, and of what else it says of its files
MAX_NAME = 64_000  # bytes of that for one file; programs on macOS write some thousand
TOO_LONG = f"holds more than {MAX_NAMES // 1_000_000} MB of names: leave out what no notebook asks for"

Read = Callable[[int], bytes]


@dataclass
class Budget:
    """The files and bytes of a hand-in that may still be looked at."""

    files: int = field(default_factory=lambda: MAX_FILES)
    bytes: int = field(default_factory=lambda: MAX_READ)

    def look_at(self, files: int) -> None:
        """Take files off the budget, before any of them is read. Raises Refused."""
        if files > self.files:
            raise Refused(
                f"holds {files:,} files, and a hand-in has at most {MAX_FILES:,}: keep the notebooks and the files "
                "that they ask for, then collect it again"
            )
        self.files -= files

    def unpack(self, bytes: int) -> None:
        """Take bytes off the budget. Raises Refused."""
        self.bytes -= bytes
        if self.bytes < 0:
            raise Refused(f"was not read: this learner's files came to more than {MAX_READ // 1_000_000} MB before it")

    def charged(self, read: Read) -> Read:
        """Return a file's ``read``, whose bytes count."""

        def reading(limit: int) -> bytes:
            self.unpack(0)
            data = read(limit)
            self.unpack(len(data))
            return data

        return reading
