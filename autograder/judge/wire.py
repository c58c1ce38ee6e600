"""Values as plain data, to carry a function's arguments and results between two processes that don't trust each other.

Tensors and bytes travel as raw buffers, numbers, strings and containers as JSON. Nothing that is decoded can run
code (no pickle). What is not plain data is refused (`NotPlainError`) or, where a stranger sent it, becomes an `Opaque`
that has only its type's name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Not all that PyTorch has: just to print a tensor of some of the others can crash the process.
DTYPES = {f"torch.{name}": getattr(torch, name) for name in ("bool", "uint8", "int8", "int16", "int32", "int64")}
DTYPES |= {f"torch.{name}": getattr(torch, name) for name in ("float16", "bfloat16", "float32", "float64")}
DEPTH = 16
BYTES = 64 << 20  # of one message
ROOM = 32  # bytes of a message that a value may take beside its content, roughly
BITS = 10_000  # of a whole number


class NotPlainError(Exception):
    """A value is no plain data (a model, a function, ...)."""


class TheirsError(AssertionError):
    """A value that came from a stranger's code can't be sent back to it."""


class Opaque:
    """Stands for a value that is no plain data; it is an instance of a class with that value's type name."""


class Encoder:
    """Encodes values of one message; tensors that share memory share it after decoding as well."""

    def __init__(self, strict: bool) -> None:
        """``strict``: raise NotPlainError for what is no plain data, instead of sending its type's name."""
        self.buffers: list[bytes] = []
        self._strict = strict
        self._storages: dict[int, int] = {}
        self._kept: list[object] = []  # alive until all is encoded, so that no address comes twice
        self._bytes = 0

    def encode(self, value: object, depth: int = 0) -> list:
        if isinstance(value, Opaque) and self._strict:  # else its sender could choose to be judged otherwise
            raise TheirsError(f"Your code returned a {type(value).__name__} where plain data was expected.")
        self._bytes += ROOM + (len(value) if type(value) is str else 0)
        if self._bytes > BYTES:
            raise NotPlainError(f"more than {BYTES >> 20} MB")
        if depth > DEPTH:
            return self._opaque(value, "is nested too deeply")
        if value is None or type(value) in (bool, str):
            return ["plain", value]
        if type(value) is int:
            return ["int", str(value)] if value.bit_length() < BITS else self._opaque(value, "is too long a number")
        if type(value) is float:
            return ["float", value.hex()]
        if type(value) is bytes:
            return self._raw(value)
        if type(value) is Fraction and max(value.numerator.bit_length(), value.denominator.bit_length()) < 10_000:
            return ["fraction", str(value.numerator), str(value.denominator)]
        if type(value) is Decimal and len(str(value)) < 100:
            return ["decimal", str(value)]
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value)
        if isinstance(value, list | tuple) and type(value) in (list, tuple, torch.Size):
            return ["list" if type(value) is list else "tuple", [self.encode(item, depth + 1) for item in value]]
        if isinstance(value, dict):
            return ["dict", [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]]
        if type(value) is torch.dtype:
            return ["dtype", str(value)]
        return self._opaque(value, "is no plain data")

    def _raw(self, value: bytes) -> list:
        self._bytes += len(value)
        if self._bytes > BYTES:
            return self._opaque(value, "is too big")
        self.buffers.append(value)
        return ["bytes", len(self.buffers) - 1]

    def _tensor(self, tensor: Tensor) -> list:
        if str(tensor.dtype) not in DTYPES or tensor.device.type != "cpu" or tensor.layout != torch.strided:
            return self._opaque(tensor, "is no dense tensor of real numbers on the CPU")
        plain = tensor.detach().as_subclass(Tensor)
        storage = plain.untyped_storage()
        number = self._storages.get(storage.data_ptr()) if storage.nbytes() else None
        if number is None:
            self._bytes += storage.nbytes()
            if self._bytes > BYTES:
                return self._opaque(tensor, "is too big")
            number = self._storages[storage.data_ptr()] = len(self.buffers)
            self._kept.append(storage)
            self.buffers.append(torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes())
        kind = "parameter" if isinstance(tensor, nn.Parameter) else "grad" if tensor.requires_grad else "tensor"
        place = [number, plain.storage_offset(), list(plain.shape), list(plain.stride())]
        return [kind, str(plain.dtype), *place]

    def _array(self, value: np.ndarray | np.generic) -> list:
        array = np.ascontiguousarray(value)
        self._bytes += array.nbytes
        if array.dtype.kind not in "biuf" or self._bytes > BYTES:
            return self._opaque(value, "is no plain array")
        self.buffers.append(array.tobytes())
        shape = list(np.shape(value))
        return ["scalar" if isinstance(value, np.generic) else "array", array.dtype.str, len(self.buffers) - 1, shape]

    def _opaque(self, value: object, why: str) -> list:
        if self._strict:
            raise NotPlainError(f"a {type(value).__name__} {why}")
        return ["opaque", type(value).__name__[:80]]


