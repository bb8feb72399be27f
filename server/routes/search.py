"""``POST /v1/search`` and ``POST /v1/search/batch``."""

from __future__ import annotations

import asyncio
from time import perf_counter

from fastapi import APIRouter, Request, Response

from lurcher.errors import FieldError, LurcherError
from lurcher.retrieval.query import Query, check_text
from lurcher.server.asked import asked
from lurcher.server.errors import problem, responses
from lurcher.server.found_hits import Plain, as_json, plain_hit
from lurcher.server.keys import caller_of
from lurcher.server.noted import note
from lurcher.server.plain_route import PlainRoute
from lurcher.server.replies import JSON, milliseconds, server_timing, timings
from lurcher.server.schemas.search import (
    BatchReply,
    BatchRequest,
    SearchReply,
    SearchRequest,
)
from lurcher.server.search_options import options_of, query_of
from lurcher.server.service import Service
from lurcher.server.settings import Settings

router = APIRouter(tags=["search"], route_class=PlainRoute)

_ERRORS = responses(400, 413, 415, 422, 429, 503, 504)
_MANY_HITS = 500


@router.post("/search", response_model=SearchReply, responses=_ERRORS)
async def search(body: SearchRequest, request: Request) -> Response:
    """Search for one query."""
    note(request, query=body.query)
    start, settings = perf_counter(), _settings(request)
    async with asked(body, request) as source:
        check_text("query", body.query, settings.max_query_chars)
        query = query_of(body.query, body, options_of(body, source.capabilities, settings))
        (found,) = await source.search(
            [query], body.timeout_ms, caller_of(request), degrade=body.degrade
        )
        if isinstance(found, LurcherError):
            raise found
        result, waited = found
        spent = timings(request, result, waited, start)
        reply = {
            "hits": [plain_hit(one, body.include, body.fold) for one in result.hits],
            "timings_ms": spent,
            **source.bundles,
            "truncated": result.truncated,
            "question": result.question,
            "degraded": result.degraded,
        }
    return Response(as_json(reply), headers=server_timing(spent), media_type=JSON)


@router.post("/search/batch", response_model=BatchReply, responses=_ERRORS)
async def search_batch(body: BatchRequest, request: Request) -> Response:
    """Search for many queries; an error of one query affects only its own item."""
    start, settings = perf_counter(), _settings(request)
    async with asked(body, request) as source:
        options = options_of(body, source.capabilities, settings)
        items: dict[int, Plain] = {}
        queries: dict[int, Query] = {}
        request_id = request.state.request_id
        for i, text in enumerate(body.queries):
            try:
                check_text(f"queries.{i}", text, settings.max_query_chars)
                queries[i] = query_of(text, body, options)
            except FieldError as error:
                items[i] = {"error": problem(error, request_id).model_dump(exclude_unset=True)}
        found = (
            await source.search(
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
            **source.bundles,
            "degraded": sorted(degraded),
        }
    # Of thousands of hits it takes a while, in which the loop has other requests to move.
    many = sum(len(item.get("hits", ())) for item in items.values()) > _MANY_HITS
    content = await asyncio.to_thread(as_json, reply) if many else as_json(reply)
    return Response(content, media_type=JSON)


def _settings(request: Request) -> Settings:
    service: Service = request.app.state.service
    return service.settings
