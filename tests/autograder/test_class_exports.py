"""Tests with whole classes: every notebook is collected, and learners without one are told what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from exports import PHASE, collected, laid_out, made_course, notebook, notebooks, outcomes, zipped
from layouts import LAYOUTS, HandIn, Learner

FILE = f"{PHASE}.ipynb"
NAMES = [
    *("Ada Lovelace", "Grace Hopper", "Emmy Noether", "Jürgen Müller", "Zoë Ångström", "Анна Каренина", "雷 李"),
    *("Chloé Dubois", "Tuğba Şahin", "Sam Smith", "Sam Smith", "Anna-Lena de Vries", "Mary Ann O'Neil"),
    *("Lars van der Berg", "Kim Lee", "Hiro Tanaka", "Dmitri Iwanow", "Maria da Silva", "Liwen Wu", "Ulla Berg"),
    *("Nguyễn Ngọc", "Omar Haddad", "José Núñez", "Priya Rao", "Max Mustermann"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a course whose notebook has cells of its own."""
    made = made_course(tmp_path / "course")
    return laid_out(made, {f"release/{PHASE}/{FILE}": notebook("setup", "magnitude_mask", "n_of_m")})


def work(number: int) -> str:
    return notebook("setup", "magnitude_mask", text=f"of {number}")


def handed_in(number: int) -> dict[str, str | bytes]:
    """Return the files that the learner of this number uploads, with their faults."""
    mine = work(number)
    troubles: dict[int, dict[str, str | bytes]] = {
        1: {f"{PHASE} (1).ipynb": mine},
        2: {"homework_final.ipynb": mine},
        3: {"work.zip": zipped({FILE: mine})},
        4: {"abgabe.zip": zipped({f"Abgabe/Übung/{FILE}": mine, "Abgabe/__MACOSX/._x": "", "Abgabe/plot.png": ""})},
        5: {f"Kopie von {FILE}": mine},
        6: {"作业.ipynb": mine},
        7: {f"{FILE}.txt": mine},
        8: {"essay.pdf": "%PDF"},
        9: {f"{PHASE}-Copy1.ipynb": mine, "sparse-Copy1.gpt2pack": "model"},
        11: {FILE: mine, "sparse.gpt2pack": "model", "run.csv": "log"},
        18: {f"{PHASE}.html": "<p>"},
        19: {f"{PHASE}.rar": "Rar!"},
        24: {FILE: notebook("of_another_course")},
    }
    return troubles.get(number, {FILE: mine})


WITHOUT = {
    8: "set aside: no notebook",
    18: "set aside: no notebook",
    19: "refused: is packed",
    24: "refused: is of anot",
}


@pytest.mark.parametrize("platform", ["Moodle", "Canvas"])
def test_every_learner_who_handed_in_a_notebook_is_there(root: Path, platform: str) -> None:
    hand_ins = []
    for number, name in enumerate(NAMES):
        first, _, last = name.partition(" ")
        learner = Learner(first, last, 500 + number, f"login{number}")
        files = {path: text.encode() if isinstance(text, str) else text for path, text in handed_in(number).items()}
        if platform == "Canvas" and number == 10:  # in an attempt before
            hand_ins.append(HandIn(learner, 0, {FILE: work(99).encode()}))
        hand_ins.append(HandIn(learner, 1 + number, files))
    export = LAYOUTS[platform](hand_ins)
    typed = (
        "Max_Muster_577_assignsubmission_onlinetext_/onlinetext.html" if platform == "Moodle" else "max_577_text.html"
    )
    if platform == "Canvas":
        export = {name.replace("leekim_", "leekim_LATE_"): data for name, data in export.items()}
    report = collected(root, {**export, typed.replace("Max_", "Max "): "Hello"})
    assert (report.platform, report.people) == (platform, 25)
    found = notebooks(root)
    assert sorted(found.values()) == sorted(work(n) for n in range(25) if n not in WITHOUT)
    assert all(name.endswith(f"/{PHASE}/{PHASE}") for name in found)
    assert sum("smith" in name for name in found) == 2
    got = outcomes(report)
    for number, told in WITHOUT.items():
        theirs = [text for name, text in got.items() if f"_{500 + number}_" in name]
        assert [text[: len(told)] for text in theirs] == [told]
    assert sum("typed into" in text for text in got.values()) == 1
    assert sum("late, says Canvas" in text for text in got.values()) == (platform == "Canvas")
