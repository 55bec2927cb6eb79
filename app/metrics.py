"""What the gateway counts, for Prometheus. Plain objects: whoever measures is handed the one it needs."""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
LAG_MEMORY = 60  # samples, one a second


class Metrics:
    """One registry a gateway, so that two in one process (tests) do not mix.

    What has labels is called with their values, and keeps what it has been called with: the library looks
    for them anew each time.
    """

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = cache(
            Counter(
                "openclaw_http_requests", "HTTP requests answered.", ("route", "status"), registry=registry
            ).labels
        )
        self.runs = cache(
            Counter("openclaw_runs", "Runs ended.", ("agent", "source", "outcome"), registry=registry).labels
        )
        self.first_token = Histogram(
            "openclaw_time_to_first_token_seconds",
            "From a run's acceptance to the first piece of its answer.",
            buckets=SECONDS,
            registry=registry,
        )
        self.run_seconds = cache(
            Histogram(
                "openclaw_run_duration_seconds",
                "From a run's acceptance to its end.",
                ("outcome",),
                buckets=SECONDS,
                registry=registry,
            ).labels
        )
        self.queue_seconds = Histogram(
            "openclaw_queue_wait_seconds",
            "How long runs waited for the earlier ones of their session or agent.",
            buckets=SECONDS,
            registry=registry,
        )
        self.tokens = cache(
            Counter("openclaw_tokens", "Tokens of all model calls.", ("kind",), registry=registry).labels
        )
        self.provider_errors = cache(
            Counter(
                "openclaw_provider_errors",
                "Failed model calls, also those that were made again.",
                ("provider", "code"),
                registry=registry,
            ).labels
        )
        self.active_streams = Gauge(
            "openclaw_active_streams", "Answers being streamed over HTTP.", registry=registry
        )
        lag = Gauge(
            "openclaw_hub_lag_seconds",
            "The longest that the event loop kept its work waiting, within the last minute.",
            registry=registry,
        )
        self._lags: deque[float] = deque(maxlen=LAG_MEMORY)
        lag.set_function(lambda: max(self._lags, default=0.0))
        memory = Gauge("openclaw_resident_memory_bytes", "Memory of this worker.", registry=registry)
        memory.set_function(resident_bytes)

    def watch(self, name: str, meaning: str, count: Callable[[], float]) -> None:
        """A gauge that is asked when it is read."""
        Gauge(name, meaning, registry=self._registry).set_function(count)

    def record_lag(self, seconds: float) -> None:
        """How much later than asked for a timer of one second went off."""
        self._lags.append(max(0.0, seconds))

    def dump(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


def resident_bytes() -> float:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the peak is the best there is
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
