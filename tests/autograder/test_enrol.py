"""Tests of the class list: platforms' lists in any encoding are read, or refused in a sentence with nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exports import PHASE, collected, made_course, notebooks, rows, zipped
from term import NAMES, Class

from autograder.__main__ import main
from autograder.intake.class_list import COLUMNS, ClassList
from autograder.intake.collect import collect
from autograder.intake.enrol import enrol, told
from autograder.intake.source import CollectError
from autograder.intake.tables import TableError

FILE = f"{PHASE}.ipynb"
CLASS = Class(FILE, lambda n: f"work of {n}".encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_course(tmp_path / "course")


def brought(root: Path, text: str | bytes, name: str = "people.csv", **how: str) -> list[str]:
    """Return the ids on the class list after a file of this text was imported."""
    path = root.parent / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    enrol(root, path, **how)
    return [one.id for one in ClassList.of(root).learners]


def test_moodles_worksheet_makes_the_class_list(root: Path) -> None:
    brought(root, CLASS.worksheet(), assignment=PHASE)
    people = ClassList.of(root).learners
    assert sorted(one.name for one in people) == sorted(NAMES)
    ada = ClassList.of(root).by_id["ada-lovelace"]
    assert (ada.first_name, ada.last_name, ada.email) == ("Ada", "Lovelace", "user0@example.edu")
    assert ada.participants == {PHASE: "500"}
    assert {one.id for one in people if one.name == "Sam Smith"} == {"sam-smith-user9", "sam-smith-user10"}


def test_canvass_gradebook_makes_the_same_list_and_leaves_its_own_learner_out(root: Path) -> None:
    ids = brought(root, CLASS.gradebook("Lab"))
    assert len(ids) == 25
    assert ClassList.of(root).by_id["ada-lovelace"].canvas == "500"
    assert (root / "lms" / "canvas.csv").is_file()
    assert brought(root, CLASS.gradebook("Lab")) == ids


def test_lists_of_two_platforms_are_one_class(root: Path) -> None:
    """By e-mail, number or login; by name where nobody else has it."""
    head = "First name,Last name,Email address,Username,Groups"
    brought(root, f"{head}\nAda,Lovelace,a@x.edu,ada1,Team 1\nSam,Smith,s@x.edu,sam1,\n")
    brought(root, 'Student,ID,SIS Login ID,Section,Lab (1)\n"Lovelace, Ada",7,ada1,A,\n"Smith, Sam",8,sam1,A,\n')
    ada, sam = ClassList.of(root).learners
    assert (ada.canvas, ada.email, ada.group, sam.canvas) == ("7", "a@x.edu", "Team 1", "8")


def groups_of(root: Path) -> dict[str, str]:
    return {one.id: one.group for one in ClassList.of(root).learners}


def test_moodles_participants_list_all_groups_of_a_learner(root: Path) -> None:
    head = "First name,Last name,Email address,Roles,Groups"
    people = ['Ada,L,a@x,Student,"Team 1, Tutorial B"', "Bob,M,b@x,Student,No groups", "Eve,N,e@x,Student,Team 1"]
    brought(root, "\n".join([head, *people]))
    assert groups_of(root) == {"ada-l": "Team 1; Tutorial B", "bob-m": "", "eve-n": "Team 1"}


def test_a_worksheet_names_one_group_or_says_that_it_names_none(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Moodle's mod/assign/gradingtable.php, col_team; its sentences are nobody's group."""
    path = root.parent / "worksheet.csv"
    several = "Member of more than one group, so unable to make submissions."
    none = "Not a member of any group, so unable to make submissions."
    named = {"Ada L": "Berlin, Monday", "Bob M": several, "Eve N": none, "Max P": "Default group"}
    rows = [f'Participant {n},{name},"{group}",' for n, (name, group) in enumerate(named.items(), start=1)]
    path.write_text("\n".join(["Identifier,Full name,Group,Grade", *rows]), encoding="utf-8")
    assert main(["roster", str(path), "--assignment", PHASE], root=root) == 0
    assert groups_of(root) == {"ada-l": "Berlin, Monday", "bob-m": "", "eve-n": "", "max-p": ""}
    assert "the groups of Bob M, who are in several: they stand in Moodle's participants" in capsys.readouterr().out


