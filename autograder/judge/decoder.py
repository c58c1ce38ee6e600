"""The decoder of untrusted plain data in the format of `wire` to values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .wire import (
    ARRAY,
    BITS,
    BYTES,
    CONTAINERS,
    DEPTH,
    DIMENSIONS,
    DTYPES,
    NUMBERS,
    ONE,
    ROOM,
    Count,
    Opaque,
    as_number,
    text_length,
)


class Decoder:
    """A decoder for the values of one message. Raises ValueError for what no `Encoder` wrote."""

    def __init__(self, buffers: Sequence[bytes]) -> None:
        if sum(map(len, buffers)) > BYTES:
            raise ValueError("more data than an Encoder sends")
        self.storages = [torch.frombuffer(bytearray(b), dtype=torch.uint8) if len(b) else None for b in buffers]
        self._buffers = buffers
        self._seen: set[int] = set()  # storages that are counted
        self.opaque = ""  # the type's name of a value that was not transferred
        self._count = Count()

    def decode(self, coded: object) -> object:
        try:
            return self._decode(coded, depth=0)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"this is no message: {error}") from error

    def _decode(self, coded: Any, depth: int) -> object:
        if type(coded) is not list:
            raise ValueError("no value")
        kind, *rest = coded
        self._takes(ROOM + (text_length(rest[0]) if kind == "plain" and type(rest[0]) is str else 0))
        if kind == "opaque":
            self._takes(80)
            self.opaque = self.opaque or str(rest[0])[:80]
            return type(str(rest[0])[:80], (Opaque,), {})()
        if depth > DEPTH:
            raise ValueError("nested too deeply")
        if kind in ONE and (len(rest) != 1 or (kind not in ("plain", "bytes") and type(rest[0]) is not list)):
            raise ValueError("no value that an Encoder sends")
        if kind == "plain":
            if rest[0] is not None and type(rest[0]) not in (bool, str):
                raise ValueError("no plain value")
            return rest[0]
        if kind in NUMBERS:
            return self._number(kind, rest)
        if kind == "bytes":
            data = self._buffers[_whole(rest[0])]
            self._takes(data=len(data))
            return data
        if kind in CONTAINERS:
            return CONTAINERS[kind]([self._decode(item, depth + 1) for item in rest[0]])
        if kind == "dict":
            return {self._decode(k, depth + 1): self._decode(v, depth + 1) for k, v in rest[0]}
        if kind in ("tensor", "grad", "parameter", "frozen"):
            return self._tensor(kind, *rest)
        if kind in ("scalar", "array"):
            return self._array(kind, *rest)
        raise ValueError(f"no kind of value: {kind!r}")

    def _takes(self, text: int = 0, data: int = 0) -> None:
        if not self._count.has_room(text, data):
            raise ValueError("more than an Encoder sends")

    def _number(self, kind: str, words: list[str]) -> object:
        count, make = NUMBERS[kind]
        if len(words) != count or not all(type(word) is str and len(word) <= BITS for word in words):
            raise ValueError("no number")
        number = make(*words)
        # As the encoder writes it: no other spelling, and nothing that it would refuse.
        if as_number(number) != [kind, *words]:
            raise ValueError("no number that an Encoder sends")
        self._takes(len(kind) + sum(map(len, words)))
        return number

    def _array(self, kind: str, name: str, number: int, shape: list[int]) -> object:
        if not ARRAY.fullmatch(name):
            raise ValueError("no array of numbers")
        data = self._buffers[_whole(number)]
        self._takes(40 + 20 * len(shape), len(data))
        array = np.frombuffer(bytearray(data), np.dtype(name)).reshape([_whole(size) for size in shape])
        if kind == "array":
            return array
        return array[()] if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))[()]

    def _tensor(self, kind: str, dtype: str, number: int, offset: int, shape: list[int], stride: list[int]) -> Tensor:
        storage = self.storages[_whole(number)]
        empty = torch.empty(0, dtype=DTYPES[dtype])
        sizes, steps = [_whole(size) for size in shape], [_whole(step) for step in stride]
        if len(sizes) != len(steps) or len(sizes) > DIMENSIONS:
            raise ValueError("no place in a storage")
        if math.prod(sizes) * empty.element_size() > BYTES:  # a stride of 0 makes a large tensor from little data
            raise ValueError("too big a tensor")
        new = number not in self._seen
        self._seen.add(number)
        self._takes(60 + 40 * len(sizes), len(self._buffers[number]) if new else 0)
        # PyTorch checks the rest: a storage on a buffer of ours can't grow, so nothing outside of it can be reached.
        if storage is not None:
            tensor = empty.set_(storage.untyped_storage(), _whole(offset), sizes, steps)
        else:
            tensor = empty.view(sizes)
        if kind in ("parameter", "frozen"):
            return nn.Parameter(tensor, requires_grad=kind == "parameter")
        return tensor.requires_grad_() if kind == "grad" else tensor


def _whole(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("no size, place or number of a buffer")
    return number
