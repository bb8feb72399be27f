"""``/livez``, ``/readyz`` and ``/metrics``: for the operator of the server."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from lurcher.server.errors import responses
from lurcher.server.service import Service

router = APIRouter(tags=["operations"])
# Which may be closed, or need a key.
scraping = APIRouter(tags=["operations"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Answer while the process runs."""
    return {"status": "live"}


@router.get("/readyz", responses=responses(503))
async def readyz(request: Request) -> dict[str, str]:
    """Answer 200 once the bundle has answered a query, and 503 before."""
    service: Service = request.app.state.service
    service.check_ready()
    return {"status": "ready"}


@scraping.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return counters and histograms in the text format of Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)
