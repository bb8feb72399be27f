"""``POST /mcp``: the protocol's streamable HTTP, each message answered by one JSON reply."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Passage
from lurcher.errors import FieldError, LurcherError
from lurcher.retrieval.contents import passage_of
from lurcher.retrieval.filters import conditions as parsed
from lurcher.retrieval.query import Query, ReadOptions, check_text
from lurcher.retrieval.results import SearchResult
from lurcher.server.admission import Caller
from lurcher.server.keys import caller_of
from lurcher.server.limits import candidates_for
from lurcher.server.lookup import collection_of
from lurcher.server.protocols.mcp.dispatch import HANDSHAKE, PER_REQUEST, VERSION_KEY, answered
from lurcher.server.protocols.mcp.messages import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    STATUS,
    UNSUPPORTED_VERSION,
    Call,
    MessageError,
    read_call,
)
from lurcher.server.protocols.shape import shaped
from lurcher.server.schemas.problems import Problem
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings

_HERE = ("localhost", "127.0.0.1", "::1")
_READ_DEPTH = 10


def error_reply(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return status and body of an error that is none of a message's own."""
    code = INTERNAL_ERROR if problem.status >= 500 else INVALID_REQUEST
    return problem.status, MessageError(code, problem.detail).reply(None)


# Its shapes are the protocol's to describe.
router = APIRouter(route_class=shaped(error_reply), include_in_schema=False)


@router.post("/mcp")
async def mcp(request: Request) -> Response:
    """Answer one message of an MCP client."""
    collection = collection_of(request)
    _check_origin(request, collection.settings)
    raw = await request.body()
    call: Call | None = None
    try:
        call = read_call(raw)
        if call is None:
            return Response(status_code=202)
        _check_headers(call, request)
        with collection.lease() as serving:
            reply = await answered(call, _Served(serving, collection.settings, caller_of(request)))
    except MessageError as error:
        refused = error.reply(None if call is None else call.id)
        return _json(refused, STATUS.get(error.code, 200))
    return Response(status_code=202) if reply is None else _json(reply, 200)


class _Served:
    """The bundle that a server leases to one request, with the limits of its settings."""

    def __init__(self, serving: Serving, settings: Settings, caller: Caller) -> None:
        self._serving, self._settings, self._caller = serving, settings, caller

    @property
    def answers(self) -> bool:
        return self._serving.capabilities.reader

    async def search(self, query: str, top_k: int, conditions: Mapping[str, Any]) -> SearchResult:
        check_text("query", query, self._settings.max_query_chars)
        if top_k > self._settings.max_top_k:
            raise FieldError("top_k", f"at most {self._settings.max_top_k} hits are allowed")
        candidates = self._candidates("top_k", top_k)
        asked = Query(query, top_k, parsed(conditions), candidates=candidates, fold=True)
        (found,) = await self._serving.search([asked], None, self._caller)
        if isinstance(found, LurcherError):
            raise found
        return found[0]

    async def answer(self, question: str, top_k: int) -> SearchResult:
        check_text("question", question, self._settings.max_query_chars)
        depth = min(_READ_DEPTH, self._settings.max_read_depth)
        asked = Query(
            question,
            depth,
            candidates=self._candidates("read_depth", depth),
            read=ReadOptions(top_k),
        )
        result, _ = await self._serving.answer(asked, None, self._caller)
        return result

    async def passage(self, id_: str) -> Passage:
        return await asyncio.to_thread(passage_of, self._serving.contents, id_)

    def _candidates(self, field: str, wanted: int) -> int:
        default = self._serving.capabilities.default_candidates("auto", "auto")
        return candidates_for(field, wanted, None, default, self._settings)


def _check_origin(request: Request, settings: Settings) -> None:
    """Raise HTTPException 403 for a web page that may not call this server.

    A page of another site can give its own name the server's address (DNS rebinding); keys and CORS alone
    would not stop it.
    """
    origin = request.headers.get("origin")
    allowed = settings.cors_origins
    if origin is None or "*" in allowed or origin in allowed:
        return
    if urlsplit(origin).hostname not in _HERE:
        raise HTTPException(
            403, "pages of this origin may not call /mcp; see the setting cors_origins"
        )


def _check_headers(call: Call, request: Request) -> None:
    """Raise MessageError where headers and message disagree, or name a revision that is not spoken here."""
    version = request.headers.get("mcp-protocol-version")
    known = [*HANDSHAKE, *PER_REQUEST]
    meta = call.params.get("_meta")
    stated = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
    if version is not None and version not in known:
        more = {"supported": known, "requested": version[:100]}
        raise MessageError(UNSUPPORTED_VERSION, "this revision is not spoken here", more)
    if call.id is None or (version not in PER_REQUEST and stated is None):
        return
    named = call.params.get("name") if call.method == "tools/call" else None
    for header, value in (
        ("mcp-protocol-version", stated), ("mcp-method", call.method), ("mcp-name", named),
    ):  # fmt: skip
        if value is not None and request.headers.get(header) != value:
            raise MessageError(HEADER_MISMATCH, f"the header {header} is not what the message says")


def _json(message: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(message), status, media_type="application/json")
