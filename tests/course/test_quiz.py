"""Tests of the readiness quiz: choices reveal nothing, wrong ones are explained, and answers go to the cell."""

from __future__ import annotations

import html
import re

import pytest
from classroom import NOTEBOOKS
from IPython.core.interactiveshell import InteractiveShell

from autograder.authoring.sources import to_notebook
from gpt2_lib.course import quiz as quiz_module
from gpt2_lib.course.checks import readiness as checks
from gpt2_lib.course.facts import facts
from gpt2_lib.course.quiz import Practice, Quiz, written
from gpt2_lib.course.readiness import JUDGEMENTS, LETTERS, QUESTIONS, assessment, judge

STUB = """
def readiness() -> dict[int, str]:
    '''Yours.'''
    # YOUR CODE HERE
    raise NotImplementedError("Nothing")
""".strip()
NUMBERS = range(1, len(QUESTIONS) + 1)


def key() -> str:
    """The right letters, as the released notebook's hidden tests have them."""
    cells = {cell.id: cell.source for cell in to_notebook(NOTEBOOKS["phase3_production"]).cells}
    found = re.search(r'right_choice\("ready_1", readiness\(\), "(\w+)"\)', cells["ready_1"])
    assert found
    return found[1]


@pytest.mark.parametrize("number", NUMBERS)
def test_one_letter_opens_the_seal_and_it_is_the_keys(number: int) -> None:
    opened = [letter for letter in LETTERS if QUESTIONS[number - 1].is_right(letter)]
    assert opened == [key()[number - 1]], (
        "sealed(salt, text, letter) makes the seal; a changed question needs a new one"
    )


def test_the_right_choice_is_as_long_as_the_others() -> None:
    longest = 0
    for question, letter in zip(QUESTIONS, key(), strict=True):
        lengths = [len(choice) for choice in question.choices]
        right = lengths[LETTERS.index(letter)]
        assert max(lengths) <= 1.15 * min(lengths), question.text
        longest += right == max(lengths)
    assert longest <= 1


@pytest.mark.parametrize("number", NUMBERS)
def test_a_wrong_choice_fails_with_the_reason_and_its_source_and_the_right_one_tells_the_same(number: int) -> None:
    why = QUESTIONS[number - 1].why()
    assert all(address in why for address in facts()[QUESTIONS[number - 1].fact].sources.values())
    for letter in LETTERS:
        if letter == key()[number - 1]:
            assert judge(number, {number: f" {letter.upper()}"}).endswith(why)
        else:
            with pytest.raises(AssertionError, match="Another choice is right") as told:
                judge(number, {number: letter})
            assert str(told.value).startswith(f"You chose {letter}: ")
            assert str(told.value).endswith(why)


