"""Tests with hostile learners: the names and files that one learner chooses never affect another."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from exports import PHASE, SECOND, collected, made_course, notebooks, rows, tarred, zipped
from layouts import FLAT, LAYOUTS, HandIn, Learner

from autograder.intake import store
from autograder.intake.platforms import place
from autograder.intake.times import TIME_FORMAT

ADA = Learner("Ada", "Lovelace", 11, "ada")
EVE = Learner("Eve", "Moor", 12, "eve")
BOB = Learner("Bob", "Hall", 13, "bob")
FILE = f"{PHASE}.ipynb"
METADATA = "submission_77:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: '11'\n"
STAMP = "2099-01-01 00:00:00 UTC"

# What Eve uploads, below what is hers.
FORGED = {
    "a file with Ada's name": {f"ada_{FILE}": "", f"{PHASE}_ada.ipynb": "", f"Lovelace, Ada - {FILE}": ""},
    "a folder with Ada's name": {f"ada/{FILE}": "", f"bob/{FILE}": ""},
    "nbgrader's layout": {f"ada/{PHASE}/{FILE}": "", f"ada/{PHASE}/timestamp.txt": STAMP},
    "nbgrader's folder": {f"submitted/ada/{PHASE}/{FILE}": "", f"submitted/ada/{PHASE}/timestamp.txt": STAMP},
    "her own time": {FILE: "", "timestamp.txt": STAMP, f"{PHASE}/timestamp.txt": STAMP},
    "Moodle": {f"Ada Lovelace_11_assignsubmission_file_/{FILE}": ""},
    "Moodle, flat": {f"Ada Lovelace_11_assignsubmission_file_{FILE}": ""},
    "Canvas": {f"lovelaceada_11_99999_{FILE}": "", f"lovelaceada_11_99998_{PHASE}-1.ipynb": ""},
    "Blackboard": {
        "Lab 2_ada_attempt_2026-11-29-10-00-00.txt": "Name: Ada Lovelace (ada)\n",
        f"Lab 2_ada_attempt_2026-11-29-10-00-00_{FILE}": "",
        f"_ada_attempt_2026-11-29-10-00-00_{FILE}": "",
    },
    "Brightspace": {
        f"11-67890 - Ada Lovelace - Nov 30, 2026 1000 AM/{FILE}": "",
        f"11-67890 - Ada Lovelace - Nov 30, 2026 1000 AM - {FILE}": "",
        "index.html": "",
    },
    "Gradescope": {"submission_metadata.yml": METADATA, f"submission_77/{FILE}": ""},
    "Gradescope, an export in it": {f"e/submission_{n}/{FILE}": "" for n in (77, 84)}
    | {"e/submission_metadata.yml": METADATA},
    "ILIAS": {f"Lovelace_Ada_ada_11/20261130100000_{FILE}": "", f"20261130100000_{FILE}": ""},
    "Sakai": {
        f"Lovelace, Ada(ada)/Submission attachment(s)/{FILE}": "",
        "Lovelace, Ada(ada)/timestamp.txt": "20261130100000000",
        "grades.csv": "",
    },
    "GitHub": {f"lab-2-submissions/lab-2-ada/{FILE}": "", ".git/config": "", ".github/workflows/x.yml": ""},
    "GitHub, repositories in it": {
        f"lab-2-{who}/{file}": "" for who in ("ada", "bob", "eve") for file in (FILE, ".git/config")
    },
    "names without an end": {f"{PHASE}{'(1)' * 9_000}.ipynb": "", f"{PHASE}{'-v11' * 45}-x.ipynb": ""},
    "the course's table": {"students.csv": "ada", "collected.csv": "ada", f"release/{PHASE}/{FILE}": ""},
}
OTHERS = {
    "Ada": [HandIn(ADA, 0, {FILE: b"of ada"})],
    "Ada, who has no notebook": [HandIn(ADA, 0, {"essay.pdf": b"of ada"})],
    "Ada and Bob": [HandIn(ADA, 0, {FILE: b"of ada", "a.png": b""}), HandIn(BOB, 0, {FILE: b"of bob"})],
}


def of_eve(forged: str, layout: str) -> dict[str, bytes]:
    """Return Eve's files many times, at two depths: repetition gains nothing."""
    files = {name: text or f"of eve {number}" for number, (name, text) in enumerate(FORGED[forged].items())}
    around = [""] if layout in FLAT else ["", "1/", "2/", "3/"]
    return {f"{folder}{name}": text.encode() for folder in around for name, text in files.items()}


