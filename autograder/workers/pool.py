"""Who runs the submissions: processes on this machine, a Dask cluster's workers, or this process itself.

All of them are `concurrent.futures` executors; there is no scheduler of our own.
"""

from __future__ import annotations

import multiprocessing
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
    """A task under way. ``again``: the grader had trouble with it, and it is tried a second time."""

    task: Task
    job: Job
    crashes: int = 0
    again: bool = False
    review: tuple[tuple[str, str, str], ...] = ()  # what a person is to look at from the first time
    begun: float = 0.0  # when it was last given to a worker


@dataclass(frozen=True)
class Workers:
    """``open`` makes an executor, and another one should that break; ``count`` submissions run at a time.

    ``local``: on this machine.
    """

    open: Callable[[], Executor]
    count: int
    local: bool = True
    close: Callable[[], object] = lambda: None

    def run_all(self, tasks: Iterable[Task], job: Callable[[Task], Job]) -> Iterator[tuple[Task, Outcome | str]]:
        """Every task with what came out of its job, or why nothing did, as they get done.

        Only twice as many as there are workers are under way at a time, so that memory stays flat. Some run alone:
        after a crash all that were under way, since nobody knows which one did it; at the end those with which the
        grader had trouble, once more.
        """
        fresh = (_Attempt(task, job(task)) for task in tasks)
        suspects: deque[_Attempt[Task]] = deque()
        later: deque[_Attempt[Task]] = deque()
        running: dict[Future, _Attempt[Task]] = {}
        executor = self.open()
        try:
            while True:
                while not suspects and len(running) < 2 * self.count and (attempt := next(fresh, None)):
                    running[_submitted(executor, attempt)] = attempt
                if not running:
                    attempt = suspects.popleft() if suspects else later.popleft() if later else None
                    if attempt is None:
                        return
                    running[_submitted(executor, attempt)] = attempt
                alone = len(running) == 1
                broken = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    attempt = running.pop(future)
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:
                        broken.append(attempt)
                        continue
                    except Exception as error:  # one submission's trouble is nobody else's
                        outcome = (
                            f"the grader failed on it ({plain(f'{type(error).__name__}: {error}')}); please report this"
                        )
                    if isinstance(outcome, Outcome) and outcome.trouble and not attempt.again:
                        later.append(_once_more(attempt, outcome))
                    elif isinstance(outcome, Outcome):  # a second try takes no flag of the first away
                        review = tuple(dict.fromkeys((*attempt.review, *outcome.review)))
                        yield attempt.task, replace(outcome, review=review)
                    else:
                        yield attempt.task, outcome
                if broken:
                    broken += running.values()
                    running.clear()
                    executor.shutdown()
                    executor = self.open()
                    for attempt in broken:
                        attempt.crashes += alone
                        if alone and time.monotonic() - attempt.begun > attempt.job.limits.total:
                            yield attempt.task, "it held a worker for longer than a submission may"
                        elif attempt.crashes >= CRASHES:
                            yield attempt.task, "the processes that graded it died again and again"
                        else:
                            suspects.append(attempt)
        finally:
            for future in running:
                future.cancel()
            executor.shutdown()
            self.close()


def _submitted(executor: Executor, attempt: _Attempt) -> Future:
    attempt.begun = time.monotonic()
    try:
        return executor.submit(run, attempt.job)
    except BrokenProcessPool as error:
        future: Future = Future()
        future.set_exception(error)
        return future


def _once_more(attempt: _Attempt[Task], outcome: Outcome) -> _Attempt[Task]:
    left = max(attempt.job.limits.total - outcome.clock, 1.0)
    return replace(
        attempt,
        job=replace(attempt.job, limits=replace(attempt.job.limits, total=left)),
        again=True,
        review=outcome.review,
    )


def processes(count: int | None = None) -> Workers:
    """Processes on this machine, one a processor that this one may use if not said otherwise."""
    if count is None:
        from gpt2_lib.system.processors import processors  # brings PyTorch, which nothing else here needs

        count = processors()
    context = multiprocessing.get_context("spawn")
    return Workers(lambda: ProcessPoolExecutor(count, mp_context=context, initializer=start), count)


def cluster(scheduler: str) -> Workers:
    """The workers of the Dask scheduler at this address, such as tcp://10.0.0.1:8786. Raises CourseError."""
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
    """This process, one submission after the other."""
    return Workers(_Here, 1)


class _Here(Executor):
    def submit(self, function: Callable, /, *arguments: object, **named: object) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future
