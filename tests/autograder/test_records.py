"""Tests of removing a learner and of joining two ids: nothing is lost, left over or half done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graded import NOTEBOOK, PHASE, Graded

from autograder.__main__ import main
from autograder.files import write_whole
from autograder.intake.class_list import ClassList, Learner
from autograder.intake.platforms.place import Person
from autograder.intake.roster import COLUMNS, Roster, lines_of, write_table
from autograder.reports.export import export
from autograder.reports.summary import NOTHING, summarise
from autograder.term import FILE


@pytest.fixture
def graded(tmp_path: Path) -> Graded:
    return Graded(tmp_path)


def hand_in(graded: Graded, student: str, time: str = "", **person: str) -> Path:
    """A file in submitted/ with its line in students.csv, and one in feedback/."""
    folder = graded.course.folder("submitted", PHASE, student)
    write_whole(folder / f"{NOTEBOOK}.ipynb", f"of {student}")
    write_whole(graded.course.folder("feedback", PHASE, student) / f"{NOTEBOOK}.html", "a page")
    if time:
        write_whole(folder / "timestamp.txt", f"{time} UTC")
    row = dict.fromkeys(COLUMNS, "") | {"student": student, "assignment": PHASE, "file": f"{NOTEBOOK}.ipynb"}
    row |= {"time": f"{time}.000000 UTC" if time else ""} | person
    submitted = graded.root / "submitted"
    write_table(submitted / "students.csv", COLUMNS, [*lines_of(submitted), row])
    return folder


def by_hand(graded: Graded, student: str, points: float) -> None:
    with graded.course.gradebook() as gradebook:
        grade: Any = gradebook.find_grade("double_text", NOTEBOOK, PHASE, student)  # nbgrader's columns have no types
        grade.manual_score = points
        gradebook.db.commit()


def everywhere(root: Path) -> dict[str, bytes]:
    """All files of a course that are read when points are told, but for those of a database under way."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in ("gradebook.db.lock", "gradebook.db-journal")
    }


def known(graded: Graded, name: str, number: str, system: str) -> str:
    return Roster(graded.root / "submitted").known(Person(name, number, system), PHASE, {name: 1})


def students(graded: Graded) -> dict[str, str]:
    return {row.student: row.status for row in summarise(graded.course, PHASE).rows}


def test_a_removed_learner_is_nowhere_and_their_files_are_kept(
    graded: Graded, capsys: pytest.CaptureFixture[str]
) -> None:
    for student in ("ada", "bob"):
        graded.add(student)
        hand_in(graded, student)
    ClassList([Learner("ada"), Learner("bob")]).save(graded.root)
    by_hand(graded, "ada", 0.5)
    assert main(["drop", "ada"], root=graded.root) == 0
    said = capsys.readouterr().out
    assert "ada is out of the course. What was there is in submitted/.replaced/ada.1/." in said
    assert f"The points and comments that you gave by hand in {PHASE} are gone." in said
    assert set(students(graded)) == {"bob"}
    assert set(ClassList.of(graded.root).by_id) == {"bob"}
    assert {row["student"] for row in lines_of(graded.root / "submitted")} == {"bob"}
    kept = graded.root / "submitted" / ".replaced" / "ada.1"
    assert (kept / "submitted" / PHASE / f"{NOTEBOOK}.ipynb").read_text() == "of ada"
    assert (kept / "autograded" / PHASE / f"{NOTEBOOK}.ipynb").exists()
    assert not list(graded.root.glob("*/ada"))
    assert "ada" not in export(graded.course, PHASE)[0].read_text(encoding="utf-8")


