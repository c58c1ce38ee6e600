"""Merging of an assignment's versions into one table for the registrar and the learning platforms."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from ..versions import base, order
from .summary import Row, Summary


def merge_versions(summaries: list[Summary]) -> list[Summary]:
    """Return the summaries with the versions of an assignment merged, under the first one's name.

    For each learner the newest submitted version counts. If the versions' maxima differ, all points are scaled to the
    maximum of the newest version, so that everybody can reach the same.
    """
    families: dict[str, list[Summary]] = defaultdict(list)
    for summary in sorted(summaries, key=lambda one: order(one.assignment)):
        families[base(summary.assignment)].append(summary)
    return [_one(name, versions) if len(versions) > 1 else versions[0] for name, versions in families.items()]


def _one(name: str, versions: list[Summary]) -> Summary:
    rows: dict[str, Row] = {}
    maximum = versions[-1].maximum
    for summary in versions:
        for row in summary.rows:
            if row.student not in rows or not row.absent:
                rows[row.student] = _scaled(row, maximum / summary.maximum if summary.maximum else 1.0)
    return Summary(name, maximum, {}, {}, [rows[student] for student in sorted(rows)])


def _scaled(row: Row, factor: float) -> Row:
    if row.total is None or factor == 1:
        return row
    return replace(row, total=row.total * factor, penalty=row.penalty * factor)
