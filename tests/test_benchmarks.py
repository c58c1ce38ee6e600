"""Tests of the benchmarks' report: a page names the missed bars, from the figures themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def report() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "report.py"
    spec = importlib.util.spec_from_file_location("benchmark_report", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_missed_bar_is_written_to_the_page_and_ends_in_an_error(report: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    with pytest.raises(SystemExit, match=r"Missed: 2:4 masks take 3 s, not 2\."):
        report.publish("masks", "## Masks\n", page, ["2:4 masks take 3 s, not 2"])
    section = "<!-- begin masks -->\n## Masks\n\n**Bar missed:** 2:4 masks take 3 s, not 2.\n<!-- end masks -->"
    assert section in page.read_text(encoding="utf-8")


def test_a_later_run_within_the_bars_replaces_the_note(report: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    with pytest.raises(SystemExit):
        report.publish("masks", "## Masks", page, ["slow"])
    report.publish("masks", "## Masks", page)
    assert "<!-- begin masks -->\n## Masks\n<!-- end masks -->" in page.read_text(encoding="utf-8")
    assert "missed" not in page.read_text(encoding="utf-8")
