"""The server's metrics for Prometheus; ``docs/metrics.md`` lists them."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from lurcher.server.write_metrics import WriteMetrics

# A folder in which processes that are scraped as one keep their metrics. prometheus_client reads it when it
# is imported, so it has to be in the environment when a process starts.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 2, 4, 8)


class Metrics:
    """The metrics of one server, in their own registry.

    With ``FOLDER`` in the environment a scrape of one process gives those of all: counters and histograms add
    up, also of processes that have ended.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._folder = os.environ.get(FOLDER)
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        r = self._registry
        self.requests = Counter(
            "lurcher_requests", "Requests answered.", ["route", "status"], registry=r
        )
        self.request_seconds = Histogram(
            "lurcher_request_seconds", "Time to answer a request.", ["route"],
            buckets=_SECONDS, registry=r,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "lurcher_stage_seconds", "Time of one stage for one batch.", ["stage"],
            buckets=_SECONDS, registry=r,
        )  # fmt: skip
        self.batch_queries = Histogram(
            "lurcher_batch_queries", "Queries encoded together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=r,
        )  # fmt: skip
        self.degraded = Counter(
            "lurcher_degraded_searches", "Searches that skipped or shortened a stage to keep their deadline.",
            ["stage"], registry=r,
        )  # fmt: skip
        self.refused = Counter(
            "lurcher_refused_connections", "Connections refused before a request was read, by status.",
            ["status"], registry=r,
        )  # fmt: skip
        self.waiting = Gauge(
            "lurcher_waiting_queries", "Queries that are waiting.", registry=r,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.feedback_pairs = Counter(
            "lurcher_feedback_pairs", "Pairs sent as feedback.", ["outcome"], registry=r
        )
        self.learnt_pairs = Gauge(
            "lurcher_learnt_pairs", "Pairs learnt from feedback that count in searches.", registry=r,
            multiprocess_mode="livemax",
        )  # fmt: skip
        self.passages = Gauge(
            "lurcher_passages",
            "Passages in all collections.",
            registry=r,
            multiprocess_mode="livemax",
        )
        self.writes = WriteMetrics(r)

    def refuse(self, status: int) -> None:
        """Count a connection that was refused before the application saw its request."""
        self.refused.labels(str(status)).inc()

    def watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Let ``gauge`` have what ``value`` gives when it is asked."""
        self._watched.append((gauge, value))
        self.note()

    def note(self) -> None:
        """Set all gauges; a scrape of another process finds what was noted last."""
        for gauge, value in self._watched:
            gauge.set(value())

    @property
    def shared(self) -> bool:
        """Whether other processes are scraped with this one, so that gauges have to be noted in time."""
        return self._folder is not None

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        self.note()
        if self._folder is None:
            return generate_latest(self._registry)
        all_processes = CollectorRegistry()
        MultiProcessCollector(all_processes, self._folder)  # type: ignore[no-untyped-call]  # theirs
        return generate_latest(all_processes)
