"""Checks of challenge b: a smaller shape."""

from __future__ import annotations

from .. import challenges
from ..check import check


@check("20 % cut out, less than 10 % lost")
def mobile_smaller(mobile_model):
    found = challenges.exported(mobile_model)
    challenges.assert_removed(found, challenges.REMOVED)
    challenges.assert_quality(found, challenges.REMOVED_LOST)
    return found


@check("1.3 times as fast, less than 10 % lost")
def mobile_faster(mobile_model):
    found = challenges.exported(mobile_model)
    challenges.assert_faster(found, challenges.FASTER)
    challenges.assert_quality(found, challenges.REMOVED_LOST)
    return found


@check("1.3 times as fast, less than 5 % lost")
def mobile_bar(mobile_model):
    found = challenges.exported(mobile_model)
    challenges.assert_faster(found, challenges.FASTER)
    challenges.assert_quality(found, challenges.MOBILE_LOST)
    return found
