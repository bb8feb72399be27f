"""What replies of several routes have in common: times, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

JSON = "application/json"


def timings(stages: Mapping[str, float], waited: float, start: float) -> dict[str, float]:
    """Return the milliseconds in the queue, in each of ``stages``, and in total since ``start``."""
    seconds = {"queue": waited, **stages, "total": perf_counter() - start}
    return {stage: milliseconds(spent) for stage, spent in seconds.items()}


def server_timing(found: Mapping[str, float]) -> dict[str, str]:
    """Return the ``Server-Timing`` header for these milliseconds per stage."""
    return {"Server-Timing": ", ".join(f"{stage};dur={value}" for stage, value in found.items())}


def milliseconds(seconds: float) -> float:
    """Return ``seconds`` in milliseconds, rounded to microseconds."""
    return round(seconds * 1_000, 3)
