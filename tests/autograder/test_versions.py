"""Tests of versions: a refused release changes nothing, and an assignment with other cells gets a new version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from classroom import Classroom
from exports import zipped
from graded import CHECKS, MASTER, NOTEBOOK, PHASE, Graded
from layouts import HandIn, Learner, moodle
from term import csv_of

from autograder.__main__ import main
from autograder.authoring.release import release, stale
from autograder.authoring.sources import SourceError
from autograder.authoring.version import version
from autograder.course import Course, CourseError
from autograder.grading.plan import read_assignment
from autograder.intake.collect import collect
from autograder.intake.enrol import enrol
from autograder.reports.export import export_all
from autograder.reports.run_summary import closing
from autograder.versions import base, following, order

NEW = f"{PHASE}-v2"
EXERCISE = '''
# %% exercise="third"
def third(x):
    """A third of x."""
    ### BEGIN SOLUTION
    return x / 3
    ### END SOLUTION

# %% tests="third_basics" points=2
assert third(3) == 1
'''
HALF = MASTER.index('# %% exercise="half"')
ADDED = MASTER + EXERCISE
LEARNERS = [
    Learner("Ada", "Lovelace", 500, "ada"),
    Learner("Grace", "Hopper", 501, "grace"),
    Learner("Kim", "Lee", 502, "kim"),
]


@pytest.fixture(scope="module")
def graded_once(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """Three learners, graded."""
    made = Graded(tmp_path_factory.mktemp("versions"))
    for learner in ("ada", "grace", "kim"):
        made.add(learner)
    return made


@pytest.fixture
def graded(tmp_path: Path, graded_once: Graded) -> Graded:
    made = object.__new__(Graded)
    made.root = Path(shutil.copytree(graded_once.root, tmp_path / "course"))
    made.course = Course(made.root)
    return made


def master(root: Path, phase: str = PHASE) -> Path:
    return root / "source" / phase / f"{NOTEBOOK}.py"


def contents(root: Path) -> dict[str, bytes]:
    """All files but the masters."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".py"
    }


