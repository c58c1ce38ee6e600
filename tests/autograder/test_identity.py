"""Tests of whose a file is: nothing that a learner chooses, a name of any kind, makes it somebody else's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from exports import PHASE, SECOND, Files, collected, laid_out, made_course, notebooks, outcomes, rows

from autograder.intake.collect import collect
from autograder.intake.report import table
from autograder.reports.canvas import _start

FILE = f"{PHASE}.ipynb"
CANVAS = "id,first_name,last_name,canvas\nbob-smith,Bob,Smith,12345\neve,Eve,Evil,13\nzoe,Zoe,Young,22222\n"
BOB, ZOE = f"smithbob_12345_678900_{FILE}", f"youngzoe_22222_678912_{FILE}"
NO_NUMBERS = (
    "id,first_name,last_name,email,group\nada,Ada,Lovelace,a@x,Team 1\nbob,Bob,Hall,b@x,Team 1\neve,Eve,Evil,e@x,\n"
)
MOODLE = (
    "id,first_name,last_name,moodle,group\n"
    f"ada,Ada,Lovelace,{PHASE}=1001,Team 1\nbob,Bob,Hall,{PHASE}=1002,Team 1\neve,Eve,Evil,,Team 2\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


def listed(root: Path, text: str) -> Path:
    (root / "roster.csv").write_text(text, encoding="utf-8")
    return root


def owners(root: Path) -> dict[str, str]:
    """Return {student: the text of their notebook}."""
    return {name.partition("/")[0]: text for name, text in notebooks(root).items()}


def moodle(**people: str) -> Files:
    """Return an export: number=name."""
    return {f"{name}_{n[1:]}_assignsubmission_file_/{FILE}": n for n, name in people.items()}


# Canvas


@pytest.mark.parametrize(
    "file",
    [
        f"x_12345_999999999_y_13_678910_{FILE}",
        f"12345_13_678910_{FILE}",
        f"smithbob_12345_999999999_13_678910_{FILE}",
        f"smithbob_12345_13_678910_{FILE}",
        f"evileve_13_678910_smithbob_12345_999999999_{FILE}",
        f"evileve_13_678910_12345_999999999_{FILE}",
        f"smithbob_LATE_12345_999999999_13_678910_{FILE}",
    ],
)
@pytest.mark.parametrize("bobs", [True, False])
def test_a_name_on_canvas_with_anothers_number_is_nobodys_and_harms_nobody(root: Path, file: str, bobs: bool) -> None:
    listed(root, CANVAS)
    honest = ({BOB: "bob"} if bobs else {}) | {ZOE: "zoe"}
    report = collected(root, honest | {file: "eve"})
    assert owners(root) == ({"bob-smith": "bob"} if bobs else {}) | {"zoe": "zoe"}
    told = outcomes(report)[file]
    assert told.startswith("refused: its name can be read as of ")
    assert "bob-smith (12345)" in told
    assert "eve (13)" in told
    assert "collect it in a folder with that learner's id" in told


@pytest.mark.parametrize(("last", "number"), [("12345", "11111"), ("12345", "700000000011111")])
def test_a_name_of_digits_is_whose_the_class_list_says(root: Path, last: str, number: str) -> None:
    listed(root, CANVAS.replace("eve,Eve,Evil,13", f"eve,,{last},{number}"))
    collected(root, {BOB: "bob", f"{last}_{number}_678910_{FILE}": "eve"})
    assert owners(root) == {"bob-smith": "bob", "eve": "eve"}


@pytest.mark.parametrize("file", [f"2026001_{FILE}", f"1_2_{FILE}", f"2026_11_20_{FILE}", f"LATE_1_2_{FILE}"])
def test_numbers_in_the_name_of_a_file_cost_a_listed_learner_nothing(root: Path, file: str) -> None:
    collected(listed(root, CANVAS), {f"smithbob_12345_678900_{file}": "bob", ZOE: "zoe"})
    assert owners(root) == {"bob-smith": "bob", "zoe": "zoe"}
    assert {row["late"] for row in rows(root)} == {""}


@pytest.mark.parametrize("listing", ["", CANVAS])
def test_lateness_can_not_be_hidden_by_a_name(root: Path, listing: str) -> None:
    file = f"evileve_13_1_x_LATE_13_700_{FILE}"
    report = collected(listed(root, listing) if listing else root, {file: "eve", ZOE: "zoe"})
    assert "eve" not in owners(root).values()
    assert "late" in outcomes(report)[file]


def test_a_page_for_canvas_names_the_learners_own_numbers_alone() -> None:
    assert _start(f"a/x_12345_999_y_LATE_13_700_{FILE}", "13") == "LATE_13_700"
    assert _start(f"12345_13_700_{FILE}", "13") == "13_700"
    assert _start(f"smithbob_LATE_12345_700_{FILE}", "12345") == "smithbob_LATE_12345_700"
    assert _start(f"smithbob_12345_700_{FILE}", "13") == ""


# Names and groups


@pytest.mark.parametrize(
    "name", ["Group 1-Ada Lovelace", "Ada Lovelace", "ada  lovelace", "Lovelace, Ada", "Team 1", "team 1", "Team 1-Ada"]
)
@pytest.mark.parametrize("first", [True, False])
def test_a_name_on_moodle_with_an_unknown_number_is_nobody_on_the_list(root: Path, name: str, first: bool) -> None:
    listed(root, MOODLE)
    if first:
        collected(root, moodle(n1001="Ada Lovelace", n1002="Bob Hall"))
        before = owners(root)
    report = collected(root, moodle(n1003=name, n1002="Bob Hall"), SECOND)
    (hers,) = [student for student, text in owners(root).items() if text == "n1003"]
    assert hers not in ("ada", "bob")
    assert hers in report.unlisted
    if first:
        assert {student: text for student, text in owners(root).items() if text != "n1003"} == before


@pytest.mark.parametrize("name", ["Ada Lovelace", "ada  lovelace", "Lovelace, Ada", "Group 1-Ada Lovelace"])
def test_without_numbers_on_the_class_list_a_name_is_taken_and_said(root: Path, name: str) -> None:
    listed(root, NO_NUMBERS)
    report = collected(root, moodle(n1001=name, n1003="Team 1", n1004="Unknown Person"))
    assert owners(root)["ada"] == "n1001"
    assert report.by_name == ("ada",)
    assert len(report.unlisted) == 2
    assert "By name alone, as the class list has no number of Moodle's for them (1): ada." in table(report)
    again = collected(root, moodle(n1003=name))
    assert owners(root)["ada"] == "n1001", "another number in the same assignment is somebody else's"
    assert len(again.unlisted) == 1


def test_without_canvas_numbers_a_name_is_taken_once(root: Path) -> None:
    listed(root, "id,first_name,last_name\nbob-smith,Bob,Smith\nzoe,Zoe,Young\n")
    assert collected(root, {BOB: "bob"}).by_name == ("bob-smith",)
    report = collected(root, {BOB.replace("12345", "999"): "eve", BOB: "bob"})
    assert owners(root)["bob-smith"] == "bob"
    assert len(report.unlisted) == 1
    assert report.by_name == ()


@pytest.mark.parametrize("name", ["ada lovelace", "Ada Lovelace", "\uff21da Lovelace", "Group 1-Ada Lovelace"])
@pytest.mark.parametrize("listing", ["", MOODLE, NO_NUMBERS])
def test_both_a_learner_and_their_imitator_are_taken_apart(root: Path, listing: str, name: str) -> None:
    if listing:
        listed(root, listing)
    report = collected(root, moodle(n1003=name, n1001="Ada Lovelace", n1002="Bob Hall"))
    assert sorted(owners(root).values()) == ["n1001", "n1002", "n1003"]
    assert all(found.taken for found in report.files)
    if listing == MOODLE:
        assert owners(root)["ada"] == "n1001"


@pytest.mark.parametrize(
    "files",
    [
        {f"13-67 - Alpha - Nov 20, 2026 1000 AM/{FILE}": "eve", f"14-67 - B - Nov 20, 2026 1000 AM/{FILE}": "b"},
        {f"alpha_13_700_{FILE}": "eve", f"b_14_701_{FILE}": "b"},
        {f"Alpha/{FILE}": "eve", f"bo/{FILE}": "b"},
        {f"13-67 - Ada Lovelace - Nov 20, 2026 1000 AM/{FILE}": "eve", f"14-67 - B - Nov 20, 2026 1000 AM/{FILE}": "b"},
        {f"Alpha_ _eve_13/20261120100000_{FILE}": "eve", f"B_B_b_14/20261120100000_{FILE}": "b"},
    ],
)
def test_a_name_of_a_group_or_of_a_person_with_another_number_is_not_theirs(root: Path, files: Files) -> None:
    listed(root, "id,first_name,last_name,number,group\nada,Ada,Lovelace,1112,Alpha\nbob,Bob,Hall,1114,Alpha\n")
    report = collected(root, files)
    assert not {"ada", "bob"} & owners(root).keys()
    assert len(report.unlisted) == 2


def test_an_account_on_github_is_somebodys_only_if_the_class_list_says_so(root: Path) -> None:
    head = "id,first_name,last_name,email,number,login,github\n"
    listed(root, f"{head}ada,Ada,Lovelace,a@x,1,alovelace,\nbob,Bob,Hall,b@x,2,bhall,bobb99\n")
    accounts = ("alovelace", "bobb99", "ada", "1")
    export = {f"lab-submissions/lab-{who}/{file}": who for who in accounts for file in (FILE, ".git/x")}
    said = table(collected(root, export))
    assert owners(root)["bob"] == "bobb99"
    assert "ada" not in owners(root)
    (line,) = [line for line in said.splitlines() if "the name of ada on the class list, and nothing says who" in line]
    assert "alovelace" in line


def test_an_id_of_the_class_list_is_no_login_where_the_list_has_another(root: Path) -> None:
    folder = "Homework/Evil, Eve({})/Submission attachment(s)"
    listed(root, "id,first_name,last_name,login\nada,Ada,Lovelace,alovelace\nbob,Bob,Hall,\n")
    collected(root, {f"{folder.format(login)}/{FILE}": login for login in ("ada", "bob", "alovelace")})
    assert {who: owners(root)[who] for who in ("ada", "bob")} == {"ada": "alovelace", "bob": "bob"}


def test_a_display_name_divides_no_folders_of_others(root: Path, tmp_path: Path) -> None:
    listed(root, "id,first_name,last_name\neve,,Monday\nada,Ada,L\n")
    days = {"ada": "Monday", "zoe": "Monday", "bob": "Tuesday", "kim": "Tuesday"}
    collect(root, laid_out(tmp_path / "days", {f"{day}/{who}/{FILE}": who for who, day in days.items()}))
    assert owners(root) == {who: who for who in days}


# Plain folders

KNOWN = ["", "id,first_name\nada,Ada\nbob,Bob\n", "id,first_name,last_name\nada,Ada,L\nbob,Bob,B\neve-evil,Eve,Evil\n"]


@pytest.mark.parametrize("listing", KNOWN)
@pytest.mark.parametrize("hers", ["eve", "Eve Evil", "eve/work"])
@pytest.mark.parametrize("inside", ["{}/" + FILE, "{}_" + FILE, FILE.replace(".ipynb", "_{}.ipynb"), "sub/{}/" + FILE])
@pytest.mark.parametrize("known", [True, False])
def test_a_folder_collected_alone_holds_no_other_learners(
    root: Path, tmp_path: Path, listing: str, hers: str, inside: str, known: bool
) -> None:
    if listing:
        listed(root, listing)
    if known:
        collect(root, laid_out(tmp_path / "first", {f"{who}/{FILE}": who for who in ("ada", "bob")}))
    before = owners(root)
    for names in (("ada", "bob"), ("ada",)):
        late = {f"{hers}/{inside.format(who)}": "eve" for who in names}
        collect(root, laid_out(tmp_path / f"late{len(names)}", late, SECOND))
        assert {who: text for who, text in owners(root).items() if text != "eve"} == before
        assert {who for who, text in owners(root).items() if text == "eve"} <= {"eve", "eve-evil"}


def test_a_time_in_a_clone_of_the_course_does_not_count(root: Path, tmp_path: Path) -> None:
    stamp = "2026-11-01 10:00:00 UTC"
    for around in (f"notebooks/{PHASE}", PHASE, f"submitted/eve/{PHASE}", f"x/submitted/eve/{PHASE}"):
        files = {f"{who}/{around}/{FILE}": who for who in ("eve", "bob")}
        source = laid_out(tmp_path / around.replace("/", "-"), files | {f"eve/{around}/timestamp.txt": stamp}, SECOND)
        collect(root, source)
        (time,) = [row["time"] for row in rows(root) if row["student"] == "eve"]
        assert time.startswith(f"{datetime(*SECOND, tzinfo=UTC):%Y-%m-%d}")


@pytest.mark.parametrize("around", ["submitted/", ""])
def test_a_time_that_nbgrader_wrote_counts(root: Path, tmp_path: Path, around: str) -> None:
    theirs = f"{around}eve/{PHASE}"
    laid_out(tmp_path / "submitted", {f"{theirs}/{FILE}": "e", f"{theirs}/timestamp.txt": "2026-11-01 10:00:00 UTC"})
    collect(root, tmp_path / "submitted")
    assert [row["time"][:10] for row in rows(root)] == ["2026-11-01"]
