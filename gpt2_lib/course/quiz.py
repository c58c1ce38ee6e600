"""The quiz: radio buttons whose choices are written into the learner's answer cell.

That cell is graded: a function that returns {number of the question: letter}, which may also be written by hand. A
page's widgets can't change its cells, but a cell that runs may replace its own text. So the next run of the answer
cell takes over the choices: `written` returns the text that is run, ``set_next_input`` shows it in the page.
"""

from __future__ import annotations

import ast
import html
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
from IPython import get_ipython
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from .readiness import JUDGEMENTS, LETTERS, QUESTIONS, Question, assessment, judge

NAME = "readiness"  # the answer's function
STYLE = """<style>
.gpt2-quiz .widget-radio { width: auto; max-width: 46em }
.gpt2-quiz .widget-radio > .widget-label { display: block; width: auto; font-weight: bold; white-space: normal }
.gpt2-quiz .widget-radio, .gpt2-quiz .widget-radio-box { display: block; margin: 0; height: auto }
.gpt2-quiz .widget-radio-box label { display: flex; gap: 8px; width: auto; height: auto; line-height: 1.6 }
.gpt2-quiz .widget-radio-box label { white-space: normal }
</style>"""


class Quiz(ipywidgets.VBox):
    """One group of radio buttons a question, and a status line."""

    def __init__(self, questions: Sequence[Question] = QUESTIONS) -> None:
        self.choices = _radio_buttons(questions)
        self.told = ipywidgets.HTML()
        self.new: dict[
            int, str
        ] = {}  # chosen since the answer's cell ran last: what is written there by hand later stays
        for group in self.choices:
            group.observe(self._chosen, names="value")
        super().__init__([ipywidgets.HTML(STYLE), *self.choices, self.told])
        self.add_class("gpt2-quiz")
        self._tell("Choose, then run the next cell: it takes your choices down.")

    def answers(self) -> dict[int, str]:
        """Return the current choices, {number of the question: letter}."""
        return {number: group.value for number, group in enumerate(self.choices, start=1) if group.value is not None}

    def show(self, answers: Mapping[int, str]) -> None:
        """Select ``answers``, those of the answer cell."""
        for number, group in enumerate(self.choices, start=1):
            if answers.get(number) in tuple(LETTERS):
                group.value = answers[number]
        self.new.clear()
        if answers:
            self._tell(
                f"{len(answers)} of {len(self.choices)} taken down. The checks below say which are right, and why."
            )

    def _chosen(self, change: Mapping[str, Any]) -> None:
        self.new[self.choices.index(change["owner"]) + 1] = str(change["new"])
        self._tell(f"{len(self.answers())} of {len(self.choices)} chosen. Run the next cell: it takes them down.")

    def _tell(self, text: str) -> None:
        self.told.value = f"<div role='status'>{html.escape(text)}</div>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the widget, with the questions as text for pages without widgets."""
        return {**(super()._repr_mimebundle_(**kwargs) or {}), "text/markdown": assessment()}


class Practice(ipywidgets.VBox):
    """Practice questions: each choice is judged at once, with an explanation. Nothing is written to a cell."""

    def __init__(self, questions: Sequence[Question] = JUDGEMENTS) -> None:
        self.questions = questions
        self.choices, self.told = _radio_buttons(questions), [ipywidgets.HTML() for _ in questions]
        for group in self.choices:
            group.observe(self._chosen, names="value")
        pairs = [widget for pair in zip(self.choices, self.told, strict=True) for widget in pair]
        super().__init__([ipywidgets.HTML(STYLE), *pairs])
        self.add_class("gpt2-quiz")

    def _chosen(self, change: Mapping[str, Any]) -> None:
        number = self.choices.index(change["owner"]) + 1
        try:
            text = f"Right. {judge(number, {number: change['new']}, self.questions)}"
        except AssertionError as error:
            text = str(error)
        self.told[number - 1].value = f"<div role='status'>{html.escape(text).replace(chr(10), '<br>')}</div>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the widget, with the questions as text for pages without widgets."""
        return {**(super()._repr_mimebundle_(**kwargs) or {}), "text/markdown": assessment(self.questions)}


