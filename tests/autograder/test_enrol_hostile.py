"""Tests with hostile people on a platform's list: what one of them chose as a name stops nobody else's enrolment."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from exports import PHASE, collected, made_course, rows
from test_enrol import brought, groups_of

from autograder.__main__ import main
from autograder.intake.class_list import ClassList
from autograder.intake.ids import MAX_ID, marked, student_id
from autograder.intake.platforms.place import Person
from autograder.intake.roster import Roster
from autograder.intake.tables import TableError

GROUP_SET = ("name", "canvas_user_id", "user_id", "login_id", "sections", "group_name", "canvas_group_id", "group_id")
PARTICIPANTS = ("First name", "Last name", "ID number", "Email address", "Groups", "Roles")
WORKSHEET = ("Identifier", "Full name", "Email address", "Group", "Grade")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


def table(*lines: tuple) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "Team 1, Team 2",
        "Team 1; Team 2",
        "Team 1 ,Team 2;",
        ",Team 1",
        "Team 1;",
        "team 1\uff0cTEAM 2",
        ";",
        "Team 1,,",
    ],
)
@pytest.mark.parametrize("platform", ["Canvas", "Moodle's worksheet", "Moodle's participants"])
def test_a_separator_in_a_groups_name_makes_nobody_a_member_of_other_groups(
    root: Path, platform: str, name: str
) -> None:
    groups = ("Team 1", "Team 2", name)
    if platform == "Canvas":
        text = table(GROUP_SET, *((f"P{n}", n, n, f"p{n}", "S", group, n, "") for n, group in enumerate(groups)))
    elif platform == "Moodle's worksheet":
        text = table(WORKSHEET, *((f"Participant {n}", f"P{n}", f"p{n}@x", g, "") for n, g in enumerate(groups)))
    else:  # Moodle separates them by commas itself
        groups = ("Team 1", "Team 2", name.replace(",", ";").replace("\uff0c", ";"))
        text = table(PARTICIPANTS, *(("P", f"{n}", n, f"p{n}@x", g, "Student") for n, g in enumerate(groups)))
    asked = {"assignment": PHASE} if platform == "Moodle's worksheet" else {}
    for _ in range(2):
        ids = brought(root, text, **asked)
        people = ClassList.of(root)
        assert people.groups()["team 1"] == ids[:1]
        assert people.groups()["team 2"] == ids[1:2]
        assert len(people.by_id[ids[2]].groups) == 1, "imported again, it is one group still"


def test_a_name_with_a_comma_is_spelled_otherwise_only_where_it_reads_as_others(root: Path) -> None:
    one, two = (("Ada", 7, 7, "ada", "S", "Red, Green", 1, ""), ("Bob", 8, 8, "bob", "S", "Red", 2, ""))
    brought(root, table(GROUP_SET, one, two))
    assert groups_of(root) == {"ada": "Red, Green", "bob": "Red"}
    brought(root, table(GROUP_SET, one, two, ("Eve", 9, 9, "eve", "S", "green", 3, "")))
    assert groups_of(root) == {"ada": "Red| Green", "bob": "Red", "eve": "green"}


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (("x" * 201, "Q", 9, "q@x", "", "Student"), "Line 3 of people.csv has 201 characters in one cell"),
        (("Q", "Q", "3E+10", "q@x", "", "Student"), "Line 3 of people.csv has the number '3E+10'"),
        (("\0", "Q", 9, "q@x", "", "Student"), "Line 3 of people.csv has a character in it that no text has"),
        (("Q", "Q", 9, "q@x", "a\0", "Student"), "Line 3 of people.csv has a character in it that no text has"),
        (("Q", "Q", 9, "q@x", "x" * 300, "Student"), "Line 3 of people.csv has 300 characters in one cell"),
        ((" ", "", 9, "q@x", "", "Student"), "line 3 of people.csv, which has no name"),
        (("Sam", "Smith", "", "", "", "Student"), "Sam Smith in line 3 of people.csv may be sam-1 or sam-2"),
        (("Q", "Q", 1, "s2@x", "", "Student"), "Q Q in line 3 of people.csv is sam-1 or sam-2 of the class list"),
    ],
)
def test_one_line_that_cant_be_used_is_named_and_all_others_are_enrolled(
    root: Path, bad: tuple, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    brought(root, "id,name,number,email\nsam-1,Sam Smith,1,\nsam-2,Sam Smith,2,s2@x\n")
    good = [("Ada", "L", 7, "a@x", "T", "Student"), ("Bob", "B", 8, "b@x", "T", "Student")]
    path = root.parent / "people.csv"
    path.write_text(table(PARTICIPANTS, good[0], bad, good[1]), encoding="utf-8")
    assert main(["roster", str(path)], root=root) == 0
    assert f"Left out: {told}" in capsys.readouterr().out
    assert list(ClassList.of(root).by_id) == ["ada-l", "bob-b", "sam-1", "sam-2"]


def test_a_missing_quotation_mark_still_refuses_the_whole_list(root: Path) -> None:
    swallowed = "".join(f"Name {n},n{n}@x\n" for n in range(40))
    with pytest.raises(TableError, match="is a quotation mark missing there"):
        brought(root, f'name,email\nAda,a@x\n"Bob,b@x\n{swallowed}Zoe",z@x\n')
    assert not (root / "roster.csv").exists()


def test_people_whose_names_begin_alike_get_ids_of_their_own(root: Path) -> None:
    names = [*("a" * n for n in (58, 59, 60, 61, 150, 151, 152)), "a" * 58 + "-2", "b" * 70, "b" * 70 + "c"]
    ids = brought(root, table(("name", "id number"), *((name, f"{'9' * 40}{n}") for n, name in enumerate(names))))
    assert len(ids) == len({id.casefold() for id in ids}) == len(names)
    assert all(len(id) <= MAX_ID and student_id(id, keep_case=True) == id for id in ids)
    assert sorted(ids) == sorted(brought(root, (root.parent / "people.csv").read_text())), "and keep them"


@pytest.mark.parametrize("system", ["Moodle", "Canvas"])
def test_hand_ins_of_long_names_get_ids_that_the_class_list_takes(root: Path, system: str) -> None:
    people = [Person("a" * n, f"{'7' * 70}{n}", system) for n in (60, 61, 62, 100)]
    roster = Roster(root / "submitted")
    ids = roster.identify(dict.fromkeys(people, (PHASE,)))
    assert len(set(ids.values())) == len(people)
    assert all(student_id(id, keep_case=True) == id for id in ids.values())


def test_long_names_of_a_collection_are_enrolled_afterwards(root: Path) -> None:
    names = ["a" * 80 + end for end in "xyz"]
    files = {f"{name}_{n}_assignsubmission_file_/{PHASE}.ipynb": "x" for n, name in enumerate(names)}
    collected(root, files)
    there = {row["student"] for row in rows(root)}
    lines = [(f"Participant {n}", name, "", "", "") for n, name in enumerate(names)]
    assert set(brought(root, table(WORKSHEET, *lines), assignment=PHASE)) == there


@pytest.mark.parametrize(("base", "mark"), [("a" * 60, "7"), ("a", "b" * 90), ("a" * 60, "-.-"), ("A-" * 30, "x" * 30)])
def test_a_marked_id_is_a_folders_name(base: str, mark: str) -> None:
    made = marked(base, mark)
    assert len(made) <= MAX_ID
    assert student_id(made, keep_case=True) == made
    assert made != base