REFUSED = {
    "an exercise is added": (ADDED, "gets the cells third, third_basics,"),
    "a check is added": (
        MASTER + '\n# %% tests="half_more" points=1\nassert half(4) == 2\n',
        "gets the cells half_more,",
    ),
    "a locked cell is added": (MASTER + '\n# %% locked="tools"\nimport json\n', "gets the cells tools,"),
    "an exercise is removed": (MASTER[:HALF], "loses the cells half, half_basics,"),
    "a check is renamed": (
        MASTER.replace("half_basics", "half_first"),
        "gets the cells half_first and loses the cells half_basics,",
    ),
    "a check gives no points any more": (
        MASTER.replace('tests="half_basics" points=1.5', 'locked="half_basics"'),
        "has cells of another kind, half_basics,",
    ),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_cells_that_come_or_go_are_refused_and_nothing_changes(graded: Graded, text: str, said: str) -> None:
    master(graded.root).write_text(text, encoding="utf-8")
    before = contents(graded.root)
    with pytest.raises(CourseError, match="3 learners handed it in") as refused:
        release(graded.root)
    assert f"{PHASE} {said}" in str(refused.value)
    assert f"make version PHASE={PHASE}" in str(refused.value)
    assert contents(graded.root) == before


def test_another_notebook_is_refused_as_well(graded: Graded) -> None:
    master(graded.root).with_name("more.py").write_text(MASTER, encoding="utf-8")
    before = contents(graded.root)
    with pytest.raises(CourseError, match="tiny gets the notebook more, and 3 learners"):
        release(graded.root)
    assert contents(graded.root) == before


def test_an_ungraded_submission_counts_too(tmp_path: Path) -> None:
    source = tmp_path / f"{NOTEBOOK}.py"
    source.write_text(MASTER, encoding="utf-8")
    classroom = Classroom.made_of([source], tmp_path / "course", PHASE)
    classroom.hand_in("ada", NOTEBOOK, {})
    master(classroom.root).write_text(ADDED, encoding="utf-8")
    with pytest.raises(CourseError, match="one learner handed it in"):
        release(classroom.root)


@pytest.mark.parametrize(
    "wrong",
    [
        MASTER.replace("### END HIDDEN TESTS", ""),
        MASTER.replace("### END SOLUTION", ""),
        MASTER.replace("points=1.5", "points=many"),
        MASTER.replace('tests="half_basics"', 'tests="double_text"'),
    ],
    ids=["hidden tests without an end", "a solution without an end", "points", "an id twice"],
)
def test_a_master_that_is_wrong_leaves_all_other_assignments_as_they_were(graded: Graded, wrong: str) -> None:
    other = graded.root / "source" / "another"
    other.mkdir()
    (other / "another.py").write_text(MASTER, encoding="utf-8")  # before "tiny", so it would have been made
    master(graded.root).write_text(wrong, encoding="utf-8")
    before = contents(graded.root)
    with pytest.raises((SourceError, CourseError)):
        release(graded.root)
    assert contents(graded.root) == before


def test_points_texts_and_assertions_may_change_at_any_time(graded: Graded) -> None:
    changed = MASTER.replace("points=2", "points=3").replace("Twice 2 is 4", "2 + 2 is 4")
    changed = changed.replace("assert half(2) == 1", "assert half(6) == 3\nassert half(2) == 1")
    master(graded.root).write_text("# %% [markdown]\n# A new introduction.\n\n" + changed, encoding="utf-8")
    assert release(graded.root) == [f"{PHASE}/{NOTEBOOK}.ipynb: updated".replace(PHASE, f"notebooks/{PHASE}")]
    cells = {cell.name: cell for cell in read_assignment(graded.course, PHASE)[NOTEBOOK].cells}
    assert cells["double_basics"].points == 3
    assert "half(6)" in cells["half_basics"].source


@pytest.fixture
def two(graded: Graded) -> Graded:
    """An exercise more in a version of its own."""
    master(graded.root).write_text(ADDED, encoding="utf-8")
    told = version(graded.root, PHASE)
    assert told[0].startswith(f"The masters are in source/{NEW}/ now")
    return graded


def test_a_new_version_goes_beside_the_old_one_which_is_unchanged(graded: Graded) -> None:
    before = contents(graded.root)
    before.pop("gradebook.db")
    master(graded.root).write_text(ADDED, encoding="utf-8")
    version(graded.root, PHASE)
    after = contents(graded.root)
    assert {name: after[name] for name in before} == before
    assert not master(graded.root).exists()
    assert master(graded.root, NEW).read_text(encoding="utf-8") == ADDED
    old, new = (read_assignment(graded.course, name)[NOTEBOOK] for name in (PHASE, NEW))
    assert {cell.name for cell in new.cells} - {cell.name for cell in old.cells} == {"third", "third_basics"}
    assert stale(graded.root) == []
    assert release(graded.root) == []


def test_each_hand_in_goes_to_the_version_that_was_worked_in(two: Graded, tmp_path: Path) -> None:
    answered = {}
    for name in (PHASE, NEW):
        text = (two.root / "release" / name / f"{NOTEBOOK}.ipynb").read_bytes()
        answered[name] = text.replace(b"YOUR CODE HERE", b"my answer")
    unstamped = answered[NEW].replace(b'"digest"', b'"nothing"')
    files = [answered[PHASE], answered[NEW], unstamped]
    hand_ins = [HandIn(one, n, {"homework.ipynb": files[n]}) for n, one in enumerate(LEARNERS)]
    export = tmp_path / "export.zip"
    export.write_bytes(zipped(moodle(hand_ins)))
    collect(two.root, export, PHASE)
    assert {
        path.relative_to(two.root / "submitted").as_posix() for path in (two.root / "submitted").glob("*/*/*.ipynb")
    } == {
        f"ada-lovelace/{PHASE}/{NOTEBOOK}.ipynb",
        f"grace-hopper/{NEW}/{NOTEBOOK}.ipynb",
        f"kim-lee/{NEW}/{NOTEBOOK}.ipynb",
    }


@pytest.fixture
def alike(graded: Graded) -> Graded:
    """A new version whose cells are those of the old one as yet."""
    version(graded.root, PHASE)
    return graded


def exported(root: Path, path: Path, files: dict[str, bytes], hour: int = 0) -> Path:
    """Moodle's export of Ada's files, handed in ``hour`` hours later than others."""
    path.write_bytes(zipped(moodle([HandIn(LEARNERS[0], 0, files)]), (2026, 11, 20, 10 + hour, 0, 0)))
    collect(root, path)
    return path


def of_ada(root: Path) -> dict[str, bytes]:
    """Ada's notebooks: "assignment/name" -> content."""
    folder = root / "submitted" / "ada-lovelace"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*.ipynb")}


def answer(root: Path, assignment: str, name: str = NOTEBOOK, text: bytes = b"my answer") -> bytes:
    return (root / "release" / assignment / f"{name}.ipynb").read_bytes().replace(b"YOUR CODE HERE", text)


def test_an_export_collected_again_stays_in_the_version_it_was_taken_for(graded: Graded, tmp_path: Path) -> None:
    mine = answer(graded.root, PHASE)
    export = exported(graded.root, tmp_path / "export.zip", {"lab.ipynb": mine})
    version(graded.root, PHASE)
    for text in (MASTER, ADDED):  # equal cells, then others
        master(graded.root, NEW).write_text(text, encoding="utf-8")
        release(graded.root)
        assert all(c.outcome.startswith("there already") for c in collect(graded.root, export).files)
        assert of_ada(graded.root) == {f"{PHASE}/{NOTEBOOK}.ipynb": mine}


def test_what_is_there_stays_also_where_its_cells_are_nearer_to_a_newer_version(graded: Graded, tmp_path: Path) -> None:
    mine = answer(graded.root, PHASE).replace(b'"digest"', b'"nothing"')
    mine = mine.replace(b'"half_basics"', b'"gone"').replace(b'"half"', b'"away"')
    export = exported(graded.root, tmp_path / "export.zip", {"lab.ipynb": mine})
    version(graded.root, PHASE)
    master(graded.root, NEW).write_text(MASTER[:HALF], encoding="utf-8")
    release(graded.root)
    collect(graded.root, export)
    assert of_ada(graded.root) == {f"{PHASE}/{NOTEBOOK}.ipynb": mine}


def test_among_equal_versions_the_earlier_hand_ins_counts_else_the_oldest(alike: Graded, tmp_path: Path) -> None:
    first, second = answer(alike.root, PHASE, text=b"one"), answer(alike.root, PHASE, text=b"two")
    exported(alike.root, tmp_path / "1.zip", {"lab.ipynb": first})
    assert of_ada(alike.root) == {f"{PHASE}/{NOTEBOOK}.ipynb": first}
    submitted = alike.root / "submitted" / "ada-lovelace"
    (submitted / PHASE).rename(submitted / NEW)
    exported(alike.root, tmp_path / "2.zip", {"lab.ipynb": second}, hour=1)
    assert of_ada(alike.root) == {f"{NEW}/{NOTEBOOK}.ipynb": second}


def test_an_unchanged_notebook_goes_to_the_version_of_the_changed_one_beside_it(tmp_path: Path) -> None:
    """Else each version would lack a notebook."""
    source = tmp_path / f"{NOTEBOOK}.py"
    source.write_text(MASTER, encoding="utf-8")
    more = source.with_name("more.py")
    renamed = ("double", "thrice"), ("half", "third")
    text = MASTER
    for old, new in renamed:
        text = text.replace(old, new)
    more.write_text(text, encoding="utf-8")
    root = Classroom.made_of([source, more], tmp_path / "course", PHASE).root
    version(root, PHASE)
    master(root, NEW).write_text(MASTER[:HALF], encoding="utf-8")
    release(root)
    files = {"a.ipynb": answer(root, NEW), "b.ipynb": answer(root, NEW, "more")}
    exported(root, tmp_path / "export.zip", files)
    assert set(of_ada(root)) == {f"{NEW}/{NOTEBOOK}.ipynb", f"{NEW}/more.ipynb"}


def test_all_versions_are_one_assignment_for_the_registrar_and_moodle(two: Graded, tmp_path: Path) -> None:
    people = tmp_path / "worksheet.csv"
    head = (
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (submission),Feedback comments\n"
    )
    people.write_text(head + "Participant 500,Ada,,,,4.5,-,\nParticipant 501,Grace,,,,4.5,-,\n", encoding="utf-8")
    enrol(two.root, people, PHASE)
    folder = two.root / "submitted" / "grace" / NEW
    folder.mkdir(parents=True)
    (folder / f"{NOTEBOOK}.ipynb").write_bytes((two.root / "release" / NEW / f"{NOTEBOOK}.ipynb").read_bytes())
    (two.root / "autograded" / "grace" / NEW).mkdir(parents=True)
    with two.course.gradebook() as gradebook:
        gradebook.add_submission(NEW, "grace")
        for check, points in (CHECKS | {"third_basics": 2.0}).items():
            grade = gradebook.find_grade(check, NOTEBOOK, NEW, "grace")
            grade.auto_score, grade.needs_manual_grade = points / 2, False  # pyright: ignore[reportAttributeAccessIssue]
        gradebook.db.commit()
    export_all(two.course)
    term = {row["student"]: row for row in csv_of(two.root / "grades" / "term.csv")}
    assert [column for column in term["ada"] if column.startswith(PHASE)] == [PHASE, f"{PHASE} status"]
    assert (term["ada"][PHASE], term["ada"]["max"]) == ("6.5", "6.5")  # 4.5 of 4.5
    assert term["grace"][PHASE] == "3.25"
    back = {row["Identifier"]: row["Grade"] for row in csv_of(two.root / "grades" / f"{PHASE}-moodle.csv")}
    assert back == {"Participant 500": "4.5", "Participant 501": "2.25"}
    assert not (two.root / "grades" / f"{NEW}-moodle.csv").exists()
    assert {row["student"]: row["status"] for row in csv_of(two.root / "grades" / f"{NEW}.csv")}["ada"] != "graded"


def test_a_learner_with_another_version_is_not_missing(two: Graded) -> None:
    for student, name in (("ada", PHASE), ("grace", NEW)):
        (two.root / "submitted" / student / name).mkdir(parents=True)
    export_all(two.course)
    status = {row["student"]: row["status"] for row in csv_of(two.root / "grades" / f"{NEW}.csv")}
    assert status["ada"] == f"handed in {PHASE}"
    assert status["kim"] == "nothing handed in"
    assert "ada" not in closing(two.course, []).split("nothing handed in")[-1]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        (PHASE, f"{PHASE} is an older version: the masters are in source/{NEW}/."),
        ("tyni", f"There is no assignment 'tyni' in source/: there are {NEW}."),
        ("../x", "There is no assignment '../x' in source/"),
    ],
)
def test_a_version_of_nothing_is_refused(
    two: Graded, assignment: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(two.root)
    assert main(["version", assignment], root=two.root) == 1
    assert said in capsys.readouterr().err
    assert contents(two.root) == before


def test_a_version_whose_masters_are_wrong_leaves_them_where_they_were(graded: Graded) -> None:
    master(graded.root).write_text(MASTER.replace("points=1.5", "points=many"), encoding="utf-8")
    before = contents(graded.root)
    with pytest.raises(SourceError):
        version(graded.root, PHASE)
    assert contents(graded.root) == before
    assert master(graded.root).exists()


def test_versions_are_told_by_their_names() -> None:
    assert [base(name) for name in ("a", "a-v2", "a-v10", "a-vx", "a-v2-v3")] == ["a", "a", "a", "a-vx", "a-v2"]
    assert sorted(["a-v10", "b", "a-v2", "a"], key=order) == ["a", "a-v2", "a-v10", "b"]
    assert following("a", ["a", "a-v2", "b-v7"]) == "a-v3"
    assert following("a-v2", ["a-v2"]) == "a-v3"
