"""Tests of the wire format: transferred values are equal, and hostile messages are refused."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autograder.judge import wire
from autograder.judge.decoder import Decoder
from autograder.judge.encoder import Encoder
from autograder.judge.proxy import error_of
from autograder.judge.wire import BITS, BYTES, DEPTH, DIGITS, DTYPES, MOST, TEXT, NotPlainError, Opaque, TheirsError

Coded = tuple[Any, list[bytes]]  # a message's JSON, and its buffers


def encoded(value: object, strict: bool = True) -> Coded:
    """Return the encoded message: JSON and bytes, nothing else."""
    encoder = Encoder(strict)
    coded = json.loads(json.dumps(encoder.encode(value)))
    return coded, [bytes(buffer) for buffer in encoder.buffers]


def decoded(message: Coded) -> Any:
    coded, buffers = message
    return Decoder(buffers).decode(coded)


def carried(value: object, strict: bool = True) -> Any:
    """Encode a value, decode it, and return the result."""
    return decoded(encoded(value, strict))


def form(value: object) -> tuple:
    """What a value is, to the bit: NaN is NaN, -0.0 is not 0.0, and all iterators of the same items are alike."""
    kind = type(value).__name__
    if isinstance(value, Tensor):
        layout = (str(value.dtype), tuple(value.shape), value.stride() if value.numel() else ())
        return (kind, value.requires_grad, layout, bits(value))
    if isinstance(value, np.ndarray | np.generic):
        return (kind, value.dtype.str, np.shape(value), value.tobytes())
    if isinstance(value, float):
        return (kind, value.hex())
    if isinstance(value, complex):
        return (kind, value.real.hex(), value.imag.hex())
    if isinstance(value, Decimal | range):
        return (kind, str(value))
    if isinstance(value, dict):
        return (kind, *((form(key), form(item)) for key, item in value.items()))
    if isinstance(value, set | frozenset):
        return (kind, *sorted(map(repr, map(form, value))))
    if isinstance(value, list | tuple):
        return (kind, *map(form, value))
    if isinstance(value, Iterator):
        return ("iterator", *map(form, copy.copy(value)))  # the copy leaves the items where they are
    return (kind, value)


def bits(tensor: Tensor) -> bytes:
    return (
        tensor.detach().clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8).numpy().tobytes()
        if tensor.numel()
        else b""
    )


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Dense tensors of any dtype, shape, stride and offset; their bits are any bits, but for truth values."""
    dtype = draw(st.sampled_from(sorted(DTYPES.values(), key=str)))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    extra = draw(st.integers(0, 3))
    size = math.prod(shape) + extra
    raw = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    if dtype == torch.bool:
        raw = bytes(byte & 1 for byte in raw)
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    tensor = flat[extra:].view(shape)
    for _ in range(draw(st.integers(0, 2)) if len(shape) > 1 else 0):
        tensor = tensor.transpose(0, -1)
    tensor = tensor[::2] if shape and draw(st.booleans()) else tensor
    kinds = ["tensor", "frozen parameter"] + (["grad", "parameter"] if dtype.is_floating_point else [])
    kind = draw(st.sampled_from(kinds))
    if "parameter" in kind:
        return nn.Parameter(tensor, requires_grad=kind == "parameter")
    return tensor.requires_grad_(kind == "grad")


@st.composite
def arrays(draw: st.DrawFn, most: int = 3) -> np.ndarray:
    """NumPy's arrays of numbers in either byte order."""
    names = ["|b1", *(f"{order}{kind}" for order in "<>" for kind in ("i1", "i4", "u8", "f2", "f4", "f8"))]
    dtype = np.dtype(draw(st.sampled_from(names)))
    shape = draw(st.lists(st.integers(0, 3), max_size=most))
    size = math.prod(shape) * dtype.itemsize
    raw = draw(st.binary(min_size=size, max_size=size))
    raw = bytes(byte & 1 for byte in raw) if dtype.kind == "b" else raw
    return np.frombuffer(bytearray(raw), dtype).reshape(shape)


