"""Tests of checks' labels, which are read from source."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autograder.labels import labels
from gpt2_lib.course import checks


def test_the_labels_are_those_of_the_courses_checks() -> None:
    found = labels("gpt2_lib.course.checks")
    assert len(found) > 20
    assert found == {name: getattr(checks, name).label for name in found}
    every = {name for name, one in vars(checks).items() if hasattr(one, "label") and not name.startswith("_")}
    assert {name.rstrip("12345") for name in every - found.keys()} == {"ready_"}, "those of the quiz are computed"


@pytest.mark.parametrize("package", ["", "no_such_package", "no_such_package.checks"])
def test_a_course_without_checks_has_no_labels(package: str) -> None:
    assert labels(package) == {}


def test_reading_labels_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "never_imported" / "checks"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError", encoding="utf-8")
    (package / "one.py").write_text('@check("a label")\ndef one(f): ...\n\ndef two(f): ...\n', encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert labels("never_imported.checks") == {"one": "a label"}
    assert "never_imported" not in sys.modules