class Decoder:
    """Decodes the values of one message; raises ValueError for what no `Encoder` wrote."""

    def __init__(self, buffers: Sequence[bytes]) -> None:
        if sum(map(len, buffers)) > BYTES:
            raise ValueError("more data than an Encoder sends")
        self.storages = [torch.frombuffer(bytearray(b), dtype=torch.uint8) if len(b) else None for b in buffers]
        self._buffers = buffers

    def decode(self, coded: object) -> object:
        try:
            return self._decode(coded, depth=0)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"this is no message: {error}") from error

    def _decode(self, coded: Any, depth: int) -> object:
        if depth > DEPTH + 1:
            raise ValueError("nested too deeply")
        kind, *rest = coded
        if kind == "plain":
            if rest[0] is not None and type(rest[0]) not in (bool, str):
                raise ValueError("no plain value")
            return rest[0]
        if kind == "int":
            number = int(rest[0])
            if number.bit_length() >= BITS:
                raise ValueError("too long a number")
            return number
        if kind == "float":
            return float.fromhex(rest[0])
        if kind == "bytes":
            return self._buffers[rest[0]]
        if kind == "fraction":
            return Fraction(int(rest[0]), int(rest[1]))
        if kind == "decimal":
            return Decimal(rest[0][:100])
        if kind in ("list", "tuple"):
            items = [self._decode(item, depth + 1) for item in rest[0]]
            return items if kind == "list" else tuple(items)
        if kind == "dict":
            return {self._decode(k, depth + 1): self._decode(v, depth + 1) for k, v in rest[0]}
        if kind == "dtype":
            return DTYPES[rest[0]]
        if kind in ("tensor", "grad", "parameter"):
            return self._tensor(kind, *rest)
        if kind in ("scalar", "array"):
            name, number, shape = rest
            dtype = np.dtype(name)
            if dtype.kind not in "biuf":
                raise ValueError("no array of numbers")
            array = np.frombuffer(bytearray(self._buffers[number]), dtype).reshape(shape)
            return array[()] if kind == "scalar" else array
        if kind == "opaque":
            return type(str(rest[0]), (Opaque,), {})()
        raise ValueError(f"no kind of value: {kind!r}")

    def _tensor(self, kind: str, dtype: str, number: int, offset: int, shape: list[int], stride: list[int]) -> Tensor:
        storage = self.storages[number]
        empty = torch.empty(0, dtype=DTYPES[dtype])
        if any(type(n) is not int or n < 0 for n in (offset, *shape, *stride)) or len(shape) != len(stride):
            raise ValueError("no place in a storage")
        if math.prod(shape) * empty.element_size() > BYTES:  # a stride of 0 makes much out of little
            raise ValueError("too big a tensor")
        # PyTorch checks the rest: a storage on a buffer of ours can't grow, so nothing outside of it can be reached.
        tensor = (
            empty.set_(storage.untyped_storage(), offset, shape, stride) if storage is not None else empty.view(shape)
        )
        if kind == "parameter":
            return nn.Parameter(tensor)
        return tensor.requires_grad_() if kind == "grad" else tensor
