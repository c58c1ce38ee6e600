"""Checks of exercise 3.1: a bitmask and the values."""

from __future__ import annotations

from contextlib import suppress

import torch

from ..check import check
from ..lesson import show, tensor_fault
from ..progress import progress


def two(result, wanted):
    """Return the two results of a function."""
    assert result is not None, f"Nothing came back (None): end the function with `return {wanted}`."
    assert isinstance(result, tuple | list), f"`return {wanted}` was expected; a {type(result).__name__} came back."
    assert len(result) == 2, f"`return {wanted}` was expected, two things; {len(result)} came back."
    return result


def lists(packed):
    """Return the results of pack() as plain lists: (bytes, values). (Another check tests their exact types.)"""
    result = two(packed, "bitmask, values")
    try:
        mask, values = (torch.as_tensor(part).flatten().tolist() for part in result)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(
            f"Two tensors were expected; {[type(part).__name__ for part in result]} came back."
        ) from None
    return mask, values


def bytes_of(flags, highest_first):
    """Return the bytes of a list of bool, eight entries to a byte, by a plain loop."""
    found = []
    for start in range(0, len(flags), 8):
        byte = 0
        for place, flag in enumerate(flags[start : start + 8]):
            if flag:
                byte += 2 ** (7 - place) if highest_first else 2**place
        found.append(byte)
    return found


@check("one bit an entry, eight to a byte")
def pack_bits(pack):
    weight = torch.tensor([[0.0, 1.5, 0.0, -2.0, 0.0], [0.5, 0.0, 0.0, 0.0, 3.0]])
    progress.given(f"the weight\n{show(weight)}")
    got, _ = lists(pack(weight.clone()))
    wanted = [bytes_of((weight != 0).flatten().tolist(), first) for first in (True, False)]
    if len(got) == 10:
        idea = "That is a byte for each entry. Eight entries share a byte: a bit each."
    elif got in ([bytes_of((weight == 0).flatten().tolist(), first) for first in (True, False)]):
        idea = "Is it the other way round? A bit is 1 where the weight is *not* zero."
    elif len(got) == 1:
        idea = "Ten entries need two bytes; the last is filled up with zeros."
    else:
        idea = "Bit by bit, row by row, the first entry is 0, the second 1, the third 0, the fourth 1."
    assert got in wanted, (
        f"Your bitmask is {got}; {wanted[0]} was expected (or {wanted[1]}, with the lowest bit first). {idea}\n"
        f"The weight:\n{show(weight)}"
    )
    got, _ = lists(pack(torch.tensor([[1.0, 0.0, 2.0, 3.0], [0.0, 0.0, 0.0, 4.0]])))
    assert len(got) == 1, f"Eight entries need one byte; {len(got)} came back."


@check("the values that are left, in order")
def pack_values(pack):
    weight = torch.tensor([[0.0, 1.5, 0.0, -2.0, 0.0], [0.5, 0.0, 0.0, 0.0, 3.0]])
    progress.given(f"the weight\n{show(weight)}")
    _, got = lists(pack(weight.clone()))
    if sorted(got) == sorted([1.5, -2.0, 0.5, 3.0]):
        idea = "The right values in another order: they stay as they stood, row by row, so that unpack() can put them back."
    elif len(got) == 10:
        idea = "The zeros are in it: they are what the file is meant to save."
    else:
        idea = "Every entry that is not zero, negative ones too."
    assert got == [1.5, -2.0, 0.5, 3.0], (
        f"Your values are {got}; [1.5, -2.0, 0.5, 3.0] was expected. {idea}\nThe weight:\n{show(weight)}"
    )
    _, got = lists(pack(torch.tensor([[1e-30, 0.0, -2.0]])))
    assert len(got) == 2, (
        f"Of 1e-30, 0 and -2 one is zero: two values were expected, {got} came back. Tiny is not zero."
    )


@check("any precision, and the weight is left alone")
def pack_care(pack):
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        weight = torch.tensor([[0.0, 1.5, 0.0], [-2.0, 0.0, 0.5]], dtype=dtype)
        progress.given(f"a weight of {dtype}\n{show(weight)}")
        given = weight.clone()
        bitmask, values = two(pack(given), "bitmask, values")
        assert isinstance(bitmask, torch.Tensor), f"The bitmask is a tensor; a {type(bitmask).__name__} came back."
        assert (bitmask.dtype, tuple(bitmask.shape)) == (torch.uint8, (1,)), (
            f"The bitmask of 6 entries is one torch.uint8, shape (1,); {bitmask.dtype} {tuple(bitmask.shape)} came back."
        )
        fault = tensor_fault(values, (3,), weight)
        assert fault is None, f"The values of a weight of {dtype}: {fault}"
        assert torch.equal(given, weight), "pack() changed the weight it was given; it should only look."


