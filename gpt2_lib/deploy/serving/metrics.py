"""Counters of a server: for Prometheus, and for the summary that it prints at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..extras import need


class Metrics:
    """The counters of one server. ``in_flight`` and ``waiting`` are called when the metrics are read."""

    def __init__(self, in_flight: Callable[[], int], waiting: Callable[[], int]) -> None:
        self._prometheus = prometheus = need("prometheus_client", "deploy")
        self._process = need("psutil", "deploy").Process()
        self._registry = registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter("gpt2_requests", "Requests for text", ["status"], registry=registry)
        self.new_tokens = prometheus.Counter("gpt2_new_tokens", "Tokens generated", registry=registry)
        self.prompt_tokens = prometheus.Counter("gpt2_prompt_tokens", "Tokens of prompts read", registry=registry)
        self._seconds = prometheus.Histogram("gpt2_request_seconds", "Seconds a request took", registry=registry)
        for name, text, value in (
            ("gpt2_in_flight", "Requests for text being answered", in_flight),
            ("gpt2_waiting", "Generations that wait for their turn", waiting),
            ("process_resident_memory_bytes", "Resident memory", self._resident_bytes),
            ("process_cpu_seconds", "CPU time, user and system", lambda: sum(self._process.cpu_times()[:2])),
        ):
            prometheus.Gauge(name, text, registry=registry).set_function(value)

    def count(self, status: int, seconds: float) -> None:
        """Count a request for text that ended with ``status`` after ``seconds``."""
        self._requests.labels(status).inc()
        self._seconds.observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in Prometheus's text format, and its media type."""
        return self._prometheus.generate_latest(self._registry), self._prometheus.CONTENT_TYPE_LATEST

    def summary(self) -> dict[str, Any]:
        """Return the totals so far: requests by status, tokens, resident bytes."""
        samples = [s for metric in self._requests.collect() for s in metric.samples if s.name.endswith("_total")]
        return {
            "requests": {s.labels["status"]: int(s.value) for s in samples},
            "prompt_tokens": int(self._registry.get_sample_value("gpt2_prompt_tokens_total")),
            "new_tokens": int(self._registry.get_sample_value("gpt2_new_tokens_total")),
            "resident_bytes": self._resident_bytes(),
        }

    def _resident_bytes(self) -> int:
        return self._process.memory_info().rss
