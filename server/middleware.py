"""Middleware for every request: an id, a log line, metrics, and a line of the audit log where that is due."""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lurcher.server.audit import Audit
from lurcher.server.lookup import OF_COLLECTION
from lurcher.server.metrics import Metrics
from lurcher.server.noted import Notes
from lurcher.server.replies import milliseconds
from lurcher.server.workers.relay import relayed

if TYPE_CHECKING:  # it needs an extra
    from lurcher.server.traces import Traces

_log = structlog.get_logger()
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

# Notes that are for others than the audit log.
_NO_AUDIT = {"stages", "since", "degraded", "query", "rejected"}


class Observe:
    """Gives each request an id (the caller's ``X-Request-Id`` if it is valid), logs it and counts it."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, audit: Audit | None = None,
        traces: Traces | None = None, slow_ms: float = 0, log_queries: bool = False,
    ) -> None:  # fmt: skip
        """Log requests that take ``slow_ms`` as slow (0: none), with their query if ``log_queries``."""
        self._app = app
        self._metrics = metrics
        self._audit, self._traces = audit, traces
        self._slow_ms, self._log_queries = slow_ms, log_queries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passed_on = relayed(scope)  # the worker that passed it on counts it
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        state: dict[str, Any] = scope.setdefault("state", {})
        noted: Notes = {}
        state["request_id"], state["noted"] = request_id, noted
        start, status = perf_counter(), 500
        traces = None if passed_on else self._traces
        trace = None if traces is None else traces.begin(scope["method"], headers, start)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.update(state.get("rate_headers", {}))
                if trace is not None:
                    headers["traceparent"] = trace.traceparent
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = perf_counter() - start
            # The route's pattern, not the path: callers must not be able to create label values.
            route = _pattern(scope)
            ids = {"request_id": request_id}
            if trace is not None:
                ids["trace_id"] = trace.id
                trace.end(route, status, noted)
            if not passed_on:
                self._count(route, status, seconds, noted)
                self._log(scope, route, status, seconds, ids, noted)
            if "action" in noted and self._audit is not None:
                _audit(self._audit, scope, status, seconds, request_id, noted)

    def _count(self, route: str, status: int, seconds: float, noted: Notes) -> None:
        metrics = self._metrics
        metrics.requests.labels(route, str(status)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        metrics.reject(status, noted.get("rejected"))
        if "stages" in noted:
            metrics.wait_seconds.observe(noted["stages"]["queue"])

    def _log(
        self, scope: Scope, route: str, status: int, seconds: float, ids: Mapping[str, str],
        noted: Notes,
    ) -> None:  # fmt: skip
        _log.info(
            "request", method=scope["method"], path=scope["path"], status=status,
            ms=round(seconds * 1_000, 2), **ids,
        )  # fmt: skip
        if self._slow_ms and seconds * 1_000 >= self._slow_ms:
            stages = {name: milliseconds(spent) for name, spent in noted.get("stages", {}).items()}
            names = ("collection", "key", "degraded", *(("query",) if self._log_queries else ()))
            told = {name: noted[name] for name in names if name in noted}
            _log.warning(
                "slow request", route=route, status=status, ms=milliseconds(seconds),
                stages_ms=stages, **told, **ids,
            )  # fmt: skip


def _audit(
    audit: Audit, scope: Scope, status: int, seconds: float, request_id: str, noted: Notes
) -> None:
    outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
    told = {name: value for name, value in noted.items() if name not in _NO_AUDIT}
    address = scope["client"][0] if scope["client"] else ""
    audit.write(
        request_id=request_id, address=address, **told, status=status, outcome=outcome,
        ms=milliseconds(seconds),
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
