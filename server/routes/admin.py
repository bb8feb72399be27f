"""``/v1/admin``: load, swap, unload and name collections while the server runs."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from lurcher.server.administration import allowed_path
from lurcher.server.audit import AuditedRoute
from lurcher.server.collection import Collection
from lurcher.server.collection_names import check_name
from lurcher.server.errors import responses
from lurcher.server.lookup import check_key
from lurcher.server.noted import note
from lurcher.server.routes.collections import described, listed
from lurcher.server.schemas.admin import (
    AliasRequest,
    ChangedReply,
    LeftReply,
    LoadRequest,
    SwapRequest,
)
from lurcher.server.service import Service

router = APIRouter(tags=["admin"], route_class=AuditedRoute)

# 404: no route takes a line break in a path.
_CHANGES = responses(400, 403, 404, 409, 413, 415, 422, 503)
_REMOVES = responses(403, 404, 409, 422, 503)


@router.post("/v1/admin/collections", responses=_CHANGES)
async def load_collection(body: LoadRequest, request: Request) -> ChangedReply:
    """Load a bundle and serve it under a name. The reply comes when it has answered a query."""
    service = _service(request)
    note(request, collection=check_name("name", body.name))
    check_key(request, body.name)
    path = await asyncio.to_thread(allowed_path, body.path, service.settings.admin_folders)
    note(request, path=str(path))
    return await _changed(service, await service.administration.load(body.name, path))


@router.put("/v1/admin/collections/{name:path}", responses=_CHANGES)
async def swap_collection(name: str, body: SwapRequest, request: Request) -> ChangedReply:
    """Let a collection have another bundle. The reply comes when searches are answered from that.

    Requests in flight are answered from the bundle before, which is closed then. If the new one cannot be
    loaded, the one before stays.
    """
    service = _service(request)
    note(request, collection=check_name("name", name))
    check_key(request, name)
    path = await asyncio.to_thread(allowed_path, body.path, service.settings.admin_folders)
    note(request, path=str(path))
    return await _changed(service, await service.administration.swap(name, path))


@router.delete("/v1/admin/collections/{name:path}", responses=_REMOVES)
async def unload_collection(name: str, request: Request) -> LeftReply:
    """Serve a collection no more; its bundle stays on the disk. Return those that are left."""
    service = _service(request)
    note(request, collection=check_name("name", name))
    check_key(request, name)
    await service.administration.unload(name)
    return await _left(service, request)


@router.put("/v1/admin/aliases/{alias:path}", responses=_CHANGES)
async def put_alias(alias: str, body: AliasRequest, request: Request) -> ChangedReply:
    """Let a name be another name of a collection, whatever it was before."""
    service = _service(request)
    collections, name = service.collections, check_name("collection", body.collection)
    note(request, collection=name, alias=check_name("alias", alias))
    check_key(request, name)
    before = collections.get(alias)
    if before is not None:
        check_key(request, before.name)
    collections.alias(alias, name)
    return await _changed(service, collections.exactly(name))


@router.delete("/v1/admin/aliases/{alias:path}", responses=_REMOVES)
async def remove_alias(alias: str, request: Request) -> LeftReply:
    """Let an alias be nothing; return the collections."""
    service = _service(request)
    note(request, alias=check_name("alias", alias))
    before = service.collections.get(alias)
    if before is not None:
        check_key(request, before.name)
    service.collections.remove_alias(alias)
    return await _left(service, request)


def _service(request: Request) -> Service:
    """Return the server. Raises HTTPException if it is not administered, NotReady while it loads."""
    service: Service = request.app.state.service
    if not service.settings.admin_folders:
        raise HTTPException(
            403, "administration is off; it is on with the setting admin_folders = [FOLDER]"
        )
    service.check_ready()
    return service


async def _changed(service: Service, collection: Collection) -> ChangedReply:
    found = described(collection, service.collections)
    return ChangedReply(**found.model_dump(), kept=await service.administration.keep())


async def _left(service: Service, request: Request) -> LeftReply:
    left = listed(request).collections
    return LeftReply(collections=left, kept=await service.administration.keep())
