"""From the body of a search to its query, within the limits of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import cast

from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.retrieval.capabilities import Capabilities
from lurcher.retrieval.filters import conditions
from lurcher.retrieval.query import Extra, Query
from lurcher.server.limits import candidates_for, too_many
from lurcher.server.schemas.search import BatchRequest, SearchOptions, SearchRequest
from lurcher.server.settings import Settings

_EXTRAS = frozenset({"contributing_neighbours", "token_alignment", "highlights"})

Options = tuple[int | None, tuple[Condition, ...], frozenset[Extra]]


def options_of(
    body: SearchRequest | BatchRequest, capabilities: Capabilities, settings: Settings
) -> Options:
    """Return candidates, conditions and extras for the searches of ``body``.

    Raises FieldError, and HTTPException for more than is done in one request.
    """
    if body.top_k > settings.max_top_k:
        raise FieldError("top_k", f"at most {settings.max_top_k} hits are allowed")
    default = capabilities.default_candidates(body.rank, body.retrieve)
    candidates = candidates_for("top_k", body.top_k, body.candidates, default, settings)
    counts = {} if body.collections is None else {"collections": len(body.collections)}
    if isinstance(body, BatchRequest):
        counts = {"queries": len(body.queries), **counts}
    if (
        "token_alignment" in body.include
        and prod(counts.values()) * body.top_k > settings.max_aligned
    ):
        reason = f"token_alignment: at most {settings.max_aligned} hits in one request"
        raise HTTPException(413, reason)
    ranks = capabilities.ranks(body.rank)
    if counts:
        check_sums(counts, "top_k", body.top_k, candidates if ranks else 0, settings)
    extras = cast("frozenset[Extra]", _EXTRAS.intersection(body.include))
    chosen = candidates if ranks else body.candidates
    return chosen, conditions(body.filter) if body.filter else (), extras


def query_of(text: str, body: SearchOptions, options: Options) -> Query:
    """Return the query for ``text``."""
    candidates, tests, extras = options
    neighbours = body.neighbours
    return Query(
        text, body.top_k, tests, neighbours.mode, neighbours.dense_weight, body.rank, candidates,
        extras=extras, fold=body.fold, group_by=body.group_by, retrieve=body.retrieve,
        query_syntax=body.query_syntax, partial=body.partial, offset=body.offset,
    )  # fmt: skip


def check_sums(
    counts: Mapping[str, int], name: str, hits: int, ranked: int, settings: Settings
) -> None:
    """Raise HTTPException if a request asks for too much in all.

    It has as many searches as ``counts``, the lengths of its lists by name, make together; each wants
    ``hits`` in its field ``name`` and has ``ranked`` candidates ranked.
    """
    for field, count in counts.items():
        if count > settings.max_queries:
            raise too_many(field, count, settings.max_queries)
    searches, fields = prod(counts.values()), " times ".join(counts)
    if searches * hits > settings.max_hits:
        reason = f"{fields} times {name}: at most {settings.max_hits} hits in one request"
        raise HTTPException(413, reason)
    if searches * ranked > settings.max_ranked:
        most = f"at most {settings.max_ranked} passages are ranked for one request"
        reason = f"{fields} times candidates: {most}"
        raise HTTPException(413, reason)
