"""``GET /v1/collections``: what the server serves, by name."""

from __future__ import annotations

from fastapi import APIRouter, Request

from lurcher.server.collection import Collection
from lurcher.server.errors import responses
from lurcher.server.schemas.collections import CollectionReply, CollectionsReply
from lurcher.server.service import Service

router = APIRouter(tags=["collections"])


@router.get("/v1/collections", responses=responses(503))
async def collections(request: Request) -> CollectionsReply:
    """List the collections: each is a bundle under a name, with routes of its own below this one."""
    service: Service = request.app.state.service
    found = service.collections
    return CollectionsReply(collections=[_described(one, one is found.default) for one in found])


def _described(collection: Collection, is_default: bool) -> CollectionReply:
    with collection.models() as serving:
        encoder = serving.encoder
        return CollectionReply(
            name=collection.name, default=is_default, bundle=serving.bundle,
            passages=serving.passages.count if serving.has_corpus else 0,
            encoder=None if encoder is None else encoder.name,
            fingerprint=None if encoder is None else encoder.fingerprint,
        )  # fmt: skip
