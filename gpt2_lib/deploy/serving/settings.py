"""The limits of a server."""

# No `from __future__ import annotations`: the command line reads the types of the fields.

from dataclasses import dataclass, field, fields
from typing import Any

from ...system.processors import processors


def _setting(default: float, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Settings:
    """Limits of a server; each is also an option of the command line. Raises ValueError for one that isn't positive."""

    prompt_characters: int = _setting(20_000, "longest prompt, in characters (its tokens must fit the context as well)")
    max_new_tokens: int = _setting(512, "most tokens that one request may ask for")
    body_bytes: int = _setting(256 * 1024, "largest body of a request")
    concurrent: int = field(
        default_factory=processors, metadata={"help": "generations at the same time, one thread each"}
    )
    queued: int = _setting(64, "generations that may wait for their turn; more are refused with 503")
    request_seconds: float = _setting(60.0, "time for one request, waiting included; then 504")
    drain_seconds: float = _setting(30.0, "after SIGTERM, time for the requests in flight")

    def __post_init__(self) -> None:
        for option in fields(self):
            if not getattr(self, option.name) > 0:
                raise ValueError(f"{option.name} must be more than 0; got {getattr(self, option.name)}.")