def _radio_buttons(questions: Sequence[Question]) -> list[ipywidgets.RadioButtons]:
    return [
        ipywidgets.RadioButtons(
            options=[(f"{letter}: {choice}", letter) for letter, choice in zip(LETTERS, q.choices, strict=True)],
            value=None,
            description=f"{number}. {q.text}",
            style={"description_width": "auto"},
        )
        for number, q in enumerate(questions, start=1)
    ]


class _Writer:
    """Writes the choices of the newest `Quiz` into the answer cell whenever that cell runs in ``shell``."""

    def __init__(self, shell: InteractiveShell, quiz: Quiz) -> None:
        self.quiz = quiz
        self._shell = shell
        shell.input_transformers_cleanup.append(self._transform)
        shell.events.register("post_run_cell", self._after)

    def _transform(self, lines: list[str]) -> list[str]:
        return written("".join(lines), self.quiz.new).splitlines(keepends=True)

    def _after(self, result: ExecutionResult) -> None:
        cell = getattr(result.info, "raw_cell", None) or ""
        text = written(cell, self.quiz.new)
        if text != cell:
            self._shell.set_next_input(text, replace=True)
        answers = _answers_in(text)
        if answers is not None:
            self.quiz.show(answers)


_writers: dict[int, _Writer] = {}  # id of a shell -> what writes in it


def ask() -> Quiz:
    """Return the questions as radio buttons, whose choices the answer cell takes over when it runs."""
    quiz, shell = Quiz(), get_ipython()
    if shell is not None:
        if id(shell) in _writers:  # the questions' cell is run again
            before = _writers[id(shell)].quiz
            quiz.show(before.answers())
            quiz.new |= before.new
            _writers[id(shell)].quiz = quiz
        else:
            _writers[id(shell)] = _Writer(shell, quiz)
    return quiz


def written(cell: str, answers: Mapping[int, str]) -> str:
    """Return the text of the answer cell with ``answers`` in it; any other cell is returned unchanged."""
    end = _end(cell)
    if end is None or not answers:
        return cell
    both = {**(_answers_in(cell) or {}), **answers}
    lines = cell.splitlines(keepends=True)
    first, last = end.lineno - 1, end.end_lineno or end.lineno
    text = ", ".join(f'{number}: "{letter}"' for number, letter in sorted(both.items()))
    after = "\n" if lines[last - 1].endswith("\n") else ""
    lines[first:last] = [f"{' ' * end.col_offset}return {{{text}}}{after}"]
    return "".join(lines)


def _end(cell: str) -> ast.Return | ast.Raise | None:
    """Return the last statement of the answer cell's function if it is an answer or the stub, else None."""
    if f"def {NAME}(" not in cell:
        return None
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return None
    functions = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == NAME]
    if len(body) != 1 or not functions:
        return None
    end = functions[0].body[-1]
    if isinstance(end, ast.Raise) and end.exc is not None and "NotImplementedError" in ast.unparse(end.exc):
        return end
    return end if isinstance(end, ast.Return) and _letters(end) is not None else None


def _letters(end: ast.Return | ast.Raise) -> dict[int, str] | None:
    """Return the answers that a statement returns, None if they are no plain dict of numbers and letters."""
    try:
        found = ast.literal_eval(end.value) if isinstance(end, ast.Return) and end.value else None
    except ValueError:
        return None
    plain = isinstance(found, dict) and all(isinstance(k, int) and isinstance(v, str) for k, v in found.items())
    return found if plain else None


def _answers_in(cell: str) -> dict[int, str] | None:
    end = _end(cell)
    return None if end is None else _letters(end)
