"""Load test of a served model: many requests at once, their losses and their latencies.

gpt2-pruning load-test --url http://127.0.0.1:8000 --requests 1000 --concurrency 16
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from ...generate import renamed
from ...system.command import count
from ..extras import DeployError

PROMPT = "To be, or not to be"


@dataclass(frozen=True)
class LoadResult:
    """The result of a load test. Latencies are those of requests answered with 200, NaN if there were none."""

    requests: int
    concurrency: int
    lost: int  # no answer, or not a whole one
    statuses: dict[int, int]  # HTTP status: answers
    seconds: float  # of the whole test
    requests_per_second: float
    tokens_per_second: float
    median_seconds: float
    p95_seconds: float
    p99_seconds: float
    server_cpu_seconds: float  # what the server computed meanwhile, from its /metrics, as the two below
    resident_bytes_before: int
    resident_bytes_after: int

    @property
    def errors(self) -> int:
        """The number of requests that were lost or answered with anything but 200."""
        return self.requests - self.statuses.get(200, 0)


@renamed(new_tokens="max_new_tokens")
def load_test(
    url: str,
    requests: int = 1000,
    concurrency: int = 16,
    max_new_tokens: int = 32,
    prompt: str = PROMPT,
    timeout: float = 120.0,
) -> LoadResult:
    """Send ``requests`` POSTs to ``url``/generate, ``concurrency`` at a time, each on its own connection.

    The requests differ by their seed. ``timeout`` in seconds without a byte makes a request a lost one. Raises
    DeployError if no server of `serve` answers at ``url``, ValueError for a number below 1.
    """
    if min(requests, concurrency, max_new_tokens) < 1:
        raise ValueError("requests, concurrency and max_new_tokens must be 1 or more.")
    memory_before, cpu_before = server_resources(url)
    seen = _Seen(requests)
    client = (url, {"prompt": prompt, "max_new_tokens": max_new_tokens}, timeout)
    # Daemons: Ctrl-C doesn't wait for all requests.
    threads = [threading.Thread(target=seen.ask_on, args=client, daemon=True) for _ in range(concurrency)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    memory_after, cpu_after = server_resources(url)
    latencies, answered = sorted(seen.latencies), seen.statuses.total()
    return LoadResult(
        requests=requests,
        concurrency=concurrency,
        lost=requests - answered,
        statuses=dict(seen.statuses),
        seconds=seconds,
        requests_per_second=answered / seconds,
        tokens_per_second=seen.tokens / seconds,
        median_seconds=percentile(latencies, 0.5),
        p95_seconds=percentile(latencies, 0.95),
        p99_seconds=percentile(latencies, 0.99),
        server_cpu_seconds=cpu_after - cpu_before,
        resident_bytes_before=memory_before,
        resident_bytes_after=memory_after,
    )


class _Seen:
    """The results of a load test's clients so far; their threads share it."""

    def __init__(self, requests: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []  # of what was answered with 200
        self.tokens = 0
        self._lock = threading.Lock()
        self._numbers = iter(range(requests))

    def ask_on(self, url: str, body: dict[str, Any], timeout: float) -> None:
        """Run one client: send ``body`` with one seed after another, until all requests are sent."""
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            start = time.perf_counter()
            try:
                status, answer = ask(url, "/generate", body | {"seed": number}, timeout)
                made = json.loads(answer)["new_tokens"] if status == 200 else 0
            except (OSError, HTTPException, ValueError):
                continue  # lost: counted by its absence
            with self._lock:
                self.statuses[status] += 1
                if status == 200:
                    self.latencies.append(time.perf_counter() - start)
                    self.tokens += made


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values don't exceed; NaN for none."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else math.nan


def server_resources(url: str) -> tuple[int, float]:
    """Return the server's resident bytes and CPU seconds, from its /metrics. Raises DeployError without them."""
    try:
        status, text = ask(url, "/metrics")
    except (OSError, HTTPException) as error:
        raise DeployError(
            f"No server answers at {url}: {error}. Start one with gpt2-pruning serve --model model.onnx."
        ) from None
    lines = text.decode(errors="replace").splitlines()
    values = {name: value for name, _, value in (line.rpartition(" ") for line in lines)}
    try:
        return int(float(values["process_resident_memory_bytes"])), float(values["process_cpu_seconds"])
    except (KeyError, ValueError):
        raise DeployError(f"What answers at {url} is no server of this course: {status} for /metrics.") from None


def ask(url: str, path: str, body: dict[str, Any] | None = None, timeout: float = 30.0) -> tuple[int, bytes]:
    """Send ``body`` as JSON by POST, or GET without one; returns status and response. Raises OSError, HTTPException."""
    connection, answer = send(url, path, body, timeout)
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def send(url: str, path: str, body: dict[str, Any] | None, timeout: float) -> tuple[HTTPConnection, HTTPResponse]:
    """Send as `ask` does; returns the connection, for the caller to close, and the unread response.

    http.client, and not urllib, because it goes to the server itself whatever proxies the environment names.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise DeployError(f"{url!r} is not a server's address: give one such as http://127.0.0.1:8000.")
    connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection, connection.getresponse()
    except BaseException:
        connection.close()
        raise


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = argparse.ArgumentParser(
        prog="gpt2-pruning load-test", description="Send many requests at once to a served model."
    )
    found.add_argument("--url", default="http://127.0.0.1:8000", help="the server (%(default)s)")
    found.add_argument("--requests", type=count, default=1000, help="how many (%(default)s)")
    found.add_argument("--concurrency", type=count, default=16, help="how many at a time (%(default)s)")
    found.add_argument("--prompt", default=PROMPT, help="what each text begins with (%(default)r)")
    found.add_argument(
        *("--max-new-tokens", "--new-tokens"), type=count, default=32, help="tokens that each asks for (%(default)s)"
    )
    return found


def main(argv: Sequence[str]) -> None:
    """Print the result of a load test; exits with 1 if any request failed, 2 if there is no server."""
    asked = parser()
    options = asked.parse_args(argv)
    print(f"Sending {options.requests} requests to {options.url}: the result comes at the end.", file=sys.stderr)
    try:
        result = load_test(options.url, options.requests, options.concurrency, options.max_new_tokens, options.prompt)
    except (DeployError, ValueError) as error:
        asked.exit(2, f"No load test: {error}\n")
    answers = ", ".join(f"{n} with {status}" for status, n in sorted(result.statuses.items()))
    print(
        f"{result.requests} requests, {result.concurrency} at a time: {result.lost} lost; answered: {answers or 'none'}"
    )
    print(
        f"{result.seconds:.1f} s, {result.server_cpu_seconds:.1f} s of the server's CPU time: "
        f"{result.requests_per_second:.1f} requests/s, {result.tokens_per_second:.0f} tokens/s"
    )
    print(
        f"latency: median {result.median_seconds * 1e3:.0f} ms, 95 % within {result.p95_seconds * 1e3:.0f} ms, "
        f"99 % within {result.p99_seconds * 1e3:.0f} ms"
    )
    print(
        f"resident memory: {result.resident_bytes_before / 2**20:.0f} MiB before, "
        f"{result.resident_bytes_after / 2**20:.0f} MiB after"
    )
    if result.errors:
        asked.exit(1, f"{result.errors} requests failed.\n")
