"""A thousand requests that are wrong somewhere: none is a 500, each error is a problem."""

from __future__ import annotations

import json
import random
from collections import Counter
from http.client import HTTPConnection
from typing import Any

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
ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, 1e308, -0.0,
    float("nan"), float("inf"), "", " ", "\x00", "\ud800", "\udfff\ud800", "é", "🐕", "x" * 600,
    "\u202e", "'; DROP TABLE passages; --", "%s%n", [], {}, [[]], [None], {"": None}, {"in": []},
    {"in": [None]}, {"gt": 1, "lt": "a"}, {"gte": {}}, ["a"] * 9, {"$ref": "#"}, {"lang": "en"},
]  # fmt: skip
ODD_BYTES = [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\",
    b"\\ud800",
    b"1e999",
    b"NaN",
    b"-",
    b",",
    b"\xef\xbb\xbf",
]
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
TYPES = ["application/json"] * 8 + [
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "application/xml",
    "json",
    ";",
    "application/*+json",
]


def spoil(value: Any, random_: random.Random) -> Any:
    """``value`` with something inside it changed, added or left out."""
    if isinstance(value, dict) and value and random_.random() < 0.8:
        name = random_.choice(list(value))
        changed = dict(value)
        match random_.randrange(4):
            case 0:
                del changed[name]
            case 1:
                changed[random_.choice(["filtre", "", "\ud800", "__proto__", "query "])] = value[
                    name
                ]
            case _:
                changed[name] = spoil(value[name], random_)
        return changed
    if isinstance(value, list) and value and random_.random() < 0.5:
        return [*value, spoil(value[0], random_)]
    return random_.choice(ODD_VALUES)


def damage(raw: bytes, random_: random.Random) -> bytes:
    """``raw`` with bytes put in, taken out or turned."""
    at = random_.randrange(len(raw) + 1)
    match random_.randrange(4):
        case 0:
            return raw[:at]
        case 1:
            return (
                raw[:at] + random_.choice(ODD_BYTES) * random_.choice([1, 1, 3, 2_000]) + raw[at:]
            )
        case 2:
            return raw[:at] + random_.randbytes(random_.randrange(1, 9)) + raw[at + 3 :]
        case _:
            return raw[:at] + raw * random_.choice([1, 400])


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