def test_each_of_canvass_group_sets_adds_its_groups_and_takes_away_what_it_tells_otherwise(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "name,canvas_user_id,user_id,login_id,sections,group_name,canvas_group_id,group_id"
    brought(root, 'Student,ID,SIS Login ID,Section,Lab (1)\n"Lovelace, Ada",7,ada1,A,\n"Berg, Bob",8,bob1,A,\n')
    ada, bob = "Ada Lovelace,7,M7,ada1,A,{},,", '"Berg, Bob",8,M8,bob1,A,{},,'
    student = "Test Student,9,,,A,,,"
    brought(root, "\n".join([head, ada.format("Team 1"), bob.format("Team 2"), student]))
    brought(root, "\n".join([head, ada.format("Tutorial B"), bob.format("")]))
    assert groups_of(root) == {"ada-lovelace": "Team 1; Tutorial B", "bob-berg": "Team 2"}
    path = root.parent / "set.csv"
    path.write_text("\n".join([head, ada.format("Team 2"), bob.format("Team 2")]), encoding="utf-8")
    assert main(["roster", str(path)], root=root) == 0
    assert "2 people" in (said := capsys.readouterr().out)
    assert 'groups = "Team *" in term.toml says which of them count' in said
    assert groups_of(root) == {"ada-lovelace": "Team 1; Tutorial B; Team 2", "bob-berg": "Team 2"}
    path.write_text("\n".join([head, ada.format("Team 1"), bob.format("Team 1")]), encoding="utf-8")
    assert main(["roster", str(path)], root=root) == 0
    assert groups_of(root)["bob-berg"] == "Team 2; Team 1", "Team 2 is not in this file, which says nothing of it"


def test_groups_by_hand_may_stand_with_commas_or_semicolons_and_in_the_class_list_with_semicolons(root: Path) -> None:
    brought(root, 'name,email,group\nAda,a@x,"Team 1, Team 2"\nBob,b@x,Team 1; Team 2;team 1\nEve,e@x,\n')
    assert groups_of(root) == {"ada": "Team 1; Team 2", "bob": "Team 1; Team 2; team 1", "eve": ""}
    people = ClassList.of(root)
    assert people.by_id["bob"].groups == ("Team 1", "Team 2")
    assert people.groups() == {"team 1": ["ada", "bob"], "team 2": ["ada", "bob"]}
    assert people.groups("team 2") == {"team 2": ["ada", "bob"]}
    assert people.groups("*1") == {"team 1": ["ada", "bob"]}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("Name;E-Mail\nJürgen Müller;j@x.de\n".encode("cp1252"), "Jürgen Müller"),
        ("\ufeffname\temail\nZoë Ångström\tz@x\n".encode(), "Zoë Ångström"),
        ("name,email\nÓlafur Þórsson,a@x\n".encode("utf-16"), "Ólafur Þórsson"),
        ("Nachname;Vorname;Matrikelnummer\nMüller;Jürgen;17\n".encode(), "Jürgen Müller"),
        ("name,email\nÓlafur Þórsson,a@x\n".encode("utf-16-le"), "Ólafur Þórsson"),
        ("name,email\nÓlafur Þórsson,a@x\n".encode("utf-16-be"), "Ólafur Þórsson"),
        ("name,email\nÓlafur Þórsson,a@x\n".encode("utf-32"), "Ólafur Þórsson"),
        ("sep=;\r\nname;email\r\nZoë Ångström;z@x\r\n".encode(), "Zoë Ångström"),
        (b"\r\n\r\nname,email\rAda Lovelace,a@x\r", "Ada Lovelace"),
        (b'"First\nname";"Last  name";"E-mail\naddress"\r\nAda;"Love\nlace";a@x\r\n', "Ada Love lace"),
        (b"\tname\temail\n1\tAda Lovelace\ta@x\n", "Ada Lovelace"),
    ],
    ids=[
        *("semicolons and cp1252", "tabs and a mark", "utf-16", "German", "le", "be", "utf-32", "Excel's line", "ends"),
        *("lines in cells", "an empty column first"),
    ],
)
def test_a_list_by_hand_in_any_encoding(root: Path, data: bytes, name: str) -> None:
    brought(root, data)
    assert [one.name for one in ClassList.of(root).learners] == [name]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,name\nada,Ada L\nADA,Ada M\n", "people.csv has the id 'ADA' twice, in lines 2 and 3"),
        ("colour,size\nred,1\n", "no column of names that is known here: it has colour, size"),
        ("name\nSam Smith\nSam Smith\n", "nothing tells who is who"),
        ("name,name\nA,B\n", "two columns 'name'"),
        ("name,email\nAda,a@x\nBob,b@x,c\n", "Line 3 of people.csv has 3 cells, its head 2"),
        ("id,name\na/b,Ada\n", "has the id 'a/b', which names no folder: write 'a-b'"),
        ("", "people.csv is empty: it needs a head"),
        ("name,email\n", "There are no people in people.csv: it needs a line for each, below its head"),
        ("PK\x03\x04", "is a workbook"),
        (zipped({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "is a workbook"),
        (zipped({"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}), "is a workbook"),
        (zipped({"Ada_1_assignsubmission_file_/lab.ipynb": "{}"}), "is a zip, and no table: make collect takes"),
        ("name,email\nAda,a@x\nBob,A@X\n", "has the e-mail 'A@X' twice, in lines 2 and 3"),
        ("name,number\nAda,\n ,7\n", "Line 3 of people.csv has no name"),
        ('name\n"Ada\n', "no table that can be read"),
        ("Name,name\nA,B\n", "two columns 'Name'"),
        ("name\nJ\x81rgen\n".encode("latin-1"), "neither UTF-8 nor Windows's Latin"),
        ("name,email\nAda,a@x\n".encode("utf-16") + b"x", "is no text"),
        ("<html><table>name</table></html>", "is a web page"),
        ("%PDF-1.7\n", "is a PDF"),
        ("id,name\ntu?ba-?ahin,Tu\u011fba\n", "its letters were lost when it was saved"),
        ("id,name\nstudents.csv,Ada\n", "which names no folder: write 'students-csv'"),
        ("id,name\n.ada,Ada\n", "which names no folder: write 'ada'"),
        (f"name\n{'A' * 201}\n", "Line 2 of people.csv has 201 characters in one cell"),
        ("name,number\nAda,1.2E+06\n", "has the number '1.2E+06', which a spreadsheet program has shortened"),
    ],
)
def test_a_list_that_cant_be_used_is_told_and_nothing_is_written(root: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(TableError, match=re.escape(told)):
        brought(root, text)
    assert not (root / "roster.csv").exists()


def test_a_worksheet_in_another_language_is_told_where_an_assignment_is_named(root: Path) -> None:
    german = "Identifikator,Vollständiger Name,Bewertung\nTeilnehmer/in 7,Ada Lovelace,\n"
    with pytest.raises(TableError, match=r"is no grading worksheet \(it has Identifikator, Voll"):
        brought(root, german, assignment=PHASE)
    assert not (root / "roster.csv").exists()


def test_a_worksheet_with_a_participant_twice_is_told(root: Path) -> None:
    twice = "Identifier,Full name,Grade\nParticipant 7,Ada,\nParticipant 7,Bob,\n"
    with pytest.raises(TableError, match="has the identifier '7' twice, in lines 2 and 3"):
        brought(root, twice, assignment=PHASE)
    assert not (root / "roster.csv").exists()


def test_a_name_that_two_people_have_matches_neither(root: Path) -> None:
    brought(root, "id,name\nsam-1,Sam Smith\nsam-2,Sam Smith\n")
    before = (root / "roster.csv").read_bytes()
    with pytest.raises(TableError, match="may be sam-1 or sam-2, since two people have that name"):
        brought(root, "name,group\nSam Smith,A\n")
    assert (root / "roster.csv").read_bytes() == before


CANVAS_LINES = "Student,ID,SIS User ID,SIS Login ID,Section,Lab (3)\n    Points Possible,,,,,3\n"
SAMS = CANVAS_LINES + '"Smith, Sam",101,,,A,\n"Smith, Sam",102,,,A,\n"Lovelace, Ada",103,,,A,\n'


@pytest.mark.parametrize("ids", [("sam-1",), ("sam-1", "sam-2")])
def test_two_people_of_canvas_with_one_name_are_told_what_to_write(root: Path, ids: tuple[str, ...]) -> None:
    brought(root, "id,name\n" + "".join(f"{id},Sam Smith\n" for id in ids))
    (root.parent / "canvas.csv").write_text(SAMS, encoding="utf-8")
    said = told(enrol(root, root.parent / "canvas.csv")).splitlines()
    for number in ("101", "102"):
        (line,) = [line for line in said if f"write {number} into the column canvas" in line]
        assert f"may be {' or '.join(ids)}, since two people have that name" in line
    learners = ClassList.of(root).by_id
    assert {one.canvas for id, one in learners.items() if id.startswith("sam")} == {""}
    assert learners["ada-lovelace"].canvas == "103"


def test_after_one_number_is_written_the_other_person_is_known_too(root: Path) -> None:
    brought(root, "id,name,canvas\nsam-1,Sam Smith,102\n")
    brought(root, SAMS)
    assert {one.canvas for one in ClassList.of(root).learners} == {"101", "102", "103"}
    assert ClassList.of(root).by_id["sam-1"].canvas == "102"


def test_a_line_of_canvas_without_a_number_is_told(root: Path) -> None:
    lines = '"Smith, Sam",,,,A,\n"Lovelace, Ada",103,,,A,\n'
    (root.parent / "canvas.csv").write_text(CANVAS_LINES + lines, encoding="utf-8")
    assert enrol(root, root.parent / "canvas.csv").told == (
        "Left out: Sam Smith in line 3 of canvas.csv, who has no ID of Canvas's",
    )


def test_a_list_that_contradicts_itself_is_told(root: Path) -> None:
    brought(root, "id,name,email,number\nada,Ada,a@x,1\nbob,Bob,b@x,2\n")
    with pytest.raises(TableError, match="is ada or bob of the class list"):
        brought(root, "name,email,number\nAda,a@x,2\n")


def test_a_worksheet_of_another_assignment_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collected(
        root, {f"Ada Lovelace_{n}_assignsubmission_file_/{f}": "x" for n, f in ((500, FILE), (901, "challenges.ipynb"))}
    )
    path = root.parent / "worksheet.csv"
    path.write_text(CLASS.worksheet(), encoding="utf-8")
    assert main(["roster", str(path), "--assignment", "phase3_production"], root=root) == 1
    assert f"is a worksheet of {PHASE}" in capsys.readouterr().err
    assert not (root / "roster.csv").exists()
    assert not (root / "lms").exists()
    assert main(["roster", str(path)], root=root) == 0, "the numbers that were collected tell which it is of"
    assert (root / "lms" / f"{PHASE}-moodle.csv").read_text(encoding="utf-8") == CLASS.worksheet()


def test_a_worksheet_that_was_of_another_assignment_is_told_when_hand_ins_come(root: Path) -> None:
    """Before the first hand-in nobody can know whose numbers these are."""
    other = Class(FILE, lambda n: b"x", first=900)
    brought(root, other.worksheet(), assignment=PHASE)
    export = root.parent / "export.zip"
    export.write_bytes(CLASS.moodle())
    with pytest.raises(CollectError, match="the worksheet was of another assignment"):
        collect(root, export)
    assert not (root / "submitted").exists()
    brought(root, CLASS.worksheet(), assignment=PHASE)
    assert collect(root, export).unlisted == ()


def test_a_worksheet_of_a_course_with_two_assignments_has_to_be_named(root: Path) -> None:
    with pytest.raises(
        TableError, match=r'may be of phase2_techniques or phase3_production: say which, with ARGS="--assignment ..."'
    ):
        brought(root, CLASS.worksheet())


def test_names_that_are_formulas_are_text_in_the_list(root: Path) -> None:
    brought(root, "id,name,email\nada,=HYPERLINK(1),+a@x\n")
    line = (root / "roster.csv").read_text(encoding="utf-8-sig").splitlines()[1]
    assert not [cell for cell in line.split(",") if cell.startswith(("=", "+", "-", "@"))]
    assert ClassList.of(root).by_id["ada"].email == "+a@x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name\nAda\n", "roster.csv has no column id"),
        ("id,colour\nada,red\n", "roster.csv has a column 'colour', which is unknown"),
        ("id\nada\nada\n", "has the id 'ada' twice"),
        ("id,email\n,a@x\n", "Line 2 of roster.csv has no id"),
        ('id,group\nada,"red, blue"\nbob,red\neve,Blue\n', "for several groups write 'red; blue'"),
    ],
)
def test_a_class_list_that_was_spoilt_by_hand_is_told_at_every_command(
    root: Path, text: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (root / "roster.csv").write_text(text, encoding="utf-8")
    export = tmp_path / "export.zip"
    export.write_bytes(CLASS.moodle())
    assert main(["collect", str(export)], root=root) == 1
    assert told in capsys.readouterr().err
    assert not (root / "submitted").exists()


@pytest.mark.parametrize("platform", ["Moodle", "Canvas"])
def test_hand_ins_go_to_the_people_on_the_list(root: Path, platform: str) -> None:
    """Namesakes by their numbers; who handed in a wrong file too; who is on no list is named."""
    text = CLASS.worksheet() if platform == "Moodle" else CLASS.gradebook("Lab")
    ids = set(brought(root, text, **({"assignment": PHASE} if platform == "Moodle" else {})))
    export = root.parent / "export.zip"
    export.write_bytes(CLASS.moodle() if platform == "Moodle" else CLASS.canvas())
    report = collect(root, export)
    assert {row["student"] for row in rows(root)} <= ids
    assert report.unlisted == ()
    found = notebooks(root)
    by_number = {one.participants.get(PHASE) or one.canvas: one.id for one in ClassList.of(root).learners}
    for n in (0, 3, 9, 10, 24):
        assert found[f"{by_number[str(500 + n)]}/{PHASE}/{PHASE}"] == f"work of {n}"
    late = {row["student"] for row in rows(root) if row["late"] == "Canvas"}
    assert late == ({"kim-lee"} if platform == "Canvas" else set())
    stranger = (
        {"Mary Poppins_9_assignsubmission_file_/" + FILE: "x"}
        if platform == "Moodle"
        else {f"poppinsmary_9_1_{FILE}": "x"}
    )
    export.write_bytes(zipped(stranger))
    assert len(collect(root, export).unlisted) == 1


def test_the_list_takes_the_ids_of_those_who_handed_in_before(root: Path) -> None:
    collected(root, {f"lovelaceada_500_1_{FILE}": "x"})
    assert "lovelaceada" in brought(root, CLASS.gradebook("Lab"))


def test_an_id_that_differs_only_in_case_is_the_same_learner(root: Path) -> None:
    collected(root, {f"ada/{FILE}": "x"})
    assert brought(root, "id,name\nADA,Ada Lovelace\n") == ["ada"]
    assert brought(root, "id,name\nAda ,Ada Lovelace\n") == ["ada"]


def test_an_e_mail_in_the_place_of_an_id_is_a_known_learners_or_a_new_id(root: Path) -> None:
    brought(root, "id,name,email\nada,Ada Lovelace,ada@x.edu\n")
    assert brought(root, "id,name\nAda@x.edu,Ada Lovelace\nbob@x.edu,Bob Berg\n") == ["ada", "bob@x.edu"]


def test_every_column_of_the_list_is_kept(root: Path) -> None:
    line = ["ada", "Ada", "Lovelace", "a@x", "17", "ada1", "7", f"{PHASE}=500", "ada-l", "Team 1"]
    (root / "roster.csv").write_text("\n".join([",".join(COLUMNS), ",".join(line)]), encoding="utf-8")
    people = ClassList.of(root)
    people.save(root)
    assert ClassList.of(root).learners == people.learners
    assert (root / "roster.csv").read_text(encoding="utf-8-sig").splitlines()[1] == ",".join(line)
