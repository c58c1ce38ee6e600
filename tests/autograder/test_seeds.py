"""Tests of the seeds of hidden tests: they are fixed for each submission and check, and can't be predicted."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import CourseError
from autograder.sandbox.bubblewrap import SECRET
from autograder.seeds import FILE, SEEDS, key_of, secret_of, seed_of
from gpt2_lib.course.check import Draw


def test_a_course_keeps_its_key_for_itself(tmp_path: Path) -> None:
    key = key_of(tmp_path)
    assert key_of(tmp_path) == key
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert FILE in SECRET
    (tmp_path / "other").mkdir()
    assert key_of(tmp_path / "other") != key


@pytest.mark.parametrize("text", ["", "no key", "00" * 31, "é" * 64])
def test_a_file_without_a_key_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=r"gradebook\.key holds no key: bring it back from a backup"):
        key_of(tmp_path)


def test_each_submission_and_check_has_a_seed_of_its_own() -> None:
    key = bytes(range(32))
    seeds = {
        (who, phase, work, check): seed_of(secret_of(key, phase, who, work), "n", check)
        for who in ("ada", "bob", "zoë")
        for phase in ("p", "q")
        for work in ("first", "second")
        for check in ("a", "b")
    }
    assert len(set(seeds.values())) == len(seeds)
    assert all(0 <= seed < SEEDS for seed in seeds.values())
    assert seeds["ada", "p", "first", "a"] == seed_of(secret_of(key, "p", "ada", "first"), "n", "a")
    assert seeds["ada", "p", "first", "a"] != seed_of(secret_of(bytes(32), "p", "ada", "first"), "n", "a")


def test_a_draw_takes_the_graders_seed_and_without_one_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECK_SEED", "17")
    one, two = Draw(), Draw()
    assert one.seed == two.seed == 17
    assert one.random.random() == two.random.random()
    for empty in ("", None):
        monkeypatch.delenv("CHECK_SEED", raising=False)
        if empty is not None:
            monkeypatch.setenv("CHECK_SEED", empty)
        assert len({Draw().seed for _ in range(8)}) > 1
