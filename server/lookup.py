"""Which collection a request asks: the one that its path names, or the default."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request
from starlette.exceptions import HTTPException

from lurcher.server.collection import Collection
from lurcher.server.collection_names import check_name
from lurcher.server.service import Service

# Where the native routes are for the default collection, and for one that the path names.
NATIVE, OF_COLLECTION = "/v1", "/v1/collections/{collection}"


def collection_of(request: Request) -> Collection:
    """Return the collection that ``request`` asks.

    Raises HTTPException 404 if there is none of that name, FieldError for what is no name.
    """
    service: Service = request.app.state.service
    name: str | None = request.path_params.get("collection")
    return service.collections.default if name is None else collection_named(service, name)


def collection_named(service: Service, name: str) -> Collection:
    """Return the collection ``name``. Raises HTTPException 404, FieldError for what is no name."""
    found = service.collections.get(check_name("collection", name))
    if found is None:
        reason = f"there is no collection {name!r} here; GET /v1/collections lists those there are"
        raise HTTPException(404, reason)
    return found


async def named(
    request: Request,
    collection: Annotated[str, Path(description="The name of the collection to ask.")],
) -> None:
    """Raise, before a body is read, what ``collection_named`` raises."""
    collection_named(request.app.state.service, collection)
