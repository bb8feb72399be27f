"""The server's metrics for Prometheus; ``docs/metrics.md`` lists them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lurcher.server.write_metrics import WriteMetrics

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 2, 4, 8)


class Metrics:
    """The metrics of one server, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
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
        self.waiting = Gauge("lurcher_waiting_queries", "Queries that are waiting.", registry=r)
        self.feedback_pairs = Counter(
            "lurcher_feedback_pairs", "Pairs sent as feedback.", ["outcome"], registry=r
        )
        self.learnt_pairs = Gauge(
            "lurcher_learnt_pairs", "Pairs learnt from feedback that count in searches.", registry=r
        )
        self.passages = Gauge("lurcher_passages", "Passages in all collections.", registry=r)
        self.writes = WriteMetrics(r)

    def refuse(self, status: int) -> None:
        """Count a connection that was refused before the application saw its request."""
        self.refused.labels(str(status)).inc()

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self._registry)
