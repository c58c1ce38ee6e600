"""Tests with any names: whatever somebody calls themselves, a file or a folder, it is not taken for anybody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from exports import PHASE, SECOND, collected, made_course
from hypothesis import given, settings
from hypothesis import strategies as st
from test_identity import FILE, listed, owners

from autograder.intake.entry import Entry
from autograder.intake.platforms import canvas
from autograder.intake.platforms.place import Course, Place, Readings
from autograder.intake.regular import Refused
from autograder.intake.roster import Roster

COURSE = Course((), lambda file: None, lambda name: False)
NUMBERS = ["11", "12", "13", "14"]
PEOPLE = {"11": "Ada Lovelace", "12": "Bob Hall", "13": "Eve Evil", "14": "Zoe Young"}
GROUPS = ["Team 1", "Alpha"]
SEPARATORS = ["_", "_", "_", "-", " - ", " ", "(", ")", ", ", "Group 1-", "assignsubmission_file", "attempt", "LATE"]
DATES = ["2026-11-30-10-00-00", "Nov 30, 2026 1000 AM", "999"]
SHORT = ["lovelaceada", "hallbob", "ada", "bob", "u11", "u12", "anon", "x", FILE]
PIECES = st.sampled_from([*NUMBERS, *PEOPLE.values(), *GROUPS, *SHORT, *SEPARATORS, *SEPARATORS, *DATES])
CHOSEN = st.lists(PIECES, min_size=1, max_size=8).map("".join)


def canvas_name(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum() or c == "_")


def exported(platform: str, number: str, name: str, file: str) -> str:
    """Return the path that a platform gives a file: a learner has chosen the name and the file's name."""
    login = f"u{number}"
    first, _, last = name.partition(" ")
    return {
        "Moodle": f"{name.replace('_', ' ')}_10{number}_assignsubmission_file_/{file}",
        "Moodle, flat": f"{name.replace('_', ' ')}_10{number}_assignsubmission_file_{file}",
        "Canvas": f"{canvas_name(f'{last}{first}')}_{number}_7{number}_{file}",
        "Brightspace": f"{number}-67 - {name} - Nov 20, 2026 1000 AM/{file}",
        "Blackboard": f"Lab_{login}_attempt_2026-11-20-10-00-00_{file}",
        "GitHub": f"lab-submissions/lab-{name}/{file}",
        "plain folders": f"{login}/{name}/{file}",
    }[platform]


PLATFORMS = ["Moodle", "Moodle, flat", "Canvas", "Brightspace", "Blackboard", "GitHub", "plain folders"]


def account(name: str) -> str:
    return name.replace(" ", "-")


def with_everybody(folder: Path, people: dict[str, str]) -> Path:
    lines = ["id,first_name,last_name,number,login,canvas,moodle,github,group"]
    for n, name in people.items():
        first, _, last = name.partition(" ")
        lines.append(f"u{n},{first},{last},{n},u{n},{n},{PHASE}=10{n},{account(name)},{GROUPS[0]}")
    return listed(folder, "\n".join(lines))


@pytest.mark.parametrize("platform", PLATFORMS)
@settings(max_examples=15)
@given(
    name=CHOSEN,
    file=CHOSEN,
    others=st.sets(st.sampled_from(["11", "12", "14"])),
    names=st.permutations([*PEOPLE.values()]),
)
def test_every_file_that_is_taken_for_somebody_is_that_persons(
    tmp_path_factory: pytest.TempPathFactory, platform: str, name: str, file: str, others: set[str], names: list[str]
) -> None:
    """Eve, 13, chooses a display name, the name of an account or a folder, and a file's name."""
    called = dict(zip(NUMBERS, names, strict=True))
    root = with_everybody(made_course(tmp_path_factory.mktemp("any") / "course"), called)
    name, file = name.replace("/", "-").strip(" .") or "x", file.replace("/", "-")
    if platform == "GitHub":  # an account's name is one person's alone
        name = "".join(c for c in name if c.isalnum() or c == "-")
        name = "x" if name.casefold() in {account(other).casefold() for other in names} else name
        called = {number: account(other) for number, other in called.items()}
    honest = {exported(platform, n, called[n], FILE): n for n in others}
    hers = {exported(platform, "13", name, chosen): "13" for chosen in (f"{file}{FILE}", f"{file}_{FILE}", FILE)}
    for files in (honest, honest | hers, hers):
        if files:
            collected(root, files, SECOND)
        for student, text in owners(root).items():
            assert student == f"u{text}" or (text == "13" and student not in {f"u{n}" for n in NUMBERS})
        assert {f"u{n}" for n in others} <= owners(root).keys(), "and what the others handed in is theirs"


@settings(max_examples=150)
@given(name=CHOSEN, file=CHOSEN, number=st.sampled_from(NUMBERS), attachment=st.integers(1, 99_999))
def test_no_name_on_canvas_is_read_as_somebody_elses(
    tmp_path_factory: pytest.TempPathFactory, name: str, file: str, number: str, attachment: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "everybody"
    if not folder.exists():
        folder.mkdir()
        with_everybody(folder, PEOPLE)
    part = f"{canvas_name(name)}_{number}_{attachment}_{file}"
    found = canvas.read([Entry(part, (part,), None, lambda limit: b"")], 0, COURSE).get(0)
    found = Roster(folder / "submitted").settled(found) if isinstance(found, Readings) else found
    assert isinstance(found, Refused) or (isinstance(found, Place) and found.person.number == number)
