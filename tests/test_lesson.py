"""A demonstration of the learner's code waits until that is written, and hides no other error."""

from __future__ import annotations

import pytest

from gpt2_lib.lesson import when_written


def test_what_is_not_written_yet_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    with when_written("exercise 1.1"):
        raise NotImplementedError
    assert "exercise 1.1" in capsys.readouterr().out


def test_any_other_error_shows() -> None:
    with pytest.raises(ZeroDivisionError), when_written("exercise 1.1"):
        1 / 0  # noqa: B018
