"""Tests of the silence for other packages' notes: errors, and lines of others, are always shown."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from gpt2_lib.system.quiet import no_progress_bars, only_errors, without_lines


def test_errors_are_logged_and_notes_are_not_and_afterwards_all_is_as_before(caplog: pytest.LogCaptureFixture) -> None:
    loud, below, other = (logging.getLogger(name) for name in ("quiet_test", "quiet_test.part", "quiet_test_2"))
    loud.setLevel(logging.INFO)
    with only_errors("quiet_test"):
        for logger in (loud, below, other):
            logger.warning("a note of %s", logger.name)
            logger.error("an error of %s", logger.name)
    below.info("later")
    errors = [f"an error of {name}" for name in ("quiet_test", "quiet_test.part", "quiet_test_2")]
    assert caplog.messages == [*errors[:2], "a note of quiet_test_2", errors[2], "later"]


def test_a_logger_that_is_stricter_stays_so() -> None:
    logger = logging.getLogger("quiet_test_strict")
    logger.setLevel(logging.CRITICAL)
    with only_errors("quiet_test_strict"):
        assert logger.level == logging.CRITICAL


def test_bars_are_shown_only_beside_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with no_progress_bars():
        print("50 %", file=sys.stderr)
    assert capsys.readouterr().err == ""

    def stopped() -> None:
        with no_progress_bars():
            print("75 %", file=sys.stderr)
            raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        stopped()
    assert capsys.readouterr().err == "75 %\n"


def test_of_native_codes_lines_only_the_named_ones_go(capfd: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        with without_lines(r"^\[cpu"):
            os.write(2, "[cpu] reading\nerror: größer than [cpu]\n[cpu] no end".encode())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "error: größer than [cpu]\nafter\n"