integers = st.integers() | st.integers(-(2**64), 2**64).map(lambda number: number << (BITS - 66))
decimals = st.decimals().filter(lambda d: not d.is_snan()) | st.decimals(allow_nan=False).map(lambda d: d.scaleb(-20))
ends = st.integers(1 - MOST, MOST - 1)
numbers = (
    integers
    | st.floats()
    | st.complex_numbers()
    | st.fractions()
    | decimals.filter(lambda d: len(str(d)) <= DIGITS)
    | st.builds(range, ends, ends, ends.filter(bool))
)
simple = st.none() | st.booleans() | st.text() | st.binary() | numbers | st.sampled_from([*DTYPES.values()])
tables = arrays() | arrays(most=0).map(lambda array: array[()]) | tensors()


def containers(v: st.SearchStrategy) -> st.SearchStrategy:
    items = st.lists(v, max_size=4)
    return items | items.map(tuple) | items.map(iter) | st.dictionaries(simple, v, max_size=4)


ordered = st.recursive(simple | tables, containers, max_leaves=8)  # without sets, whose order is another each time
hashable = st.recursive(
    simple, lambda v: st.lists(v, max_size=3).map(tuple) | st.frozensets(v, max_size=3), max_leaves=4
)
nested = st.recursive(
    hashable | tables,
    lambda v: containers(v) | st.dictionaries(hashable, v, max_size=4) | st.sets(hashable, max_size=4),
    max_leaves=8,
)
often = settings(max_examples=300)


