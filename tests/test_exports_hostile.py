"""One learner against another: what a learner names or uploads decides nothing about anybody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from exports import PHASE, SECOND, collected, made_course, notebooks, rows, tarred, zipped
from layouts import FLAT, LAYOUTS, HandIn, Learner

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
    "the course's table": {"students.csv": "ada", "collected.csv": "ada", f"release/{PHASE}/{FILE}": ""},
}
OTHERS = {
    "Ada": [ADA],
    "Ada with much": [ADA],
    "Ada, who has no notebook": [ADA],
    "Ada and Bob": [ADA, BOB],
}


def of_eve(forged: str, layout: str, packing: str) -> dict[str, bytes]:
    """All of it many times: neither numbers nor depths may win."""
    files = {name: text or f"of eve {number}" for number, (name, text) in enumerate(FORGED[forged].items())}
    if packing == "zip":
        return {"work.zip": zipped(files)}
    if packing == "tar":
        return {f"ada_{PHASE}.tar.gz": tarred(files)}
    around = [""] if layout in FLAT else ["", *(f"{n}/" for n in range(9))]
    return {f"{folder}{name}": text.encode() for folder in around for name, text in files.items()}


@pytest.mark.parametrize("packing", ["", "zip", "tar"])
@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_upload_of_a_learner_concerns_another(tmp_path: Path, layout: str, forged: str, packing: str) -> None:
    for number, (others, learners) in enumerate(OTHERS.items()):
        root = made_course(tmp_path / str(number) / "course")
        honest = [HandIn(who, 0, {FILE: f"of {who.login}".encode()}) for who in learners]
        if others == "Ada with much":
            honest = [HandIn(ADA, 0, {FILE: b"of ada"} | {f"plot{n}.png": b"" for n in range(5)})]
        if others == "Ada, who has no notebook":
            honest = [HandIn(ADA, 0, {"essay.pdf": b"of ada"})]
        alone = collected(root, LAYOUTS[layout](honest))
        before = {name: text for name, text in notebooks(root).items() if text.startswith("of ")}
        export = LAYOUTS[layout]([*honest, HandIn(EVE, 9, of_eve(forged, layout, packing))])
        for again in range(2):  # those who are known already, and a course that is new
            report = collected(root, export, SECOND)
            assert report.platform == alone.platform, others
            found = notebooks(root)
            whose = {name.partition("/")[0]: text for name, text in found.items() if text.startswith("of eve")}
            assert {name: text for name, text in found.items() if not text.startswith("of eve")} == before, others
            assert len(whose) <= 1, others
            assert {row["name"] for row in rows(root) if row["student"] in whose} <= {
                *(EVE.name, EVE.login, "moor" + "eve", "mooreve")
            }
            if not again:
                root = made_course(tmp_path / f"{number} new" / "course")
