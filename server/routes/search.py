"""``POST /v1/search`` and ``POST /v1/search/batch``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import cast

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError, LurcherError
from lurcher.retrieval.filters import conditions
from lurcher.retrieval.query import Extra, Query, check_text
from lurcher.server.errors import problem, responses
from lurcher.server.found_hits import Plain, as_json, plain_hit
from lurcher.server.keys import caller_of
from lurcher.server.limits import candidates_for, too_many
from lurcher.server.lookup import collection_of
from lurcher.server.plain_route import PlainRoute
from lurcher.server.schemas.search import (
    BatchReply,
    BatchRequest,
    SearchOptions,
    SearchReply,
    SearchRequest,
)
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings

router = APIRouter(tags=["search"], route_class=PlainRoute)

JSON = "application/json"
_ERRORS = responses(400, 413, 415, 422, 429, 503, 504)
_MANY_HITS = 500
_EXTRAS = frozenset({"contributing_neighbours", "token_alignment", "highlights"})


@router.post("/search", response_model=SearchReply, responses=_ERRORS)
async def search(body: SearchRequest, request: Request) -> Response:
    """Search for one query."""
    start = perf_counter()
    collection = collection_of(request)
    await collection.reached(body.min_sequence, body.timeout_ms)
    with collection.lease() as serving:
        check_text("query", body.query, collection.settings.max_query_chars)
        query = _query(body.query, body, _options(body, serving, collection.settings))
        (found,) = await serving.search(
            [query], body.timeout_ms, caller_of(request), degrade=body.degrade
        )
        if isinstance(found, LurcherError):
            raise found
        result, waited = found
        spent = timings(result.seconds, waited, start)
        reply = {
            "hits": [plain_hit(one, body.include, body.fold) for one in result.hits],
            "timings_ms": spent,
            "bundle": serving.bundle,
            "truncated": result.truncated,
            "question": result.question,
            "degraded": result.degraded,
        }
    return Response(as_json(reply), headers=server_timing(spent), media_type=JSON)


@router.post("/search/batch", response_model=BatchReply, responses=_ERRORS)
async def search_batch(body: BatchRequest, request: Request) -> Response:
    """Search for many queries; an error of one query affects only its own item."""
    start = perf_counter()
    collection = collection_of(request)
    await collection.reached(body.min_sequence, body.timeout_ms)
    with collection.lease() as serving:
        options = _options(body, serving, collection.settings, len(body.queries))
        _check_sums(body, options, serving, collection.settings)
        items: dict[int, Plain] = {}
        queries: dict[int, Query] = {}
        request_id = request.state.request_id
        for i, text in enumerate(body.queries):
            try:
                check_text(f"queries.{i}", text, collection.settings.max_query_chars)
                queries[i] = _query(text, body, options)
            except FieldError as error:
                items[i] = {"error": problem(error, request_id).model_dump(exclude_unset=True)}
        found = (
            await serving.search(
                list(queries.values()), body.timeout_ms, caller_of(request), degrade=body.degrade
            )
            if queries
            else []
        )
        degraded: set[str] = set()
        for i, answer in zip(queries, found, strict=True):
            if isinstance(answer, LurcherError):
                items[i] = {"error": problem(answer, request_id).model_dump(exclude_unset=True)}
            else:
                result, _ = answer
                degraded.update(result.degraded)
                hits = [plain_hit(one, body.include, body.fold) for one in result.hits]
                items[i] = {"hits": hits, "truncated": result.truncated}
        reply = {
            "results": [items[i] for i in range(len(body.queries))],
            "timings_ms": {"total": milliseconds(perf_counter() - start)},
            "bundle": serving.bundle,
            "degraded": sorted(degraded),
        }
    # Of thousands of hits it takes a while, in which the loop has other requests to move.
    many = sum(len(item.get("hits", ())) for item in items.values()) > _MANY_HITS
    content = await asyncio.to_thread(as_json, reply) if many else as_json(reply)
    return Response(content, media_type=JSON)


_Options = tuple[int, tuple[Condition, ...], frozenset[Extra]]


def _options(body: SearchOptions, serving: Serving, settings: Settings, count: int = 1) -> _Options:
    """Return candidates, conditions and extras for the ``count`` queries of ``body``.

    Raises FieldError, and HTTPException for more than is explained in one request.
    """
    if body.top_k > settings.max_top_k:
        raise FieldError("top_k", f"at most {settings.max_top_k} hits are allowed")
    default = serving.capabilities.default_candidates(body.rank, body.retrieve)
    candidates = candidates_for("top_k", body.top_k, body.candidates, default, settings)
    if "token_alignment" in body.include and count * body.top_k > settings.max_aligned:
        reason = f"token_alignment: at most {settings.max_aligned} hits in one request"
        raise HTTPException(413, reason)
    extras = cast("frozenset[Extra]", _EXTRAS.intersection(body.include))
    return candidates, conditions(body.filter) if body.filter else (), extras


def _query(text: str, body: SearchOptions, options: _Options) -> Query:
    candidates, tests, extras = options
    neighbours = body.neighbours
    return Query(
        text, body.top_k, tests, neighbours.mode, neighbours.dense_weight, body.rank, candidates,
        extras=extras, fold=body.fold, group_by=body.group_by, retrieve=body.retrieve,
        query_syntax=body.query_syntax,
    )  # fmt: skip


def _check_sums(
    body: BatchRequest, options: _Options, serving: Serving, settings: Settings
) -> None:
    """Raise HTTPException if all queries of ``body`` together ask for too much."""
    count, (candidates, _, _) = len(body.queries), options
    if count > settings.max_queries:
        raise too_many("queries", count, settings.max_queries)
    if count * body.top_k > settings.max_hits:
        reason = f"queries times top_k: at most {settings.max_hits} hits in one request"
        raise HTTPException(413, reason)
    if serving.capabilities.ranks(body.rank) and count * candidates > settings.max_ranked:
        reason = (
            f"queries times candidates: at most {settings.max_ranked} passages are ranked for one"
            " request"
        )
        raise HTTPException(413, reason)


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
