"""``/v1/passages``: write, delete, change, read and list passages."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Passage
from lurcher.errors import FieldError, VersionConflict
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.edit.requests import Delete, Patch, Sender, Upsert, version_of
from lurcher.index_builder.edit.requests import Request as Write
from lurcher.retrieval.filters import conditions, parse_filter
from lurcher.server import id_paths
from lurcher.server.collection import Collection
from lurcher.server.errors import responses
from lurcher.server.keys import client_of
from lurcher.server.limits import too_many
from lurcher.server.lookup import collection_of
from lurcher.server.noted import note
from lurcher.server.replies import JSON
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.fields import idempotency_key
from lurcher.server.schemas.passages import (
    DeleteRequest,
    ListQuery,
    NewRecord,
    PassageList,
    PatchRequest,
    PutRequest,
    StoredPassage,
    WriteReply,
)
from lurcher.server.workers.relay import RelayedRoute

id_paths.register()

# Two, because they need different API keys.
reading = APIRouter(tags=["passages"])
writing = APIRouter(tags=["passages"], route_class=RelayedRoute)

_WRITES = responses(400, 403, 409, 412, 413, 415, 422, 429, 503, 507)

_Key = Annotated[
    str | None, idempotency_key("A request that is repeated with the same key is done once.")
]
_Match = Annotated[
    str | None,
    Header(alias="If-Match", description="The version of the one record, in quotes; or `*`."),
]


@writing.put("/passages", responses=_WRITES)
async def put_passages(
    body: PutRequest, request: Request, idempotency_key: _Key = None, if_match: _Match = None
) -> WriteReply:
    """Add documents, or replace those of the same ids with all of their passages.

    Each is cut into passages as the bundle's build cut others. The request is done wholly or not at all.
    """
    collection = _collection(request, len(body.records), "records")
    documents = [_document(i, record) for i, record in enumerate(body.records)]
    versions = {one.id: one.version for one in body.records if one.version is not None}
    versions |= _matched(if_match, [one.id for one in body.records])
    write = Upsert(
        tuple(documents), versions, _sender(request, body, idempotency_key), check_kinds=True,
        keep_feedback=body.keep_feedback,
    )  # fmt: skip
    return await _written(request, collection, write, body.wait, if_match)


@writing.delete("/passages", responses=_WRITES)
async def delete_passages(
    body: DeleteRequest, request: Request, idempotency_key: _Key = None, if_match: _Match = None
) -> WriteReply:
    """Delete passages by their ids, documents' ids or metadata; no search finds them from the reply on."""
    collection = _collection(request, len(body.ids or ()), "ids")
    if (body.ids is None) == (body.filter is None):
        raise FieldError("ids", "name either ids or filter")
    tests = None if body.filter is None else conditions(body.filter)
    if tests == ():
        raise FieldError("filter", "has no condition; it would delete everything")
    note(request, by_filter=tests is not None, dry_run=body.dry_run)
    if tests is not None and body.versions:
        raise FieldError("versions", "are of ids; a filter deletes whatever meets it")
    versions = (body.versions or {}) | _matched(if_match, body.ids or [])
    sender = _sender(request, body, idempotency_key)
    write = Delete(tuple(body.ids or ()), tests, versions, body.confirm, body.dry_run, sender)
    return await _written(request, collection, write, body.wait, if_match)


@writing.patch("/passages", responses=_WRITES)
async def patch_passages(
    body: PatchRequest, request: Request, idempotency_key: _Key = None, if_match: _Match = None
) -> WriteReply:
    """Change metadata of passages, or of documents with all of their passages; texts stay."""
    collection = _collection(request, len(body.records), "records")
    metadata: dict[str, dict[str, Any]] = {}
    for i, one in enumerate(body.records):
        if one.id in metadata:
            raise FieldError(f"records.{i}.id", "an id may be there once")
        metadata[one.id] = one.metadata
    versions = {one.id: one.version for one in body.records if one.version is not None}
    versions |= _matched(if_match, list(metadata))
    write = Patch(metadata, versions, _sender(request, body, idempotency_key), check_kinds=True)
    return await _written(request, collection, write, body.wait, if_match)


