"""``POST /v1/search`` and ``POST /v1/search/batch``."""

from __future__ import annotations

from time import perf_counter

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from bundle.passages import Condition
from models.errors import FieldError, LurcherError
from server.errors import problem, responses
from server.filters import conditions
from server.highlights import best_sentence, query_words
from server.pipeline import Found, Result
from server.schemas import (
    BatchItem,
    BatchReply,
    BatchRequest,
    Hit,
    Include,
    Neighbour,
    Scores,
    SearchOptions,
    SearchReply,
    SearchRequest,
    Span,
    Timings,
)
from server.searching import Query
from server.service import Service
from server.settings import Settings

router = APIRouter(tags=["search"])

_ERRORS = responses(400, 413, 422, 429, 503, 504)


@router.post("/v1/search", response_model=SearchReply, responses=_ERRORS)
async def search(body: SearchRequest, request: Request) -> Response:
    """The passages nearest to one query."""
    start = perf_counter()
    service: Service = request.app.state.service
    _check_top_k(body, service.settings)
    tests = tuple(conditions(body.filter))
    query = _query("query", body.query, body, tests, service.settings)
    (found,) = await service.search([query], body.timeout_ms, request.is_disconnected)
    if isinstance(found, LurcherError):
        raise found
    result, waited = found
    hits = _hits(query, result.found, body.include)
    reply = SearchReply(
        hits=hits,
        timings_ms=_timings(result, waited, start),
        bundle=service.bundle.manifest.name,
        truncated=result.truncated,
        degraded=[],
    )
    return Response(
        reply.model_dump_json(exclude_unset=True),
        headers={"Server-Timing": _server_timing(reply.timings_ms)},
        media_type="application/json",
    )


@router.post("/v1/search/batch", response_model=BatchReply, responses=_ERRORS)
async def search_batch(body: BatchRequest, request: Request) -> Response:
    """The passages nearest to each of many queries, in the order asked; an error spoils only its own item."""
    start = perf_counter()
    service: Service = request.app.state.service
    if len(body.queries) > service.settings.max_queries:
        limit = service.settings.max_queries
        raise HTTPException(
            413, f"queries: {len(body.queries)} queries, at most {limit} in one request"
        )
    _check_top_k(body, service.settings)
    if len(body.queries) * body.top_k > service.settings.max_hits:
        limit = service.settings.max_hits
        raise HTTPException(413, f"queries times top_k: at most {limit} hits in one request")
    tests = tuple(conditions(body.filter))
    asked = [
        _query_or_error(f"queries.{i}", text, body, tests, service.settings)
        for i, text in enumerate(body.queries)
    ]
    good = [query for query in asked if isinstance(query, Query)]
    answers = await service.search(good, body.timeout_ms, request.is_disconnected) if good else []
    found = iter(answers)
    items = []
    for query in asked:
        answer = next(found) if isinstance(query, Query) else query
        if isinstance(query, Query) and not isinstance(answer, LurcherError):
            result, _ = answer
            hits = _hits(query, result.found, body.include)
            items.append(BatchItem(hits=hits, truncated=result.truncated))
        elif isinstance(answer, LurcherError):
            items.append(BatchItem(error=problem(answer, request.state.request_id)))
    reply = BatchReply(
        results=items,
        timings_ms={"total": _milliseconds(perf_counter() - start)},
        bundle=service.bundle.manifest.name,
        degraded=[],
    )
    return Response(reply.model_dump_json(exclude_unset=True), media_type="application/json")


def _check_top_k(options: SearchOptions, settings: Settings) -> None:
    """Raise FieldError where more hits are asked for than the settings allow."""
    if options.top_k > settings.max_top_k:
        raise FieldError("top_k", f"at most {settings.max_top_k} hits are allowed")


def _query(
    field: str, text: str, options: SearchOptions, tests: tuple[Condition, ...], settings: Settings
) -> Query:
    """The query that ``field`` of a request asks. Raises FieldError."""
    if not text.strip():
        raise FieldError(field, "must hold more than white space")
    if len(text) > settings.max_query_chars:
        raise FieldError(
            field, f"{len(text)} characters, at most {settings.max_query_chars} are allowed"
        )
    pefa, explain = options.pefa, "neighbours" in options.include
    return Query(text, options.top_k, tests, pefa.mode, pefa.dense_weight, explain)


def _query_or_error(
    field: str, text: str, options: SearchOptions, tests: tuple[Condition, ...], settings: Settings
) -> Query | FieldError:
    try:
        return _query(field, text, options, tests, settings)
    except FieldError as error:
        return error


def _hits(query: Query, found: list[Found], include: list[Include]) -> list[Hit]:
    words = query_words(query.text) if "highlights" in include else frozenset()
    return [_hit(words, one, include) for one in found]


def _hit(words: frozenset[str], found: Found, include: list[Include]) -> Hit:
    """One hit with the parts asked for; a part left unset is left out of the reply."""
    passage = found.passage
    hit = Hit(id=passage.id, score=round(found.score, 6), title=passage.title)
    if "text" in include:
        hit.text = passage.text
    if "metadata" in include:
        hit.metadata = passage.metadata
    if "scores" in include:
        hit.scores = Scores(dense=round(found.dense, 6))
        if found.neighbours is not None:
            hit.scores.neighbours = round(found.neighbours, 6)
            hit.scores.mixed = hit.score
    if "neighbours" in include:
        hit.neighbours = [
            Neighbour(
                id=known.id, query=known.text, similarity=round(known.similarity, 6),
                share=round(known.share, 6),
            )
            for known in found.spoke or []
        ]  # fmt: skip
    if "highlights" in include:
        span = best_sentence(words, passage.text)
        hit.highlights = [Span(start=span[0], end=span[1])] if span else []
    return hit


def _timings(result: Result, waited: float, start: float) -> Timings:
    stages = {stage: _milliseconds(seconds) for stage, seconds in result.seconds.items()}
    total = _milliseconds(perf_counter() - start)
    return Timings(queue=_milliseconds(waited), total=total, **stages)


def _server_timing(timings: Timings) -> str:
    return ", ".join(f"{stage};dur={value}" for stage, value in timings)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 3)
