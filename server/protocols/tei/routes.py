"""``POST /embed``, ``/rerank`` and ``/similarity``, ``GET /info`` and ``/health``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from lurcher.bundle.manifest import lurcher_version
from lurcher.errors import FieldError
from lurcher.models.encoders.encoder import TOKEN_BUDGET
from lurcher.models.tokens.coder import unit
from lurcher.order import best_first
from lurcher.retrieval.query import check_text
from lurcher.retrieval.rerank import Document
from lurcher.server.keys import caller_of
from lurcher.server.limits import too_many
from lurcher.server.lookup import collection_of
from lurcher.server.protocols.embedding import Cut, check_dimension, embedded, side_of
from lurcher.server.protocols.relevance import check_ranks, relevance
from lurcher.server.protocols.shape import shaped
from lurcher.server.protocols.tei.errors import error_reply
from lurcher.server.protocols.tei.schemas import (
    EmbedRequest,
    Info,
    Rank,
    Reading,
    RerankRequest,
    SimilarityRequest,
)
from lurcher.threads import thread_count

# Their shapes are its own server's to describe.
router = APIRouter(route_class=shaped(error_reply), include_in_schema=False)
health = APIRouter(route_class=shaped(error_reply), include_in_schema=False)


# A client that was told nothing but the server's address posts there.
@router.post("/")
@router.post("/embed")
async def embed(body: EmbedRequest, request: Request) -> Response:
    """Return the vectors of texts, as queries are encoded unless ``prompt_name`` says otherwise."""
    collection = collection_of(request)
    with collection.models() as serving:
        config = serving.embedder.config
        check_dimension("dimensions", body.dimensions, serving.embedder)
        if body.normalize is False and config.similarity == "cosine":
            raise FieldError(
                "normalize", f"vectors of {config.name} have norm 1 before any is asked"
            )
        side = side_of("prompt_name", body.prompt_name)
        found = await embedded(serving, request, "inputs", body.inputs, side, cut=_cut(body))
        vectors = unit(found.vectors) if body.normalize else found.vectors
    return _reply(vectors.tolist(), found.tokens)


@router.post("/similarity")
async def similarity(body: SimilarityRequest, request: Request) -> Response:
    """Return the cosine of a text with each of others, all of one side."""
    collection = collection_of(request)
    with collection.models() as serving:
        how, given = body.parameters, body.inputs
        found = await embedded(
            serving, request, "inputs", [given.source_sentence, *given.sentences],
            side_of("prompt_name", how.prompt_name), cut=_cut(how),
        )  # fmt: skip
        first, *others = unit(found.vectors)
    return _reply([float(first @ one) for one in others], found.tokens)


@router.post("/rerank", response_model_exclude_none=True)
async def rerank(body: RerankRequest, request: Request) -> list[Rank]:
    """Return the texts, best first, with scores of 0 to 1, or raw ones of -1 to 1."""
    collection = collection_of(request)
    limit = collection.settings.max_candidates
    with collection.models() as serving:
        check_ranks(serving)
        check_text("query", body.query, collection.settings.max_query_chars)
        if len(body.texts) > limit:
            raise too_many("texts", len(body.texts), limit)
        documents = [Document(text) for text in body.texts]
        scored, cut = await serving.rerank(body.query, documents, None, caller_of(request))
    if not body.truncate and (scored.truncated or cut):
        which = "query" if scored.truncated else f"texts.{cut[0]}"
        raise HTTPException(413, f"{which}: is longer than is read, and truncate is false")
    scores = scored.scores
    return [
        Rank(
            index=i,
            score=round(float(scores[i]), 6) if body.raw_scores else relevance(float(scores[i])),
            text=body.texts[i] if body.return_text else None,
        )
        for i in best_first(scores, np.arange(len(scores)), len(scores)).tolist()
    ]


@router.get("/info")
async def info(request: Request) -> Info:
    """Return what is served, and the limits on requests."""
    collection = collection_of(request)
    settings = collection.settings
    with collection.models() as serving:
        config = serving.embedder.config
        return Info(
            model_id=config.name, model_sha=config.fingerprint, model_dtype=config.precision,
            model_type={"embedding": {"pooling": config.pooling}},
            max_concurrent_requests=settings.max_waiting, max_input_length=config.max_tokens,
            max_batch_tokens=TOKEN_BUDGET, max_batch_requests=settings.batch_size,
            max_client_batch_size=settings.max_inputs, auto_truncate=False,
            tokenization_workers=thread_count(settings.threads), version=lurcher_version(),
        )  # fmt: skip


@health.get("/health")
async def healthy(request: Request) -> Response:
    """Answer 200 once requests can be answered."""
    request.app.state.service.check_ready()
    return Response()


def _cut(body: Reading) -> Cut:
    if not body.truncate:
        return "never"
    return "end" if body.truncation_direction == "right" else "start"


def _reply(found: list[Any], tokens: int) -> Response:
    headers = {"X-Compute-Type": "cpu", "X-Compute-Tokens": str(tokens)}
    return Response(json.dumps(found), headers=headers, media_type="application/json")
