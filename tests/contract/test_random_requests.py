"""A hundred thousand requests to all routes, writes, administration and other servers' among them.

Most are wrong somewhere. None is a 500, none hangs, and the server is as well as before.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.test_malformed_requests import GOOD
from tests.contract.wrong_requests import ODD_VALUES, TYPES, damage, spoil
from tests.server.serving import PATIENCE, Client, running, settings

pytestmark = pytest.mark.nightly

ROUNDS, EACH = 20, 5_000
RECORD = {"id": "new", "title": "Bread", "text": "Bread rises.", "metadata": {"year": 2_001}}
MESSAGE = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
ROUTES: list[tuple[str, str, Any]] = [
    *(("POST", path, body) for path, body in GOOD),
    ("PUT", "/v1/passages", {"records": [RECORD], "wait": "visible"}),
    ("PUT", "/v1/passages", {"records": [{"id": "cut", "passages": ["a", {"text": "b", "section": ["c"]}]}]}),
    ("PATCH", "/v1/passages", {"records": [{"id": "new", "metadata": {"year": None, "lang": "en"}}]}),
    ("DELETE", "/v1/passages", {"ids": ["new", "unknown"], "versions": {"new": "*"}}),
    ("DELETE", "/v1/passages", {"filter": {"lang": "xx"}, "dry_run": True}),
    ("GET", "/v1/passages?limit=2&filter=%7B%7D", None),
    ("GET", "/v1/passages/new", None),
    ("GET", "/v1/documents/cut", None),
    ("DELETE", "/v1/feedback?keys=a", None),
    ("GET", "/v1/feedback", None),
    ("GET", "/v1/collections", None),
    ("PUT", "/v1/admin/aliases/other", {"collection": "answering"}),
    ("DELETE", "/v1/admin/aliases/other", None),
    ("POST", "/v1/admin/collections", {"name": "more", "path": "/nowhere"}),
    ("DELETE", "/v1/admin/collections/more", None),
    ("POST", "/v1/collections/answering/search", {"query": "a cat", "top_k": 2, "fold": True}),
    ("POST", "/v1/search", {"query": "a cat", "collections": ["answering"], "group_by": "document"}),
    ("POST", "/v1/embeddings", {"input": ["a cat", "a dog"], "model": "x", "encoding_format": "base64"}),
    ("POST", "/v2/embed", {"texts": ["a"], "input_type": "search_query", "model": "x"}),
    ("POST", "/embed", {"inputs": "a cat", "normalize": True}),
    ("POST", "/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}),
    ("POST", "/rerank", {"query": "a", "texts": ["b", "c"], "return_text": True}),
    ("POST", "/mcp", MESSAGE | {"params": {"name": "search", "arguments": {"query": "a cat"}}}),
]  # fmt: skip
KINDS = [
    "application/problem+json", "application/json", "text/plain; charset=utf-8", "text/html; charset=utf-8",
]  # fmt: skip


@pytest.fixture(scope="module")
def writable(answering_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of a copy that takes everything."""
    made = tmp_path_factory.mktemp("writable")
    bundle = shutil.copytree(answering_bundle, made / "answering.lurcher")
    wanted = settings(
        bundle, writable=True, feedback=made / "log", admin_folders=[made], max_queries=8,
        max_body_bytes=50_000, max_query_chars=500,
    )  # fmt: skip
    with running(wanted) as client:
        yield client


def with_odd_value(path: str, random_: random.Random) -> str:
    """``path`` with something else in its last part or its query."""
    odd = quote(str(random_.choice(ODD_VALUES)).encode("utf-8", "surrogatepass"))
    head, sign, _ = path.rpartition(random_.choice(["=", "/"]) if "=" in path else "/")
    return f"{head}{sign}{odd}"


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_no_request_is_a_fault_of_the_server(writable: Client, seed: int) -> None:
    random_ = random.Random(seed)
    connection = HTTPConnection("127.0.0.1", writable.port, timeout=PATIENCE)
    seen: Counter[int] = Counter()
    for _ in range(EACH):
        method, path, body = random_.choice(ROUTES)
        if random_.random() < 0.1:
            path = with_odd_value(path, random_)
        if random_.random() < 0.05:
            method = random_.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
        raw = b"" if body is None else json.dumps(spoil(body, random_)).encode()
        if raw and random_.random() < 0.3:
            raw = damage(raw, random_)
        headers = {"Content-Type": random_.choice(TYPES)}
        if random_.random() < 0.1:
            headers["Idempotency-Key"] = random_.choice(["a", "b", "", "\xff", "k" * 300])
        connection.request(method, path, raw, headers)
        reply = connection.getresponse()
        content = reply.read()
        what = (method, path, raw[:300], headers, reply.status, content[:300])
        seen[reply.status] += 1
        # Of a request that asks for a deadline of a millisecond.
        assert reply.status < 500 or (reply.status == 504 and b"timeout_ms" in raw), what
        assert not content or reply.headers["content-type"] in KINDS, what
    connection.close()
    assert seen[200] > EACH // 50, seen
    assert seen[422] > EACH // 10, seen
    assert writable.search("a cat").status == 200
