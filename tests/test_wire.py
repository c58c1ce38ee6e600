"""Values that are carried between two processes come out as they went in, and hostile messages are refused."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autograder.judge.wire import BITS, BYTES, DEPTH, DTYPES, Decoder, Encoder, NotPlainError, Opaque, TheirsError


def carried(value: object, strict: bool = True) -> Any:
    """Through the wire and back: JSON and bytes, nothing else."""
    encoder = Encoder(strict)
    coded = json.loads(json.dumps(encoder.encode(value)))
    return Decoder([bytes(buffer) for buffer in encoder.buffers]).decode(coded)


def same(one: Any, other: Any) -> bool:
    """Equal in type, value and place; NaN is NaN, and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        layout = one.dtype == other.dtype and one.shape == other.shape
        layout = layout and (one.stride() == other.stride() or not one.numel())
        return layout and one.requires_grad == other.requires_grad and bits(one) == bits(other)
    if isinstance(one, float):
        return one.hex() == other.hex()
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(x, y) for (a, x), (b, y) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def bits(tensor: Tensor) -> bytes:
    return (
        tensor.detach().clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8).numpy().tobytes()
        if tensor.numel()
        else b""
    )


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Dense tensors of any dtype, shape, stride and offset; their bits are any bits."""
    dtype = draw(
        st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8])
    )
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    extra = draw(st.integers(0, 3))
    size = math.prod(shape) + extra
    raw = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    tensor = flat[extra:].view(shape)
    for _ in range(draw(st.integers(0, 2)) if len(shape) > 1 else 0):
        tensor = tensor.transpose(0, -1)
    return tensor[::2] if shape and draw(st.booleans()) else tensor


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | tensors()
keys = st.text() | st.integers() | st.booleans()
nested = st.recursive(
    plain, lambda v: st.lists(v) | st.lists(v).map(tuple) | st.dictionaries(keys, v, max_size=4), max_leaves=8
)


@settings(max_examples=200, deadline=None)
@given(nested)
def test_plain_data_comes_out_as_it_went_in(value: object) -> None:
    assert same(carried(value), value)


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
    assert same(carried(value), value)


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


def test_parameters_and_gradients_wanted_are_told() -> None:
    parameter, wanted, frozen = carried((nn.Parameter(torch.ones(2)), torch.ones(1, requires_grad=True), torch.ones(1)))
    assert type(parameter) is nn.Parameter
    assert wanted.requires_grad
    assert not frozen.requires_grad


class Text(str):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        nn.Linear(1, 1),
        len,
        {1, 2},
        bytearray(b"bytes"),
        Text("x"),
        1j,
        torch.zeros(1, dtype=torch.complex64),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(1, device="meta"),
        np.array(["text"]),
        np.array([object()]),
        2**BITS,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_data_is_refused_and_from_strangers_is_opaque(value: object) -> None:
    with pytest.raises(NotPlainError, match=type(value).__name__):
        carried([value])
    (out,) = carried([value], strict=False)
    assert isinstance(out, Opaque)
    assert type(out).__name__ == type(value).__name__


def deep(levels: int) -> list:
    made: list = []
    for _ in range(levels):
        made = [made]
    return made


def test_nesting_has_an_end() -> None:
    assert carried(deep(DEPTH)) == deep(DEPTH)
    with pytest.raises(NotPlainError, match="nested too deeply"):
        carried(deep(DEPTH + 1))
    itself: list = []
    itself.append(itself)
    with pytest.raises(NotPlainError, match="nested too deeply"):
        carried(itself)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("make", [lambda: "x" * BYTES, lambda: [None] * (BYTES // 16)], ids=["text", "list"])
def test_a_message_has_an_end(make: Callable[[], object], strict: bool) -> None:
    with pytest.raises(NotPlainError, match="MB"):
        carried(make(), strict)


def test_what_a_stranger_sent_is_not_sent_back() -> None:
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
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says: a ValueError is the promise
        Decoder([FLOATS]).decode(HOSTILE[name])


def test_hostile_nesting_is_refused() -> None:
    coded: list = ["plain", None]
    for _ in range(DEPTH + 2):
        coded = ["list", [coded]]
    with pytest.raises(ValueError, match="nested too deeply"):
        Decoder([]).decode(coded)


def test_more_data_than_an_encoder_sends_is_refused() -> None:
    with pytest.raises(ValueError, match="more data"):
        Decoder([bytes(BYTES), b"1"])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["tensor", "int", "dict", "list", "opaque"]),
    lambda v: st.lists(v, max_size=5),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(json_values)
def test_any_message_is_decoded_or_refused(coded: object) -> None:
    try:
        out = Decoder([FLOATS]).decode(coded)
    except ValueError:
        return
    assert pickle.dumps(type(out).__name__)


@settings(max_examples=300, deadline=None)
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
