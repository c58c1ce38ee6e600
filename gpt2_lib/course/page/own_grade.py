"""The button at a notebook's end that grades it as `make check` does, and shows points and reasons in the page.

Nothing is graded until it is pressed, so neither *Run All* nor grading itself, which runs this cell too, starts
another grading. The autograder runs in a process of its own, on a copy of the saved notebook.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ipywidgets
from IPython import get_ipython

from .outcome import BARS

NEEDED = (
    "This needs the course's folder <code>autograder/</code>, which is not beside the library here. Open the notebook "
    "in the course's own folder (<code>make lab</code>, or Binder); it is graded when you hand it in, too."
)
BUSY = "Grading a copy of {file} as it was saved at {saved}. This takes a minute or two; the page stays usable."
TAIL = 2000  # characters of what a process that failed has said


class GradeMyNotebook(ipywidgets.VBox):
    """The button, and below it the result of the last grading."""

    def __init__(self, name: str) -> None:
        """Show the button for the notebook ``name`` (without .ipynb) in the kernel's folder."""
        self._path = Path.cwd() / f"{name}.ipynb"
        self.button = ipywidgets.Button(description="Grade my notebook", button_style="", layout={"width": "auto"})
        self.told = ipywidgets.HTML()
        self.button.on_click(lambda _: self._pressed())
        super().__init__([self.button, self.told])
        self.add_class("gpt2-grade")
        self._say(f"Save (Ctrl + S), then press: all checks run on a copy of {html.escape(self._path.name)}.")

    def _pressed(self) -> None:
        if not self._path.is_file():
            self._say(
                f"There is no <code>{html.escape(self._path.name)}</code> in this folder. Save the notebook under this "
                "name, which is also the one to hand it in by, and press again."
            )
            return
        if find_spec("autograder") is None:
            self._say(NEEDED)
            return
        saved = time.strftime("%H:%M:%S", time.localtime(self._path.stat().st_mtime))
        self.button.disabled = True
        self._say(BUSY.format(file=html.escape(self._path.name), saved=saved))
        unsaved = unsaved_answers(self._path, _history())
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no event loop (a script, a test): run it at once
            self._show(graded(self._path), unsaved)
            return
        self._task = loop.create_task(self._grade(loop, unsaved))

    async def _grade(self, loop: asyncio.AbstractEventLoop, unsaved: Sequence[str]) -> None:
        self._show(await loop.run_in_executor(None, graded, self._path), unsaved)

    def _show(self, found: dict[str, Any] | str, unsaved: Sequence[str]) -> None:
        self.button.disabled = False
        older = (
            f"<p><b>{html.escape(', '.join(unsaved))}</b>: the saved cell is not what you ran last. If your last "
            "version is to count, save (Ctrl + S) and press again.</p>"
            if unsaved
            else ""
        )
        if isinstance(found, str):
            self._say(f"{older}It could not be graded:<pre>{html.escape(found)}</pre>")
        else:
            self._say(older + page(found))

    def _say(self, text: str) -> None:
        self.told.value = f"<div role='status' style='line-height: 1.5; max-width: 46em'>{text}</div>"


def graded(path: Path) -> dict[str, Any] | str:
    """Return the result of grading the notebook at ``path``, {"results": [...], "notes": [...]}, or an error's text."""
    command = [sys.executable, "-m", "autograder", "check", "--notebook", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return (done.stderr or done.stdout).strip()[-TAIL:] or "The grader ended without a message."


def page(found: dict[str, Any]) -> str:
    """Return the points by exercise, and the reasons for lost points, in HTML."""
    results = found["results"]
    exercises = {r["exercise"]: [s for s in results if s["exercise"] == r["exercise"]] for r in results}
    rows = "".join(
        f"<tr><th scope='row' style='text-align: left'>{html.escape(name)}</th>{_points(mine)}</tr>"
        for name, mine in exercises.items()
    )
    missing = "".join(_reason(result) for result in results if result["points"] < result["max_points"])
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in found["notes"])
    return (
        "<table style='margin: 8px 0'><caption style='text-align: left; color: inherit'>Your points, as saved</caption>"
        "<thead><tr><th scope='col' style='text-align: left'>exercise</th><th scope='col'>points</th>"
        f"<th scope='col'>of</th></tr></thead><tbody>{rows}</tbody>"
        f"<tfoot><tr><th scope='row' style='text-align: left'>total</th>{_points(results)}</tr></tfoot></table>"
        f"{missing}{f'<ul>{notes}</ul>' if notes else ''}"
    )


def _points(results: Sequence[dict[str, Any]]) -> str:
    sums = (sum(result[key] for result in results) for key in ("points", "max_points"))
    return "".join(f"<td style='text-align: right'>{points:g}</td>" for points in sums)


def _reason(result: dict[str, Any]) -> str:
    style = f"border-left: 4px solid {BARS['failed']}; padding: 2px 14px; margin: 6px 0; white-space: pre-wrap"
    head = f"✘ {result['exercise']}: {result['label']} · {result['points']:g} of {result['max_points']:g} points"
    return f"<div style='{style}'><b>{html.escape(head)}</b>\n{html.escape(result['message'])}</div>"


def unsaved_answers(path: Path, history: Sequence[str]) -> list[str]:
    """Return the answers in the notebook at ``path`` that differ from what last ran, by ``history``."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        answers = {
            cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"])
            for cell in cells
            if cell["metadata"].get("nbgrader", {}).get("solution")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # grading reports the file's error
    return [name for name, source in answers.items() if _ran(source, history) not in (None, source.strip())]


def _ran(answer: str, history: Sequence[str]) -> str | None:
    """Return the last cell that ran and defines the first function of ``answer``; None if there is none."""
    defined = re.search(r"^def (\w+)\(", answer, re.MULTILINE)
    if defined is None:
        return None
    again = re.compile(rf"^def {defined[1]}\(", re.MULTILINE)
    return next((cell.strip() for cell in reversed(history) if again.search(cell)), None)


def _history() -> Sequence[str]:
    shell = get_ipython()
    return () if shell is None else shell.user_ns.get("In", ())
