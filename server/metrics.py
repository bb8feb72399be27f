"""The server's metrics for Prometheus; ``docs/metrics.md`` lists them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from lurcher.models.engines import EngineName
from lurcher.server.write_metrics import WriteMetrics

# A folder in which processes that are scraped as one keep their metrics. prometheus_client reads it when it
# is imported, so it has to be in the environment when a process starts.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
)  # fmt: skip

# All that there can be of each, so that a counter is there, with 0, before it first counts.
_STAGES = (
    "encode", "retrieve_dense", "retrieve_lexical", "retrieve_neighbours", "fuse", "group", "rank",
    "fetch", "explain", "read", "embed", "encode_documents", "rerank",
)  # fmt: skip
_DEGRADED = ("retrieve_lexical", "rank", "read")
ENGINES = tuple(one for one in get_args(EngineName) if one != "auto")
_REFUSED = (400, 408, 421, 431, 503)

# Why a request is refused, by the status that says so; "rate" where there is a note of it, else "wait".
_REASONS = {
    401: "key", 403: "forbidden", 413: "too_large", 429: "wait", 500: "error", 503: "not_ready",
    504: "deadline", 507: "no_room",
}  # fmt: skip
# The collection of stages of a search over several.
SEVERAL = "*"


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
            "lurcher_stage_seconds", "Time of one stage for one batch.", ["collection", "stage"],
            buckets=_SECONDS, registry=r,
        )  # fmt: skip
        self.wait_seconds = Histogram(
            "lurcher_wait_seconds", "Time that a search or a question waited to be begun.",
            buckets=_SECONDS, registry=r,
        )  # fmt: skip
        self.rejected = Counter(
            "lurcher_rejected_requests", "Requests that were not served, by reason.", ["reason"],
            registry=r,
        )  # fmt: skip
        self.loop_lag = Histogram(
            "lurcher_loop_lag_seconds", "Time by which the event loop is late.", buckets=_SECONDS,
            registry=r,
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
        self.oldest_wait = Gauge(
            "lurcher_oldest_wait_seconds", "Time that the query which waits longest has waited.",
            registry=r, multiprocess_mode="livemax",
        )  # fmt: skip
        self.engines = Gauge(
            "lurcher_engine_collections", "Collections whose queries this engine encodes.", ["engine"],
            registry=r, multiprocess_mode="livemax",
        )  # fmt: skip
        self.native_library = Gauge(
            "lurcher_native_library", "1 if the native kernels run, 0 if NumPy takes their place.",
            registry=r, multiprocess_mode="livemin",
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
        self._begin()

    def _begin(self) -> None:
        for stage in _DEGRADED:
            self.degraded.labels(stage)
        for status in _REFUSED:
            self.refused.labels(str(status))
        for reason in ("rate", *_REASONS.values()):
            self.rejected.labels(reason)
        for outcome in ("accepted", "refused"):
            self.feedback_pairs.labels(outcome)
        for engine in ENGINES:
            self.engines.labels(engine)

    def expect(self, collection: str) -> None:
        """Let the stages of ``collection`` be there, with 0."""
        for stage in _STAGES:
            self.stage_seconds.labels(collection, stage)

    def reject(self, status: int, reason: str | None) -> None:
        """Count a request that was answered with ``status``, for a ``reason`` where that does not tell it."""
        found = reason or _REASONS.get(status)
        if found is not None:
            self.rejected.labels(found).inc()

    def refuse(self, status: int) -> None:
        """Count a connection that was refused before the application saw its request."""
        self.refused.labels(str(status)).inc()

    def add(self, more: Collector) -> None:
        """Let a scrape have ``more``, too."""
        self._registry.register(more)

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
