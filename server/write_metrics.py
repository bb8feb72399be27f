"""What writing does, for Prometheus; ``docs/metrics.md`` lists it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from time import perf_counter
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lurcher.errors import FieldError, NotReady, QueueFull, VersionConflict, WriteNotKept
from lurcher.index_builder.edit.stored_parts import CompactionStopped

Step = Literal["commit", "show", "flush", "compact"]
_STEPS: tuple[Step, ...] = ("commit", "show", "flush", "compact")
# Of each: what a write is refused for.
_REASONS: dict[str, tuple[type[Exception], ...]] = {
    "version": (VersionConflict,), "field": (FieldError,), "queue_full": (QueueFull,),
    "stopping": (NotReady,), "disk": (WriteNotKept,), "error": (Exception,),
}  # fmt: skip
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


@dataclass(frozen=True, slots=True)
class WriteState:
    """What a writer's bundle is like: passages in segments, those that are deleted included."""

    sequence: int = 0
    log_bytes: int = 0
    segments: int = 0
    passages: int = 0
    deleted: int = 0


class WriteMetrics:
    """The metrics of all writers of a server, together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = registry
        self._states: dict[object, WriteState] = {}

        def gauge(name: str, told: str) -> Gauge:
            # Of several workers one writes; the others have nothing of these.
            return Gauge(name, told, registry=r, multiprocess_mode="livemax")

        self._sequence = gauge(
            "lurcher_write_sequence", "Number of the last write that searches know."
        )
        self._log_bytes = gauge("lurcher_write_log_bytes", "Bytes of the write-ahead log.")
        self._segments = gauge("lurcher_segments", "Segments of a writable bundle.")
        self._deleted_share = gauge(
            "lurcher_deleted_share", "Share of stored passages that are deleted."
        )
        self.waiting = gauge("lurcher_waiting_writes", "Records that wait to be written.")
        self.seconds = Histogram(
            "lurcher_write_seconds", "Time of a step of writing that succeeded.", ["step"],
            buckets=_SECONDS, registry=r,
        )  # fmt: skip
        self._failed = Counter(
            "lurcher_failed_writes", "Steps of writing that failed.", ["step"], registry=r
        )
        self._rejected = Counter(
            "lurcher_rejected_writes", "Requests to write that were refused, by reason.", ["reason"],
            registry=r,
        )  # fmt: skip
        for step in _STEPS:
            self.seconds.labels(step)
            self._failed.labels(step)
        for reason in _REASONS:
            self._rejected.labels(reason)

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Time a step, or count that it failed."""
        start = perf_counter()
        try:
            yield
        except CompactionStopped:  # by a server that stops
            raise
        except Exception:
            self._failed.labels(name).inc()
            raise
        self.seconds.labels(name).observe(perf_counter() - start)

    def reject(self, error: Exception) -> None:
        """Count a request that was answered by ``error``."""
        reason = next(name for name, kinds in _REASONS.items() if isinstance(error, kinds))
        self._rejected.labels(reason).inc()

    def note(self, writer: object, state: WriteState | None) -> None:
        """Note what the bundle of ``writer`` is like; None: it is written no more."""
        if state is None:
            self._states.pop(writer, None)
        else:
            self._states[writer] = state
        sums = map(sum, zip(*map(astuple, (WriteState(), *self._states.values())), strict=True))
        sequence, log_bytes, segments, passages, deleted = sums
        self._sequence.set(sequence)
        self._log_bytes.set(log_bytes)
        self._segments.set(segments)
        self._deleted_share.set(deleted / passages if passages else 0.0)
