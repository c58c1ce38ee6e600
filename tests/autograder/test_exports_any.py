"""Property tests of collection: any class, exported in any form and order, ends with the right files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from exports import rows
from hypothesis import given, settings
from random_classes import Term, terms

from autograder.intake.collect import collect
from autograder.intake.report import ASIDE, REFUSED, TAKEN

EXAMPLES = int(os.environ.get("EXAMPLES_OF_EXPORTS", "60"))


@settings(max_examples=EXAMPLES)
@given(term=terms())
def test_each_learner_has_their_newest_attempt_whole_and_no_files_of_others(
    tmp_path_factory: pytest.TempPathFactory, term: Term
) -> None:
    folder = tmp_path_factory.mktemp("any")
    root = term.made_course(folder / "course")
    for number, export in enumerate(term.exports):
        source = folder / f"{number}.zip"
        entries = term.packed(export, source)
        report = collect(root, source)
        assert report.platform == term.layout.partition(",")[0]
        told = [c.entry for c in report.files]
        assert len(set(told)) == len(told)
        assert set(entries) <= set(told)
        assert all(any(name.startswith(f"{entry}/") for entry in entries) for name in set(told) - set(entries))
        assert {c.kind for c in report.files} <= {TAKEN, ASIDE}, [c for c in report.files if c.kind == REFUSED]
        assert [row["file"] for row in rows(root, "collected.csv") if row["export"] == source.name] == told
        before = _content(root)
        again = collect(root, source)
        assert [(c.entry, c.kind) for c in again.files] == [(c.entry, c.kind) for c in report.files]
        assert _content(root) == before
    found: dict[tuple[int, str], dict[str, bytes]] = {}
    students: dict[str, set[int]] = {}
    for path, data in _content(root).items():
        if path.count("/") == 2 and "/." not in f"/{path}" and not path.endswith("timestamp.txt"):
            student, assignment, file = path.split("/")
            person = int(re.findall(r"person (\d+)", data.decode())[0])
            students.setdefault(student, set()).add(person)
            mine = found.setdefault((person, assignment), {})
            assert file not in mine, f"{person} is two students"
            mine[file] = data
    assert all(len(people) == 1 for people in students.values())
    assert found == term.expected()


def _content(root: Path) -> dict[str, bytes]:
    submitted = root / "submitted"
    return {
        path.relative_to(submitted).as_posix(): path.read_bytes()
        for path in submitted.rglob("*")
        if path.is_file() and path.name != "collected.csv"
    }
