"""Checks of challenge d: pruned and int8."""

from __future__ import annotations

from .. import challenges
from ..check import check


@check("int8, less than 4 % lost")
def edge_int8(edge_model):
    found = challenges.packed(edge_model)
    challenges.assert_int8(found)
    challenges.assert_quality(found, challenges.EDGE_PART_LOST)
    return found


@check("half of the weights gone, 4 times as small")
def edge_small(edge_model):
    found = challenges.packed(edge_model)
    challenges.assert_int8(found)
    challenges.assert_gone(found, challenges.EDGE_SPARSE)
    challenges.assert_smaller(found, challenges.SMALLER)
    challenges.assert_quality(found, challenges.EDGE_PART_LOST)
    return found


@check("and less than 2 % lost")
def edge_bar(edge_model):
    found = challenges.packed(edge_model)
    challenges.assert_int8(found)
    challenges.assert_gone(found, challenges.EDGE_SPARSE)
    challenges.assert_smaller(found, challenges.SMALLER)
    challenges.assert_quality(found, challenges.EDGE_LOST)
    return found
