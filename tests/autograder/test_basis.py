"""Tests of what a result is of: points of another release, or of an earlier submission, stand in no report."""

from __future__ import annotations

import copy
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from graded import NOTEBOOK, PHASE, Graded
from term import csv_of
from test_feedback import Page

from autograder.__main__ import main
from autograder.authoring.release import release
from autograder.course import Course as NbgradersCourse
from autograder.course import CourseError
from autograder.grading import basis
from autograder.grading.basis import AGAIN, ALTERED, OUTDATED, WAITING
from autograder.grading.verdicts import read_grading, write_grading
from autograder.intake.store import REASONS
from autograder.reports.export import export_all, summaries
from autograder.reports.feedback import FeedbackExporter
from autograder.reports.open_tasks import left

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is graded on Windows")

FILE = f"{NOTEBOOK}.ipynb"
MOODLE = "student,name,system,number,assignment,file,attempt,entry,time,late\r\n"
WORKSHEET = (
    "Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (submission),Feedback comments\n"
    'Participant 500,Ada,,,,4.5,"Friday, 20 November 2026, 10:00 AM",\n'
    'Participant 501,Bob,,,,4.5,"Friday, 20 November 2026, 10:00 AM",\n'
)


class Course(Graded):
    """Two learners of Moodle, each with a submission that is graded: Ada has all points, Bob's was refused."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rows = [f"{who},{who},Moodle,{n},{PHASE},{FILE},,,,\r\n" for who, n in (("ada", 500), ("bob", 501))]
        self.hand_in("ada", FILE, "{}")
        self.hand_in("bob", REASONS, "essay.pdf: no notebook")
        (self.root / "submitted" / "students.csv").write_text(MOODLE + "".join(rows), encoding="utf-8")
        (self.root / "lms").mkdir()
        self.date("20 November 2026")
        self.add("ada")
        self.seal("ada")
        self.course.folder("autograded", PHASE, "bob").mkdir(parents=True)
        self.seal("bob", refused="essay.pdf: no notebook")
        export_all(self.course)

    def hand_in(self, who: str, name: str, text: str, assignment: str = PHASE) -> None:
        path = self.course.folder("submitted", assignment, who) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def date(self, day: str) -> None:
        text = WORKSHEET.replace("20 November 2026", day)
        (self.root / "lms" / f"{PHASE}-moodle.csv").write_text(text, encoding="utf-8")

    def rows(self, name: str = PHASE) -> dict[str, dict[str, str]]:
        return {next(iter(row.values())): row for row in csv_of(self.root / "grades" / f"{name}.csv")}

    def statuses(self) -> dict[str, str]:
        return {row.student: row.status for row in summaries(self.course, PHASE)[0].rows}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return Course(tmp_path_factory.mktemp("graded"))


@pytest.fixture
def course(made: Course, tmp_path: Path) -> Course:
    """Return a copy of the course, for one test."""
    mine = copy.copy(made)
    mine.root = shutil.copytree(made.root, tmp_path / "course")
    mine.course = NbgradersCourse(mine.root)
    return mine


def test_a_result_of_the_present_files_and_release_is_in_every_report(course: Course) -> None:
    assert course.statuses() == {"ada": "graded", "bob": "refused"}
    assert course.rows()["ada"]["total"] == "4.5"
    assert course.rows("term")["ada"]["total"] == "4.5"
    assert course.rows(f"{PHASE}-moodle")["Participant 500"]["Grade"] == "4.5"


def test_points_of_an_earlier_release_stand_beside_no_new_maximum(
    course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    course.release("points=2", "points=3")
    assert course.statuses() == {"ada": OUTDATED, "bob": OUTDATED}
    assert main(["export"], root=course.root) == 0
    said = capsys.readouterr().out
    assert f"{PHASE}: {OUTDATED} (2): ada, bob\nnext: make grade, then make export again" in said
    row = course.rows()["ada"]
    assert (row["status"], row["total"], row["max"], row["submitted"]) == (OUTDATED, "", "5.5", "")
    assert (course.rows("term")["ada"][PHASE], course.rows("term")["ada"]["total"]) == ("", "")
    assert course.rows(f"{PHASE}-moodle")["Participant 500"]["Grade"] == ""
    assert course.rows(f"{PHASE}-moodle")["Participant 500"]["Feedback comments"] == ""
    assert not (course.root / "grades" / f"{PHASE}-moodle-feedback.zip").exists()
    page = Page(course.root / "grades" / f"{PHASE}.html").words
    assert f"{OUTDATED} 2" in page
    assert "graded 0" in page

    course.release("points=3", "points=2")
    assert course.statuses() == {"ada": "graded", "bob": "refused"}, "what was released before is there again"


def test_a_newer_submission_keeps_the_points_and_the_time_of_the_earlier_one_out(
    course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    course.hand_in("ada", FILE, '{"new": 1}')
    course.hand_in("bob", FILE, "{}")
    (course.root / "submitted" / "bob" / PHASE / REASONS).unlink()
    course.date("29 November 2026")
    (course.root / "term.toml").write_text(f'late = "cut-off"\n[{PHASE}]\ndue = "2026-11-21"\n', encoding="utf-8")
    assert main(["export"], root=course.root) == 0
    assert f"{PHASE}: {AGAIN} (2): ada, bob" in capsys.readouterr().out
    for who in ("ada", "bob"):
        row = course.rows()[who]
        assert (row["status"], row["total"], row["submitted"], row["seconds_late"]) == (AGAIN, "", "", "")
        assert (row["late_penalty"], row["refused"]) == ("", "")
    assert list(left(course.course, summaries(course.course, PHASE)[0])) == [AGAIN]
    with course.course.gradebook() as gradebook:
        submission = gradebook.find_submission(PHASE, "ada")
        assert str(submission.timestamp) == "2026-11-20 10:00:00", "the Formgrader's time is of what has the points"
        assert submission.notebooks[0].late_submission_penalty is None

    course.seal("ada")  # it is graded, with as many points
    export_all(course.course)
    row = course.rows()["ada"]
    assert (row["status"], row["total"], row["submitted"]) == ("graded", "0", "2026-11-29 10:00:00 UTC")


def test_a_refused_file_replaced_by_another_one_is_no_longer_refused_for_the_first(course: Course) -> None:
    course.hand_in("bob", REASONS, "other.rar: is packed")
    assert course.statuses()["bob"] == AGAIN


def test_feedback_writes_no_page_that_mixes_two_releases(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    page = course.root / "feedback" / "ada" / PHASE / FILE.replace(".ipynb", ".html")
    before = page.read_bytes()
    course.release("points=2", "points=3")
    assert main(["feedback"], root=course.root) == 0
    said = capsys.readouterr().out
    assert said.startswith("0 pages in feedback/; 0 submissions failed\n")
    assert f"{PHASE}: {OUTDATED} (2): ada, bob\nnext: make grade, then make feedback again" in said
    assert page.read_bytes() == before


def test_nbgraders_own_feedback_is_refused_for_it_too(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    course.hand_in("ada", FILE, '{"new": 1}')
    monkeypatch.chdir(course.root)
    names = {"assignment": PHASE, "student": "ada", "notebook": NOTEBOOK}
    with pytest.raises(CourseError, match=f"ada's {PHASE}: {AGAIN}: run make grade first"):
        FeedbackExporter().from_filename("", {"nbgrader": names})


def test_show_says_that_what_it_shows_no_longer_counts(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", "ada"], root=course.root)
    assert capsys.readouterr().out == "grades/show/ada.html\n"
    assert "no longer counts" not in Page(course.root / "grades" / "show" / "ada.html").words
    course.hand_in("ada", FILE, '{"new": 1}')
    main(["show", "ada"], root=course.root)
    assert f"{PHASE}: {AGAIN} (1): ada\nnext: make grade" in capsys.readouterr().out
    assert f"it no longer counts: {AGAIN}" in Page(course.root / "grades" / "show" / "ada.html").words


def test_the_zip_for_the_platform_has_no_page_of_an_earlier_submission(course: Course) -> None:
    path = course.root / "grades" / f"{PHASE}-moodle-feedback.zip"
    sent = [f"{who}_assignsubmission_file_/{NOTEBOOK}.html" for who in ("ada_500", "bob_501")]
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == sent
    course.hand_in("ada", FILE, '{"new": 1}')
    export_all(course.course)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == sent[1:]


def test_a_group_waits_for_its_newest_submission(course: Course) -> None:
    roster = "id,first_name,group\nada,Ada,Team 1\nbob,Bob,\neve,Eve,Team 1\nzoe,Zoe,Team 1\n"
    (course.root / "roster.csv").write_text(roster, encoding="utf-8")
    (course.root / "term.toml").write_text(
        f'[{PHASE}]\ngroups = true\n[{PHASE}.handed_in]\neve = "2026-11-22"\n', encoding="utf-8"
    )
    assert course.statuses() == {"ada": "graded", "bob": "refused", "eve": "graded", "zoe": "graded"}
    course.hand_in("eve", FILE, '{"of": "the group"}')
    assert course.statuses() == {"ada": AGAIN, "bob": "refused", "eve": WAITING, "zoe": AGAIN}


def test_a_lost_key_or_a_record_of_an_earlier_version_is_told_in_true_words(course: Course) -> None:
    (course.root / "gradebook.key").write_text("0" * 64)
    assert course.statuses()["ada"] == ALTERED


def test_a_release_ends_with_whose_submissions_it_concerns(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release"], root=course.root) == 0
    assert "make grade" not in capsys.readouterr().out
    master = course.root / "source" / PHASE / f"{NOTEBOOK}.py"
    master.write_text(master.read_text(encoding="utf-8").replace("points=2", "points=3"), encoding="utf-8")
    assert main(["release"], root=course.root) == 0
    assert f"{PHASE}: {OUTDATED} (2): ada, bob\nnext: make grade" in capsys.readouterr().out


def test_an_error_of_the_graders_own_is_graded_again_when_its_code_has_changed(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = course.course.folder("autograded", PHASE, "ada")
    write_grading(folder, replace(read_grading(folder), grader=basis.code_of_the_grader()))
    assert course.statuses() == {"ada": "graded", "bob": "refused"}
    monkeypatch.setattr(basis, "code_of_the_grader", lambda: "a later version's")
    assert course.statuses() == {"ada": ALTERED, "bob": "refused"}


def test_an_assignment_that_nobody_handed_in_does_not_count(course: Course) -> None:
    for name in ("unused", "waited"):
        shutil.copytree(course.root / "source" / PHASE, course.root / "source" / name)
    release(course.root)
    course.hand_in("ada", FILE, "{}", "waited")
    gradebook = "Student,ID,SIS User ID,SIS Login ID,Section,Tiny (3)\nPoints Possible,,,,,4.5\nAda,7,M1,ada,A,\n"
    (course.root / "lms" / "canvas.csv").write_text(gradebook, encoding="utf-8")
    told = "\n".join(export_all(course.course).told)
    row = course.rows("term")["ada"]
    assert [column for column in row if column.endswith(" status")] == [f"{PHASE} status", "waited status"]
    assert (row["max"], row["total"], row["waited status"]) == ("9", "", WAITING)
    assert "no column called waited" in told
    assert "unused" not in told
