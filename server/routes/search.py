"""``POST /v1/search`` and ``POST /v1/search/batch``."""

from __future__ import annotations

from time import perf_counter

from fastapi import APIRouter, Request, Response

from lurcher.errors import FieldError, LurcherError
from lurcher.retrieval.query import Query, check_text
from lurcher.retrieval.results import SearchResult
from lurcher.server.asked import asked
from lurcher.server.errors import problem, responses
from lurcher.server.found_hits import Plain, plain_hit, reply_of
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
        content = await reply_of(
            lambda: {
                "hits": [plain_hit(one, body.include, body.fold) for one in result.hits],
                "timings_ms": spent,
                **source.bundles,
                "truncated": result.truncated,
                "question": result.question,
                "degraded": result.degraded,
            },
            result.hits, body.include, settings.max_reply_bytes,
        )  # fmt: skip
    return Response(content, headers=server_timing(spent), media_type=JSON)


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
        results: dict[int, SearchResult] = {}
        for i, answer in zip(queries, found, strict=True):
            if isinstance(answer, LurcherError):
                items[i] = {"error": problem(answer, request_id).model_dump(exclude_unset=True)}
            else:
                results[i], _ = answer

        def reply() -> Plain:
            for i, result in results.items():
                hits = [plain_hit(one, body.include, body.fold) for one in result.hits]
                items[i] = {"hits": hits, "truncated": result.truncated}
            return {
                "results": [items[i] for i in range(len(body.queries))],
                "timings_ms": {"total": milliseconds(perf_counter() - start)},
                **source.bundles,
                "degraded": sorted({name for one in results.values() for name in one.degraded}),
            }

        hits = [hit for result in results.values() for hit in result.hits]
        most = settings.max_reply_bytes
        content = await reply_of(reply, hits, body.include, most)
    return Response(content, media_type=JSON)


def _settings(request: Request) -> Settings:
    service: Service = request.app.state.service
    return service.settings
