"""Limits of the settings on one request."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from lurcher.errors import FieldError
from lurcher.retrieval.query import check_candidates
from lurcher.server.settings import Settings


def too_many(field: str, count: int, limit: int) -> HTTPException:
    """Return the 413 for a list that is too long for one request."""
    return HTTPException(413, f"{field}: {count} of them, at most {limit} in one request")


def candidates_for(
    name: str, wanted: int, candidates: int | None, default: int | None, settings: Settings
) -> int:
    """Return how many candidates to rank for a query that wants this many hits in its field ``name``.

    ``default`` is how many where the query does not say, None where nothing ranks. Raises FieldError if the
    settings allow fewer.
    """
    limit = settings.max_candidates
    if candidates is not None and candidates > limit:
        raise FieldError("candidates", f"at most {limit} are allowed")
    if default is not None:
        if wanted > limit:
            reason = f"at most {limit} hits can be ranked; with rank 'off' there are more"
            raise FieldError(name, reason)
        check_candidates(name, wanted, candidates)
    return max(wanted, min(default or 0, limit)) if candidates is None else candidates


def time_limit(timeout_ms: int | None, settings: Settings) -> float:
    """Return the seconds that a request has which asks for ``timeout_ms``, or for none."""
    return min(timeout_ms or settings.timeout_ms, settings.timeout_ms) / 1_000
