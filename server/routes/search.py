"""``POST /v1/search`` and ``POST /v1/search/batch``."""

from __future__ import annotations

from time import perf_counter

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Condition
from lurcher.models.errors import FieldError, LurcherError
from lurcher.retrieval.filters import conditions
from lurcher.retrieval.highlights import best_sentence, query_words
from lurcher.retrieval.pipeline import Found, Result
from lurcher.retrieval.ranking import CANDIDATES
from lurcher.retrieval.searching import Query
from lurcher.server.errors import problem, responses
from lurcher.server.schemas.search import (
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
    TokenMatch,
)
from lurcher.server.service import Service
from lurcher.server.settings import Settings

router = APIRouter(tags=["search"])

_ERRORS = responses(400, 413, 422, 429, 503, 504)


@router.post("/v1/search", response_model=SearchReply, responses=_ERRORS)
async def search(body: SearchRequest, request: Request) -> Response:
    """The passages nearest to one query."""
    start = perf_counter()
    service: Service = request.app.state.service
    _check_numbers(body, service)
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
        degraded=result.degraded,
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
    _check_numbers(body, service)
    if len(body.queries) * body.top_k > service.settings.max_hits:
        limit = service.settings.max_hits
        raise HTTPException(413, f"queries times top_k: at most {limit} hits in one request")
    if (
        _ranks(body, service)
        and len(body.queries) * _candidates(body, service.settings) > service.settings.max_ranked
    ):
        limit = service.settings.max_ranked
        raise HTTPException(
            413, f"queries times candidates: at most {limit} passages are ranked for one request"
        )
    tests = tuple(conditions(body.filter))
    asked = [
        _query_or_error(f"queries.{i}", text, body, tests, service.settings)
        for i, text in enumerate(body.queries)
    ]
    good = [query for query in asked if isinstance(query, Query)]
    answers = await service.search(good, body.timeout_ms, request.is_disconnected) if good else []
    found = iter(answers)
    items = []
    degraded: set[str] = set()
    for query in asked:
        answer = next(found) if isinstance(query, Query) else query
        if isinstance(query, Query) and not isinstance(answer, LurcherError):
            result, _ = answer
            degraded.update(result.degraded)
            hits = _hits(query, result.found, body.include)
            items.append(BatchItem(hits=hits, truncated=result.truncated))
        elif isinstance(answer, LurcherError):
            items.append(BatchItem(error=problem(answer, request.state.request_id)))
    reply = BatchReply(
        results=items,
        timings_ms={"total": _milliseconds(perf_counter() - start)},
        bundle=service.bundle.manifest.name,
        degraded=sorted(degraded),
    )
    return Response(reply.model_dump_json(exclude_unset=True), media_type="application/json")


def _check_numbers(options: SearchOptions, service: Service) -> None:
    """Raise FieldError where more is asked for than the settings allow, or hits that are not ranked.

    All hits of a query are ranked or none: else their scores would be of two kinds.
    """
    settings, top_k, candidates = service.settings, options.top_k, options.candidates
    if top_k > settings.max_top_k:
        raise FieldError("top_k", f"at most {settings.max_top_k} hits are allowed")
    if candidates is not None and candidates > settings.max_candidates:
        raise FieldError("candidates", f"at most {settings.max_candidates} are allowed")
    if not _ranks(options, service):
        return
    if top_k > settings.max_candidates:
        reason = (
            f"at most {settings.max_candidates} hits can be ranked; with rank 'off' there are more"
        )
        raise FieldError("top_k", reason)
    if candidates is not None and candidates < top_k:
        raise FieldError("candidates", f"must be at least top_k, which is {top_k}")


def _ranks(options: SearchOptions, service: Service) -> bool:
    """Whether queries with ``options`` are ranked, if they are answered at all."""
    if options.rank == "decoder" and service.bundle.states is not None:
        return True
    return options.rank != "off" and service.bundle.tokens is not None


def _candidates(options: SearchOptions, settings: Settings) -> int:
    """How many passages are ranked for a query, if any are."""
    usual = max(options.top_k, min(CANDIDATES, settings.max_candidates))
    return usual if options.candidates is None else options.candidates


def _query(
    field: str, text: str, options: SearchOptions, tests: tuple[Condition, ...], settings: Settings
) -> Query:
    """The query that ``field`` of a request asks. Raises FieldError."""
    check_query(field, text, settings)
    return Query(
        text, options.top_k, tests, options.pefa.mode, options.pefa.dense_weight,
        explain="neighbours" in options.include, rank=options.rank,
        candidates=_candidates(options, settings), matches="matches" in options.include,
    )  # fmt: skip


def check_query(field: str, text: str, settings: Settings) -> None:
    """Raise FieldError where the ``text`` in ``field`` cannot be a query."""
    if not text.strip():
        raise FieldError(field, "must hold more than white space")
    if len(text) > settings.max_query_chars:
        raise FieldError(
            field, f"{len(text)} characters, at most {settings.max_query_chars} are allowed"
        )


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
        if found.neighbours is not None and found.mixed is not None:
            hit.scores.neighbours = round(found.neighbours, 6)
            hit.scores.mixed = round(found.mixed, 6)
        if found.late is not None:
            hit.scores.late = round(found.late, 6)
            hit.scores.rank = hit.score
    if "neighbours" in include:
        hit.neighbours = [
            Neighbour(
                id=known.id, query=known.text, similarity=round(known.similarity, 6),
                share=round(known.share, 6),
            )
            for known in found.spoke or []
        ]  # fmt: skip
    if "highlights" in include:
        place = best_sentence(words, passage.text)
        hit.highlights = [_span(place)] if place else []
    if "matches" in include:
        hit.matches = [
            TokenMatch(
                query=_span(met.query), part=met.part, passage=_span(met.passage),
                similarity=round(met.similarity, 6), weight=round(met.weight, 6),
            )
            for met in found.matches or []
        ]  # fmt: skip
    return hit


def _span(place: tuple[int, int]) -> Span:
    return Span(start=place[0], end=place[1])


def _timings(result: Result, waited: float, start: float) -> Timings:
    stages = {stage: _milliseconds(seconds) for stage, seconds in result.seconds.items()}
    total = _milliseconds(perf_counter() - start)
    return Timings(queue=_milliseconds(waited), total=total, **stages)


def _server_timing(timings: Timings) -> str:
    return ", ".join(f"{stage};dur={value}" for stage, value in timings)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 3)
