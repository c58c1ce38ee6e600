"""Checks of exercise 3.1: a bitmask and values."""

from __future__ import annotations

import torch

from ..check import check
from ..lesson import show, tensor_fault
from ..progress import progress


def two(result, wanted):
    """The two things that a function returned."""
    assert result is not None, f"Nothing came back (None): end the function with `return {wanted}`."
    assert isinstance(result, tuple | list), f"`return {wanted}` was expected; a {type(result).__name__} came back."
    assert len(result) == 2, f"`return {wanted}` was expected, two things; {len(result)} came back."
    return result


def lists(packed):
    """What pack() returned, as plain lists: (bytes, values). (Their exact types have a check of their own.)"""
    result = two(packed, "bitmask, values")
    try:
        mask, values = (torch.as_tensor(part).flatten().tolist() for part in result)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(
            f"Two tensors were expected; {[type(part).__name__ for part in result]} came back."
        ) from None
    return mask, values


def bytes_of(flags, highest_first):
    """The bytes of a list of True and False, eight to a byte, by a plain loop."""
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


@check("any precision, and the weight is left alone")
def pack_care(pack):
    weight = torch.tensor([[0.0, 1.5, 0.0], [-2.0, 0.0, 0.5]])
    progress.given(f"the weight\n{show(weight)}")
    given = weight.clone()
    bitmask, values = two(pack(given), "bitmask, values")
    assert isinstance(bitmask, torch.Tensor), f"The bitmask is a tensor; a {type(bitmask).__name__} came back."
    assert (bitmask.dtype, tuple(bitmask.shape)) == (torch.uint8, (1,)), (
        f"The bitmask of 6 entries is one torch.uint8, shape (1,); {bitmask.dtype} {tuple(bitmask.shape)} came back."
    )
    fault = tensor_fault(values, (3,), weight)
    assert fault is None, f"The values: {fault}"
    assert torch.equal(given, weight), "pack() changed the weight it was given; it should only look."


@check("what was packed comes back exactly")
def unpack_exact(unpack):
    weight = torch.tensor([[0.0, 1.5, 0.0, -2.0, 0.0], [0.5, 0.0, 0.0, 0.0, 3.0]])
    came, why = [], []
    for highest_first in (True, False):  # the order of bits is yours: one of the two is right
        bitmask = torch.tensor(bytes_of((weight != 0).flatten().tolist(), highest_first), dtype=torch.uint8)
        try:
            came.append(unpack(bitmask, weight[weight != 0], (2, 5)))
        except NotImplementedError:
            raise
        except (RuntimeError, IndexError, ValueError) as error:  # with the other order the counts may not fit
            why.append(f"{type(error).__name__}: {error}")
    assert came, f"unpack() stopped with {why[0]}"
    assert came[0] is not None, "unpack() returned nothing: end it with `return ...`."
    faults = [tensor_fault(got, (2, 5)) for got in came]
    assert None in faults, faults[0]
    assert any(torch.equal(got.float(), weight) for got, fault in zip(came, faults, strict=True) if fault is None), (
        f"unpack() gives another weight back.\nExpected:\n{show(weight)}\ncame back:\n{show(came[0])}\n"
        "Do the values go where a bit is 1, in order, and nothing where it is 0?"
    )


@check("any precision, and what came in is left alone")
def unpack_care(unpack):
    for dtype in (torch.float16, torch.bfloat16):
        values = torch.arange(1.0, 9.0).to(dtype)
        progress.given(f"eight bits, all of them 1, eight values of {dtype}, shape (2, 4)")
        fault = tensor_fault(unpack(torch.tensor([255], dtype=torch.uint8), values, (2, 4)), (2, 4), values)
        assert fault is None, f"With values of {dtype}: {fault}"
