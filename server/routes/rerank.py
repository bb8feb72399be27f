"""``POST /v1/rerank`` and ``/v2/rerank``: passages or texts in the order in which they answer a query."""

from __future__ import annotations

import asyncio
from time import perf_counter

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Passages, Rows
from lurcher.models.errors import FieldError
from lurcher.retrieval.ranking import NO_TOKENS
from lurcher.server.errors import responses
from lurcher.server.routes.search import check_query
from lurcher.server.schemas.rerank import (
    RerankedDocument,
    RerankMeta,
    RerankReply,
    RerankRequest,
    RerankResult,
)
from lurcher.server.service import Service

router = APIRouter(tags=["rerank"])

_ERRORS = responses(400, 413, 422, 429, 503, 504)


@router.post("/v2/rerank", response_model=RerankReply, responses=_ERRORS)
@router.post("/v1/rerank", response_model=RerankReply, responses=_ERRORS)
async def rerank(body: RerankRequest, request: Request) -> Response:
    """Texts, or passages of the bundle, in the order in which they answer a query: Cohere's shape."""
    start = perf_counter()
    service: Service = request.app.state.service
    _check(body, service)
    stored, gone = service.bundle.passages, request.is_disconnected
    texts = None if body.documents is None else [one.text for one in body.documents]
    ids = body.passages or []
    rows = await asyncio.to_thread(_rows, stored, ids)
    scored, cut = await service.rerank(
        body.query, rows if texts is None else texts, body.timeout_ms, gone, body.max_tokens_per_doc
    )
    best: list[int] = np.argsort(-scored.scores, kind="stable")[: body.top_n].tolist()
    results = [
        RerankResult(index=i, relevance_score=round(float(scored.scores[i]), 6)) for i in best
    ]
    if texts is None:
        for result in results:
            result.id = ids[result.index]
    if body.return_documents:
        returned = (
            [passage.text for passage in await asyncio.to_thread(stored.get, rows[best].tolist())]
            if texts is None
            else [texts[i] for i in best]
        )
        for result, text in zip(results, returned, strict=True):
            result.document = RerankedDocument(text=text)
    manifest = service.bundle.manifest
    reply = RerankReply(
        id=request.state.request_id,
        results=results,
        meta=RerankMeta(
            bundle=manifest.name, model=manifest.encoder.name, truncated=scored.truncated,
            truncated_documents=cut,
            timings_ms={"total": round((perf_counter() - start) * 1_000, 3)},
        ),
    )  # fmt: skip
    return Response(reply.model_dump_json(exclude_unset=True), media_type="application/json")


def _check(body: RerankRequest, service: Service) -> None:
    """Raise FieldError or HTTPException for a request that the settings or the bundle forbid."""
    if (body.documents is None) == (body.passages is None):
        raise FieldError("documents", "give either documents or passages")
    if body.documents is None and body.max_tokens_per_doc is not None:
        raise FieldError(
            "max_tokens_per_doc", "is for documents; passages are as the build read them"
        )
    check_query("query", body.query, service.settings)
    field = "documents" if body.passages is None else "passages"
    count, limit = len(body.documents or body.passages or []), service.settings.max_candidates
    if count > limit:
        raise HTTPException(413, f"{field}: {count} of them, at most {limit} in one request")
    if service.bundle.tokens is None:
        raise FieldError(field, NO_TOKENS)


def _rows(stored: Passages, ids: list[str]) -> Rows:
    """The rows of passages ``ids``. Raises FieldError for one that there is not."""
    rows = stored.rows_of(list(dict.fromkeys(ids)))
    for i, id_ in enumerate(ids):
        if id_ not in rows:
            raise FieldError(f"passages.{i}", "no passage has this id")
    return np.array([rows[id_] for id_ in ids], np.int64)
