"""A store for block outputs and original weights: in memory up to a limit, in temporary files beyond it."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...modules import map_tensors

KEPT_BYTES = 2**26  # 64 MB, or
KEPT_SHARE = 1 / 8  # of what the weights take, where that is more


class TensorStore:
    """A list of tensors, or of objects with tensors: up to ``limit`` bytes in memory, the others in temporary files."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._entries: dict[int, Any] = {}  # in memory: the entry; in a file: None
        self._bytes: dict[int, int] = {}  # of those in memory
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # goes when this object goes

    def __setitem__(self, index: int, entry: Any) -> None:
        self._entries[index] = None
        self._bytes[index] = 0
        size = _bytes_of(entry)
        if sum(self._bytes.values()) + size <= self._limit:
            self._entries[index], self._bytes[index] = entry, size
        else:
            self._write(index, entry)

    def __getitem__(self, index: int) -> Any:
        """Return a copy of the entry: changes in place do not affect the store."""
        entry = self._entries[index]
        if entry is not None:
            return copy.deepcopy(entry)
        return torch.load(self._file(index), weights_only=False)  # written here, by this process

    def __len__(self) -> int:
        return len(self._entries)

    def _write(self, index: int, entry: Any) -> None:
        file = self._file(index)
        try:
            torch.save(entry, file)
        except (OSError, RuntimeError) as error:  # for a full disk PyTorch raises an error about its archive
            raise OSError(
                f"What pruning needs later could not be kept in {file.parent}; is the disk full? Free some space, or "
                "set the environment variable TMPDIR to a folder on a larger disk."
            ) from error

    def _file(self, index: int) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="gpt2_lib-")
        return Path(self._folder.name) / f"{index}.pt"


def room_beside(model: nn.Module) -> float:
    """Return the bytes that `TensorStore` may hold in memory beside ``model``."""
    return max(KEPT_BYTES, KEPT_SHARE * sum(p.numel() * p.element_size() for p in model.parameters()))


@contextmanager
def restored_on_error(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Restore the weights if the body raises an error; copies of at most KEPT_BYTES stay in memory."""
    before = TensorStore(KEPT_BYTES)
    for i, w in enumerate(weights.values()):
        before[i] = w.detach().clone()
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for i, w in enumerate(weights.values()):
                w.copy_(before[i])
        raise


def tensors_in(value: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(value, note)
    return found


def _bytes_of(value: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_in(value))
