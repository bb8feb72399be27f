"""What both clients know of a connection: where to, with which key, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import quote

from lurcher.bundle.manifest import lurcher_version
from lurcher.client.steps import Request
from lurcher.errors import (
    DeadlinePassed,
    FieldError,
    LurcherError,
    ServerUnreachable,
    VersionMismatch,
)

# A server that answers 504 by itself should do so before the client hangs up.
_GRACE = 1.0
# What each collection has below its own name, too.
_ROUTES = "/v1/"


@dataclass(frozen=True, slots=True)
class Target:
    """A server: its address, the key to show it, seconds for a call, how often to try again.

    Without a ``collection`` its default is asked.
    """

    url: str
    key: str | None
    timeout: float
    retries: int
    collection: str | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise FieldError("url", f"{self.url!r}: must begin with http:// or https://")
        if not self.timeout > 0:
            raise FieldError("timeout", f"{self.timeout!r}: must be more than 0 seconds")
        if self.retries < 0:
            raise FieldError("retries", f"{self.retries!r}: must not be negative")

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        named = {"User-Agent": f"lurcher/{lurcher_version()}"}
        return named if self.key is None else {**named, "Authorization": f"Bearer {self.key}"}

    def arguments(self, request: Request, left: float) -> dict[str, Any]:
        """Return what httpx is called with to send ``request``, which has ``left`` seconds."""
        if left <= 0:
            raise self.out_of_time()
        url = self.url.rstrip("/") + self._path(request.path)
        headers = self.headers() | ({"Idempotency-Key": request.key} if request.key else {})
        how: dict[str, Any] = {"url": url, "headers": headers, "timeout": left + _GRACE}
        if request.parameters:
            how["params"] = list(request.parameters)
        if request.body is None:
            return {"method": request.method or "GET", **how}
        limit = {"timeout_ms": max(1, round(left * 1_000))} if request.timed else {}
        return {"method": request.method or "POST", "json": request.body | limit, **how}

    def _path(self, path: str) -> str:
        if self.collection is None or not path.startswith(_ROUTES):
            return path
        return (
            f"{_ROUTES}collections/{quote(self.collection, safe='')}/{path.removeprefix(_ROUTES)}"
        )

    def out_of_time(self) -> DeadlinePassed:
        """Return the error of a call that took too long."""
        return DeadlinePassed(f"{self.url}: no answer within {self.timeout:g} s")

    def unreachable(self, error: Exception) -> ServerUnreachable:
        """Return the error of a connection that failed."""
        return ServerUnreachable(f"{self.url}: {error or type(error).__name__}")

    def explained(self, error: VersionMismatch, openapi: Mapping[str, Any] | None) -> LurcherError:
        """Return ``error`` with what the server's ``openapi`` document says that it is."""
        info = (openapi or {}).get("info", {})
        if info.get("title") != "Lurcher":
            return VersionMismatch(f"{self.url}: no Lurcher server: {error}")
        return VersionMismatch(
            f"{self.url}: the server is Lurcher {info.get('version')}, this client {lurcher_version()}, and "
            f"they do not fit together: {error}"
        )


def httpx_module() -> ModuleType:
    """Return httpx. Raises LurcherError where it is not installed."""
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise LurcherError(
            f"this needs the package {error.name}: pip install 'lurcher[client]'"
        ) from error
    return httpx