@contextmanager
def limits(text: int, data: int) -> Iterator[None]:
    """Smaller limits on a message, which small values reach as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "TEXT", text)
        patch.setattr(wire, "BYTES", data)
        yield


small = st.builds(limits, st.integers(0, 1000), st.integers(0, 200))


# Plain data


@often
@given(nested)
def test_plain_data_comes_out_as_it_went_in_and_can_be_sent_back(value: object) -> None:
    wanted = form(value)
    out = carried(value)
    assert form(out) == wanted
    assert form(carried(out)) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("strict", [True, False])
@often
@given(nested | st.lists(nested | st.builds(object), max_size=3), small)
def test_a_decoder_accepts_every_message_of_an_encoder_at_any_size(
    strict: bool, value: object, limited: AbstractContextManager[None]
) -> None:
    with limited:
        try:
            message = encoded(value, strict)
        except NotPlainError:
            return
        decoded(message)


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_every_dtype_of_real_numbers_is_carried(name: str) -> None:
    size = DTYPES[name].itemsize
    tensor = torch.arange(1, 6 * size + 1, dtype=torch.uint8).view(DTYPES[name]).view(2, 3)
    out = carried(tensor)
    assert out.dtype == tensor.dtype
    assert torch.equal(out.view(torch.uint8), tensor.view(torch.uint8))


@pytest.mark.parametrize(
    "value", [0, -1, 2**63, -(2**200), 2 ** (BITS - 1) - 1, float("inf"), float("-inf"), -0.0, 5e-324]
)
def test_numbers_keep_every_digit(value: float) -> None:
    assert form(carried(value)) == form(value)


@pytest.mark.parametrize(
    "value",
    [
        {1, "a", (2.0, None)},
        frozenset({1j, b"x"}),
        {frozenset({1}): {2}},
        complex(-0.0, float("nan")),
        range(10, 0, -3),
        range(0),
        Fraction(-1, 3),
        Decimal("-0.10"),
        Decimal("sNaN7"),
        [Decimal("-Infinity"), Decimal("NaN")],
        torch.bfloat16,
        b"",
        "half a pair: \ud800, a NUL: \0",
        {(1, 2): [], None: {}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_sets_and_numbers_of_all_kinds_are_carried(value: object) -> None:
    assert form(carried(value)) == form(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (n * n for n in range(3)),
        lambda: iter([0, 1, 4]),
        lambda: map(abs, (0, -1, 4)),
        lambda: reversed([4, 1, 0]),
        lambda: itertools.chain([0], [1, 4]),
    ],
    ids=["generator", "iterator", "map", "reversed", "chain"],
)
def test_generators_and_iterators_arrive_as_iterators_of_the_same_items(make: Callable[[], Iterator[int]]) -> None:
    out = carried([make()])[0]
    assert isinstance(out, Iterator)
    assert list(out) == [0, 1, 4]


def test_an_iterators_error_is_its_makers() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("of the learner's")

    with pytest.raises(LookupError, match="of the learner's"):
        carried(broken())


def test_sizes_and_ordered_dicts_arrive_as_plain_tuples_and_dicts() -> None:
    assert form(carried(torch.Size([2, 3]))) == form((2, 3))
    assert form(carried(OrderedDict(b=1, a=2))) == form({"b": 1, "a": 2})


@pytest.mark.parametrize("value", [np.float32(0.1), np.int8(-3), np.bool_(True), np.float64("nan")])
def test_numpys_numbers_keep_their_type(value: np.generic) -> None:
    out = carried(value)
    assert type(out) is type(value)
    assert out.tobytes() == value.tobytes()


@pytest.mark.parametrize(
    "array", [np.eye(3)[::2], np.zeros((0, 2)), np.array(3.0), np.arange(6, dtype=">i4").reshape(2, 3)]
)
def test_arrays_are_carried(array: np.ndarray) -> None:
    out = carried(array)
    assert (out.dtype, out.shape) == (array.dtype, array.shape)
    assert np.array_equal(out, array)


def test_tensors_that_share_memory_share_it_afterwards() -> None:
    whole = torch.zeros(4, 4)
    one, row, column = carried((whole, whole[1], whole[:, 2]))
    row[2] = 7.0
    assert one[1, 2] == 7.0
    assert column[1] == 7.0
    assert not any(whole.flatten())


def test_tensors_that_share_no_memory_share_none_afterwards() -> None:
    one, other = carried((torch.zeros(2), torch.zeros(2)))
    one += 1
    assert other.tolist() == [0.0, 0.0]


def test_tensors_that_look_at_the_beginning_of_the_same_memory_arrive_whole() -> None:
    """Two storages at one address: PyTorch makes one for each array of NumPy's that it is handed."""
    array = np.arange(4.0)
    beginning, whole = carried([torch.from_numpy(array[:2]), torch.from_numpy(array)])
    assert beginning.tolist() == [0.0, 1.0]
    assert whole.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_parameters_and_gradients_wanted_are_told() -> None:
    parameter, wanted, frozen = carried((nn.Parameter(torch.ones(2)), torch.ones(1, requires_grad=True), torch.ones(1)))
    assert type(parameter) is nn.Parameter
    assert parameter.requires_grad
    assert wanted.requires_grad
    assert not frozen.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
def test_a_frozen_parameter_stays_frozen(dtype: torch.dtype) -> None:
    out = carried(nn.Parameter(torch.ones(2, dtype=dtype), requires_grad=False))
    assert type(out) is nn.Parameter
    assert not out.requires_grad


class Text(str):
    pass


