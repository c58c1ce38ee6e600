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


def group_set(*groups: tuple[str, int]) -> str:
    """Return a group set's table; each is a group's name and number, with one member."""
    people = ((f"P{n} Q", n, f"u{n}", f"l{n}", "S", name, id, "") for n, (name, id) in enumerate(groups, start=1))
    return table(GROUP_SET, *people)


ALIKE = ["\uff34\uff45\uff41\uff4d 1", "TEAM 1", "Team  1 ", "Team 1", "Team 1 (101)", "Team\u00a01"]


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("more", [[], ["Team 1 (102)", "Team 1 (101) (101)", "team 1 (102) (102)"]])
def test_groups_of_canvas_whose_names_read_alike_stay_apart(
    root: Path, name: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = root.parent / "set.csv"
    theirs = [
        ("Team 1", 101),
        ("Team 1", 101),
        (name, 102),
        ("Team 2", 103),
        *((m, 104 + n) for n, m in enumerate(more)),
    ]
    for _ in range(2):
        path.write_text(group_set(*theirs), encoding="utf-8")
        assert main(["roster", str(path)], root=root) == 0
        members = sorted(ClassList.of(root).groups().values())
        assert members == [["p1-q", "p2-q"], *([f"p{n}-q"] for n in range(3, 5 + len(more)))]
    if name != "Team 1 (101)":
        assert "groups whose names read alike are kept apart: " in capsys.readouterr().out


def test_who_leaves_a_group_that_was_kept_apart_is_in_it_no_longer(root: Path) -> None:
    brought(root, group_set(("Team 1", 101), ("Team 1", 101), ("team 1", 102)))
    brought(root, group_set(("Team 1", 101), ("Team 2", 103), ("Team 2", 103)))
    assert ClassList.of(root).groups() == {
        "team 1": ["p1-q"],
        "team 2": ["p2-q", "p3-q"],
        "team 1 (102)": ["p3-q"],  # the list doesn't name it
    }


def test_groups_of_moodle_with_two_texts_are_two_groups(root: Path) -> None:
    people = [("P", f"{n}", n, f"p{n}@x", group, "Student") for n, group in enumerate(["Team 1", "Team 1", ALIKE[0]])]
    brought(root, table(PARTICIPANTS, *people))
    assert sorted(ClassList.of(root).groups().values()) == [["p-0", "p-1"], ["p-2"]]


@pytest.mark.parametrize(
    "names",
    [
        ["Team 1, Team 2", "Team 1| Team 2, Team 3"],
        ["Team 1, Team 2", "Team 1| Team 2"],
        [
            "Team 1, Team 2",
            "Team 1| Team 2",
            "Team 1, Team 2, Team 3",
            "Team 1| Team 2, Team 3",
            "Team 1| Team 2| Team 3",
        ],
    ],
)
def test_no_name_of_a_group_stops_the_import_or_joins_others(root: Path, names: list[str]) -> None:
    groups = ["Team 1", "Team 2", "Team 3", *names]
    for _ in range(2):
        ids = brought(root, group_set(*((name, 100 + n) for n, name in enumerate(groups))))
        assert sorted(ClassList.of(root).groups().values()) == [[id] for id in ids]


def test_two_people_of_one_name_with_nothing_else_are_left_out_and_all_others_are_enrolled(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brought(root, "id,name\nada,Ada Lovelace\n")
    path = root.parent / "people.csv"
    for mail in ("", "eve@x"):
        twice = [("Ada", "Lovelace", "", mail, "", "Student"), ("ADA", "Lovelace", "", "", "", "Student")]
        path.write_text(table(PARTICIPANTS, twice[0], ("Bob", "B", "", "", "", "Student"), twice[1]), encoding="utf-8")
        assert main(["roster", str(path)], root=root) == 0
        said = capsys.readouterr().out
        assert "Left out: ADA Lovelace is more than once in people.csv (line 4), and nothing tells who is who" in said
        assert ("Left out: Ada Lovelace" in said) is True
        assert {one.id: one.email for one in ClassList.of(root).learners} == {"ada": "", "bob-b": ""}


def test_the_list_gives_nobody_the_submissions_of_a_person_with_another_number(root: Path) -> None:
    moodle = f"{{}}_assignsubmission_file_/{PHASE}.ipynb"
    collected(root, {moodle.format("Ada Lovelace_1003"): "eve", moodle.format("Bob_1002"): "bob"})
    lines = [(f"Participant {n}", name, "", "", "") for n, name in ((1001, "Ada Lovelace"), (1002, "Bob"))]
    ada, bob = brought(root, table(WORKSHEET, *lines), assignment=PHASE)
    assert bob in {row["student"] for row in rows(root)}
    assert ada not in {row["student"] for row in rows(root)}


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