def writes_lowest_first(pack, weight):
    """Return whether pack() writes the first entry to the lowest bit of its byte."""
    try:
        return lists(pack(weight.clone()))[0] == bytes_of((weight != 0).flatten().tolist(), highest_first=False)
    except Exception:  # pack() has its own checks
        return False


def _works_for_whole_bytes(unpack):
    """Return whether unpack() gives a weight of sixteen entries back."""
    weight = torch.tensor([[0.0, 1.5, 0.0, -2.0, 0.0, 0.0, 0.0, 4.0], [0.5, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]])
    for highest_first in (True, False):
        bitmask = torch.tensor(bytes_of((weight != 0).flatten().tolist(), highest_first), dtype=torch.uint8)
        with suppress(Exception):
            if torch.equal(torch.as_tensor(unpack(bitmask, weight[weight != 0], (2, 8))), weight):
                return True
    return False


@check("what was packed comes back exactly, from bits as pack() writes them")
def unpack_exact(unpack, pack):
    weight = torch.tensor([[0.0, 1.5, 0.0, -2.0, 0.0], [0.5, 0.0, 0.0, 0.0, 3.0]])
    came, errors = {}, []
    for highest_first in (True, False):  # the order of bits is yours: one of the two is right
        bitmask = torch.tensor(bytes_of((weight != 0).flatten().tolist(), highest_first), dtype=torch.uint8)
        try:
            came[highest_first] = unpack(bitmask, weight[weight != 0], (2, 5))
        except NotImplementedError:
            raise
        except (RuntimeError, IndexError, ValueError) as error:  # with the other order the counts may not fit
            errors.append(error)
    if not came:
        assert not _works_for_whole_bytes(unpack), (
            f"unpack() stopped with {type(errors[0]).__name__}: {errors[0]}. It works where eight divides the number of "
            "entries. Here two bytes hold ten: the last is filled up with zeros, so cut the bits to as many as `shape` has."
        )
        progress.given(f"the bitmask {bitmask.tolist()}, the values {weight[weight != 0].tolist()}, shape (2, 5)")
        raise errors[0]
    first = next(iter(came.values()))
    assert first is not None, "unpack() returned nothing: end it with `return ...`."
    faults = {order: tensor_fault(got, (2, 5)) for order, got in came.items()}
    assert None in faults.values(), next(iter(faults.values()))
    right = [order for order, got in came.items() if faults[order] is None and torch.equal(got.float(), weight)]
    assert right, (
        f"unpack() gives another weight back.\nExpected:\n{show(weight)}\ncame back:\n{show(first)}\n"
        "Do the values go where a bit is 1, in order, and nothing where it is 0?"
    )
    highest_first = not writes_lowest_first(pack, weight)
    assert highest_first in right, (
        f"pack() writes an entry as the {'highest' if highest_first else 'lowest'} bit of its byte that unpack() takes for the "
        f"{'lowest' if highest_first else 'highest'}: both have to count from the same end."
    )
    bitmask = torch.tensor(bytes_of((weight != 0).flatten().tolist(), highest_first), dtype=torch.uint8)
    for shape in ((10,), (1, 2, 5)):
        progress.given(f"the bitmask {bitmask.tolist()}, the values {weight[weight != 0].tolist()}, shape {shape}")
        fault = tensor_fault(unpack(bitmask, weight[weight != 0], shape), shape)
        assert fault is None, f"The same ten entries, shape {shape}: {fault}"


@check("any precision, and what came in is left alone")
def unpack_care(unpack):
    for dtype in (torch.float16, torch.bfloat16):
        bitmask, values = torch.tensor([255], dtype=torch.uint8), torch.arange(1.0, 9.0).to(dtype)
        progress.given(f"eight bits, all of them 1, eight values of {dtype}, shape (2, 4)")
        weight = unpack(bitmask, values, (2, 4))
        fault = tensor_fault(weight, (2, 4), values)
        assert fault is None, f"With values of {dtype}: {fault}"
        weight.zero_()
        assert (bitmask.tolist(), values.tolist()) == ([255], list(range(1, 9))), (
            f"unpack() changed what it was given, or its result shares memory with it: bitmask {bitmask.tolist()}, values "
            f"{values.tolist()}."
        )
