"""Middleware for every request: an id, a log line, metrics."""

from __future__ import annotations

import re
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lurcher.server.lookup import OF_COLLECTION
from lurcher.server.metrics import Metrics
from lurcher.server.workers.relay import relayed

_log = structlog.get_logger()
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Observe:
    """Gives each request an id (the caller's ``X-Request-Id`` if it is valid), logs it and counts it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passed_on = relayed(scope)  # the worker that passed it on counts it
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        start, status = perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.update(state.get("rate_headers", {}))
            await send(message)

        if passed_on:
            await self._app(scope, receive, answer)
            return
        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = perf_counter() - start
            # The route's pattern, not the path: callers must not be able to create label values.
            route = _pattern(scope)
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
            _log.info(
                "request", method=scope["method"], path=scope["path"], status=status,
                ms=round(seconds * 1_000, 2), request_id=request_id,
            )  # fmt: skip


def _pattern(scope: Scope) -> str:
    """Return the route's pattern; FastAPI may note it as the router has it that was included."""
    path: str = getattr(scope.get("route"), "path", "unmatched")
    if path == "unmatched":
        return path
    if "collection" in scope.get("path_params", ()):
        prefix = OF_COLLECTION
    else:
        prefix = next((one for one in ("/v1", "/v2") if scope["path"].startswith(f"{one}/")), "")
    return path if path.startswith(prefix) else f"{prefix}{path}"
