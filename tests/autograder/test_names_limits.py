"""Tests that the names of an export have limits before anything reads them, and that tables can be read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from exports import PHASE, collected, made_course, notebooks, outcomes, tarred, zipped

from autograder.intake.entry import MAX_PART, MAX_PATH, entry_of
from autograder.intake.regular import Refused
from autograder.intake.report import COLUMNS as REPORTED
from autograder.intake.report import collected_of
from autograder.intake.roster import MAX_CELL, lines_of, read_table, write_table

FILE = f"{PHASE}.ipynb"
LONG = {
    "copies": f"{PHASE}{'(1)' * 15_000}.ipynb",
    "versions": f"{PHASE}{'-v11' * 45}{'x' * 300}.ipynb",
    "folders": f"{'d/' * 25_000}{FILE}",
    "a long folder": f"{'d' * 50_000}/{FILE}",
    "spaces": f"{PHASE}{' ' * 50_000}x.ipynb",
}


def moodle(who: str, number: int, file: str) -> str:
    return f"{who}_{number}_assignsubmission_file_/{file}"


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
@pytest.mark.parametrize("where", ["export", "zip", "tar"])
def test_a_long_name_is_refused_and_the_others_are_taken_again_and_again(tmp_path: Path, name: str, where: str) -> None:
    root = made_course(tmp_path / "course")
    inside = {"zip": zipped, "tar": tarred}
    eve = {name: "eve"} if where == "export" else {f"work.{where}": inside[where]({name: "eve"})}
    files = {moodle("Ada", 1, FILE): "ada"} | {moodle("Eve", 2, file): data for file, data in eve.items()}
    for _ in range(2):
        report = collected(root, files)
        assert notebooks(root) == {f"ada/{PHASE}/{PHASE}": "ada"}
        (told,) = [why for entry, why in outcomes(report).items() if "characters" in why]
        assert told.startswith("refused: has a ")
        assert max(map(len, outcomes(report))) < 3 * MAX_PATH
        assert report.nothing == ("eve",)
    assert {row["student"] for row in lines_of(root / "submitted")} == {"ada", "eve"}
    assert collected_of(root / "submitted")


@pytest.mark.parametrize("path", [("a" * MAX_PART, "b.txt"), ("a/" * 400 + "b.txt").split("/")])
def test_a_name_that_is_just_short_enough_is_read(path: list[str]) -> None:
    assert entry_of("x", path, None, lambda limit: b"read").read(10) == b"read"


@pytest.mark.parametrize(
    "path", [("a" * 401, "b.txt"), ("a", "b" * 10**6 + ".txt"), ("a/" * 10**5 + "b.txt").split("/")]
)
def test_a_name_that_is_too_long_keeps_its_start_and_its_end(path: list[str]) -> None:
    entry = entry_of("x", path, None, lambda limit: b"read")
    assert entry.parts[0].startswith("a")
    assert entry.parts[-1].endswith("b.txt")
    assert len(entry.name) <= MAX_PATH + MAX_PART
    with pytest.raises(Refused, match=r"shorten it|fewer folders"):
        entry.read(10)


@pytest.mark.parametrize("cell", ["x" * 10**6, ";=" * 10**5, '"' * 10**6, "a\r\nb;\0", "=1\t-2"])
def test_every_table_that_is_written_can_be_read(tmp_path: Path, cell: str) -> None:
    write_table(tmp_path / "t.csv", REPORTED, [dict.fromkeys(REPORTED, cell)])
    assert read_table(tmp_path / "t.csv", REPORTED) == [dict.fromkeys(REPORTED, cell[:MAX_CELL])]


def test_a_damaged_report_of_collections_stops_nothing(tmp_path: Path) -> None:
    root = made_course(tmp_path / "course")
    (root / "submitted").mkdir()
    (root / "submitted" / "collected.csv").write_text(",".join(REPORTED) + "\n" + "x" * 200_000)
    collected(root, {moodle("Ada", 1, FILE): "ada"})
    assert [row["student"] for row in collected_of(root / "submitted")] == ["ada"]
