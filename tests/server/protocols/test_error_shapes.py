"""Errors in each protocol's shape, also those that a test cannot bring about by a request alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lurcher.errors import DeadlinePassed, NotReady, QueueFull
from lurcher.server.metrics import Metrics
from lurcher.server.middleware import Observe
from lurcher.server.protocols.cohere.errors import error_reply as cohere
from lurcher.server.protocols.mcp.routes import error_reply as mcp
from lurcher.server.protocols.openai.errors import error_reply as openai
from lurcher.server.protocols.shape import Shape, shaped
from lurcher.server.protocols.tei.errors import error_reply as tei
from tests.contract.test_malformed_requests import damage, spoil
from tests.server.protocols.conftest import BEARER
from tests.server.serving import JSON, PATIENCE, Client

MESSAGES: dict[Shape, Callable[[Any], str]] = {
    openai: lambda body: body["error"]["message"],
    cohere: lambda body: body["message"],
    tei: lambda body: body["error"],
    mcp: lambda body: body["error"]["message"],
}  # fmt: skip
GOOD = [
    ("/v1/embeddings", openai, {"input": ["a cat", [5, 6]], "model": "tiny", "encoding_format": "base64"}),
    ("/v2/embed", cohere, {"texts": ["a"], "model": "tiny", "input_type": "search_query",
                           "embedding_types": ["float"], "truncate": "NONE"}),
    ("/v1/embed", cohere, {"inputs": [{"content": [{"type": "text", "text": "a"}]}],
                           "input_type": "clustering", "max_tokens": 3}),
    ("/v2/rerank", cohere, {"query": "cat", "documents": ["a cat", {"text": "bread"}], "top_n": 1}),
    ("/embed", tei, {"inputs": ["a cat"], "truncate": True, "truncation_direction": "left"}),
    ("/rerank", tei, {"query": "cat", "texts": ["a cat", "bread"], "raw_scores": True}),
    ("/similarity", tei, {"inputs": {"source_sentence": "cat", "sentences": ["a", "b"]}}),
    ("/mcp", mcp, {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                   "params": {"name": "search", "arguments": {"query": "cat", "top_k": 2, "filter": {}}}}),
]  # fmt: skip


@pytest.mark.parametrize("shape", MESSAGES, ids=["openai", "cohere", "tei", "mcp"])
@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (QueueFull(7, 3), 429, {"retry-after": "3"}),
        (NotReady("still loading"), 503, {"retry-after": "2"}),
        (DeadlinePassed("no answer within 5 ms"), 504, {}),
        (RuntimeError("a secret"), 500, {}),
    ],
)
def test_what_cannot_be_done_now_is_told_with_the_headers(
    shape: Shape, error: Exception, status: int, headers: dict[str, str]
) -> None:
    app = FastAPI()
    app.router.route_class = shaped(shape)
    app.add_middleware(Observe, metrics=Metrics())

    @app.get("/")
    async def fail() -> None:
        raise error

    with TestClient(app) as client:
        reply = client.get("/")
    assert reply.status_code == status
    assert {name: reply.headers.get(name) for name in headers} == headers
    message = MESSAGES[shape](reply.json())
    assert message == (str(error) if status != 500 else message)
    assert "secret" not in reply.text


def test_malformed_requests_are_each_refused_in_shape_or_answered(spoken: Client) -> None:
    random_ = random.Random(7)
    connection = HTTPConnection("127.0.0.1", spoken.port, timeout=PATIENCE)
    refused = 0
    for _ in range(150):
        path, shape, body = random_.choice(GOOD)
        raw = json.dumps(spoil(body, random_)).encode()
        if random_.random() < 0.3:
            raw = damage(raw, random_)
        connection.request("POST", path, raw, {**JSON, **BEARER})
        reply = connection.getresponse()
        sent, what = reply.read(), (path, raw[:300])
        assert reply.status < 500, (what, sent[:300])
        if reply.status >= 400:
            refused += 1
            assert MESSAGES[shape](json.loads(sent)), what
    connection.close()
    assert refused > 50
