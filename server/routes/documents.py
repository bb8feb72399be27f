"""``GET /v1/documents/{id}``: what a hit is a part of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, HTTPException, Request, Response

from lurcher.bundle.documents import joined
from lurcher.bundle.passages import Passage
from lurcher.server import id_paths
from lurcher.server.errors import responses
from lurcher.server.lookup import collection_of
from lurcher.server.replies import JSON
from lurcher.server.schemas.documents import DocumentReply, Part

id_paths.register()

router = APIRouter(tags=["bundle"])


@router.get("/documents/{id:id}", response_model=DocumentReply, responses=responses(404, 503))
async def document(id: str, request: Request) -> Response:
    """Return the text of a document, and which of its parts are passages."""
    collection = collection_of(request)
    with collection.lease() as serving:
        passages = await asyncio.to_thread(serving.contents.document, id)
        name = serving.bundle
    if not passages:
        raise HTTPException(404, f"no document has the id {id!r}")
    reply = await asyncio.to_thread(_reply, id, passages, name)  # a document may be large
    # As it is: validation by the response model would make all of it twice.
    return Response(reply, media_type=JSON)


def _reply(id: str, passages: Sequence[Passage], bundle: str) -> str:
    """Return in JSON the document with that ``id``, of which these are all ``passages``."""
    parts = [
        Part(
            id=one.id, section=list(one.section), start=one.start, end=one.end, anchor=one.anchor,
            url=one.url,
        )
        for one in passages
    ]  # fmt: skip
    first = passages[0]
    return DocumentReply(
        id=id, title=first.title, text=joined(passages), metadata=first.metadata, passages=parts,
        bundle=bundle,
    ).model_dump_json()  # fmt: skip
