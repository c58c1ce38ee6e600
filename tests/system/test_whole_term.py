"""Tests of a term from an export of 25 to the files for Moodle and Canvas, by the commands of docs/instructor.md."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
from classroom import REPOSITORY, Classroom
from doubling import GOOD, MASTER
from term import LATE, Class

from autograder.__main__ import main
from autograder.notebooks import to_text

PHASE, NOTEBOOK = "phase2_techniques", "doubling"  # the phase of the page's commands
MOST = 8  # commands


def commands(platform: str) -> list[str]:
    """The lines of the page's block for a platform."""
    page = (REPOSITORY / "docs" / "instructor.md").read_text(encoding="utf-8")
    block = re.search(rf"```bash\n# {platform}\n(.*?)```", page, re.DOTALL)
    assert block, f"docs/instructor.md has no block of commands that begins with '# {platform}'"
    return [line.split("  #")[0].strip() for line in block[1].splitlines() if line.strip()]


def run(line: str, root: Path) -> None:
    """One command of the page, through the recipe that the Makefile has for it."""
    make, *words = shlex.split(line)
    assert make == "make"
    values = dict(word.split("=", 1) for word in words if "=" in word)
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in (word for word in words if "=" not in word):
        recipe = re.search(rf"^{target}:.*\n\t\$\(python\) -m autograder (.*)$", makefile, re.MULTILINE)
        assert recipe, f"the Makefile has no such recipe for {target}"
        text = re.sub(r"\$\((\w+)\)", lambda name: values.get(name[1], ""), recipe[1])
        assert main(shlex.split(text), root=root) == 0, line


@pytest.mark.parametrize("platform", ["Moodle", "Canvas"])
def test_a_class_goes_from_the_platform_and_back_in_at_most_eight_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / f"{NOTEBOOK}.py"
    source.write_text(MASTER, encoding="utf-8")
    room = Classroom.made_of([source], tmp_path / "course", PHASE)
    answers = (GOOD, "def double(x):\n    return 5")
    right, wrong = (to_text(room.written(NOTEBOOK, {"double": answer})).encode() for answer in answers)
    people = Class(f"{NOTEBOOK}.ipynb", lambda n: wrong if n % 5 == 0 else right)
    times = {LATE: "Saturday, 21 November 2026, 9:00 AM"}
    (tmp_path / "worksheet.csv").write_text(people.worksheet(times), encoding="utf-8")
    (tmp_path / "gradebook.csv").write_text(people.gradebook(PHASE), encoding="utf-8")
    (tmp_path / "submissions.zip").write_bytes(people.moodle() if platform == "Moodle" else people.canvas())
    monkeypatch.chdir(tmp_path)
    lines = commands(platform)
    assert sum(len([w for w in shlex.split(line)[1:] if "=" not in w]) for line in lines) <= MOST
    for line in lines:
        run(line, room.root)
    printed = capsys.readouterr().out
    assert "nothing handed in (1): ulla-berg" in printed
    assert "refused (1): tuğba-şahin" in printed
    assert "less than half of the points (" in printed
    with (room.root / "grades" / "term.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert len(rows) == 25
    odd = {name: row[f"{PHASE} status"] for name, row in rows.items() if row[f"{PHASE} status"] != "graded"}
    late = {"kim-lee": "graded, late by an unknown time"} if platform == "Canvas" else {}  # it only marks that
    assert odd == {"ulla-berg": "nothing handed in", "tuğba-şahin": "refused", **late}
    assert (rows["ada-lovelace"]["total"], rows["grace-hopper"]["total"]) == ("0", "3")
    sent = {path.name for path in (room.root / "grades").iterdir()}
    name = platform.lower()
    assert sent >= {f"{PHASE}-{name}-feedback.zip", f"{PHASE}-moodle.csv" if name == "moodle" else "canvas.csv"}


def test_a_groups_newest_submission_is_graded_once_for_all(small: Classroom) -> None:
    lines = ["id,first_name,last_name,group", *(f"{who},{who},,Team" for who in ("ada", "bob", "eve"))]
    (small.root / "roster.csv").write_text("\n".join(lines), encoding="utf-8")
    (small.root / "term.toml").write_text("[tiny]\ngroups = true\n", encoding="utf-8")
    for who, answer, day in (("ada", "def double(x):\n    return 4", 1), ("bob", GOOD, 2)):
        path = small.hand_in(who, NOTEBOOK, {"double": answer})
        (path.parent / "timestamp.txt").write_text(f"2026-11-0{day} 12:00:00 UTC", encoding="utf-8")
    graded = small.grade()
    assert [(one.student, one.points) for one in graded] == [("bob", 3)]
    assert {who: sum(result.points for result in small.results(who)) for who in ("ada", "bob", "eve")} == dict.fromkeys(
        ("ada", "bob", "eve"), 3
    )
