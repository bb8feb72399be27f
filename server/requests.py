"""How requests arrive: HEAD as GET, paths with a slash at the end, bodies in any form that can be read."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lurcher.server.bodies import coding_of, decoded, plain_json


class Normalise:
    """Answers HEAD as GET, without the body, and a path that ends with a slash as the one without."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                _allow_head(MutableHeaders(scope=message))
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        method = "GET" if is_head else scope["method"]
        # One that is written %2F is a part of an id.
        sent: bytes = scope.get("raw_path") or scope["path"].encode()
        slashes = len(sent) - len(sent.rstrip(b"/"))
        path = scope["path"][: len(scope["path"]) - slashes] or "/"
        await _call(self._app, scope, receive, answer, method=method, path=path)


class ReadBody:
    """Hands bodies on as plain JSON, and refuses those of other types and those of over ``limit`` bytes.

    The limit counts what is sent and what it is when decompressed. A refusal is raised when a route asks for
    the body, so that an unknown path stays a 404, and before anything is read where the headers tell enough.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_read = False

        async def whole() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return await self._read(headers, receive)

        kept = [(name, value) for name, value in scope["headers"] if name not in _REPLACED]
        named = [*kept, (b"content-type", b"application/json")]
        await _call(self._app, scope, whole, send, headers=named)

    async def _read(self, headers: Headers, receive: Receive) -> Message:
        """Return one message with the whole body, or that of a client that went. Raises HTTPException."""
        coding, charset = coding_of(headers), plain_json(headers)
        too_large = HTTPException(413, f"the body is larger than {self._limit} bytes")
        stated = headers.get("content-length", "0")
        if stated.isdigit() and int(stated) > self._limit:
            raise too_large
        raw, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return message
            raw += message.get("body", b"")
            if len(raw) > self._limit:
                raise too_large
            more = message.get("more_body", False)
        body = decoded(bytes(raw), coding, charset, self._limit)
        return {"type": "http.request", "body": body, "more_body": False}


# What described the body as it was sent.
_REPLACED = {b"content-type", b"content-encoding", b"content-length", b"transfer-encoding"}


async def _call(app: ASGIApp, scope: Scope, receive: Receive, send: Send, **changes: Any) -> None:
    """Call ``app`` with a changed copy of ``scope``, which the server still needs as it is.

    The route that the copy gets is noted in ``scope``, where metrics look for it, with its parameters.
    """
    inner = {**scope, **changes}
    try:
        await app(inner, receive, send)
    finally:
        scope.update({name: inner[name] for name in ("route", "path_params") if name in inner})


def _allow_head(headers: MutableHeaders) -> None:
    """Add HEAD to the methods in ``Allow`` if GET is one of them."""
    allowed = [name.strip() for name in headers.get("allow", "").split(",")]
    if "GET" in allowed and "HEAD" not in allowed:
        headers["allow"] = ", ".join([*allowed, "HEAD"])
