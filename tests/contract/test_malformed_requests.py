"""A thousand requests that are wrong somewhere: none is a 500, each error is a problem."""

from __future__ import annotations

import json
import random
from collections import Counter
from http.client import HTTPConnection
from typing import Any

from tests.contract.wrong_requests import TYPES, damage, spoil
from tests.server.serving import PATIENCE, Client

GOOD: list[tuple[str, Any]] = [
    ("/v1/search", {"query": "a cat", "top_k": 3}),
    ("/v1/search", {"query": "brot", "filter": {"lang": "de", "year": {"gte": 2000, "lt": 2010}},
                    "include": ["text", "highlights"], "timeout_ms": 5_000}),
    ("/v1/search/batch", {"queries": ["cat", "train"], "filter": {"tags": {"in": ["odd", 3]}}}),
    ("/v1/search", {"query": "brot", "rank": "maxsim", "candidates": 20, "include": ["token_alignment"]}),
    ("/v1/rerank", {"query": "cat", "documents": ["a cat", {"text": "bread"}], "top_n": 1,
                    "return_documents": True, "model": "x"}),
    ("/v1/rerank", {"query": "cat", "passages": ["en-animals-0", "de-food-1"], "timeout_ms": 9_000}),
    ("/v1/answer", {"query": "cat", "top_k": 2, "read_depth": 3, "min_score": 0.25, "rank": "maxsim",
                    "candidates": 20, "filter": {"lang": "en"}, "neighbours": {"mode": "off"}}),
    ("/v1/feedback", {"pairs": [{"query": "a cat", "passage": "en-animals-0", "weight": 2},
                                {"query": "brot", "passage": "unknown"}], "bundle": "small"}),
]  # fmt: skip
METHODS = ["POST"] * 8 + ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"]
PATHS = [
    "/v1/bundle",
    "/livez",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/v1",
    "/v1/search/",
    "/v1//search",
    "/%ff",
]


def wrong_request(random_: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    path, body = random_.choice(GOOD)
    if random_.random() < 0.15:
        path = random_.choice(PATHS)
    raw = json.dumps(spoil(body, random_)).encode()
    if random_.random() < 0.4:
        raw = damage(raw, random_)
    headers = {
        "Content-Type": random_.choice(TYPES),
        "X-Request-Id": random_.choice(["", "a", "\xff", "x" * 500]),
    }
    return random_.choice(METHODS), path, raw, headers


def test_thousand_malformed_requests_are_each_refused_in_form_or_answered(served: Client) -> None:
    random_ = random.Random(20)
    connection = HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    seen: Counter[int] = Counter()
    for _ in range(1_000):
        method, path, raw, headers = wrong_request(random_)
        connection.request(method, path, raw, headers)
        reply = connection.getresponse()
        body = reply.read()
        what = (method, path, raw[:200], headers, reply.status, body[:300])
        seen[reply.status] += 1
        assert reply.status < 500, what
        if reply.status >= 400 and method != "HEAD":
            assert reply.headers["content-type"] == "application/problem+json", what
            problem = json.loads(body)
            assert problem["status"] == reply.status, what
            assert problem["request_id"] == reply.headers["x-request-id"], what
            assert problem["detail"], what
    connection.close()
    assert seen[422] > 200, seen
    assert {200, 404, 405, 413} <= set(seen), seen
    assert served.search("a cat").status == 200  # and it is as well as before
