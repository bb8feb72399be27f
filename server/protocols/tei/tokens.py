"""``POST /tokenize`` and ``/decode``, and TEI's routes for models that Lurcher has not."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from lurcher.errors import FieldError
from lurcher.retrieval.query import check_text
from lurcher.server.limits import too_many
from lurcher.server.lookup import collection_of
from lurcher.server.protocols.embedding import side_of
from lurcher.server.protocols.shape import shaped
from lurcher.server.protocols.tei.errors import error_reply
from lurcher.server.protocols.tei.schemas import DecodeRequest, Token, TokenizeRequest
from lurcher.text import lone_surrogate

router = APIRouter(route_class=shaped(error_reply), include_in_schema=False)

_REASONS = {
    "embed_all": "token states are not served: they are a megabyte of JSON for a short text",
    "embed_sparse": "no model here gives sparse embeddings; words are searched by POST /v1/search",
    "predict": "no model here is a classifier",
}


@router.post("/tokenize")
async def tokenize(body: TokenizeRequest, request: Request) -> list[list[Token]]:
    """Return all tokens of texts as ``/embed`` reads them, prompt included, however many there are."""
    _check_count(request, "inputs", len(body.inputs))
    for place, text in enumerate(body.inputs):
        field = f"inputs.{place}" if len(body.inputs) > 1 else "inputs"
        check_text(field, text)
        if lone_surrogate(text) is not None:
            raise FieldError(field, "is not valid Unicode")
    side = side_of("prompt_name", body.prompt_name)
    with collection_of(request).models() as serving:
        found = await asyncio.to_thread(
            serving.embedder.all_tokens, body.inputs, side, special=body.add_special_tokens
        )
    return [[Token(**one._asdict()) for one in tokens] for tokens in found]


@router.post("/decode")
async def decode(body: DecodeRequest, request: Request) -> list[str]:
    """Return the texts of tokens' ids."""
    _check_count(request, "ids", len(body.ids))
    with collection_of(request).models() as serving:
        embedder = serving.embedder
        for place, ids in enumerate(body.ids):
            embedder.check_ids(f"ids.{place}", ids, "query")
        return await asyncio.to_thread(
            lambda: [
                embedder.decode(ids, skip_special=body.skip_special_tokens) for ids in body.ids
            ]
        )


@router.post("/embed_all")
@router.post("/embed_sparse")
@router.post("/predict")
async def unsupported(request: Request) -> None:
    """Refuse what no model here can do, as TEI refuses what its model cannot."""
    raise HTTPException(424, _REASONS[request.url.path.rpartition("/")[2]])


def _check_count(request: Request, field: str, count: int) -> None:
    limit = request.app.state.service.settings.max_inputs
    if not count:
        raise FieldError(field, "is empty")
    if count > limit:
        raise too_many(field, count, limit)
