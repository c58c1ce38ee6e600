"""The pool of workers: processes on this machine, a Dask cluster's workers, or this process itself.

All of them are `concurrent.futures` executors; there is no scheduler of our own.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ..course import CourseError
from ..text import plain
from .job import Job, Outcome, run, start

CRASHES = 5  # of its workers, that one submission may see before it is given up
Task = TypeVar("Task")


@dataclass
class _Attempt(Generic[Task]):
    """A running task. ``again``: the grader had trouble, and this is the second attempt."""

    task: Task
    job: Job
    crashes: int = 0
    again: bool = False
    review: tuple[tuple[str, str, str], ...] = ()  # what a person is to look at from the first time
    begun: float = 0.0  # when it was last given to a worker

    def once_more(self, outcome: Outcome) -> _Attempt[Task]:
        """Return a second attempt, with the remaining time."""
        left = max(self.job.limits.total - outcome.clock, 1.0)
        job = replace(self.job, limits=replace(self.job.limits, total=left))
        return replace(self, job=job, again=True, review=outcome.review)


@dataclass(frozen=True)
class Workers:
    """``open`` makes an executor, and a new one if that breaks; ``count`` submissions run at a time.

    ``local``: on this machine.
    """

    open: Callable[[], Executor]
    count: int
    local: bool = True
    close: Callable[[], object] = lambda: None

    def run_all(self, tasks: Iterable[Task], job: Callable[[Task], Job]) -> Iterator[tuple[Task, Outcome | str]]:
        """Yield every task with the outcome of its job, or the reason why there is none, as they finish.

        At most twice as many tasks as workers are submitted at a time, which bounds the memory. Some run alone: after
        a crash all that were running, since any of them may be the cause; at the end a second time those with which
        the grader had trouble.
        """
        going = _Run(self, (_Attempt(task, job(task)) for task in tasks))
        try:
            yield from going.outcomes()
        except KeyboardInterrupt:
            print("Stopping, as soon as the submissions that run now have ended.", file=sys.stderr, flush=True)
            raise
        finally:
            going.close()
            self.close()


class _Run(Generic[Task]):
    """Attempts running on an executor, and those that wait for it."""

    def __init__(self, workers: Workers, fresh: Iterator[_Attempt[Task]]) -> None:
        self._workers, self._fresh = workers, fresh
        self._suspects: deque[_Attempt[Task]] = deque()  # under way when a process died
        self._later: deque[_Attempt[Task]] = deque()  # for which the grader raised an error
        self._running: dict[Future, _Attempt[Task]] = {}
        self._executor = workers.open()

    def outcomes(self) -> Iterator[tuple[Task, Outcome | str]]:
        while self._fill():
            alone, broken = len(self._running) == 1, []
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                attempt = self._running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    broken.append(attempt)
                except Exception as error:  # an error in one submission does not stop the others
                    if not attempt.again:  # another submission, or the machine, may have caused it
                        self._later.append(replace(attempt, again=True))
                        continue
                    shown = plain(f"{type(error).__name__}: {error}")
                    yield attempt.task, f"the grader failed on it ({shown}); please report this"
                else:
                    if outcome.trouble and not attempt.again:
                        self._later.append(attempt.once_more(outcome))
                    else:  # a second try takes no flag of the first away
                        review = tuple(dict.fromkeys((*attempt.review, *outcome.review)))
                        yield attempt.task, replace(outcome, review=review)
            if broken:
                yield from self._start_again([*broken, *self._running.values()], alone)

    def close(self) -> None:
        for future in self._running:
            future.cancel()
        self._executor.shutdown()

    def _fill(self) -> bool:
        """Submit as many attempts to the executor as allowed; returns False if none are left."""
        while not self._suspects and len(self._running) < 2 * self._workers.count:
            if (attempt := next(self._fresh, None)) is None:
                break
            self._submit(attempt)
        if not self._running and (waiting := self._suspects or self._later):
            self._submit(waiting.popleft())
        return bool(self._running)

    def _submit(self, attempt: _Attempt[Task]) -> None:
        attempt.begun = time.monotonic()
        try:
            future = self._executor.submit(run, attempt.job)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        self._running[future] = attempt

    def _start_again(self, broken: list[_Attempt[Task]], alone: bool) -> Iterator[tuple[Task, str]]:
        """Replace a broken executor; ``broken`` attempts were running, or one of them ``alone``."""
        self._running.clear()
        self._executor.shutdown()
        self._executor = self._workers.open()
        for attempt in broken:
            attempt.crashes += alone
            if alone and time.monotonic() - attempt.begun > attempt.job.limits.total:
                yield attempt.task, "it used a worker for longer than the limit for a submission"
            elif attempt.crashes >= CRASHES:
                yield attempt.task, "the processes that graded it died repeatedly"
            else:
                self._suspects.append(attempt)


def processes(count: int | None = None) -> Workers:
    """Return workers that are processes on this machine, by default one for each usable processor."""
    if count is None:
        from gpt2_lib.system.processors import processors  # imports PyTorch, which nothing else here needs

        count = processors()
    context = multiprocessing.get_context("spawn")
    return Workers(lambda: _Processes(count, mp_context=context, initializer=start), count)


class _Processes(ProcessPoolExecutor):
    """Processes that leave Ctrl-C to the grader from their first moment: it would break the pool, which then hangs."""

    def submit(self, function: Callable, /, *arguments: object, **named: object) -> Future:
        before = signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT}
        )  # inherited by what this starts, until `start`
        try:
            return super().submit(function, *arguments, **named)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def cluster(scheduler: str) -> Workers:
    """Return the workers of the Dask scheduler at this address, such as tcp://10.0.0.1:8786. Raises CourseError."""
    try:
        from distributed import Client
    except ImportError as error:
        raise CourseError("--scheduler needs Dask: pip install -e '.[cluster]'") from error
    try:
        client = Client(scheduler, timeout=30)
    except (OSError, ValueError) as error:
        raise CourseError(f"there is no Dask scheduler at {scheduler}: {error}") from error
    count = len(client.nthreads())  # pyright: ignore[reportArgumentType]  # no coroutine: it is synchronous
    open_executor = lambda: client.get_executor(pure=False, retries=CRASHES)  # noqa: E731
    return Workers(open_executor, count, local=False, close=client.close)


def here() -> Workers:
    """Return a worker that is this process, one submission after the other."""
    return Workers(_Here, 1)


class _Here(Executor):
    def submit(self, function: Callable, /, *arguments: object, **named: object) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future