def test_five_wrong_choices_are_no_point(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {number: next(a for a in LETTERS if a != key()[number - 1]) for number in NUMBERS}
    for number in NUMBERS:
        with pytest.raises(AssertionError, match="Another choice is right"):
            getattr(checks, f"ready_{number}")(lambda: wrong)
    assert "✔" not in capsys.readouterr().out


# The questions for practice

CLAIMS = (  # what each explanation says, which the fact beside it must say of its sources, too
    ("enable", "consider", "force", "overwrites weights", "deprecated"),
    (
        "smaller dense model",
        "no sparse kernel|needs no sparse kernel",
        "accuracy",
        "equal sparsity",
        "stored compactly",
    ),
    ("cubic|equation 1", "early|at first", "made anew every 100 to 1,000 steps", "between"),
    ("[Oo]ne ranking", "empty", "each layer"),
    ("[Ss]maller dense", "dense kernels", "sizes?", "2:4", "Ampere and later"),
)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_source_of_an_explanation_is_of_what_it_says(number: int) -> None:
    question = QUESTIONS[number - 1]
    for claim in CLAIMS[number - 1]:
        assert re.search(claim, question.explanation), claim
        assert re.search(claim, facts()[question.fact].text), claim


JUDGED = range(1, len(JUDGEMENTS) + 1)


@pytest.mark.parametrize("number", JUDGED)
def test_one_choice_of_a_judgement_is_right_and_each_is_told_why_with_the_source(number: int) -> None:
    practice, question = Practice(), JUDGEMENTS[number - 1]
    right = []
    for letter in LETTERS:
        practice.choices[number - 1].value = letter
        told = html.unescape(practice.told[number - 1].value)
        assert question.explanation in told
        assert all(address in told for address in facts()[question.fact].sources.values())
        right += [letter] * ("Right. You chose" in told)
        assert ("Another choice is right" in told) == (letter not in right)
    assert len(right) == 1
    assert [widget.value for n, widget in enumerate(practice.told, start=1) if n != number] == [""] * (len(JUDGED) - 1)


def test_the_right_judgement_is_as_long_as_the_others_and_not_always_the_same_letter() -> None:
    rights = [next(letter for letter in LETTERS if q.is_right(letter)) for q in JUDGEMENTS]
    longest = 0
    for question, letter in zip(JUDGEMENTS, rights, strict=True):
        lengths = [len(choice) for choice in question.choices]
        assert max(lengths) <= 1.15 * min(lengths), question.text
        longest += lengths[LETTERS.index(letter)] == max(lengths)
    assert longest <= 1
    assert len(set(rights)) > 2


# The radio buttons


class Shell(InteractiveShell):
    """Remembers what it would show in the place of a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced: list[tuple[str, bool]] = []

    def set_next_input(self, s: str, replace: bool = False) -> None:
        self.replaced.append((s, replace))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The shell that the quiz finds."""
    shell = Shell()
    monkeypatch.setattr(quiz_module, "get_ipython", lambda: shell)
    return shell


def test_each_question_is_a_group_of_radio_buttons_with_labels_and_nothing_chosen() -> None:
    quiz = Quiz()
    assert [group.description for group in quiz.choices] == [
        f"{n}. {q.text}" for n, q in zip(NUMBERS, QUESTIONS, strict=True)
    ]
    for group, question in zip(quiz.choices, QUESTIONS, strict=True):
        assert group.value is None
        assert [label for label, _ in group.options] == [
            f"{a}: {c}" for a, c in zip(LETTERS, question.choices, strict=True)
        ]
    assert quiz._repr_mimebundle_()["text/markdown"] == assessment()
    assert "role='status'" in quiz.told.value


def test_choices_are_written_into_the_answers_cell_when_it_runs(shell: Shell) -> None:
    quiz = quiz_module.ask()
    quiz.choices[0].value, quiz.choices[3].value = "b", "d"
    shell.run_cell(STUB)
    assert shell.user_ns["readiness"]() == {1: "b", 4: "d"}
    text = STUB.rpartition("raise")[0] + 'return {1: "b", 4: "d"}'
    assert shell.replaced == [(text, True)]
    assert "2 of 5 taken down" in quiz.told.value
    quiz.choices[0].value = "c"
    shell.run_cell(text)
    assert shell.user_ns["readiness"]() == {1: "c", 4: "d"}


def test_an_answer_written_by_hand_afterwards_stays_and_is_shown(shell: Shell) -> None:
    quiz = quiz_module.ask()
    quiz.choices[0].value = "b"
    shell.run_cell(STUB)
    by_hand = 'def readiness():\n    return {1: "a", 2: "d"}\n'
    shell.run_cell(by_hand)
    assert shell.user_ns["readiness"]() == {1: "a", 2: "d"} == quiz.answers()
    assert len(shell.replaced) == 1


def test_the_questions_shown_again_keep_the_choices_and_other_cells_their_text(shell: Shell) -> None:
    quiz_module.ask().choices[4].value = "c"
    again = quiz_module.ask()
    shell.run_cell("x = 1")
    assert (again.answers(), shell.user_ns["x"], shell.replaced) == ({5: "c"}, 1, [])
    shell.run_cell(STUB)
    assert shell.user_ns["readiness"]() == {5: "c"}


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1",
        "def readiness(:",
        "def readiness():\n    return {1: pick()}",
        "def readiness():\n    return dict(enumerate('abcda', start=1))",
        "a = {}\ndef readiness():\n    return a",
        "def readiness():\n    return ['a']",
    ],
)
def test_an_answer_in_another_form_is_left_alone(cell: str) -> None:
    assert written(cell, {1: "a"}) == cell
