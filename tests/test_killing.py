"""A grader that is killed loses nothing (tests/killing.py does it more often)."""

from __future__ import annotations

from pathlib import Path

from killing import faults, make_class, torment


def test_kills_lose_nothing(tmp_path: Path) -> None:
    due = make_class(tmp_path / "class", 9)
    story = torment(tmp_path / "class" / "course", kills=6)
    assert story.kills == {"grader": 2, "worker": 2, "zygote": 2}
    assert faults(tmp_path / "class" / "course", due) == []