class Whole(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        nn.Linear(1, 1),
        len,
        range(MOST + 1),
        torch.zeros(1, dtype=torch.complex64),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(1, device="meta"),
        np.array(["text"]),
        np.array([object()]),
        2**BITS,
        torch.complex64,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_no_plain_data_is_refused_or_if_untrusted_opaque(value: object) -> None:
    with pytest.raises(NotPlainError, match=type(value).__name__):
        carried([value])
    (out,) = carried([value], strict=False)
    assert isinstance(out, Opaque)
    assert type(out).__name__ == type(value).__name__


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (bytearray(b"bytes"), b"bytes"),
        (Text("x"), "x"),
        (np.str_("x"), "x"),
        (Whole(1), 1),
        (Pair(1, [2]), (1, [2])),
        (deque([1, 2]), [1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        ({"a": 1}.items(), [("a", 1)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_of_plain_data_arrives_as_its_base_type(value: object, arrives: object) -> None:
    out = carried(value)
    assert out == arrives
    assert type(out) is type(arrives)


@pytest.mark.parametrize("make", [tuple, set, frozenset, iter, lambda items: dict.fromkeys(items, 1)])
def test_a_value_that_is_no_plain_data_is_found_inside_of_anything(make: Callable[[list], object]) -> None:
    with pytest.raises(NotPlainError, match="object"):
        carried(make([object()]))
    assert [type(part).__name__ for part in carried(make([object()]), strict=False)] == ["object"]


# Limits


def nested_in_lists(inner: Any, levels: int, coded: bool = False) -> Any:
    for _ in range(levels):
        inner = ["list", [inner]] if coded else [inner]
    return inner


LONG = Fraction(2**11_999 + 1, 3)  # 12,000 bits
JUST_FITS = {
    "a list in lists": nested_in_lists([], DEPTH),
    "a Decimal of 100 digits": Decimal("9" * 100),
    "a Decimal with an exponent": Decimal("1E+998"),
    "a Fraction of 9,999 bits": Fraction(2**9_998 + 1, 2**9_998),
    "an int of 9,999 bits": -(2**9_999) + 1,
    "a range": range(-(10**9) + 1, 10**9 - 1, 10**9 - 1),
}
JUST_TOO_MUCH = {
    "a list in lists": (nested_in_lists([], DEPTH + 1), nested_in_lists(["list", []], DEPTH + 1, coded=True)),
    "a Decimal of 101 digits": (Decimal("9" * 101), ["decimal", "9" * 101]),
    "a Decimal with a huge exponent": (Decimal("1E+999999"), ["decimal", "1E+999999"]),
    "a Decimal with a tiny exponent": (Decimal("1E-999999"), ["decimal", "1E-999999"]),
    "nothing with a huge exponent": (Decimal("0E+999999"), ["decimal", "0E+999999"]),
    "a Fraction of 12,000 bits": (LONG, ["fraction", str(LONG.numerator), "3"]),
    "a Fraction of 12,000 bits below": (1 / LONG, ["fraction", "3", str(LONG.numerator)]),
    "an int of 10,000 bits": (2**9_999, ["int", str(2**9_999)]),
    "a range that ends too far": (range(10**9), ["range", "0", "1000000000", "1"]),
    "a range of too large steps": (range(0, 9, -(10**9)), ["range", "0", "9", "-1000000000"]),
}


@pytest.mark.parametrize("name", JUST_FITS)
def test_the_largest_values_are_carried_and_sent_back(name: str) -> None:
    value = JUST_FITS[name]
    assert form(carried(carried(value))) == form(value)


@pytest.mark.parametrize("name", JUST_TOO_MUCH)
def test_larger_values_are_refused_by_both_sides(name: str) -> None:
    value, coded = JUST_TOO_MUCH[name]
    with pytest.raises(NotPlainError):
        encoded(value)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says: a ValueError is the promise
        Decoder([]).decode(coded)


def test_a_recursive_value_is_refused() -> None:
    itself: list = []
    itself.append(itself)
    with pytest.raises(NotPlainError, match="nested too deeply"):
        carried(itself)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * TEXT,
        lambda: "\u20ac" * (TEXT // 6),
        lambda: "\0" * (TEXT // 6),
        lambda: [None] * (TEXT // 16),
        lambda: {n: n for n in range(TEXT // 40)},
        lambda: itertools.count(),
    ],
    ids=["text", "text beyond ASCII", "control characters", "list", "dict", "an endless iterator"],
)
def test_a_message_has_an_end(make: Callable[[], object], strict: bool) -> None:
    with pytest.raises(NotPlainError, match="MB"):
        carried(make(), strict)


def test_exactly_as_much_data_as_is_allowed_is_carried_and_sent_back() -> None:
    whole = torch.zeros(BYTES, dtype=torch.uint8)
    out = carried(carried([whole, whole[1:], whole.view(torch.int64)]))  # one storage counts once
    assert [part.untyped_storage().nbytes() for part in out] == [BYTES] * 3
    assert len({part.untyped_storage().data_ptr() for part in out}) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(BYTES + 1, dtype=torch.uint8),
        lambda: torch.zeros(BYTES + 1, dtype=torch.uint8)[:1],
        lambda: torch.zeros(1).expand(BYTES // 4 + 1),
        lambda: [torch.zeros(BYTES, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8)],
        lambda: [torch.zeros(BYTES, dtype=torch.uint8), b"1"],
        lambda: [bytes(BYTES), np.zeros(1, np.uint8)],
        lambda: np.zeros(BYTES + 1, np.uint8),
        lambda: bytes(BYTES + 1),
    ],
    ids=["tensor", "view", "expanded", "tensors", "tensor and bytes", "bytes and array", "array", "bytes"],
)
def test_one_byte_more_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(NotPlainError):
        encoded(make())


@pytest.mark.parametrize(
    "parts",
    [
        [["tensor", "torch.uint8", 0, 0, [BYTES], [1]], ["bytes", 1]],
        [["bytes", 0], ["bytes", 0]],
        [["bytes", 0], ["tensor", "torch.uint8", 0, 0, [1], [1]]],
        [["array", "|u1", 0, [BYTES]], ["bytes", 0]],
        [["tensor", "torch.uint8", 1, 0, [BYTES + 1], [0]]],
    ],
    ids=["another buffer", "bytes twice", "bytes and tensor", "array and bytes", "expanded"],
)
def test_messages_of_one_byte_more_are_refused(parts: list) -> None:
    buffers = [bytes(BYTES - 1), b"1"] if len(parts) == 1 else [bytes(BYTES)]
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says: a ValueError is the promise
        Decoder(buffers).decode(["list", parts])


def test_each_reference_to_the_same_bytes_counts() -> None:
    data = bytes(1 << 20)
    fit = BYTES // len(data)
    assert carried([data] * fit) == Decoder([data]).decode(["list", [["bytes", 0]] * fit]) == [data] * fit
    with pytest.raises(NotPlainError, match="too big"):
        carried([data] * (fit + 1))
    with pytest.raises(ValueError, match="more than an Encoder sends"):
        Decoder([data]).decode(["list", [["bytes", 0]] * (fit + 1)])


@pytest.mark.parametrize("make", [lambda: bytes(BYTES + 1), lambda: torch.zeros(BYTES + 1, dtype=torch.uint8)[:1]])
def test_an_oversized_untrusted_value_is_opaque_and_the_rest_is_transferred(make: Callable[[], object]) -> None:
    opaque, rest = carried([make(), [1]], strict=False)
    assert isinstance(opaque, Opaque)
    assert rest == [1]


# What strangers send


def test_an_untrusted_value_is_not_sent_back() -> None:
    (opaque,) = carried([object()], strict=False)
    with pytest.raises(TheirsError, match="Your code returned a object"):
        carried({"x": opaque})


FLOATS = bytes(16)  # four float32


def tensor(*place: object, dtype: str = "torch.float32") -> list:
    return ["tensor", dtype, *place]


HOSTILE = {
    "a shape beyond the storage": tensor(0, 0, [5], [1]),
    "a stride beyond the storage": tensor(0, 0, [2], [4]),
    "an offset beyond the storage": tensor(0, 4, [1], [1]),
    "a negative offset": tensor(0, -1, [1], [1]),
    "a negative stride": tensor(0, 3, [4], [-1]),
    "a negative size": tensor(0, 0, [-1], [1]),
    "a stride that overflows": tensor(0, 0, [3], [2**62]),
    "sizes that overflow": tensor(0, 0, [2**32, 2**32], [0, 0]),
    "terabytes out of four bytes": tensor(0, 0, [10**12], [0]),
    "sizes and strides of different length": tensor(0, 0, [2, 2], [1]),
    "sizes that are no numbers": tensor(0, 0, ["2"], [1]),
    "sizes with a fraction": tensor(0, 0, [2.0], [1]),
    "an offset that is a truth value": tensor(0, True, [1], [1]),
    "no such storage": tensor(1, 0, [1], [1]),
    "no such dtype": tensor(0, 0, [1], [1], dtype="torch.nonsense"),
    "a dtype that is another thing of PyTorch": tensor(0, 0, [1], [1], dtype="torch.load"),
    "too few parts": ["tensor", "torch.float32"],
    "an array of objects": ["array", "|O", 0, [2]],
    "an array of text": ["array", "<U4", 0, [1]],
    "an array larger than its data": ["array", "<f4", 0, [5]],
    "an array's dtype that is no dtype": ["array", "os.system", 0, [1]],
    "an integer that is none": ["int", "0x10"],
    "an integer that is too long": ["int", "9" * 4000],
    "an integer that Python won't read": ["int", "9" * 10_000],
    "a float that is none": ["float", "nothing"],
    "a plain list": ["plain", [1]],
    "a plain number": ["plain", 1],
    "no such kind": ["pickle", "x"],
    "no list": 5,
    "nothing": [],
    "a dict of what can't be a key": ["dict", [[["list", []], ["plain", None]]]],
    "a dict without values": ["dict", [[["plain", "a"]]]],
    "a type's name that is none": ["opaque", "a\0b"],
    "a dtype that is none": ["dtype", "torch.load"],
    "a dtype of complex numbers": ["dtype", "torch.complex64"],
    "an integer that is spelled otherwise": ["int", "+1"],
    "an integer in other digits": ["int", "\u0661"],
    "an integer with lines": ["int", "1_0"],
    "an integer that is a number of JSON's": ["int", 1],
    "a float that is spelled otherwise": ["float", "1.0"],
    "a float that is too large": ["float", "0x1p+9999"],
    "a fraction that can be reduced": ["fraction", "2", "4"],
    "a fraction of nothing": ["fraction", "1", "0"],
    "a Decimal that is spelled otherwise": ["decimal", "1e5"],
    "a Decimal that is none": ["decimal", "one"],
    "a Decimal whose exponent no Decimal has": ["decimal", "1E+99999999999999999999"],
    "half a complex number": ["complex", "0x1.0000000000000p+0"],
    "a range without steps": ["range", "0", "1", "0"],
    "a number with more words": ["int", "1", "2"],
    "a number without words": ["float"],
    "a set of what can't be in one": ["set", [["list", []]]],
    "a set of what can't be told apart": ["set", [["decimal", "sNaN"]]],
    "bytes from the end": ["bytes", -1],
    "bytes that are not there": ["bytes", 1],
    "bytes of a truth value": ["bytes", False],
    "an array of times": ["array", "<M8[ns]", 0, [2]],
    "an array of records": ["array", "V8", 0, [2]],
    "an array of complex numbers": ["array", "<c8", 0, [2]],
    "an array of unknown size": ["array", "<f4", 0, [-1]],
    "an array of more dimensions than there are": ["array", "<f4", 0, [1] * 65 + [4]],
    "a tensor of more dimensions than are allowed": tensor(0, 0, [1] * 65, [1] * 65),
    "integers that want gradients": ["grad", "torch.int32", 0, 0, [1], [1]],
    "a kind that is a list": [["list"], []],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says: a ValueError is the promise
        Decoder([FLOATS]).decode(HOSTILE[name])


def test_hostile_nesting_is_refused() -> None:
    assert Decoder([]).decode(nested_in_lists(["plain", None], DEPTH, coded=True)) is not None
    for levels in (DEPTH + 1, DEPTH + 2, 400):
        with pytest.raises(ValueError, match="nested too deeply"):
            Decoder([]).decode(nested_in_lists(["plain", None], levels, coded=True))


def test_more_data_than_an_encoder_sends_is_refused() -> None:
    with pytest.raises(ValueError, match="more data"):
        Decoder([bytes(BYTES), b"1"])


# Messages of any kind: what a decoder accepts, an encoder could have sent

SPELLINGS = [
    *("0", "-0", "1", "+1", "01", "1_0", "1.", "-1000000000", "9" * 101, "1e5", "1E+5", "1E+999", "0E-7"),
    *("nan", "-nan", "NaN", "sNaN", "-inf", "Infinity", "0x0.0p+0", "-0x0.0p+0", "0x1p0", "0x1.0000000000000p+0"),
    *("|b1", "<f8", ">f2", "|i4", "<f16", "<U1", "|O", *DTYPES),
]
KINDS = [*wire.NUMBERS, *wire.CONTAINERS]
KINDS += ["plain", "bytes", "dict", "tensor", "grad", "parameter", "scalar", "array"]
words = st.sampled_from(SPELLINGS)
whole = st.integers(0, 3) | st.sampled_from([-1, 2**31, 2**62, 2**63, 2**64])
shapes = st.lists(whole, max_size=3)
atoms = words | st.sampled_from(KINDS) | st.text(max_size=3) | whole | shapes
atoms |= st.none() | st.booleans() | st.floats()
leaves = (
    st.tuples(st.just("plain"), atoms)
    | st.tuples(st.sampled_from([*wire.NUMBERS]), words)
    | st.tuples(st.sampled_from([*wire.NUMBERS]), words, words)
    | st.tuples(st.sampled_from([*wire.NUMBERS]), words, words, words)
    | st.tuples(st.just("bytes"), whole)
    | st.tuples(st.sampled_from(["scalar", "array"]), words, whole, shapes)
    | st.tuples(st.sampled_from(["tensor", "grad", "parameter"]), words, whole, whole, shapes, shapes)
)
anything = st.recursive(
    leaves.map(list) | atoms,
    lambda v: (
        st.tuples(st.sampled_from([*wire.CONTAINERS]), st.lists(v, max_size=4)).map(list)
        | st.tuples(st.just("dict"), st.lists(st.tuples(v, v).map(list), max_size=3)).map(list)
        | st.lists(v, max_size=4)
    ),
    max_leaves=12,
)


def places(coded: object) -> Iterator[tuple[list, int]]:
    """Where something stands in a message: the list and the index."""
    if isinstance(coded, list):
        for at, part in enumerate(coded):
            yield coded, at
            yield from places(part)


@st.composite
def changed(draw: st.DrawFn) -> Coded:
    """Return a slightly changed message of an encoder."""
    coded, buffers = encoded(draw(ordered))
    message = [coded]
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(message))
        holder, at = found[draw(st.integers(0, len(found) - 1))]
        other_holder, other_at = found[draw(st.integers(0, len(found) - 1))]
        change = draw(st.sampled_from(["word", "number", "kind", "nest", "twice", "gone", "move", "buffers", "buffer"]))
        if change == "word":
            holder[at] = draw(atoms)
        elif change == "kind" and isinstance(holder[at], str):
            holder[at] = draw(st.sampled_from(KINDS))
        elif change == "number" and type(holder[at]) is int:
            holder[at] += draw(st.integers(-2, 2))
        elif change == "nest":
            kind = draw(st.sampled_from([*wire.CONTAINERS]))
            for _ in range(draw(st.sampled_from([1, 2, DEPTH - 1, DEPTH, DEPTH + 1]))):
                holder[at] = [kind, [holder[at]]]
        elif change == "twice":
            holder.insert(at, copy.deepcopy(holder[at]))
        elif change == "gone" and holder is not message:
            del holder[at]
        elif change == "move":
            holder[at] = copy.deepcopy(other_holder[other_at])
        elif change == "buffers":
            buffers = draw(st.permutations(buffers))
        elif change == "buffer" and buffers:
            buffers = [draw(st.sampled_from([buffers[0][1:], b"", buffers[0] * 2])), *buffers[1:]]
    return message[0], list(buffers)


random = st.tuples(anything, st.lists(st.binary(max_size=32), max_size=3))


@pytest.mark.parametrize("full", [False, True], ids=["", "full"])
@settings(often, max_examples=600)
@given(random | changed(), small)
def test_a_decoded_value_can_be_sent_back(full: bool, message: Coded, limited: AbstractContextManager[None]) -> None:
    coded, buffers = message
    with limited if full else nullcontext():
        try:
            out = Decoder(buffers).decode(coded)
        except ValueError:
            return
        if "opaque" not in json.dumps(coded):
            wanted = form(out)
            assert form(carried(out)) == wanted


@pytest.mark.parametrize(
    "coded",
    [
        ["plain", None],
        ["plain", "text"],
        ["int", "1"],
        ["float", "0x1.0000000000000p+0"],
        ["complex", "nan", "inf"],
        ["fraction", "1", "2"],
        ["decimal", "1"],
        ["range", "0", "1", "1"],
        ["dtype", "torch.float32"],
        ["bytes", 0],
        ["scalar", "<f8", 0, []],
        ["array", "<f8", 0, []],
        ["array", "<f8", 0, [1]],
        ["tensor", "torch.float64", 0, 0, [], []],
        ["parameter", "torch.float64", 0, 0, [1, 1], [1, 1]],
        *([kind, []] for kind in wire.CONTAINERS if kind not in ("set", "frozenset")),
        ["dict", [[["int", "1"], ["plain", None]]]],
    ],
    ids=json.dumps,
)
def test_a_message_that_is_full_of_one_kind_can_be_sent_back(coded: list) -> None:
    with limits(2000, 400):
        fits = 1
        while True:
            try:
                Decoder([bytes(8)]).decode(["list", [coded] * (fits + 1)])
            except ValueError:
                break
            fits += 1
        out = Decoder([bytes(8)]).decode(["list", [coded] * fits])
        wanted = form(out)
        assert form(carried(out)) == wanted


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["tensor", "int", "dict", "list", "opaque"]),
    lambda v: st.lists(v, max_size=5),
    max_leaves=12,
)


@often
@given(json_values | anything)
def test_any_message_is_decoded_or_refused(coded: object) -> None:
    try:
        out = Decoder([FLOATS]).decode(coded)
    except ValueError:
        return
    assert pickle.dumps(type(out).__name__)


@settings(max_examples=300)
@given(st.integers(-2, 6), st.lists(st.integers(-2, 6), max_size=3), st.lists(st.integers(-2, 6), max_size=3))
def test_no_tensor_reaches_outside_of_its_storage(offset: int, shape: list[int], stride: list[int]) -> None:
    try:
        out = Decoder([FLOATS]).decode(tensor(0, offset, shape, stride))
    except ValueError:
        return
    assert isinstance(out, Tensor)
    reach = [
        out.storage_offset() + sum(i * s for i, s in zip(place, out.stride(), strict=True))
        for place in np.ndindex(*out.shape)
    ]
    assert all(0 <= place < 4 for place in reach)
    assert out.untyped_storage().nbytes() == 16


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "sparse.gpt2pack"),
        PermissionError(13, "Permission denied", "it's here.csv"),
        OSError(28, "No space left on device"),
        OSError(18, "Invalid cross-device link", "a", None, "b"),
        FileNotFoundError("[Errno 2] is what I say"),
        OSError("sparse.gpt2pack: [Errno 2]"),
        KeyError("found"),
    ],
)
def test_an_error_of_the_system_still_names_its_file(error: Exception) -> None:
    """A check looks at it as it does in the learner's own notebook."""
    types = [kind.__name__ for kind in type(error).__mro__ if kind not in (BaseException, object)]
    found = error_of({"types": types, "name": type(error).__name__, "text": str(error)})
    assert type(found) is type(error)
    if isinstance(error, OSError) and isinstance(found, OSError):
        assert str(found) == str(error)
        if error.filename2 is None:
            assert (found.errno, found.filename) == (error.errno, error.filename)
