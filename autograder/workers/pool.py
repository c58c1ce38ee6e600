"""Who runs the submissions: processes on this machine, a Dask cluster's workers, or this process itself.

All of them are `concurrent.futures` executors; there is no scheduler of our own.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

from ..course import CourseError
from .job import Job, Outcome, run, start

CRASHES = 5  # of its workers, that one submission may see before it is given up
Task = TypeVar("Task")


@dataclass(frozen=True)
class Workers:
    """``open`` makes an executor, and another one should that break; ``count`` submissions run at a time.

    ``local``: on this machine.
    """

    open: Callable[[], Executor]
    count: int
    local: bool = True

    def run_all(self, tasks: Iterable[Task], job: Callable[[Task], Job]) -> Iterator[tuple[Task, Outcome | str]]:
        """Every task with what came out of its job, or why nothing did, as they get done.

        Only twice as many as there are workers are under way at a time, so that memory stays flat.
        """
        source, alone, crashes = iter(tasks), deque(), {}
        running: dict[Future, Task] = {}
        executor = self.open()
        try:
            while True:
                # After a crash, which submission did it is not known: those under way then go on one by one.
                room = 1 if alone else 2 * self.count
                while len(running) < room:
                    task = alone[0] if alone else next(source, None)
                    if task is None:
                        break
                    running[executor.submit(run, job(task))] = task
                if not running:
                    return
                broken = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:
                        broken.append(task)
                        continue
                    except Exception as error:  # one submission's trouble is nobody else's
                        outcome = f"the grader failed on it ({type(error).__name__}: {error}); please report this"
                    if alone:
                        alone.popleft()
                    yield task, outcome
                if broken:
                    broken += [task for task in running.values() if task not in broken]
                    running.clear()
                    executor.shutdown()
                    executor = self.open()
                    if alone:
                        crashes[id(alone[0])] = crashes.get(id(alone[0]), 0) + 1
                        if crashes[id(alone[0])] >= CRASHES:
                            yield alone.popleft(), "the processes that graded it died again and again"
                    else:
                        alone += broken
        finally:
            for future in running:
                future.cancel()
            executor.shutdown()


def processes(count: int | None = None) -> Workers:
    """Processes on this machine, one a core if not said otherwise."""
    number = count or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    return Workers(lambda: ProcessPoolExecutor(number, mp_context=context, initializer=start), number)


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
    return Workers(lambda: client.get_executor(pure=False, retries=CRASHES), count, local=False)


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
