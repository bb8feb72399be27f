"""What replies of several routes have in common: times, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

from fastapi import Request

from lurcher.retrieval.results import SearchResult
from lurcher.server.noted import note

JSON = "application/json"


def timings(
    request: Request, result: SearchResult, waited: float, start: float
) -> dict[str, float]:
    """Return the milliseconds in the queue, in each stage of ``result``, and in total since ``start``.

    They are noted of ``request``, too.
    """
    stages = {"queue": waited, **result.seconds}
    note(request, stages=stages, since=start, degraded=result.degraded)
    seconds = {**stages, "total": perf_counter() - start}
    return {stage: milliseconds(spent) for stage, spent in seconds.items()}


def server_timing(found: Mapping[str, float]) -> dict[str, str]:
    """Return the ``Server-Timing`` header for these milliseconds per stage."""
    return {"Server-Timing": ", ".join(f"{stage};dur={value}" for stage, value in found.items())}


def milliseconds(seconds: float) -> float:
    """Return ``seconds`` in milliseconds, rounded to microseconds."""
    return round(seconds * 1_000, 3)
