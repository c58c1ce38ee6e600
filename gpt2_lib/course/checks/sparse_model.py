"""Checks of challenge a: a sparse model."""

from __future__ import annotations

from .. import challenges
from ..check import check


@check("50 % gone, less than 4 % lost")
def sparse_half(sparse_model):
    found = challenges.packed(sparse_model)
    challenges.assert_gone(found, challenges.HALF)
    challenges.assert_quality(found, challenges.HALF_LOST)
    return found


@check("60 % gone, less than 4 % lost")
def sparse_most(sparse_model):
    found = challenges.packed(sparse_model)
    challenges.assert_gone(found, challenges.SPARSE)
    challenges.assert_quality(found, challenges.HALF_LOST)
    return found


@check("60 % gone, less than 2 % lost")
def sparse_bar(sparse_model):
    found = challenges.packed(sparse_model)
    challenges.assert_gone(found, challenges.SPARSE)
    challenges.assert_quality(found, challenges.SPARSE_LOST)
    return found
