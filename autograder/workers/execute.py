"""Execution of one sanitised notebook: the learner's cells in a sandbox, each check by a judge in another (`Checks`).

Verdicts come only from a judge. Code that ends or hangs the kernel costs the points of what it breaks: the rest runs
again without it.
"""

from __future__ import annotations

from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from .checks import Checks
from .learner import LearnerKernel
from .outputs import TOO_LONG, WAITED, Report, fail
from .setting import Account, BrokenToolError, Setting, StoppedError

RESTARTS = 12


class Run:
    """The run of one notebook, from its first cell to its last verdict; it fills in the outputs."""

    def __init__(self, notebook: NotebookNode, setting: Setting, account: Account) -> None:
        self._notebook, self._setting, self._account = notebook, setting, account
        self.report = Report()
        self._at = 0  # the cell that runs now
        self._done: set[int] = set()  # cells with a final result
        self._checks = Checks(notebook, setting, account, self.report)

    def go(self) -> Report:
        """Run the notebook; returns the report. Raises BrokenToolError."""
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
            except Exception as error:  # forged messages may cause any error in the code that reads them
                why = f"The kernel sent messages that no kernel sends ({type(error).__name__}: {error})."[:300]
                self._note(why)
                break
            finally:
                self._checks.dismiss_judge(self._notebook.cells[self._at])
        for index in self._checks.sources.keys() - self._done:
            fail(self._notebook.cells[index], "RuntimeError", why)
        return self.report

    def _run(self) -> None:
        """Run all cells without a final result, in a fresh kernel."""
        kernel = LearnerKernel(self._notebook, self._setting, self._account)
        self._at = 0
        kernel.start()
        self._kernel = kernel
        try:
            for index, cell in enumerate(self._notebook.cells):
                self._at = index
                if cell.cell_type != "code" or index in self._done or not cell.source.strip():
                    continue
                if index in self._checks.sources:
                    self._checks.run(cell, index, kernel)
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
                self._note(f"its kernel did not end normally ({type(error).__name__})")
            if kernel.dropped:
                self._note(f"the kernel sent {kernel.dropped} unsolicited messages")

    def _note(self, reason: str) -> None:
        self.report.look(self._notebook.cells[self._at], reason)

    def _tidy(self, cell: NotebookNode) -> None:
        """Mark an interrupted cell as such, after it ran."""
        interrupted = self._kernel.watch.interrupted
        if interrupted == "waiting":
            fail(cell, "CellTimeoutError", WAITED)
            self.report.try_again(cell, "it waited, and was stopped")
        elif interrupted:
            fail(cell, "CellTimeoutError", TOO_LONG.format(self._setting.limits.cell_seconds))

    def _blame(self) -> None:
        """Block the cell in which the kernel died, or the function that a check called there."""
        tell = self.report.look
        if self._kernel.watch.interrupted:
            why = "it could not be stopped"
        elif self._kernel.killed:
            why = "the kernel was killed, perhaps because the machine's memory ran out"
            tell = self.report.try_again  # whose memory it was, nobody knows
        else:
            why = "the kernel died while it ran"
        if called := self._checks.blame(why):
            tell(self._notebook.cells[self._at], f"{why}: {called}()")
        else:
            cell = self._notebook.cells[self._at]
            fail(cell, "RuntimeError", f"This cell does not run again: {why}. Does it end the process or never end?")
            self._done.add(self._at)
            tell(cell, why)
