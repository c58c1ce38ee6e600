"""Tests of what a page knows of its cells' last runs: answers of an earlier run, and checks that did not begin."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from gpt2_lib.course.lesson import when_written
from gpt2_lib.course.page import stopped
from gpt2_lib.course.page.runs import Runs
from gpt2_lib.course.progress import Progress

DOUBLE, HALVE = "def double(x):\n    return 2 * x", "def halve(x):\n    return x / 2"
BROKEN = {
    "a colon is missing": (DOUBLE.replace(":", "", 1), "SyntaxError"),
    "the first word is misspelt": (DOUBLE.replace("def", "deff"), "SyntaxError"),
    "not indented": (DOUBLE.replace("    ", ""), "IndentationError"),
    "an unknown name in the signature": (DOUBLE.replace("x)", "x: Tensr)"), "NameError"),
    "a line above stops": (f"1 / 0\n{DOUBLE}", "ZeroDivisionError"),
}
POINTS = {"1 double": {"double_two": 2, "double_text": 1}, "2 halve": {"halve_two": 4}}


class Page:
    """A notebook's kernel, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shell, self.progress = InteractiveShell(), Progress()
        self.progress._title, self.progress._exercises = "Phase 0", POINTS
        self.runs = Runs()
        for where in ("gpt2_lib.course.progress", "gpt2_lib.course.lesson", "gpt2_lib.course.page.stopped"):
            monkeypatch.setattr(f"{where}.runs", self.runs)
        self.shown: list[str] = []
        monkeypatch.setattr(stopped, "display", lambda outcome: self.shown.append(repr(outcome)))
        stopped.prepare(self.shell)
        self.runs.follow(self.shell, self.progress.stopped)
        self.shell.user_ns |= {"check": self, "when_written": when_written}

    def run(self, code: str, cell: str = "any") -> str:
        """Run a cell; returns what an outcome in its place says."""
        self.shown.clear()
        self.shell.run_cell(code, store_history=True, cell_id=cell)
        return "\n".join(self.shown)

    def _check(self, identity: str, name: str, answer: object) -> None:
        with self.progress.check(identity, "two", {name: answer}, self.shell.user_ns):
            pass

    def double_two(self, double: object) -> None:
        self._check("double_two", "double", double)

    def halve_two(self, halve: object) -> None:
        self._check("halve_two", "halve", halve)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    return Page(monkeypatch)


CHECKS = ("check.double_two(double)", "check.halve_two(halve)")


def all_pass(page: Page) -> None:
    for code in (DOUBLE, HALVE, *CHECKS):
        assert page.run(code, code.split()[1].partition("(")[0] if "def" in code else "any") == ""
    assert page.progress.passed() == ["double_two", "halve_two"]


@pytest.mark.parametrize(("code", "error"), BROKEN.values(), ids=[*BROKEN])
def test_an_answer_whose_cell_stopped_is_that_of_an_earlier_run_and_loses_its_points(
    page: Page, code: str, error: str
) -> None:
    all_pass(page)
    page.run(code, "double")
    assert page.progress.passed() == ["halve_two"]
    assert f"✘ two · 0 of 2 points\nThe cell of double stopped with {error}: this double" in page.run(CHECKS[0])
    assert page.progress.points()[0] == 4
    all_pass(page)


@pytest.mark.parametrize(("code", "error"), BROKEN.values(), ids=[*BROKEN])
def test_in_a_new_kernel_a_check_without_its_function_says_why_and_is_taken_back(
    page: Page, code: str, error: str
) -> None:
    page.progress._passed |= {"double_two", "halve_two"}  # kept from an earlier kernel
    page.run(code, "double")
    assert page.progress.passed() == ["halve_two"]
    said = page.run(CHECKS[0])
    assert said.startswith(f"✘ double does not exist: its cell stopped with {error}.")
    assert page.progress.passed() == ["halve_two"]


def test_a_check_that_cant_begin_is_taken_back(page: Page) -> None:
    page.progress._passed |= {"double_two", "halve_two"}
    page.run(CHECKS[0])
    assert page.progress.passed() == ["halve_two"]


def test_a_cell_that_stops_after_it_made_its_answer_leaves_the_answer_as_it_is(page: Page) -> None:
    all_pass(page)
    page.run(f"{DOUBLE}\n1 / 0", "double")
    assert page.run(CHECKS[0]) == ""
    assert page.progress.passed() == ["double_two", "halve_two"]


def test_other_cells_that_stop_change_nothing(page: Page) -> None:
    all_pass(page)
    for code in ("1 / 0", "x = ", "halve(None)", "def third(x)"):
        page.run(code)
    assert page.progress.passed() == ["double_two", "halve_two"]


def test_a_demonstration_is_told_that_the_cell_stopped(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    page.run(BROKEN["a colon is missing"][0], "double")
    capsys.readouterr()
    page.run("with when_written('exercise 1'):\n    double(2)")
    assert capsys.readouterr().out.startswith(
        "This cell needs double (exercise 1), whose cell stopped with SyntaxError"
    )


def test_the_kernels_runs_are_followed_once() -> None:
    shell, followed = InteractiveShell(), Runs()
    before = len(shell.events.callbacks["post_run_cell"])
    for _ in range(2):
        followed.follow(shell, lambda source, names: None)
    assert len(shell.events.callbacks["post_run_cell"]) == before + 1