@reading.get("/passages", response_model=PassageList, responses=responses(422, 503))
async def list_passages(asked: Annotated[ListQuery, Query()], request: Request) -> Response:
    """List passages in the order of their ids, all or those that meet a filter.

    The order stays while passages are written: what is there all the time is listed once.
    """
    collection = collection_of(request)
    tests = parse_filter(asked.filter or "{}")
    after = "" if asked.cursor is None else _from_cursor(asked.cursor)
    with collection.lease() as serving:
        found = await asyncio.to_thread(serving.contents.listed, after, asked.limit, tests)
        name = serving.bundle
    last = found[-1].id if len(found) == asked.limit else None
    cursor = None if last is None else base64.urlsafe_b64encode(last.encode()).decode()

    def reply() -> str:
        stored = [_stored(one) for one in found]
        return PassageList(passages=stored, cursor=cursor, bundle=name).model_dump_json()

    # As it is: validation by the response model would make all of it twice, and in the event loop.
    return Response(await asyncio.to_thread(reply), media_type=JSON)


@reading.get("/passages/{id:id}", response_model=StoredPassage, responses=responses(404, 503))
async def passage(id: str, request: Request, response: Response) -> StoredPassage:
    """Return a passage; its version is the header `ETag`, too."""
    collection = collection_of(request)
    with collection.lease() as serving:
        found = await asyncio.to_thread(serving.contents.passage, id)
    if found is None:
        raise HTTPException(404, f"no passage has the id {id!r}")
    stored = _stored(found)
    response.headers["ETag"] = f'"{stored.version}"'
    return stored


def _collection(request: Request, count: int, field: str) -> Collection:
    """What takes writes. Raises HTTPException if nothing does, or not so many."""
    collection = collection_of(request)
    note(request, records=count)
    if not collection.writable:
        raise HTTPException(
            403, "this server does not write; it does with the setting writable = true"
        )
    if count > collection.settings.max_queries:
        raise too_many(field, count, collection.settings.max_queries)
    return collection


def _document(place: int, record: NewRecord) -> Document:
    """The document of ``record``. Raises FieldError."""
    given: dict[str, Any] = {"id": record.id, "title": record.title}
    if record.text is not None or record.passages is None:
        given["text"] = record.text
    if record.passages is not None:
        given["passages"] = record.passages
    try:
        return document_of(given, record.metadata)
    except BadRecord as error:
        raise FieldError(f"records.{place}", str(error)) from error


def _matched(if_match: str | None, ids: Sequence[str]) -> dict[str, str]:
    """The version that the header ``If-Match`` wants of the one record. Raises FieldError."""
    if if_match is None:
        return {}
    if len(ids) != 1:
        raise FieldError("If-Match", "is for one record; of several, give each its version")
    version = if_match.strip().removeprefix("W/").strip('"')
    return {ids[0]: version}


def _sender(request: Request, body: Body, key: str | None) -> Sender:
    if key is None:
        return Sender()
    digest = hashlib.sha256(f"{request.method} {body.model_dump_json()}".encode()).hexdigest()[:32]
    return Sender(client_of(request), key, digest)


async def _written(
    request: Request, collection: Collection, write: Write, wait: str, if_match: str | None
) -> WriteReply:
    """What became of ``write``, noted of ``request``, too.

    Raises LurcherError, HTTPException for a version of the header.
    """
    name = collection.models().bundle  # another may be in service when it is done
    try:
        receipt = await collection.writes().submit(write, visible=wait == "visible")
    except VersionConflict as error:
        if if_match is None:
            raise
        raise HTTPException(412, str(error)) from error
    note(
        request, sequence=receipt.sequence, upserted=receipt.upserted, unchanged=receipt.unchanged,
        removed=receipt.removed, patched=receipt.patched, unknown=len(receipt.unknown),
    )  # fmt: skip
    return WriteReply(
        sequence=receipt.sequence, upserted=receipt.upserted, unchanged=receipt.unchanged,
        added=receipt.added, removed=receipt.removed, patched=receipt.patched,
        unknown=list(receipt.unknown), bundle=name,
    )  # fmt: skip


def _stored(one: Passage) -> StoredPassage:
    return StoredPassage(
        id=one.id, document=one.document, title=one.title, section=list(one.section), text=one.text,
        metadata=one.metadata, start=one.start, end=one.end, anchor=one.anchor, url=one.url,
        version=version_of([one]),
    )  # fmt: skip


def _from_cursor(cursor: str) -> str:
    """The id that ``cursor`` stands for. Raises FieldError."""
    try:
        return base64.b64decode(cursor, b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise FieldError("cursor", "is none that a list gave") from error