def assert_nobody_is_harmed(folder: Path, layout: str, others: list[HandIn], upload: dict[str, bytes]) -> None:
    """Assert that only Eve's own files differ, in a course that knows the others and in a new one."""
    root, new = made_course(folder / "course"), made_course(folder / "new" / "course")
    alone = collected(root, LAYOUTS[layout](others))
    before = notebooks(root)
    for course in (root, new):
        report = collected(course, LAYOUTS[layout]([*others, HandIn(EVE, 9, upload)]), SECOND)
        assert report.platform == alone.platform
        found = notebooks(course)
        hers = {name.partition("/")[0] for name, text in found.items() if text.startswith("of eve")}
        assert {name: text for name, text in found.items() if not text.startswith("of eve")} == before
        assert len(hers) <= 1
        assert {row["name"] for row in rows(course) if row["student"] in hers} <= {"Eve Moor", "eve", "mooreve"}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_upload_of_a_learner_affects_no_other(tmp_path: Path, layout: str, forged: str) -> None:
    for name, others in OTHERS.items():
        assert_nobody_is_harmed(tmp_path / name, layout, others, of_eve(forged, layout))


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("layout", ["Moodle, flat", "Sakai", "plain folders"])
def test_an_archive_of_a_learner_affects_no_other(tmp_path: Path, layout: str, forged: str) -> None:
    files = {name: data.decode() for name, data in of_eve(forged, layout).items()}
    upload = {"work.zip": zipped(files), f"ada_{PHASE}.tar.gz": tarred(files)}
    assert_nobody_is_harmed(tmp_path, layout, OTHERS["Ada"], upload)


DATED = {  # what Eve calls herself, or her file, and when she really handed in: on 28 November
    "Brightspace": [
        "13-67890 - Eve - Nov 1, 2026 1000 AM - Nov 28, 2026 1159 AM/{file}",
        "13-67890 - Eve - Nov 1, 2026 1000 AM - Nov 28, 2026 1159 AM - {file}",
        "13-67890 - Eve - Nov 28, 2026 1159 AM - x - Nov 1, 2026 1000 AM - {file}",
        "13-67890 - Eve - Nov 1, 2099 1000 AM - Nov 28, 2026 1159 AM/{file}",
        "13-67890 - Eve - Nov 28, 2026 1159 AM - Nov 1, 2099 1000 AM - {file}",
        "13-67890 - Eve - Nov 99, 2026 1000 AM - Nov 28, 2026 1159 AM/{file}",
    ],
    "Blackboard": [
        "Lab_eve_attempt_2026-11-01-10-00-00_attempt_2026-11-28-11-59-00_{file}",
        "Lab_eve_attempt_2026-11-28-11-59-00_x_attempt_2026-11-01-10-00-00_{file}",
        "Lab_eve_attempt_2099-11-01-10-00-00_attempt_2026-11-28-11-59-00_{file}",
        "Lab_eve_attempt_2026-99-01-10-00-00_attempt_2026-11-28-11-59-00_{file}",
    ],
}


@pytest.mark.parametrize(("platform", "name"), [(system, name) for system, names in DATED.items() for name in names])
def test_a_time_in_a_name_of_a_learners_own_does_not_count(
    tmp_path: Path, platform: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    for module in (place, store):
        monkeypatch.setattr(module, "datetime", type("Clock", (datetime,), {"now": staticmethod(lambda zone: now)}))
    root = made_course(tmp_path / "course")
    collected(root, {name.format(file=FILE): "of eve"})
    (row,) = rows(root)
    when = datetime.strptime(row["time"], TIME_FORMAT).replace(tzinfo=UTC)
    assert when == datetime(2026, 11, 28, 11, 59).astimezone(UTC)
