"""Readers of the artifacts that learners' functions return: they limit the size and report what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .log import read_log
from .onnx_file import Exported, read_exported
from .packed_file import Packed, read_packed

LARGEST = 12_000_000  # bytes of a file; gpt2-mini itself is 9 MB in float32
LARGEST_LOG = 1_000_000


@dataclass(frozen=True)
class Tracked:
    """The log of a training run and its final model."""

    rows: list[dict[str, float]]
    packed: Packed


def packed(read: Callable[[], object]) -> Packed:
    """Return the packed file whose bytes ``read`` returns. Raises AssertionError for anything else."""
    return read_packed(_bytes(_read(read), "the packed file", LARGEST))


def exported(read: Callable[[], object]) -> Exported:
    """Return the ONNX file whose bytes ``read`` returns. Raises AssertionError for anything else."""
    return read_exported(_bytes(_read(read), "the ONNX file", LARGEST))


def tracked(read: Callable[[], object]) -> Tracked:
    """Return the log and the packed file whose bytes ``read`` returns. Raises AssertionError for anything else."""
    both = _read(read)
    if not isinstance(both, tuple | list) or len(both) != 2:
        raise AssertionError(f"The bytes of two files were expected, the log and the packed file; got {_kind(both)}.")
    log, model = both
    return Tracked(
        read_log(_bytes(log, "the log", LARGEST_LOG)), read_packed(_bytes(model, "the packed file", LARGEST))
    )


def _read(read: Callable[[], object]) -> object:
    try:
        return read()
    except FileNotFoundError as error:
        raise AssertionError(
            f"{error.filename or error} is not there. Run the cell that makes it; to be graded, it is handed in beside "
            "the notebook."
        ) from None


def _bytes(data: object, what: str, largest: int) -> bytes:
    if not isinstance(data, bytes):
        raise AssertionError(f"The bytes of {what} were expected, Path(...).read_bytes() say; got {_kind(data)}.")
    if not data:
        raise AssertionError(
            f"{what[0].upper()}{what[1:]} is empty: was the cell that writes it stopped? Delete the file and run that "
            "cell again."
        )
    if len(data) > largest:
        raise AssertionError(
            f"The bytes of {what} are {len(data) / 1e6:.1f} MB, and {largest / 1e6:g} MB is the limit."
        )
    return data


def _kind(value: object) -> str:
    kind = "nothing (None)" if value is None else f"a {type(value).__name__}"
    return f"{kind} of {len(value)}" if isinstance(value, tuple | list) else kind
