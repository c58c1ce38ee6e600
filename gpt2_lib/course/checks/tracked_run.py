"""Checks of challenge c: gradual pruning, tracked."""

from __future__ import annotations

from .. import challenges
from ..check import check


@check("a log that can be read")
def tracked_log(tracked_run):
    challenges.assert_log(challenges.tracked(tracked_run))


@check("the log's end is the model: 50 % gone, less than 4 % lost")
def tracked_model(tracked_run):
    found = challenges.tracked(tracked_run)
    challenges.assert_agrees(found)
    challenges.assert_gone(found.packed, challenges.HALF)
    challenges.assert_quality(found.packed, challenges.HALF_LOST)
    return found


@check("a gradual schedule, and training after it")
def tracked_schedule(tracked_run):
    found = challenges.tracked(tracked_run)
    challenges.assert_log(found)
    challenges.assert_schedule(found)
    challenges.assert_gone(found.packed, challenges.HALF)
    challenges.assert_agrees(found)


@check("60 % gone, less than 2 % lost")
def tracked_bar(tracked_run):
    found = challenges.tracked(tracked_run)
    challenges.assert_log(found)
    challenges.assert_schedule(found)
    challenges.assert_agrees(found)
    challenges.assert_gone(found.packed, challenges.SPARSE)
    challenges.assert_quality(found.packed, challenges.SPARSE_LOST)
    return found
