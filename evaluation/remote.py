"""JSON requests to a running server."""

from __future__ import annotations

from typing import Any

import httpx

from lurcher.errors import FieldError, ServiceError
from lurcher.models.engines import EngineName

_SECONDS = 60


def is_url(target: str) -> bool:
    """Whether ``target`` names a server rather than a folder."""
    return target.startswith(("http://", "https://"))


def check_engine(target: str, engine: EngineName) -> None:
    """Raise FieldError where ``engine`` was asked for and ``target`` is a server, which has its own."""
    if is_url(target) and engine != "auto":
        raise FieldError("engine", f"is for a bundle; {target} has an engine of its own")


class Remote:
    """A server at ``url``; any failure of it is a ServiceError that names it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=_SECONDS)

    def post(self, path: str, body: object) -> Any:
        """The decoded JSON reply. Raises ServiceError."""
        try:
            reply = self._client.post(path, json=body)
        except httpx.HTTPError as error:
            raise ServiceError(f"{self._url}: {error}") from error
        if reply.status_code != httpx.codes.OK:
            raise ServiceError(f"{self._url} answered {reply.status_code}: {reply.text[:500]}")
        return reply.json()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
