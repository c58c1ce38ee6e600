"""Tests of a term: complete lists, lateness and penalties, groups, and open tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from exports import laid_out
from graded import CHECKS, NOTEBOOK, PHASE, Graded
from term import FILE, LATE, MISSING, WRONG, Term, csv_of
from test_feedback import Page

from autograder.__main__ import main
from autograder.course import CourseError
from autograder.grading.grade import Submission
from autograder.grading.settle import settle
from autograder.grading.verdicts import Grading, Review, write_grading
from autograder.reports.export import export_all
from autograder.reports.run_summary import closing
from autograder.term import Policy, read_term
from autograder.workers.outputs import TOO_LONG


@pytest.fixture(scope="module")
def moodle(tmp_path_factory: pytest.TempPathFactory) -> Term:
    return Term(tmp_path_factory.mktemp("moodle"), "Moodle")


@pytest.fixture(scope="module")
def canvas(tmp_path_factory: pytest.TempPathFactory) -> Term:
    return Term(tmp_path_factory.mktemp("canvas"), "Canvas")


@pytest.fixture(params=["Moodle", "Canvas"])
def term(request: pytest.FixtureRequest) -> Iterator[Term]:
    found: Term = request.getfixturevalue(request.param.lower())
    yield found
    (found.root / "term.toml").unlink(missing_ok=True)


def test_every_learner_is_accounted_for_in_every_table(term: Term) -> None:
    term.export()
    for name, column in ((PHASE, "status"), ("term", f"{PHASE} status")):
        rows = term.table(name)
        assert len(rows) == 25
        odd = {student: row[column] for student, row in rows.items() if row[column] != "graded"}
        marked = {"kim-lee": "graded, late by an unknown time"} if term.platform == "Canvas" else {}
        without = {term.who(MISSING): "nothing handed in", term.who(WRONG): "refused"}
        assert odd == without | marked
        points = PHASE if name == "term" else "total"
        assert {student for student, row in rows.items() if not row[points]} == without.keys()
    ada = term.table()["ada-lovelace"]
    university = "" if term.platform == "Moodle" else "M500"  # Moodle's worksheet has none
    assert (ada["name"], ada["total"], ada["number"]) == ("Ada Lovelace", "2.5", university)
    registrar = term.table("term")["ada-lovelace"]
    assert (registrar["last_name"], registrar["first_name"], registrar["total"]) == ("Lovelace", "Ada", "2.5")
    with term.made.course.gradebook() as gradebook:
        assert str(gradebook.find_student("ada-lovelace").last_name) == "Lovelace"
    page = Page(term.root / "feedback" / "ada-lovelace" / PHASE / f"{NOTEBOOK}.html")
    assert "Ada Lovelace, ada-lovelace" in page.words


def test_dates_extensions_and_penalties_show_in_the_next_export_and_nothing_runs(moodle: Term) -> None:
    late, ran = moodle.who(LATE), moodle.ran()
    moodle.export()
    assert moodle.table()[late]["total"] == "2.5"

    moodle.say('late = "10% per day"\n[tiny]\ndue = "2026-11-20 12:00"\n')
    moodle.export()
    assert f"{PHASE}: points taken off for handing in late (1): {late} 0.45 (21 h late)" in moodle.export()
    assert f"  points taken off for handing in late (1): {late} 0.45" in closing(
        moodle.made.course, [Submission(late, PHASE, "", 2.5, 4.5)]
    )
    row = moodle.table()[late]
    assert (row["total"], row["late_penalty"], row["seconds_late"]) == ("2.05", "0.45", str(21 * 3600))
    assert row["submitted"] == "2026-11-21 09:00:00 UTC"
    assert sum(row["late_penalty"] not in ("", "0") for row in moodle.table().values()) == 1
    page = moodle.root / "feedback" / late / PHASE / f"{NOTEBOOK}.html"
    said = Page(page).words
    assert "after 0.45 taken off for handing in late" in said
    assert "Handed in 2026-11-21 09:00, due 2026-11-20 12:00 (UTC): 21 h late." in said
    assert "The rule: each day begun takes 10% of the points that can be had." in said
    worksheet = {row["Identifier"]: row for row in csv_of(moodle.root / "grades" / f"{PHASE}-moodle.csv")}
    assert worksheet[f"Participant {500 + LATE}"]["Feedback comments"].startswith(
        "2.05 of 4.5 points, after 0.45 taken off"
    )

    cut_off = '[tiny]\ndue = "2026-11-20 12:00"\nlate = "cut-off"\n'
    moodle.say(cut_off)
    moodle.export()
    assert moodle.table()[late]["total"] == "0"
    assert "The rule: it takes all points." in Page(page).words

    moodle.say(f'timezone = "Europe/Berlin"\n{cut_off}[tiny.extensions]\n{late} = "2026-11-21 08:00"\n')
    moodle.export()
    assert "due 2026-11-21 08:00, with your extension (Europe/Berlin): 1 h late." in Page(page).words

    moodle.say(f'[tiny]\ndue = "2026-11-20 12:00"\nlate = "cut-off"\n[tiny.extensions]\n{late} = "2026-11-27"\n')
    moodle.export()
    row = moodle.table()[late]
    assert (row["total"], row["late_penalty"], row["seconds_late"]) == ("2.5", "0", "0")
    assert "taken off" not in Page(page).words

    moodle.say('timezone = "Asia/Tokyo"\n[tiny]\ndue = "2026-11-21 12:00"\nlate = "cut-off"\n')
    moodle.export()
    assert moodle.table()[late]["late_penalty"] == "0", "Moodle's times are of the term's zone, too"
    assert moodle.table()[late]["submitted"] == "2026-11-21 00:00:00 UTC"

    (moodle.root / "term.toml").unlink()
    assert moodle.ran() == ran


def test_canvass_mark_of_lateness_is_kept_and_no_penalty_is_guessed(canvas: Term) -> None:
    canvas.say('[tiny]\ndue = "2020-01-01"\nlate = "cut-off"\n')  # before the files' own times
    told = canvas.export()
    assert "tiny: late by an unknown time (1): kim-lee" in told
    assert any(line.startswith("  write when, under handed_in") for line in told)
    row = canvas.table()["kim-lee"]
    assert (row["late_says"], row["submitted"], row["total"]) == ("Canvas", "", "2.5")
    done = [Submission("kim-lee", PHASE, "", 2.5, 4.5)]
    assert "late by an unknown time (1): kim-lee\n    write when, under handed_in" in closing(canvas.made.course, done)
    canvas.say('[tiny]\ndue = "2026-11-20"\nlate = "10% per day"\n[tiny.handed_in]\nkim-lee = "2026-11-22 08:00"\n')
    assert not any("unknown time" in line for line in canvas.export())
    assert canvas.table()["kim-lee"]["late_penalty"] == "0.9"
    (canvas.root / "term.toml").unlink()


def test_the_end_of_grading_says_what_is_left_to_do(moodle: Term) -> None:
    flagged = moodle.made.course.folder("autograded", PHASE, "ada-lovelace")
    write_grading(flagged, Grading("k", (Review(NOTEBOOK, "double", "It patched torch."),)))
    notebook = moodle.made.course.folder("autograded", PHASE, "lars-berg") / FILE
    with moodle.made.course.gradebook() as gradebook:
        for check in CHECKS:
            gradebook.find_grade(check, NOTEBOOK, PHASE, "lars-berg").auto_score = 0  # pyright: ignore[reportAttributeAccessIssue]  # nbgrader's columns have no types
        gradebook.db.commit()
    notebook.write_text(notebook.read_text().replace('"cells": [', '"ename": "CellTimeoutError", "cells": [', 1))
    moodle.made.add("mary", errors={"double_basics": TOO_LONG.format(15)})
    done = [Submission("ada-lovelace", PHASE, "", 2.5, 4.5, (Review("", "double", "It patched torch."),))]
    done += [Submission(moodle.who(WRONG), PHASE, "No notebook.", refused=True)]
    text = closing(moodle.made.course, done)
    for line in (
        r"^ada-lovelace  tiny +2.5 of 4.5, flagged$",
        r"^tuğba-şahin  tiny +refused: No notebook.$",
        r"^1 graded, 1 refused, 0 failed, 1 flagged$",
        r"^tiny: 24 of 26 graded$",
        r"^  nothing handed in \(1\): ulla-berg$",
        r"^  refused \(1\): tuğba-şahin$",
        r"^  timed out \(2\): lars-berg, mary$",
        r"^  flagged \(1\): ada-lovelace$",
        r"^  not on the class list \(1\): mary$",
        r"^  less than half of the points \(1\): lars-berg$",
        r"^next: make feedback, make export$",
    ):
        assert re.search(line, text, re.MULTILINE), (line, text)
    rows = [line for line in text.splitlines() if re.match(r"  \S", line)]
    to_do = [line for line in text.splitlines() if re.match(r"    \S", line)]
    assert len(rows) == len(to_do), "every row says what to do"
    lost = [Submission(f"s{n}", PHASE, "no gradebook") for n in range(5)]
    text = closing(moodle.made.course, lost)
    assert text.count("no gradebook") == 1
    assert "5 of tiny  failed: no gradebook" in text
    assert text.endswith("next: correct what failed, and give the same command again")
    assert "tiny: flagged (1): ada-lovelace" in moodle.export()
    assert moodle.table("term")["ada-lovelace"]["tiny status"] == "graded, flagged"
    assert moodle.table()["mary"]["status"] == "graded, not on the class list"
    page = Page(moodle.root / "grades" / f"{PHASE}.html").words
    assert "Lars Berg (lars-berg) 0 of 4.5" in page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["grade", "--student", "user0@example.edu"], "which is ada-lovelace: write that id"),
        (["grade", "--student", "ada-lovelaec"], "did you mean ada-lovelace?"),
        (["grade", "--assignment", "tiney"], "There is no assignment 'tiney': did you mean tiny?"),
        (["feedback", "--assignment", "tiney"], "There is no assignment 'tiney': did you mean tiny?"),
        (["grade", "--student", "ulla-berg"], "There is no folder submitted/ulla-berg/: nothing was handed in there"),
        (["rerun", "Ulla Berg", "double_text"], "which is ulla-berg: write that id"),
    ],
)
def test_a_typing_error_in_a_name_is_reported_with_the_likely_name(
    moodle: Term, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, root=moodle.root) == 1
    captured = capsys.readouterr()
    assert told in captured.out + captured.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("due = 1", "has due outside of an assignment"),
        ("[tiny]\ndue = 2026-11-20 23:59", "texts and times stand in quotation marks"),
        ('[tiny]\ndue = "20.11.2026"', "due in [tiny] is '20.11.2026'; a time is \"2026-11-20 23:59\""),
        ('[tiny]\nlate = "a lot"', 'it may be "none", "10% per day" or "cut-off"'),
        ('[tiny]\nlate = "200% per day"', "it may be"),
        ("[tiny]\ncolour = 1", "has colour in [tiny]: known there are due, late"),
        ('timezone = "Mars"', 'it is a name such as "Europe/Berlin"'),
        ('[tiny.extensions]\nada = "2026-11-20"', "has extensions in [tiny], and no due date"),
        ('[tiny]\ndue = "2026-11-20"\nextensions = 3', "has to be a section of its own"),
        ('[tiny]\ndue = "2026-11-20"\n[tiny.extensions]\nada = "2026-11-19"', "ends before the due date"),
        ("[tinyy]\n", "which is no assignment: did you mean tiny?"),
        ('[tiny]\ndue = "2026-11-20"\n[tiny.extensions]\nada-lovelaec = "2026-11-21"', "did you mean ada-lovelace?"),
        ("[tiny]\ngroups = 1", 'groups true, false or a name such as "Team *"'),
        ("[tiny]\ngroups = true", "nobody on the class list (roster.csv) is in a group at all: write them there"),
        ('[tiny]\ngroups = "Team *"', "is in a group 'Team *'"),
    ],
)
def test_a_term_that_cant_be_understood_is_told_and_nothing_changes(moodle: Term, text: str, told: str) -> None:
    before = moodle.table() if (moodle.root / "grades").exists() else None
    moodle.say(text)
    try:
        with pytest.raises(CourseError) as caught:
            settle(moodle.made.course)
        assert told in str(caught.value)
        assert main(["export"], root=moodle.root) == 1
    finally:
        (moodle.root / "term.toml").unlink()
    assert before is None or moodle.table() == before


def test_a_policy_takes_a_share_for_each_day_begun_and_never_more_than_there_is() -> None:
    day, policy = timedelta(days=1), Policy(per_day=0.25)
    lates = (timedelta(0), timedelta(seconds=1), day, day + timedelta(seconds=1), 9 * day)
    assert [policy.penalty(7, 8, late) for late in lates] == [0, 2, 2, 4, 7]
    assert Policy(cut_off=True).penalty(7, 8, timedelta(seconds=1)) == 7
    assert Policy().penalty(7, 8, 9 * day) == 0


def test_a_day_alone_is_its_end_and_a_time_is_of_the_terms_zone(tmp_path: Path) -> None:
    (tmp_path / "term.toml").write_text(
        'timezone = "Europe/Berlin"\n[a]\ndue = "2026-11-20"\n[b]\ndue = 2026-11-20T12:00:00\n'
    )
    term = read_term(tmp_path)
    assert (term.of("a").due, term.of("b").due) == (datetime(2026, 11, 20, 22, 59, 59), datetime(2026, 11, 20, 11))


def test_a_group_submits_once_and_each_member_gets_the_points_and_the_page(tmp_path: Path) -> None:
    made = Graded(tmp_path)
    lines = ["id,first_name,last_name,group", "ada,Ada,L,Team 1", "bob,Bob,M,Team 1", "eve,Eve,N,team 1", "zoe,Zoe,O,"]
    (made.root / "roster.csv").write_text("\n".join(lines), encoding="utf-8")
    laid_out(made.root, {f"submitted/{who}/{PHASE}/{FILE}": "{}" for who in ("bob", "zoe")})
    for who in ("bob", "zoe"):
        write_grading(made.add(who, {"double_basics": 0}), Grading(f"key of {who}"))
    (made.root / "term.toml").write_text("[tiny]\ngroups = true\n")
    export_all(made.course)

    def totals() -> dict[str, tuple[str, str]]:
        return {row["student"]: (row["total"], row["status"]) for row in csv_of(made.root / "grades" / f"{PHASE}.csv")}

    assert totals() == dict.fromkeys(("ada", "bob", "eve", "zoe"), ("2.5", "graded"))
    assert main(["feedback"], root=made.root) == 0
    assert (
        "bob handed this in for your group" in Page(made.root / "feedback" / "ada" / PHASE / f"{NOTEBOOK}.html").words
    )
    with made.course.gradebook() as gradebook:
        for student, points in (("bob", 1.0), ("eve", 0.0)):
            grade = gradebook.find_grade("double_basics", NOTEBOOK, PHASE, student)
            grade.manual_score = points  # pyright: ignore[reportAttributeAccessIssue]  # nbgrader's columns have no types
        gradebook.db.commit()
    export_all(made.course)
    assert {who: total for who, (total, _) in totals().items()} == {
        "ada": "3.5",
        "bob": "3.5",
        "eve": "2.5",
        "zoe": "2.5",
    }

    (made.root / "term.toml").write_text("")
    export_all(made.course)
    assert totals()["ada"] == ("", "nothing handed in"), "no group any more"
