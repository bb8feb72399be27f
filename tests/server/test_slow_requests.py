"""Slow requests are logged with their stages; what callers ask is in no line, unless the settings want it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lurcher.errors import FieldError
from lurcher.server.settings import load_settings
from tests.server.serving import Client, running, settings

PRIVATE = "whatsomebodyasked"


def ask_everything(client: Client) -> list[int]:
    """Ask for ``PRIVATE`` in every way in which text comes; the statuses."""
    text = {"query": PRIVATE, "retrieve": "lexical"}
    replies = [
        client.post("/v1/search", text),
        client.post("/v1/search", {**text, "top_k": -1}),
        client.post("/v1/search", {**text, "filter": {PRIVATE: 1}}),
        client.post("/v1/search", {**text, "collections": ["words"]}),
        client.post("/v1/search", f'{{"query": "{PRIVATE}'.encode()),
        client.post("/v1/search/batch", {"queries": [PRIVATE], "retrieve": "lexical"}),
        client.post("/v1/answer", {"query": PRIVATE}),
        client.post("/v1/rerank", {"query": PRIVATE, "documents": [PRIVATE]}),
        client.post("/v1/embeddings", {"input": PRIVATE, "model": "x"}),
        client.post("/v1/feedback", {"pairs": [{"query": PRIVATE, "passage": "p"}]}),
        client.request("PUT", "/v1/passages", f'{{"records": "{PRIVATE}"}}'.encode()),
        client.get(f"/v1/passages?cursor={PRIVATE}"),
    ]
    return [one.status for one in replies]


def logged(bundle: Path, **given: Any) -> tuple[list[Any], list[int]]:
    with capture_logs() as lines, running(settings(bundle, **given)) as client:
        statuses = ask_everything(client)
    return lines, statuses


def test_no_line_has_what_callers_ask(words_bundle: Path) -> None:
    lines, statuses = logged(words_bundle, slow_ms=0.001)
    assert set(statuses) >= {200, 422}
    assert 500 not in statuses
    assert PRIVATE not in str(lines)
    slow = [line for line in lines if line["event"] == "slow request" and line["status"] == 200]
    line = next(line for line in slow if line.get("collection") == "words" and line["stages_ms"])
    assert {"queue", "retrieve_lexical", "fuse", "fetch"} <= set(line["stages_ms"])
    assert line["route"] in ("/v1/search", "/v1/answer")
    assert line["ms"] >= sum(line["stages_ms"].values()) > 0
    assert line["log_level"] == "warning"
    same = [one for one in lines if one.get("request_id") == line["request_id"]]
    assert {one["event"] for one in same} == {"request", "slow request"}


def test_queries_are_logged_where_the_settings_want_it(words_bundle: Path) -> None:
    lines, _ = logged(words_bundle, slow_ms=0.001, log_queries=True)
    told = [line for line in lines if PRIVATE in str(line)]
    assert {line["event"] for line in told} == {"slow request"}
    assert "/v1/search" in {line["route"] for line in told if line["query"] == PRIVATE}


@pytest.mark.parametrize("slow_ms", [0, 60_000])
def test_what_is_quicker_is_no_slow_request(words_bundle: Path, slow_ms: int) -> None:
    with capture_logs() as lines, running(settings(words_bundle, slow_ms=slow_ms)) as client:
        assert client.search("cat", retrieve="lexical").status == 200
    assert "slow request" not in {line["event"] for line in lines}


def test_queries_without_slow_requests_are_refused() -> None:
    with pytest.raises(FieldError, match=r"^log_queries: .* slow_ms 0"):
        load_settings(None, {"bundle": "b", "slow_ms": 0, "log_queries": True})
