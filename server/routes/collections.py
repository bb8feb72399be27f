"""``GET /v1/collections``: what the server serves, by name."""

from __future__ import annotations

from fastapi import APIRouter, Request

from lurcher.server.collection import Collection
from lurcher.server.errors import responses
from lurcher.server.lookup import collections_for
from lurcher.server.registry import Registry
from lurcher.server.schemas.collections import CollectionReply, CollectionsReply

router = APIRouter(tags=["collections"])


@router.get("/v1/collections", responses=responses(503))
async def collections(request: Request) -> CollectionsReply:
    """List the collections that the key is for: each is a bundle under a name, with routes below this one."""
    return listed(request)


def listed(request: Request) -> CollectionsReply:
    """Return the list of those that the key of ``request`` is for. Raises NotReady."""
    registry = request.app.state.service.collections
    return CollectionsReply(
        collections=[described(one, registry) for one in collections_for(request)]
    )


def described(collection: Collection, registry: Registry) -> CollectionReply:
    """Return what the list says of a collection. Raises NotReady."""
    with collection.models() as serving:
        encoder = serving.encoder
        return CollectionReply(
            name=collection.name, default=collection.name == registry.default_name,
            aliases=registry.aliases_of(collection.name), bundle=serving.bundle,
            passages=serving.passages.count if serving.has_corpus else 0,
            encoder=None if encoder is None else encoder.name,
            fingerprint=None if encoder is None else encoder.fingerprint,
        )  # fmt: skip