def test_one_assignment_of_a_learner_goes_and_they_stay(graded: Graded) -> None:
    graded.add("ada")
    hand_in(graded, "ada")
    ClassList([Learner("ada")]).save(graded.root)
    assert main(["drop", "ada", "--assignment", PHASE], root=graded.root) == 0
    assert students(graded) == {"ada": NOTHING}
    assert set(ClassList.of(graded.root).by_id) == {"ada"}
    assert not list(graded.root.glob(f"*/ada/{PHASE}"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["drop", "adda"], "There is no learner 'adda': did you mean ada?"),
        (["drop", ""], "There is no learner ''"),
        (["drop", ".."], "There is no learner '..'"),
        (["drop", ".replaced"], "There is no learner '.replaced'"),
        (["drop", "ada", "--assignment", "phase9"], f"There is nothing of ada in phase9; there is {PHASE}."),
        (["drop", "ada"], f"term.toml names ada in [{PHASE}.extensions]: remove that line there first."),
        (["rename", "ada", "eve"], f"term.toml names ada in [{PHASE}.extensions]: write eve there first."),
        (["rename", "nobody", "ada"], "There is no learner 'nobody'"),
        (["rename", "bob", "a/b"], "'a/b' can't be the new id: write another one, such as 'a-b'."),
        (["rename", "bob", "bob"], "'bob' can't be the new id"),
        (["rename", "bob", "ada"], f"Both bob and ada handed in {PHASE}, and nobody knows which one is newer"),
    ],
)
def test_an_impossible_change_is_refused_in_a_sentence_and_changes_nothing(
    graded: Graded, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    for student in ("ada", "bob"):
        graded.add(student)
        hand_in(graded, student)
    write_whole(graded.root / "submitted" / ".replaced" / "x" / "y", "kept")
    write_whole(graded.root / FILE, f'[{PHASE}]\ndue = "2026-11-20"\n[{PHASE}.extensions]\nada = "2026-11-27"\n')
    before = everywhere(graded.root)
    assert main(arguments, root=graded.root) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert everywhere(graded.root) == before


def test_a_new_name_takes_everything_along(graded: Graded) -> None:
    graded.add("ada", {"double_basics": 0})
    by_hand(graded, "ada", 0.25)
    hand_in(graded, "ada", name="Ada Lovelace", system="Canvas", number="77", entry="a.ipynb")
    ClassList([Learner("ada", "Ada", "Lovelace")]).save(graded.root)
    write_whole(graded.root / FILE, f'[{PHASE}]\ndue = "2026-11-20"\n[{PHASE}.extensions]\nlovelace = "2026-11-27"\n')
    assert main(["rename", "ada", "lovelace"], root=graded.root) == 0
    (row,) = summarise(graded.course, PHASE).rows
    assert (row.student, row.person.name) == ("lovelace", "Ada Lovelace")
    assert row.total == 1.75
    assert (graded.course.folder("submitted", PHASE, "lovelace") / f"{NOTEBOOK}.ipynb").exists()
    assert (graded.course.folder("autograded", PHASE, "lovelace") / f"{NOTEBOOK}.ipynb").exists()
    assert not list(graded.root.glob("*/ada"))
    assert known(graded, "Ada Lovelace", "77", "Canvas") == "lovelace", "the platform still calls them as before"


EARLY, LATE = "2026-11-20 10:00:00", "2026-11-21 10:00:00"


@pytest.mark.parametrize(("old", "new"), [(EARLY, LATE), (LATE, EARLY)])
def test_the_newer_submission_of_two_ids_of_one_person_counts(graded: Graded, old: str, new: str) -> None:
    graded.add("smith", {"double_basics": 0})
    graded.add("sam-smith")
    hand_in(graded, "smith", old, name="smith", system="Sakai", number="7")
    hand_in(graded, "sam-smith", new, name="Sam Smith", system="Sakai", number="8")
    listed = Learner("sam-smith", "Sam", "Smith", moodle="other=6")
    ClassList([Learner("smith", email="s@x.org", moodle="tiny=5"), listed]).save(graded.root)
    assert main(["rename", "smith", "sam-smith"], root=graded.root) == 0
    (row,) = summarise(graded.course, PHASE).rows
    assert row.student == "sam-smith"
    assert row.total == (2.5 if old > new else 4.5)
    winner, loser = ("smith", "sam-smith") if old > new else ("sam-smith", "smith")
    assert (graded.course.folder("submitted", PHASE, "sam-smith") / f"{NOTEBOOK}.ipynb").read_text() == f"of {winner}"
    kept = graded.root / "submitted" / ".replaced" / f"{loser}.1" / "submitted" / PHASE / f"{NOTEBOOK}.ipynb"
    assert kept.read_text() == f"of {loser}"
    (line,) = [line for line in lines_of(graded.root / "submitted") if line["assignment"] == PHASE]
    assert (line["student"], line["time"][:19]) == ("sam-smith", LATE)
    assert {known(graded, "smith", "7", "Sakai"), known(graded, "Sam Smith", "8", "Sakai")} == {"sam-smith"}
    (one,) = ClassList.of(graded.root).learners
    assert (one.email, one.participants) == ("s@x.org", {"tiny": "5", "other": "6"})
    assert not list(graded.root.glob("*/smith"))
