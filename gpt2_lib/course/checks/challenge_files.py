"""Checks of the four challenges; the measuring is in gpt2_lib/course/challenges/."""

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
