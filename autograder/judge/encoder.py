"""The encoder of values to plain data, in the format of `wire`."""

from __future__ import annotations

from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, ValuesView

import numpy as np
import torch
from torch import Tensor, nn

from .wire import (
    ARRAY,
    BYTES,
    DEPTH,
    DIMENSIONS,
    DTYPES,
    ROOM,
    TOO_MUCH,
    Count,
    NotPlainError,
    Opaque,
    TheirsError,
    as_number,
    text_length,
)


class Encoder:
    """An encoder for the values of one message; tensors that share memory share it after decoding as well.

    Sets, generators and other iterators are read to their end. The same iterator can't be read twice.
    """

    def __init__(self, strict: bool, exact: bool = False) -> None:
        """Create an encoder. ``strict``: raise NotPlainError for other values instead of sending their type's name.

        ``exact``: also for a value that would arrive as another type, such as a Counter.
        """
        self.buffers: list[bytes] = []
        self._strict, self._exact = strict, exact
        self._met: set[int] = set()
        self._storages: dict[tuple[int, int], int] = {}  # address and size -> its buffer
        self._kept: list[object] = []  # alive until all is encoded, so that no address comes twice
        self._count = Count()

    def encode(self, value: object, depth: int = 0) -> list:
        if self._exact:
            self._refuse_what_would_change(value)
        value = _base(value)
        if isinstance(value, Opaque) and self._strict:  # else its sender could choose to be judged otherwise
            raise TheirsError(f"Your code returned a {type(value).__name__} where plain data was expected.")
        if not self._count.has_room(ROOM + (text_length(value) if type(value) is str else 0)):
            raise NotPlainError(TOO_MUCH)
        if depth > DEPTH:
            return self._opaque(value, "is nested too deeply")
        if value is None or type(value) in (bool, str):
            return ["plain", value]
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value)
        if type(value) in (bytes, bytearray):
            return self._raw(bytes(value))  # pyright: ignore[reportArgumentType]
        if isinstance(value, dict):
            return ["dict", [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]]
        kind = _container(value)
        if kind:
            return [kind, [self.encode(item, depth + 1) for item in value]]  # pyright: ignore[reportGeneralTypeIssues]
        numbers = as_number(value)
        if numbers and self._count.has_room(sum(map(len, numbers))):
            return numbers
        return self._opaque(value, "is no plain data")

    def _refuse_what_would_change(self, value: object) -> None:
        if _loses_its_type(value):
            raise NotPlainError(f"a {type(value).__name__} would lose its type")
        if isinstance(value, Tensor) and value.is_leaf and value.grad is not None:
            raise NotPlainError("a tensor would lose its gradient")
        if isinstance(value, list | dict | set | np.ndarray):
            if id(value) in self._met:
                raise NotPlainError(f"a {type(value).__name__} that is there twice would become two")
            self._met.add(id(value))

    def _raw(self, value: bytes) -> list:
        if not self._count.has_room(data=len(value)):
            return self._opaque(value, "is too big")
        self.buffers.append(value)
        return ["bytes", len(self.buffers) - 1]

    def _tensor(self, tensor: Tensor) -> list:
        strided = tensor.device.type == "cpu" and tensor.layout == torch.strided and not tensor.is_nested
        if str(tensor.dtype) not in DTYPES or not strided:
            return self._opaque(tensor, "is no dense tensor of real numbers on the CPU")
        plain = tensor.detach().as_subclass(Tensor).resolve_neg()
        storage = plain.untyped_storage()
        if plain.numel() * plain.element_size() > BYTES or plain.dim() > DIMENSIONS:
            return self._opaque(tensor, "is too big")
        key = storage.data_ptr(), storage.nbytes()
        number = self._storages.get(key) if storage.nbytes() else None
        if not self._count.has_room(60 + 40 * plain.dim(), storage.nbytes() if number is None else 0):
            return self._opaque(tensor, "is too big")
        if number is None:
            number = self._storages[key] = len(self.buffers)
            self._kept.append(storage)
            self.buffers.append(torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes())
        trained = "parameter" if isinstance(tensor, nn.Parameter) else "grad"
        frozen = "frozen" if isinstance(tensor, nn.Parameter) else "tensor"
        kind = trained if tensor.requires_grad else frozen
        place = [number, plain.storage_offset(), list(plain.shape), list(plain.stride())]
        return [kind, str(plain.dtype), *place]

    def _array(self, value: np.ndarray | np.generic) -> list:
        array = np.ascontiguousarray(value)
        plain = ARRAY.fullmatch(array.dtype.str) and not isinstance(value, np.ma.MaskedArray)
        if not plain or not self._count.has_room(40 + 20 * np.ndim(value), array.nbytes):
            return self._opaque(value, "is no plain array")
        self.buffers.append(array.tobytes())
        shape = list(np.shape(value))
        return ["scalar" if isinstance(value, np.generic) else "array", array.dtype.str, len(self.buffers) - 1, shape]

    def _opaque(self, value: object, why: str) -> list:
        if self._strict:
            raise NotPlainError(f"a {type(value).__name__} {why}")
        if not self._count.has_room(80):
            raise NotPlainError(TOO_MUCH)
        return ["opaque", type(value).__name__[:80]]


def _base(value: object) -> object:
    """Return subclasses of text, numbers and tuples as their base type, and list-like views as lists."""
    if isinstance(value, str) and type(value) is not str:
        return str.__str__(value)
    if isinstance(value, int) and type(value) not in (int, bool):
        return int.__index__(value)
    if isinstance(value, tuple) and type(value) not in (tuple, torch.Size):
        return tuple.__getitem__(value, slice(None))
    if isinstance(value, deque | KeysView | ValuesView | ItemsView):
        return list(value)
    return value


def _loses_its_type(value: object) -> bool:
    """Return whether a value becomes another type in transfer. Views and iterators may."""
    if isinstance(value, str | int | tuple | dict | bytearray | deque):
        return type(value) not in (str, int, bool, tuple, dict)
    return False


def _container(value: object) -> str:
    """Return the kind of a list or similar container, "" for anything else."""
    if type(value) is torch.Size:
        return "tuple"
    if type(value) in (list, tuple, set, frozenset):
        return type(value).__name__
    return "iterator" if isinstance(value, Iterator) else ""
