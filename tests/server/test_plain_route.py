"""A plain route answers what FastAPI's own would, and is described alike."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from lurcher.server.plain_route import PlainRoute


class Wanted(BaseModel):
    """A body."""

    name: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=1)] = 1


def application(kind: type[APIRoute], *, keys: bool = False) -> FastAPI:
    """An application with one route of this kind."""
    router = APIRouter(route_class=kind)

    @router.post("/named")
    async def named(body: Wanted, request: Request) -> Response:
        """Say the name."""
        return Response(f"{body.name} {body.count} {request.headers['host']}")

    async def key(authorization: Annotated[str, Header()]) -> None:
        """Demand a key."""

    app = FastAPI()
    app.state.without_keys = not keys
    app.include_router(router, dependencies=[Depends(key)] if keys else [])
    return app


BODIES = [
    b'{"name": "a", "count": 2}', b'{"name": "a", "more": 1}', b'{"name": ""}',
    b'{"count": "2", "name": "b"}', b'{"count": 0}', b"{", b"", b"[1]", b'"\xff"', b"null", b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_it_answers_as_fastapi_does(body: bytes) -> None:
    replies = [
        TestClient(application(kind)).post(
            "/named", content=body, headers={"Content-Type": "application/json"}
        )
        for kind in (PlainRoute, APIRoute)
    ]
    assert replies[0].status_code == replies[1].status_code
    assert replies[0].content == replies[1].content
    assert replies[0].status_code == 200 or b"name" not in body or b"detail" in replies[0].content


def test_it_is_described_alike() -> None:
    assert application(PlainRoute).openapi() == application(APIRoute).openapi()


def test_keys_are_demanded_unless_the_application_says_that_there_are_none() -> None:
    app = application(PlainRoute, keys=True)
    client = TestClient(app)
    assert client.post("/named", json={"name": "a"}).status_code == 422
    given = {"Authorization": "Bearer key"}
    assert client.post("/named", json={"name": "a"}, headers=given).text == "a 1 testserver"
    del app.state.without_keys
    assert client.post("/named", json={"name": "a"}).status_code == 422
