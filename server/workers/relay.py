"""Requests that change something, passed on to the one process that writes.

It listens on a Unix socket that only the workers of one server can reach, and answers there what it answers
on the port. A request that comes that way says from which address it came, which counts as the caller's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
from fastapi import Request, Response
from starlette.types import Scope

from lurcher.errors import NotReady
from lurcher.server.audit import AuditedRoute
from lurcher.server.lookup import collection_of
from lurcher.server.noted import note
from lurcher.server.workers.link import Link

_log = structlog.get_logger()

_CLIENT = b"x-lurcher-client"
# Of the connection, not of the request.
_OF_HOP = {b"connection", b"content-length", b"expect", b"host", b"keep-alive", _CLIENT}
_KEPT = {
    b"content-type", b"etag", b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset",
    b"retry-after", b"www-authenticate", b"x-request-id",
}  # fmt: skip

# Seconds after which a write is answered that a worker does not show yet.
_PATIENCE = 2.0

_NOBODY = "the process that writes is being started; nothing was changed"
_LOST = (
    "the process that writes has ended; whether it had done this is not known: send it again, with the"
    " same Idempotency-Key if it had one"
)


class RelayedRoute(AuditedRoute):
    """A route that is answered by the process that writes, where that is another."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        here = super().get_route_handler()

        async def handle(request: Request) -> Response:
            link: Link | None = request.app.state.link
            if link is not None and not link.writes:
                try:
                    reply = await _ask(link.writer, request)
                except NotReady:  # else the one that writes notes it
                    self.note_action(request)
                    raise
                if reply.status_code == 429 and reply.headers.get("ratelimit-remaining") == "0":
                    note(request, rejected="rate")
                return reply
            response = await here(request)
            if link is not None:
                await _shown_everywhere(link, request, response)
            return response

        return handle


def relayed(scope: Scope) -> bool:
    """Whether a worker passed this request on; the caller's address is in ``scope`` then.

    Only the Unix socket has no address of whoever connects.
    """
    if scope["client"] is not None:
        return False
    address = next((value for name, value in scope["headers"] if name == _CLIENT), None)
    if address is None:
        return False
    scope["client"] = (address.decode("latin-1"), 0)
    return True


async def _ask(writer: Path, request: Request) -> Response:
    """The reply to ``request`` of the process that listens at ``writer``. Raises NotReady."""
    body = await request.body()
    head = _head(request, len(body))
    try:
        reader, stream = await asyncio.open_unix_connection(str(writer))
    except OSError as error:
        raise NotReady(_NOBODY) from error
    try:
        stream.write(head + body)
        reply = await reader.read()
    except OSError as error:
        raise NotReady(_LOST) from error
    finally:
        stream.close()
    return _response(reply)


def _head(request: Request, size: int) -> bytes:
    target = request.scope["path"]
    path = request.scope.get("raw_path") or target.encode()
    if query := request.scope["query_string"]:
        path += b"?" + query
    client = request.client.host if request.client else ""
    given = [(k, v) for k, v in request.scope["headers"] if k not in _OF_HOP | {b"x-request-id"}]
    headers = [
        *given, (b"host", b"127.0.0.1"), (b"connection", b"close"), (_CLIENT, client.encode()),
        (b"content-length", b"%d" % size), (b"x-request-id", request.state.request_id.encode()),
    ]  # fmt: skip
    lines = [request.method.encode() + b" " + path + b" HTTP/1.1"]
    return b"\r\n".join([*lines, *(k + b": " + v for k, v in headers), b"", b""])


def _response(reply: bytes) -> Response:
    """The response that ``reply`` is, up to the connection's end. Raises NotReady where it was cut off."""
    head, end, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    if not end or len(body) != int(headers.get(b"content-length", b"-1")):
        raise NotReady(_LOST)
    kept = {k.decode(): v.decode("latin-1") for k, v in headers.items() if k in _KEPT}
    return Response(body, int(status.split()[1]), kept)


async def _shown_everywhere(link: Link, request: Request, response: Response) -> None:
    """Return once searches of all workers know the write of ``response``, if it was to be visible."""
    if response.status_code != 200 or request.method == "GET":
        return
    sequence = json.loads(bytes(response.body)).get("sequence")
    if sequence is None or json.loads(await request.body()).get("wait") == "durable":
        return
    if not await link.reached(collection_of(request).path, sequence, _PATIENCE):
        # It is done, and will be seen.
        _log.warning("a write is not visible to all workers yet", sequence=sequence)
