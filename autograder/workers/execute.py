"""Run one sanitised notebook: the learner's cells in a sandbox, each check by a judge in another.

There is one way to a verdict. Code that ends or hangs the kernel costs the points of what it breaks: the rest runs
again without it. A check that comes to no verdict, or that the clock has ended, is the grader's trouble, and told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade, is_locked, is_solution

from ..judge.client import Judge, JudgeError, Verdict
from ..sandbox.bubblewrap import SandboxError
from ..sandbox.provisioner import zygote
from .learner import Account, BrokenToolError, LearnerKernel, Setting, StoppedError

CALL_SECONDS = 15.0  # computing time of one call from a check
RESTARTS = 12
TOO_LONG = "This took more than {:g} seconds of computing time and was stopped. Is there a loop that never ends?"
WAITED = "This waited for so long, without computing, that it was stopped."
ANSWER = ("returned", "result", "error", "after", "printed")  # what a call may come back with


@dataclass
class Report:
    """What happened beside the outputs: (cell, reason) each.

    ``review`` is for a person to look at; ``trouble`` is the grader's own, and worth another try.
    """

    review: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[tuple[str, str]] = field(default_factory=list)


class Run:
    """One notebook, from its first cell to its last verdict; fills in the outputs."""

    def __init__(self, notebook: NotebookNode, setting: Setting, account: Account) -> None:
        self._notebook, self._setting, self._account = notebook, setting, account
        self.report = Report()
        self._at, self._calling = 0, ""  # the cell and the function that run now
        self._done: set[int] = set()  # cells with a final result
        self._harmful: dict[str, str] = {}  # function -> why it is called no more
        self._judge: Judge | None = None
        locked = [c.source for c in notebook.cells if c.cell_type == "code" and is_locked(c) and not is_grade(c)]
        self._cells = (setting.imports, *locked)
        self._checks = {index: cell.source for index, cell in enumerate(notebook.cells) if _is_check(cell)}

    def go(self) -> Report:
        """Raises BrokenToolError."""
        for cell in self._notebook.cells:
            cell.metadata.pop("tags", None)  # "skip-execution" on a check would give its points
        why = "It was not run: the kernel died too often."
        for _ in range(RESTARTS):
            try:
                self._run()
                break
            except DeadKernelError:
                self._blame()
            except StoppedError as stopped:
                why = str(stopped)
                self._note(why)
                break
            except BrokenToolError:
                raise
            except Exception as error:  # whatever forged messages make the code that reads them stumble on
                why = f"The kernel sent messages that no kernel sends ({type(error).__name__}: {error})."[:300]
                self._note(why)
                break
            finally:
                self._dismiss_judge()
        for index in self._checks.keys() - self._done:
            fail(self._notebook.cells[index], "RuntimeError", why)
        return self.report

    def _run(self) -> None:
        """All cells that have no final result yet, in a fresh kernel."""
        kernel = LearnerKernel(self._notebook, self._setting, self._account)
        self._at, self._calling = 0, ""
        kernel.start()
        self._kernel = kernel
        try:
            for index, cell in enumerate(self._notebook.cells):
                self._at = index
                if cell.cell_type != "code" or index in self._done or not cell.source.strip():
                    continue
                if index in self._checks:
                    self._check(cell, index)
                    self._done.add(index)
                elif index not in self._setting.skip:
                    kernel.execute_cell(cell, index)
                    self._tidy(cell)
        except Exception as error:
            if not kernel.zygote.alive():  # it takes its kernels with it
                raise BrokenToolError("the zygote died") from error
            raise
        finally:
            try:
                kernel.stop()
            except Exception as error:
                self._note(f"its kernel did not end in peace ({type(error).__name__})")
            if kernel.dropped:
                self._note(f"the kernel sent {kernel.dropped} messages that nobody had asked for")

    # One check

    def _check(self, cell: NotebookNode, index: int) -> None:
        names = self._setting.asked[cell.metadata.nbgrader.grade_id]
        asked = sorted({*names.wanted, *names.touched})
        reply, values = self._kernel.request("look_request", {"names": asked, "values": [*names.wanted]})
        # Of what the sandbox says, only what was asked for: else it could replace the check's own tools.
        found = {name: reply["found"][name] for name in asked if name in reply["found"]}
        missing = [name for name in asked if name not in found]
        try:
            judge = self._have_judge()
            content = {"found": found, "missing": missing}
            verdict = judge.verdict(index, content, values, self._call, self._account.until, self._kernel.look_after)
        except (JudgeError, SandboxError) as error:
            self._dismiss_judge()
            verdict = Verdict("trouble", "RuntimeError", str(error))
        self._write(cell, verdict)

    def _have_judge(self) -> Judge:
        if self._judge is None:
            tools = zygote(self._setting.warm)
            self._judge = Judge.start(tools, self._cells, self._checks, self._setting.given, self._setting.hidden)
        return self._judge

    def _dismiss_judge(self) -> None:
        if self._judge is not None:
            self._judge.close()
            if self._judge.dropped:
                self._note(f"the judge sent {self._judge.dropped} messages that nobody had asked for")
            self._judge = None

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
            self.report.trouble.append((cell.id, f"the check ended with {verdict.name}: {verdict.text[:200]}"))
        if verdict.review:
            self.report.review.append((cell.id, verdict.review[:300]))

    def _call(self, content: dict, buffers) -> tuple[dict, list[bytes]]:
        """One call of the judge's, carried to the kernel: (content, buffers) -> (content, buffers)."""
        name = str(content.get("name"))[:200]
        if name in self._harmful:
            return _error(self._harmful[name]), []
        self._calling = name
        reply, buffers = self._kernel.request("call_request", content, buffers, seconds=CALL_SECONDS)
        self._calling = ""
        if self._kernel.interrupted == "waiting":
            self._harmful[name] = WAITED
            self.report.trouble.append((self._notebook.cells[self._at].id, f"{name}() waited, and was stopped"))
        elif self._kernel.interrupted:
            self._harmful[name] = TOO_LONG.format(CALL_SECONDS)
        if self._kernel.interrupted:
            return _error(self._harmful[name]), []
        answer = {key: reply[key] for key in ANSWER if key in reply}
        return answer or _error("It was interrupted by itself."), buffers

    # What went wrong

    def _note(self, reason: str) -> None:
        self.report.review.append((self._notebook.cells[self._at].id, reason))

    def _tidy(self, cell: NotebookNode) -> None:
        """After a cell: an interruption says so."""
        if self._kernel.interrupted == "waiting":
            fail(cell, "CellTimeoutError", WAITED)
            self.report.trouble.append((cell.id, "it waited, and was stopped"))
        elif self._kernel.interrupted:
            fail(cell, "CellTimeoutError", TOO_LONG.format(self._setting.limits.cell_seconds))

    def _blame(self) -> None:
        """The kernel died in this cell: it, or the function that a check called, runs no more."""
        why = "it could not be stopped" if self._kernel.interrupted else "the kernel died while it ran"
        if self._calling:
            self._harmful[self._calling] = f"{self._calling}() is not called again: {why}."
            self._note(f"{why}: {self._calling}()")
        else:
            cell = self._notebook.cells[self._at]
            fail(cell, "RuntimeError", f"This cell does not run again: {why}. Does it end the process or never end?")
            self._done.add(self._at)
            self._note(why)


def _is_check(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)


def _error(text: str) -> dict:
    return {"error": {"types": ["AssertionError"], "name": "AssertionError", "text": text}}


def fail(cell: NotebookNode, name: str, text: str, keep: bool = False) -> None:
    """Give the cell an error as its output; with ``keep``, after what it has."""
    output = new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])
    cell.outputs = [*(cell.outputs if keep else []), output]
