"""How these tests have passages and texts scored."""

from __future__ import annotations

from typing import Any

from tests.server.serving import Client, Reply

PATH = "/v1/rerank"
QUERY = "when does the dough of the bread rise"


def rerank(client: Client, query: str, path: str = PATH, **body: Any) -> Reply:
    return client.post(path, {"query": query, **body})


def scores(reply: Reply) -> dict[int, float]:
    """The score of each by its place in the request, best first."""
    assert reply.status == 200, reply.body
    return {one["index"]: one["score"] for one in reply.json()["results"]}
