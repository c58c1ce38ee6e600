"""Checks of the four challenges; gpt2_lib/course/challenges/ has the measurements.

A check returns the artifact that it opened: its hidden part measures that on other pages.
"""

from __future__ import annotations

from .. import challenges
from ..check import check


def _sparse(read, gone, lost):
    found = challenges.packed(read)
    challenges.assert_gone(found, gone)
    challenges.assert_quality(found, lost)
    return found


@check("50 % gone, less than 4 % lost")
def sparse_half(sparse_model):
    return _sparse(sparse_model, challenges.HALF, challenges.HALF_LOST)


@check("60 % gone, less than 4 % lost")
def sparse_most(sparse_model):
    return _sparse(sparse_model, challenges.SPARSE, challenges.HALF_LOST)


@check("60 % gone, less than 2 % lost")
def sparse_bar(sparse_model):
    return _sparse(sparse_model, challenges.SPARSE, challenges.SPARSE_LOST)


def _mobile(read, reach, bar, lost):
    found = challenges.exported(read)
    reach(found, bar)
    challenges.assert_quality(found, lost)
    return found


@check("20 % cut out, less than 10 % lost")
def mobile_smaller(mobile_model):
    return _mobile(mobile_model, challenges.assert_removed, challenges.REMOVED, challenges.REMOVED_LOST)


@check("1.3 times as fast, less than 10 % lost")
def mobile_faster(mobile_model):
    return _mobile(mobile_model, challenges.assert_faster, challenges.FASTER, challenges.REMOVED_LOST)


@check("1.3 times as fast, less than 4 % lost")
def mobile_bar(mobile_model):
    return _mobile(mobile_model, challenges.assert_faster, challenges.FASTER, challenges.MOBILE_LOST)


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
    _gradual(tracked_run, challenges.HALF)


@check("60 % gone, less than 2 % lost")
def tracked_bar(tracked_run):
    found = _gradual(tracked_run, challenges.SPARSE)
    challenges.assert_quality(found.packed, challenges.SPARSE_LOST)
    return found


def _gradual(read, gone):
    found = challenges.tracked(read)
    challenges.assert_log(found)
    challenges.assert_schedule(found)
    challenges.assert_agrees(found)
    challenges.assert_gone(found.packed, gone)
    return found


@check("int8, a quarter gone, 1.1 times smaller than int8 alone, less than 4 % lost")
def edge_int8(edge_model):
    return _edge(edge_model, challenges.EDGE_PART_SPARSE, challenges.PART_SMALLER, challenges.EDGE_PART_LOST)


@check("half of the weights gone, 1.3 times smaller than int8 alone")
def edge_small(edge_model):
    return _edge(edge_model, challenges.EDGE_SPARSE, challenges.SMALLER, challenges.EDGE_PART_LOST)


@check("and less than 2 % lost")
def edge_bar(edge_model):
    return _edge(edge_model, challenges.EDGE_SPARSE, challenges.SMALLER, challenges.EDGE_LOST)


def _edge(read, gone, smaller, lost):
    found = challenges.packed(read)
    challenges.assert_int8(found)
    challenges.assert_smaller(found, smaller)
    challenges.assert_gone(found, gone)
    challenges.assert_quality(found, lost)
    return found
