"""The checks of a notebook: each runs in the judge, and calls the learner's functions in the learner's kernel.

A check without a verdict, or one stopped by the wall clock, is reported as trouble of the grader.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade, is_locked, is_solution

from ..judge.client import Judge, JudgeError, Verdict
from ..notebooks import grade_id
from ..sandbox.bubblewrap import SandboxError
from ..sandbox.provisioner import zygote
from .learner import LearnerKernel
from .outputs import TOO_LONG, WAITED, Report, fail
from .setting import Account, Setting

CALL_SECONDS = 15.0  # computing time of one call from a check
ANSWER = ("returned", "result", "error", "after", "printed")  # what a call may come back with


class Checks:
    """The checks of a notebook; ``sources`` maps the index of each check's cell to the instructor's source."""

    def __init__(self, notebook: NotebookNode, setting: Setting, account: Account, report: Report) -> None:
        self._setting, self._account, self._report = setting, account, report
        self._calling = ""  # the function that runs now
        self._harmful: dict[str, str] = {}  # function -> why it is called no more
        self._judge: Judge | None = None
        locked = [c.source for c in notebook.cells if c.cell_type == "code" and is_locked(c) and not is_grade(c)]
        self._cells = (setting.imports, *locked)
        checks = {index: cell for index, cell in enumerate(notebook.cells) if _is_check(cell)}
        self.sources = {index: cell.source for index, cell in checks.items()}
        seeds = setting.seeds
        self._seeds = {i: seeds[grade_id(cell)] for i, cell in checks.items() if grade_id(cell) in seeds}

    def run(self, cell: NotebookNode, index: int, kernel: LearnerKernel) -> None:
        """Run the check in ``cell``, and write its outcome there. Raises what the kernel's requests raise."""
        self._calling = ""
        names = self._setting.asked[grade_id(cell)]
        asked = sorted({*names.wanted, *names.touched})
        reply, values = kernel.request("look_request", {"names": asked, "values": [*names.wanted]})
        # Of what the sandbox says, only what was asked for: else it could replace the check's own tools.
        found = {name: reply["found"][name] for name in asked if name in reply["found"]}
        content = {"found": found, "missing": [name for name in asked if name not in found]}

        def call(content: dict, buffers: Sequence[bytes]) -> tuple[dict, list[bytes]]:
            return self._call(cell, kernel, content, buffers)

        try:
            judge = self._have_judge()
            verdict = judge.verdict(index, content, values, call, self._account.until, kernel.watch.look_after)
        except (JudgeError, SandboxError) as error:
            self.dismiss_judge(cell)
            verdict = Verdict("trouble", "RuntimeError", str(error))
        self._write(cell, verdict)

    def blame(self, why: str) -> str:
        """Block the function that a check called when the kernel died, and return its name; "" if there was none."""
        called, self._calling = self._calling, ""
        if called:
            self._harmful[called] = f"{called}() is not called again: {why}."
        return called

    def dismiss_judge(self, cell: NotebookNode) -> None:
        """End the judge; unsolicited messages from it are noted at ``cell``."""
        if self._judge is not None:
            self._judge.close()
            if self._judge.dropped:
                self._report.look(cell, f"the judge sent {self._judge.dropped} unsolicited messages")
            self._judge = None

    def _have_judge(self) -> Judge:
        if self._judge is None:
            tools = zygote(self._setting.warm)
            given, hidden = self._setting.given, self._setting.hidden
            self._judge = Judge.start(tools, self._cells, self.sources, given, hidden, self._seeds)
        return self._judge

    def _write(self, cell: NotebookNode, verdict: Verdict) -> None:
        cell.outputs = []
        if verdict.printed:
            cell.outputs.append(new_output("stream", name="stdout", text=verdict.printed))
        if verdict.status != "passed":
            fail(cell, verdict.name, verdict.text, keep=True)
        elif verdict.value:  # nbgrader's partial credit
            data = {"text/plain": verdict.value}
            cell.outputs.append(new_output("execute_result", data=data, execution_count=None))
        if verdict.status == "trouble":
            self._report.try_again(cell, f"the check ended with {verdict.name}: {verdict.text[:200]}")
        if verdict.review:
            self._report.look(cell, verdict.review[:300])

    def _call(
        self, cell: NotebookNode, kernel: LearnerKernel, content: dict, buffers: Sequence[bytes]
    ) -> tuple[dict, list[bytes]]:
        """Forward one call of the judge to the kernel: (content, buffers) -> (content, buffers)."""
        name = str(content.get("name"))[:200]
        if name in self._harmful:
            return _error(self._harmful[name]), []
        self._calling = name
        reply, buffers = kernel.request("call_request", content, buffers, seconds=CALL_SECONDS)
        self._calling = ""
        if kernel.watch.interrupted == "waiting":
            self._harmful[name] = WAITED
            self._report.try_again(cell, f"{name}() waited, and was stopped")
        elif kernel.watch.interrupted:
            self._harmful[name] = TOO_LONG.format(CALL_SECONDS)
        if kernel.watch.interrupted:
            return _error(self._harmful[name]), []
        answer = {key: reply[key] for key in ANSWER if key in reply}
        return answer or _error("It interrupted itself."), buffers


def _is_check(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)


def _error(text: str) -> dict:
    return {"error": {"types": ["AssertionError"], "name": "AssertionError", "text": text}}
