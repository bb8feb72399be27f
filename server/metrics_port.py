"""A port of its own for metrics, so that who can reach the API need not reach them."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from lurcher.server.errors import render, told

# What scrapers and probes ask; the second of these on both ports.
_METRICS = "/metrics"
_HEALTH = ("/livez", "/readyz")


class MetricsPort:
    """Answers ``/metrics`` on ``port`` alone, and nothing else there but health."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app, self._port = app, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and not self._is_here(scope["path"], scope["server"]):
            found, headers = told(HTTPException(404), scope["state"]["request_id"])
            await render(found, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_here(self, path: str, server: tuple[str, int | None] | None) -> bool:
        """Return whether ``path`` is answered on the port of ``server``, None: a Unix socket."""
        on_port = server is not None and server[1] == self._port
        return path in _HEALTH or on_port == (path == _METRICS)
