"""Which collection a request asks: the one that its path names, or the default."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request
from starlette.exceptions import HTTPException

from lurcher.server.collection import Collection
from lurcher.server.collection_names import check_name
from lurcher.server.keys import may_ask
from lurcher.server.noted import note
from lurcher.server.service import Service

# Where the native routes are for the default collection, and for one that the path names.
NATIVE, OF_COLLECTION = "/v1", "/v1/collections/{collection}"


def collection_of(request: Request) -> Collection:
    """Return the collection that ``request`` asks.

    Raises HTTPException 404 if there is none of that name, 403 if its key is not for that, and FieldError for
    what is no name.
    """
    service: Service = request.app.state.service
    name: str | None = request.path_params.get("collection")
    found = collection_named(request, service.collections.default.name if name is None else name)
    note(request, collection=found.name)
    return found


def collection_named(request: Request, name: str) -> Collection:
    """Return the collection ``name``, if the key of ``request`` is for it. Raises as ``collection_of``."""
    service: Service = request.app.state.service
    collections = service.collections
    found = collections.get(check_name("collection", name))
    others = [] if found is None else [found.name, *collections.aliases_of(found.name)]
    # Before it is said whether there is one: that is no business of those who may not ask it.
    check_key(request, name, *others)
    if found is None:
        reason = f"there is no collection {name!r} here; GET /v1/collections lists those there are"
        raise HTTPException(404, reason)
    return found


def check_key(request: Request, name: str, *others: str) -> None:
    """Raise HTTPException 403 unless the key of ``request`` is for the collection that has these names."""
    if not may_ask(request, name, *others):
        raise HTTPException(403, f"this key is not for the collection {name!r}, or not for this")


def collections_for(request: Request) -> list[Collection]:
    """Return the collections that the key of ``request`` is for, the default first."""
    service: Service = request.app.state.service
    found = service.collections
    every = sorted(found, key=lambda one: one.name != found.default_name)
    return [one for one in every if may_ask(request, one.name, *found.aliases_of(one.name))]


def collection_with_model(request: Request, model: str) -> Collection:
    """Return the first collection whose encoder is called ``model``, or that which ``request`` asks.

    The latter is also what it gets whose path names one. Raises as ``collection_of``.
    """
    if "collection" not in request.path_params:
        for one in collections_for(request):
            encoder = one.models().encoder
            if encoder is not None and is_called(model, encoder.name):
                return one
    return collection_of(request)


async def named(
    request: Request,
    collection: Annotated[str, Path(description="The name of the collection to ask.")],
) -> None:
    """Raise, before a body is read, what ``collection_named`` raises."""
    collection_named(request, collection)


async def of_default(request: Request) -> None:
    """Raise, before a body is read, what ``collection_of`` raises for a route that names none."""
    collection_of(request)


def is_called(wanted: str, name: str) -> bool:
    """Return whether ``wanted`` is an encoder's ``name``, alone or behind that of who made it."""
    return wanted.rpartition("/")[2].lower() == name.lower()
