"""Which collection a request asks."""

from __future__ import annotations

from fastapi import Request

from lurcher.server.collection import Collection
from lurcher.server.service import Service


def collection_of(request: Request) -> Collection:
    """Return the collection that ``request`` asks: the default."""
    service: Service = request.app.state.service
    return service.collections.default
