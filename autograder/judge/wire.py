"""Values as plain data, to carry a function's arguments and results between two processes that don't trust each other.

Tensors and bytes travel as raw buffers, numbers, strings and containers as JSON. Nothing that is decoded can run
code (no pickle). What is not plain data is refused (`NotPlainError`) or, where a stranger sent it, becomes an `Opaque`
that has only its type's name.

`Decoder` accepts a subset of what `Encoder` makes: whatever was decoded can be encoded again, but for an `Opaque`. Both
count alike, so that nobody can send what the other side can't send back.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Sequence, ValuesView
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Not all that PyTorch has: just to print a tensor of some of the others can crash the process.
DTYPES = {f"torch.{name}": getattr(torch, name) for name in ("bool", "uint8", "int8", "int16", "int32", "int64")}
DTYPES |= {f"torch.{name}": getattr(torch, name) for name in ("float16", "bfloat16", "float32", "float64")}
ARRAY = re.compile(r"[<>|](b1|[iu][1248]|f(2|4|8|16))")
DEPTH = 16
BYTES = 64 << 20  # of one message's buffers
TEXT = 8 << 20  # characters of one message's JSON, at most
ROOM = 16  # characters of JSON that a value takes beside its content, at least
BITS = 10_000  # of a whole number
DIGITS = 100  # of a Decimal, as text
DIMENSIONS = 64
TOO_MUCH = f"more than {TEXT >> 20} MB of text, numbers and containers"
MOST = 10**9  # a range's ends
ONE = {"plain", "bytes", "list", "tuple", "set", "frozenset", "iterator", "dict"}  # kinds with one part
CONTAINERS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "iterator": iter}


class NotPlainError(Exception):
    """A value is no plain data (a model, a function, ...)."""


class TheirsError(AssertionError):
    """A value that came from a stranger's code can't be sent back to it."""


class Opaque:
    """Stands for a value that is no plain data; it is an instance of a class with that value's type name."""


class _Count:
    """How much a message holds so far, as either side counts it."""

    def __init__(self) -> None:
        self.text = self.bytes = 0

    def has_room(self, text: int = 0, data: int = 0) -> bool:
        """Whether so much more fits; if so, it is counted."""
        if self.text + text > TEXT or self.bytes + data > BYTES:
            return False
        self.text += text
        self.bytes += data
        return True


class Encoder:
    """Encodes values of one message; tensors that share memory share it after decoding as well.

    Sets, generators and other iterators are read to their end. The same iterator can't be read twice.
    """

    def __init__(self, strict: bool, exact: bool = False) -> None:
        """``strict``: raise NotPlainError for what is no plain data, instead of sending its type's name.

        ``exact``: and for what would arrive as something else, such as a Counter.
        """
        self.buffers: list[bytes] = []
        self._strict, self._exact = strict, exact
        self._met: set[int] = set()
        self._storages: dict[tuple[int, int], int] = {}  # address and size -> its buffer
        self._kept: list[object] = []  # alive until all is encoded, so that no address comes twice
        self._count = _Count()

    def encode(self, value: object, depth: int = 0) -> list:
        if self._exact:
            self._refuse_what_would_change(value)
        value = _base(value)
        if isinstance(value, Opaque) and self._strict:  # else its sender could choose to be judged otherwise
            raise TheirsError(f"Your code returned a {type(value).__name__} where plain data was expected.")
        if not self._count.has_room(ROOM + (_length(value) if type(value) is str else 0)):
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
        numbers = _as_number(value)
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


def _length(text: str) -> int:
    """Characters of JSON."""
    return len(json.dumps(text))


def _base(value: object) -> object:
    """Subclasses of text, numbers and tuples, and what is as good as a list, as what they are at heart."""
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
    """Whether it becomes another type on the way. Of views and iterators nobody minds."""
    if isinstance(value, str | int | tuple | dict | bytearray | deque):
        return type(value) not in (str, int, bool, tuple, dict)
    return False


def _container(value: object) -> str:
    """The kind of a list and the like, "" for anything else."""
    if type(value) is torch.Size:
        return "tuple"
    if type(value) in (list, tuple, set, frozenset):
        return type(value).__name__
    return "iterator" if isinstance(value, Iterator) else ""


def _as_number(value: object) -> list[str]:
    """The words for a number, a range or a dtype; none where it is neither, or too long."""
    if type(value) is float:
        return ["float", value.hex()]
    if type(value) is int and value.bit_length() < BITS:
        return ["int", str(value)]
    if type(value) is complex:
        return ["complex", value.real.hex(), value.imag.hex()]
    if type(value) is Fraction and max(value.numerator.bit_length(), value.denominator.bit_length()) < BITS:
        return ["fraction", str(value.numerator), str(value.denominator)]
    if type(value) is Decimal and len(str(value)) <= DIGITS and (not value.is_finite() or abs(value.adjusted()) < 999):
        return ["decimal", str(value)]
    if type(value) is range and max(abs(value.start), abs(value.stop), abs(value.step)) < MOST:
        return ["range", str(value.start), str(value.stop), str(value.step)]
    if type(value) is torch.dtype and str(value) in DTYPES:
        return ["dtype", str(value)]
    return []


NUMBERS = {
    "float": (1, float.fromhex),
    "int": (1, int),
    "complex": (2, lambda real, imaginary: complex(float.fromhex(real), float.fromhex(imaginary))),
    "fraction": (2, lambda numerator, denominator: Fraction(int(numerator), int(denominator))),
    "decimal": (1, Decimal),
    "range": (3, lambda *ends: range(*map(int, ends))),
    "dtype": (1, lambda name: DTYPES[name]),
}


class Decoder:
    """Decodes the values of one message; raises ValueError for what no `Encoder` wrote."""

    def __init__(self, buffers: Sequence[bytes]) -> None:
        if sum(map(len, buffers)) > BYTES:
            raise ValueError("more data than an Encoder sends")
        self.storages = [torch.frombuffer(bytearray(b), dtype=torch.uint8) if len(b) else None for b in buffers]
        self._buffers = buffers
        self._seen: set[int] = set()  # storages that are counted
        self.opaque = ""  # the type's name of something that did not come
        self._count = _Count()

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
        self._takes(ROOM + (_length(rest[0]) if kind == "plain" and type(rest[0]) is str else 0))
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
        if _as_number(number) != [kind, *words]:
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
        if math.prod(sizes) * empty.element_size() > BYTES:  # a stride of 0 makes much out of little
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
