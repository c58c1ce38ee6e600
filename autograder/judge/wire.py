"""The wire format: a function's arguments and results as plain data, between two processes that don't trust each other.

Tensors and bytes travel as raw buffers, numbers, strings and containers as JSON. Nothing that is decoded can run
code (no pickle). A value that is not plain data is refused (`NotPlainError`) or, from an untrusted sender, becomes an
`Opaque` that has only its type's name.

`Decoder` accepts a subset of what `Encoder` makes: every decoded value but an `Opaque` can be encoded again. Both
count sizes alike, so that neither side can send what the other can't send back.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction

import torch

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
    """A value from untrusted code can't be sent back to it."""


class Opaque:
    """A placeholder for a value that is no plain data: an instance of a class with that value's type name."""


class Count:
    """The size of a message so far, as both sides count it."""

    def __init__(self) -> None:
        self.text = self.bytes = 0

    def has_room(self, text: int = 0, data: int = 0) -> bool:
        """Return whether that much more fits, and count it if so."""
        if self.text + text > TEXT or self.bytes + data > BYTES:
            return False
        self.text += text
        self.bytes += data
        return True


def text_length(text: str) -> int:
    """Return the number of characters in JSON."""
    return len(json.dumps(text))


def as_number(value: object) -> list[str]:
    """Return the words for a number, a range or a dtype; [] for anything else, or if too long."""
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
