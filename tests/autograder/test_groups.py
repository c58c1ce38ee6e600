"""Tests of groups: whose submission counts for whom, also for members of several groups, and the messages."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from exports import laid_out
from graded import NOTEBOOK, PHASE, Graded
from term import FILE, csv_of
from test_feedback import Page

from autograder.grading.grade import Submission
from autograder.grading.groups import Shares, shares
from autograder.grading.lateness import HandedIn
from autograder.grading.verdicts import Grading, write_grading
from autograder.intake.class_list import ClassList, Learner
from autograder.reports.export import export_all
from autograder.reports.run_summary import closing
from autograder.term import Dates, Term

TWO_TEAMS = {"ada": "Team 1", "bob": "Team 1; Team 2", "eve": "Team 2", "zoe": ""}


def given(
    root: Path, groups: dict[str, str], handed_in: dict[str, int], which: str = "*", texts: dict[str, str] | None = None
) -> Shares:
    """Return whose submission each learner gets; ``handed_in``: learner -> day, 0 where it is unknown.

    ``texts``: what they handed in, where it is not each their own.
    """
    made = {f"submitted/{who}/lab/lab.ipynb": (texts or {}).get(who, f"of {who}") for who in handed_in}
    laid_out(root, made)
    times = {who: HandedIn(datetime(2026, 11, day) if day else None) for who, day in handed_in.items()}
    people = ClassList(Learner(who, group=group) for who, group in groups.items())
    return shares(root, Term({"lab": Dates(groups=which)}, there=True), "lab", people, times)


def test_a_hand_in_of_any_of_their_groups_counts(tmp_path: Path) -> None:
    assert given(tmp_path, TWO_TEAMS, {"eve": 1}) == Shares({"bob": "eve"}, {})


def test_a_member_of_two_groups_submits_for_both(tmp_path: Path) -> None:
    assert given(tmp_path, TWO_TEAMS, {"bob": 1}) == Shares({"ada": "bob", "eve": "bob"}, {})


def test_the_newer_submission_of_two_groups_counts_and_is_reported(tmp_path: Path) -> None:
    found = given(tmp_path, TWO_TEAMS, {"ada": 2, "eve": 1})
    assert found.given == {"bob": "ada"}
    assert found.unclear["bob"].startswith("handed in more than once (Team 1 by ada, Team 2 by eve): ada's counts")


def test_a_members_own_submission_is_graded_where_it_counts_for_a_group(tmp_path: Path) -> None:
    found = given(tmp_path, TWO_TEAMS, {"ada": 3, "bob": 2, "eve": 1})
    assert found.given == {"eve": "bob"}, "bob's is the newest of Team 2, ada's of Team 1"
    assert list(found.unclear) == ["bob"]
    assert "bob's counts" in found.unclear["bob"]


def test_the_same_file_for_each_member_as_moodle_exports_it_is_no_conflict(tmp_path: Path) -> None:
    same: dict[str, str] = dict.fromkeys(("ada", "bob", "eve"), "one")
    found = given(tmp_path, TWO_TEAMS, {"ada": 0, "bob": 0, "eve": 0}, texts=same)
    assert (found.given, found.unclear) == ({"eve": "bob"}, {})


def test_an_unknown_order_is_reported(tmp_path: Path) -> None:
    """Canvas does not say when."""
    found = given(tmp_path, {"ada": "Team 1", "bob": "team 1", "zoe": ""}, {"ada": 0, "bob": 0, "zoe": 0})
    assert found.given == {"bob": "ada"}
    assert set(found.unclear) == {"ada", "bob"}
    assert "Team 1 by ada and bob" in found.unclear["ada"]


@pytest.mark.parametrize("which", ["Team *", "team 2"])
def test_only_the_groups_that_the_term_names_count(tmp_path: Path, which: str) -> None:
    groups = {"ada": "Tutorial; Team 1", "bob": "Tutorial; Team 2", "eve": "Tutorial; Team 2"}
    assert given(tmp_path, groups, {"ada": 3, "bob": 1}, which) == Shares({"eve": "bob"}, {})


def test_a_member_of_two_groups_gets_points_and_a_page_and_the_instructor_reads_why(tmp_path: Path) -> None:
    made = Graded(tmp_path)
    lines = ["id,group", *(f"{who},{group}" for who, group in TWO_TEAMS.items())]
    (made.root / "roster.csv").write_text("\n".join(lines), encoding="utf-8")
    for who, day in (("ada", 1), ("eve", 2)):
        laid_out(made.root, {f"submitted/{who}/{PHASE}/{FILE}": f"of {who}"})
        (made.root / f"submitted/{who}/{PHASE}/timestamp.txt").write_text(f"2026-11-0{day} 12:00:00 UTC")
        write_grading(made.add(who, {"double_basics": 0} if who == "ada" else None), Grading(f"key of {who}"))
    (made.root / "term.toml").write_text('[tiny]\ngroups = "Team *"\n')
    export_all(made.course)
    rows = {row["student"]: row for row in csv_of(made.root / "grades" / f"{PHASE}.csv")}
    assert {who: row["total"] for who, row in rows.items()} == {"ada": "2.5", "bob": "4.5", "eve": "4.5", "zoe": ""}
    told = "handed in more than once (Team 1 by ada, Team 2 by eve): eve's counts"
    assert told in rows["bob"]["review"]
    assert (rows["ada"]["review"], rows["bob"]["group"]) == ("", "Team 1; Team 2")
    assert told in Page(made.root / "grades" / f"{PHASE}.html").words
    said = closing(made.course, [Submission("ada", PHASE, "", 2.5, 4.5), Submission("eve", PHASE, "", 4.5, 4.5)])
    assert "  flagged (1): bob\n" in said
    assert f"    bob: {told}" in said

    (made.root / "roster.csv").write_text("id,group\nada,Team 1\nbob,Team 1\neve,Team 2\nzoe,\n", encoding="utf-8")
    export_all(made.course)
    rows = {row["student"]: row for row in csv_of(made.root / "grades" / f"{PHASE}.csv")}
    assert (rows["bob"]["total"], rows["bob"]["review"]) == ("2.5", "")
    assert (made.root / "autograded" / "bob" / PHASE / f"{NOTEBOOK}.ipynb").is_file()
