"""Tests that docs/interoperability.md names a test for each claim."""

from __future__ import annotations

import re
from pathlib import Path


def test_each_row_names_a_test_that_is_there_or_says_that_there_is_none(repository: Path):
    page = (repository / "docs" / "interoperability.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "shown by" not in line]
    assert len(rows) > 15
    for row in rows:
        *_, opened, shown, _ = row.split("|")
        named = re.findall(r"`(tests/\S+\.py)`", shown)
        assert all((repository / path).is_file() for path in named), row
        refused = re.match(r" (no|not tried here)\b", shown) or re.match(r" no\b", opened)
        assert named or refused or "the same two files" in shown, row
