"""``POST /v1/rerank`` and ``/v2/rerank``: texts or passages, sorted by how well they answer a query."""

from __future__ import annotations

import asyncio
from time import perf_counter

import numpy as np
from fastapi import APIRouter, Request, Response

from lurcher.errors import FieldError
from lurcher.order import best_first
from lurcher.retrieval.checks import rows_of
from lurcher.retrieval.query import check_text
from lurcher.retrieval.rerank import Document, RerankScores
from lurcher.server.admission import Caller
from lurcher.server.errors import MEDIA_TYPE, responses
from lurcher.server.keys import caller_of
from lurcher.server.limits import too_many
from lurcher.server.lookup import collection_of
from lurcher.server.noted import note
from lurcher.server.protocols.cohere.documents import read_texts
from lurcher.server.protocols.cohere.errors import error_reply
from lurcher.server.protocols.cohere.rerank_schemas import (
    RerankedDocument,
    RerankMeta,
    RerankReply,
    RerankRequest,
    RerankResult,
)
from lurcher.server.protocols.relevance import check_ranks, relevance
from lurcher.server.protocols.shape import shaped
from lurcher.server.replies import milliseconds
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings

router = APIRouter(tags=["rerank"], route_class=shaped(error_reply, MEDIA_TYPE))

_ERRORS = responses(400, 413, 415, 422, 429, 503, 504)


@router.post("/rerank", response_model=RerankReply, responses=_ERRORS)
async def rerank(body: RerankRequest, request: Request) -> Response:
    """Sort texts, or passages of the bundle, by how well they answer a query; compatible with Cohere."""
    start = perf_counter()
    note(request, query=body.query)
    collection = collection_of(request)
    await collection.reached(body.min_sequence, body.timeout_ms)
    with collection.models() as serving:
        _check(body, serving, collection.settings)
        results, scored, cut = await _results(body, serving, caller_of(request))
        reply = RerankReply(
            id=request.state.request_id,
            results=results,
            meta=RerankMeta(
                bundle=serving.bundle, model=serving.embedder.config.name, truncated=scored.truncated,
                truncated_documents=cut, timings_ms={"total": milliseconds(perf_counter() - start)},
            ),
        )  # fmt: skip
    return Response(reply.model_dump_json(exclude_unset=True), media_type="application/json")


async def _results(
    body: RerankRequest, serving: Serving, caller: Caller
) -> tuple[list[RerankResult], RerankScores, list[int]]:
    """Return the results, best first, the scores of all, and the positions of documents that were cut."""
    ids = body.passages or []
    rows = None if body.documents else await asyncio.to_thread(rows_of, serving.passages, ids)
    texts = read_texts(body.documents or [], body.rank_fields)
    passages = [Document(text, body.max_tokens_per_doc) for text in texts] if rows is None else rows
    scored, cut = await serving.rerank(body.query, passages, body.timeout_ms, caller)
    if not body.truncation:
        _refuse_cut(scored.truncated, cut)
    # The order of the scores themselves: rounded, and cut to 0 to 1, they may be equal.
    order = best_first(scored.scores, np.arange(len(scored.scores)), body.top_n or body.top_k)
    best: list[int] = order.tolist()
    results = [_result(i, float(scored.scores[i])) for i in best]
    if rows is not None:
        for result in results:
            result.id = ids[result.index]
    if body.return_documents:
        if rows is not None:
            found = await asyncio.to_thread(serving.passages.get, rows[best].tolist())
            returned = [passage.text for passage in found]
        else:
            returned = [texts[i] for i in best]
        for result, text in zip(results, returned, strict=True):
            result.document = RerankedDocument(text=text)
    return results, scored, cut


def _result(index: int, score: float) -> RerankResult:
    return RerankResult(index=index, relevance_score=relevance(score), score=round(score, 6))


def _refuse_cut(query: bool, documents: list[int]) -> None:
    """Raise FieldError if the query or any of the documents was cut."""
    if query:
        raise FieldError("query", "is longer than the encoder reads, and truncation is false")
    if documents:
        reason = "is longer than is read, and truncation is false"
        raise FieldError(f"documents.{documents[0]}", reason)


def _check(body: RerankRequest, serving: Serving, settings: Settings) -> None:
    """Raise FieldError or HTTPException if the settings or the bundle do not allow ``body``."""
    check_ranks(serving)
    if (body.documents is None) == (body.passages is None):
        raise FieldError("documents", "give either documents or passages")
    if body.documents is None and body.max_tokens_per_doc is not None:
        raise FieldError(
            "max_tokens_per_doc", "is for documents; passages are as the build read them"
        )
    if body.documents is None and body.rank_fields is not None:
        raise FieldError("rank_fields", "is for documents; passages are as the build read them")
    if None not in (body.top_n, body.top_k) and body.top_n != body.top_k:
        reason = (
            f"is {body.top_k}, and top_n is {body.top_n}: two names of one number, give one of them"
        )
        raise FieldError("top_k", reason)
    check_text("query", body.query, settings.max_query_chars)
    field = "documents" if body.passages is None else "passages"
    count, limit = len(body.documents or body.passages or []), settings.max_candidates
    if count > limit:
        raise too_many(field, count, limit)
