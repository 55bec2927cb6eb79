"""The gateway's metrics for Prometheus (docs/http.md#health-readiness-metrics).

With one worker they are numbers in its memory. Of several on a host, any may be asked for the sums: they put
their numbers into files (`app/metric_files.py`).
"""

from __future__ import annotations

import os
import resource
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from app.metric_files import Kind, MetricFiles

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_EDGES = (*map(str, map(float, SECONDS)), "+Inf")
MAX_LAGS = 60  # samples, one a second


class Counter(Collector):
    """A counter that takes no lock, unlike the library's: everything here is counted on one thread."""

    def __init__(self, files: MetricFiles | None, name: str, meaning: str, *labels: str) -> None:
        self._files = files
        self._name, self._meaning, self._labels = name, meaning, labels
        self._counts: dict[tuple[str, ...], int] = defaultdict(int)

    def add(self, *labels: str, amount: int = 1) -> None:
        """Add `amount` under these values of the labels."""
        self._counts[labels] += amount
        if self._files is not None:
            name, count = self._name, self._counts[labels]
            self._files.put("counter", name, f"{name}_total", self._labels, labels, count, self._meaning)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, count in list(self._counts.items()):
            family.add_metric(labels, count)
        yield family


class Histogram(Collector):
    """A histogram of seconds without a lock, for the same reason."""

    def __init__(self, files: MetricFiles | None, name: str, meaning: str, *labels: str) -> None:
        self._files = files
        self._name, self._meaning, self._labels = name, meaning, labels
        self._rows: dict[tuple[str, ...], tuple[list[int], list[float]]] = defaultdict(_empty_row)
        if not labels:
            self._rows[()]

    def observe(self, seconds: float, *labels: str) -> None:
        """Count one duration under these values of the labels."""
        counts, total = self._rows[labels]
        bucket = bisect_left(SECONDS, seconds)
        counts[bucket] += 1
        total[0] += seconds
        if self._files is not None:
            is_first = sum(counts) == 1  # all buckets are shown from then on
            self._put(self._files, range(len(counts)) if is_first else (bucket,), labels)

    def _put(self, files: MetricFiles, buckets: Iterable[int], labels: tuple[str, ...]) -> None:
        name, meaning, (counts, total) = self._name, self._meaning, self._rows[labels]
        for one in buckets:
            where = ((*self._labels, "le"), (*labels, _EDGES[one]))
            files.put("histogram", name, f"{name}_bucket", *where, counts[one], meaning)
        files.put("histogram", name, f"{name}_sum", self._labels, labels, total[0], meaning)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, (counts, (total,)) in list(self._rows.items()):
            below = [*accumulate(counts)]
            family.add_metric(labels, list(zip(_EDGES, below, strict=True)), total)
        yield family


class Level:
    """How many of something there are `now`."""

    now = 0

    def inc(self) -> None:
        self.now += 1

    def dec(self) -> None:
        self.now -= 1


def _empty_row() -> tuple[list[int], list[float]]:
    return [0] * (len(SECONDS) + 1), [0.0]


class Metrics:
    """The metrics of one gateway, in a registry of its own: tests have two gateways in a process.

    `folder` is where the workers of this host put their numbers; None if there is only one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        registry = self._registry = CollectorRegistry()
        files = self._files = None if folder is None else MetricFiles(folder)
        self._gauges: list[tuple[Kind, str, str, Callable[[], float]]] = []
        self.requests = Counter(files, "openclaw_http_requests", "HTTP requests answered.", "route", "status")
        self.runs = Counter(files, "openclaw_runs", "Runs ended.", "agent", "source", "outcome")
        self.tokens = Counter(files, "openclaw_tokens", "Tokens of all model calls.", "kind")
        self.provider_errors = Counter(
            files, "openclaw_provider_errors", "Failed model calls, also retried ones.", "provider", "code"
        )
        self.first_token = Histogram(
            files,
            "openclaw_time_to_first_token_seconds",
            "From a run's acceptance to the first piece of its answer.",
        )
        self.run_seconds = Histogram(
            files, "openclaw_run_duration_seconds", "From a run's acceptance to its end.", "outcome"
        )
        self.queue_seconds = Histogram(
            files,
            "openclaw_queue_wait_seconds",
            "How long runs waited for the earlier ones of their session or agent.",
        )
        self.tool_calls = Counter(
            files, "openclaw_tool_calls", "Calls of agents' tools ended.", "tool", "outcome"
        )
        self.tool_seconds = Histogram(
            files, "openclaw_tool_duration_seconds", "Calls of agents' tools.", "tool"
        )
        pruned = self.sessions_pruned = Counter(
            files, "openclaw_sessions_pruned", "Sessions removed.", "reason"
        )
        for one in (self.requests, self.runs, self.tokens, self.provider_errors, self.tool_calls, pruned):
            registry.register(one)
        for other in (self.first_token, self.run_seconds, self.queue_seconds, self.tool_seconds):
            registry.register(other)
        self._lags: deque[float] = deque(maxlen=MAX_LAGS)
        self.active_streams = Level()
        self._watch_process()

    def _watch_process(self) -> None:
        streams = self.active_streams
        self.watch("openclaw_active_streams", "Answers being streamed over HTTP.", lambda: streams.now)
        self.watch(
            "openclaw_hub_lag_seconds",
            "The longest that the event loop kept its work waiting, within the last minute.",
            lambda: max(self._lags, default=0.0),
            largest=True,
        )
        self.watch("openclaw_resident_memory_bytes", "Memory of the workers.", resident_bytes)

    def watch(self, name: str, meaning: str, count: Callable[[], float], *, largest: bool = False) -> None:
        """Add a gauge whose value is `count()` whenever it is read; of several workers their sum, or the
        `largest` of them.
        """
        self._gauges.append(("gauge_livemax" if largest else "gauge_livesum", name, meaning, count))
        Gauge(name, meaning, registry=self._registry).set_function(count)

    def record_lag(self, seconds: float) -> None:
        """Note that a timer of one second went off `seconds` too late. Other workers see the gauges then."""
        self._lags.append(max(0.0, seconds))
        self._put_gauges()

    def dump(self) -> bytes:
        """All metrics in Prometheus' text format."""
        if self._files is None:
            return generate_latest(self._registry)
        self._put_gauges()
        return self._files.dump()

    def close(self) -> None:
        """Put no more numbers into files."""
        if self._files is not None:
            self._files.close()

    def _put_gauges(self) -> None:
        if self._files is not None:
            for kind, name, meaning, count in self._gauges:
                self._files.put(kind, name, name, (), (), count(), meaning)


def resident_bytes() -> float:
    """The process's resident memory in bytes; where there is no /proc, the most it has ever had."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
